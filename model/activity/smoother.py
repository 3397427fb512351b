"""Smoothing with a fixed lag: how probable each class is of a window, given it, all before and a few after it.

The class of a wearer's windows is taken for a Markov chain that stays as it is with one probability and goes over to
any other class alike; the network's probabilities of a window are what is observed of it. What is returned of a window
is the chain's posterior by the forward-backward algorithm (Rabiner, Proceedings of the IEEE 77(2), 1989), over all
windows up to `lag` behind it. Which class follows which is not learnt: recordings follow a script, which no wearer
knows.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.config.activity import ActivitySection

Probabilities = npt.NDArray[np.float64]

_LEAST = 1e-6  # probability that is left to what a network rules out: it may be wrong


class Smoother:
    """Smooths windows as they come.

    Parameters
    ----------
    settings : ActivitySection
        Its `lag`, `stay` and `sharpness`.
    classes : int
        K, at least 2.
    """

    def __init__(self, settings: ActivitySection, classes: int) -> None:
        self._lag, self._sharpness = settings.lag, settings.sharpness
        self._to_any = (1 - settings.stay) / (classes - 1)
        self._more_to_itself = settings.stay - self._to_any
        self._nothing = np.ones(classes)
        self._forward: Probabilities | None = None
        self._open: deque[tuple[Probabilities, Probabilities]] = deque()  # forward and observed of windows not returned

    def add(self, probabilities: npt.NDArray[np.floating[Any]] | None) -> Probabilities | None:
        """Take the next window and return the smoothed one that lies `lag` before it.

        Parameters
        ----------
        probabilities : ndarray of float, shape (K,), or None
            Of each class; None of a window that got no label.

        Returns
        -------
        ndarray of float64, shape (K,), or None
            None while there is no such window.
        """
        observed = self._nothing if probabilities is None else observe(probabilities, self._sharpness)
        if self._forward is None:
            forward = observed
        else:
            forward = (self._to_any + self._more_to_itself * self._forward) * observed
        self._forward = forward = forward / forward.sum()
        self._open.append((forward, observed))
        return self._close_oldest() if len(self._open) > self._lag else None

    def finish(self) -> list[Probabilities]:
        """Return the windows that were not returned, none of which has as many behind it; a new chain begins."""
        self._forward = None
        return [self._close_oldest() for _ in range(len(self._open))]

    def _close_oldest(self) -> Probabilities:
        backward = self._nothing
        for i in range(len(self._open) - 1, 0, -1):
            behind = self._open[i][1] * backward
            backward = self._to_any * behind.sum() + self._more_to_itself * behind
            backward = backward / backward.sum()
        posterior: Probabilities = self._open.popleft()[0] * backward
        posterior /= posterior.sum()
        return posterior


def observe(probabilities: npt.NDArray[np.floating[Any]], sharpness: float) -> Probabilities:
    """Return what a chain observes where a network gives these probabilities, of any shape (..., K)."""
    observed: Probabilities = np.maximum(probabilities.astype(np.float64), _LEAST) ** sharpness
    return observed


def smooth(
    probabilities: npt.NDArray[np.floating[Any]], lags: Sequence[int], stay: float, sharpness: float
) -> Probabilities:
    """Smooth windows that follow one another, all at once, with several lags.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, K)
        Of the windows of one recording; NaN throughout where one has no label.
    lags : sequence of int
        L of them.
    stay, sharpness : float
        See `ActivitySection`.

    Returns
    -------
    ndarray of float64, shape (L, N, K)
        What `Smoother` returns with each.
    """
    count, classes = probabilities.shape
    to_any = (1 - stay) / (classes - 1)
    more_to_itself = stay - to_any
    missing = np.isnan(probabilities).any(axis=1)
    observed = np.where(missing[:, None], 1.0, observe(np.nan_to_num(probabilities), sharpness))
    forward = observed.copy()
    for i in range(count):
        now = observed[i] if i == 0 else (to_any + more_to_itself * forward[i - 1]) * observed[i]
        forward[i] = now / now.sum()
    found = np.empty((len(lags), count, classes))
    for at, lag in enumerate(lags):
        backward = np.ones((count, classes))
        for ahead in range(min(lag, count - 1), 0, -1):  # of windows, those that have so many behind them
            behind = observed[ahead:] * backward[: count - ahead]
            gone_back = to_any * behind.sum(axis=1, keepdims=True) + more_to_itself * behind
            backward[: count - ahead] = gone_back / gone_back.sum(axis=1, keepdims=True)
        posterior = forward * backward
        found[at] = posterior / posterior.sum(axis=1, keepdims=True)
    return found
