"""Whether a probability means what it says.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

_LOWEST, _HIGHEST = 0.05, 20.0  # where all windows are right the likelihood has no maximum


def fit_temperature(logits: npt.NDArray[np.floating[Any]], truth: npt.NDArray[np.integer[Any]]) -> float:
    """Return what logits should be divided by so that their softmax is most likely.

    Parameters
    ----------
    logits : ndarray of float, shape (W, K)
        Or logarithms of probabilities, which differ from logits by what does not matter here.
    truth : ndarray of int, shape (W,)
        The true class of each window.

    Returns
    -------
    float
        1 where there is no window.
    """
    if not len(truth):
        return 1.0
    logits = logits.astype(np.float64)
    rows = np.arange(len(truth))

    def cost(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float(np.mean(logsumexp(scaled, axis=1) - scaled[rows, truth]))

    bounds = (np.log(_LOWEST), np.log(_HIGHEST))
    return float(np.exp(minimize_scalar(cost, bounds=bounds, method="bounded").x))
