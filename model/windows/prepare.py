"""From raw windows to what a network reads; pure functions of a batch of windows.

NaN says that there is no reading. Infinity is none either: no sensor means it, and no network could answer to it.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from kinestream.model.config.training import PreprocessSection
from kinestream.model.recordings.filters import derive

Windows = npt.NDArray[np.float32]
Preparation = Callable[[Windows], Windows]


def preparation(
    section: PreprocessSection, channels: Sequence[str], means: npt.NDArray[np.float32], rate_hz: float
) -> Preparation:
    """Return what makes a network's inputs, unscaled, of raw windows: shape (W, T, C) in, (W, T, D) out.

    Parameters
    ----------
    section : PreprocessSection
        What is derived; nothing by default, and D is C.
    channels : sequence of str
        Names of the C channels.
    means : ndarray of float32, shape (C,)
        What a channel takes that is silent for the whole window.
    rate_hz : float
        Samples per second.
    """
    if section == PreprocessSection():
        return lambda windows: fill_gaps(windows, means)
    names = list(channels)
    return lambda windows: derive(fill_gaps(windows, means), section, names, rate_hz)


def fill_gaps(windows: Windows, means: npt.NDArray[np.float32]) -> Windows:
    """Return windows with a reading everywhere: linear in between, the nearest reading at the ends.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        Raw windows, NaN or infinite where a sensor was silent. Left as it is.
    means : ndarray of float32, shape (C,)
        What a channel takes that is silent for the whole window.

    Returns
    -------
    ndarray of float32, shape (W, T, C)
        `windows` itself where nothing is missing.
    """
    known = np.isfinite(windows)
    if known.all():
        return windows
    gappy = ~known.all(axis=1)  # (W, C)
    filled = windows.copy()
    which, channel = np.nonzero(gappy)
    signals = windows[which, :, channel]  # (S, T): only those with a gap
    filled[which, :, channel] = _interpolate(signals, means[channel])
    return filled


def _interpolate(signals: Windows, means: npt.NDArray[np.float32]) -> Windows:
    """Fill the gaps of signals of shape (S, T); `means`, shape (S,), where there is no reading at all."""
    length = signals.shape[1]
    steps = np.arange(length)
    known = np.isfinite(signals)
    before = np.maximum.accumulate(np.where(known, steps, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, steps, length)[:, ::-1], axis=1)[:, ::-1]
    left, right = np.where(before < 0, after, before), np.where(after >= length, before, after)
    silent = np.flatnonzero(~known.any(axis=1))
    left[silent] = right[silent] = 0
    signals = signals.copy()
    signals[silent] = means[silent, None]
    rows = np.arange(len(signals))[:, None]
    low, high = signals[rows, left], signals[rows, right]
    share = (steps - left) / np.maximum(right - left, 1)
    filled: Windows = (low + (high - low) * share).astype(np.float32)
    return filled
