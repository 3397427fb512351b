"""Calibration: whether probabilities match the share of correct labels, and the temperature that makes them match.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017, arXiv 1706.04599.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kinestream.model.scores.metrics import Indices

BINS = 15
"""Of equal width, as in the paper."""

_LEAST = float(np.finfo(np.float32).tiny)  # a softmax in single precision may say 0, whose logarithm is infinite
_HOTTEST = 100.0  # temperatures are sought from a hundredth to this


@dataclass(frozen=True)
class Bin:
    """Windows whose most probable class has a probability in (lower, upper].

    Parameters
    ----------
    lower, upper : float
        Bounds of the bin.
    count : int
        Its windows.
    confidence, accuracy : float or None
        Their mean probability, and the share of them that is classified correctly; None where there are none.
    """

    lower: float
    upper: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Calibration:
    """How well probabilities are calibrated.

    Parameters
    ----------
    windows : int
        Windows scored.
    ece : float
        Expected calibration error: distance of confidence and accuracy, averaged over the bins by their windows.
    nll : float
        Mean negative log likelihood of the true class, in nats.
    brier : float
        Mean squared distance of the probabilities from the truth, summed over the classes: 0 to 2.
    confidence, accuracy : float
        Mean probability of the most probable class, and the share of windows where that is the true one.
    bins : tuple of Bin
        The reliability diagram, from the least confident.
    """

    windows: int
    ece: float
    nll: float
    brier: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return what `as_dict` was made of."""
        return cls(**{**content, "bins": tuple(Bin(**entry) for entry in content["bins"])})


def calibrate(probabilities: npt.NDArray[np.floating[Any]], truth: Indices, bins: int = BINS) -> Calibration | None:
    """Compare probabilities with the truth.

    Parameters
    ----------
    probabilities : ndarray of float, shape (W, K)
        Of each class; rows add up to 1.
    truth : ndarray of int, shape (W,)
        The true class.
    bins : int
        How many, of equal width.

    Returns
    -------
    Calibration or None
        None where there is no window to score.
    """
    if not len(truth):
        return None
    p = probabilities.astype(np.float64)
    top, right = p.max(axis=1), p.argmax(axis=1) == truth
    found = _reliability(top, right, bins)
    own = p[np.arange(len(truth)), truth]
    # sum_k (p_k - y_k)^2, where y is 1 for the true class and 0 for the others
    squares = (p**2).sum(axis=1) - 2 * own + 1
    return Calibration(
        windows=len(truth),
        ece=sum(_gap(entry) * entry.count for entry in found) / len(truth),
        nll=float(-np.log(np.maximum(own, _LEAST)).mean()),
        brier=float(squares.mean()),
        confidence=float(top.mean()),
        accuracy=float(right.mean()),
        bins=found,
    )


def _reliability(top: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], bins: int) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, top) - 1, 0, bins - 1)  # rounding may leave a probability just above 1
    counts = np.bincount(which, minlength=bins)
    confidence = np.bincount(which, weights=top, minlength=bins) / np.maximum(counts, 1)
    accuracy = np.bincount(which, weights=right, minlength=bins) / np.maximum(counts, 1)
    return tuple(
        Bin(float(lower), float(upper), int(n), *((float(c), float(a)) if n else (None, None)))
        for lower, upper, n, c, a in zip(edges[:-1], edges[1:], counts, confidence, accuracy, strict=True)
    )


def _gap(entry: Bin) -> float:
    return 0.0 if entry.confidence is None or entry.accuracy is None else abs(entry.confidence - entry.accuracy)


def fit_temperature(logits: npt.NDArray[np.floating[Any]], truth: Indices) -> float:
    """Return what to divide logits by, so that the truth is as likely as one number can make it.

    Parameters
    ----------
    logits : ndarray of float, shape (W, K)
        Of windows that the network did not learn from.
    truth : ndarray of int, shape (W,)
        The true class.

    Returns
    -------
    float
        Between 0.01 and 100; 1 where the windows do not determine it: there are none, or all are classified correctly,
        so that the likelihood only grows as the temperature falls.
    """
    z = logits.astype(np.float64)
    own = z[np.arange(len(truth)), truth]
    others = z.copy()
    others[np.arange(len(truth)), truth] = -np.inf
    if not len(truth) or bool((own > others.max(axis=1)).all()):
        return 1.0
    # Imported here: only training fits a temperature, and scoring needs no SciPy.
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    def nll(log_temperature: float) -> float:
        colder = math.exp(-log_temperature)
        return float((logsumexp(z * colder, axis=1) - own * colder).mean())

    # The likelihood is convex in 1/T, so it has one minimum in log T too, whose scale suits a search over decades.
    bounds = -math.log(_HOTTEST), math.log(_HOTTEST)
    found = minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x)


def temper(probabilities: npt.NDArray[np.floating[Any]], temperature: float) -> npt.NDArray[np.float64]:
    """Return what probabilities, shape (..., K), would be had their logits been divided by a temperature."""
    # A softmax of logits / T is that of the logits to the power of 1 / T, but for a factor.
    tempered: npt.NDArray[np.float64] = probabilities.astype(np.float64) ** (1 / temperature)
    tempered /= tempered.sum(axis=-1, keepdims=True)
    return tempered
