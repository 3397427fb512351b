"""Which devices are silent in a window: live and offline, such a device counts as absent in all of it.

What a device said before it fell silent would be held, or interpolated, up to the window's end: that misleads a network
more than to know that there is nothing.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.samplegrid import SampleGrid

SILENT_NS = 500_000_000
"""A device without a reading for so long at a window's end is taken for absent in the whole window."""


def silent_samples(rate: Fraction) -> int:
    """Return how many samples at a window's end a device must be silent in, at so many a second."""
    return max(SampleGrid(0, rate).at_or_after(SILENT_NS), 1)


def blank_silent(
    windows: npt.NDArray[np.float32], devices: Sequence[npt.NDArray[np.intp]], tail: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Blank the devices that are silent at the end of windows.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        What a silent device delivered of a window becomes NaN, in place.
    devices : sequence of ndarray of int
        The columns of each of D devices.
    tail : int
        As `silent_samples` returns it.

    Returns
    -------
    missing : ndarray of float64, shape (W, D)
        The share of each window's samples in which a device has no reading; 1 where it is silent.
    silent : ndarray of bool, shape (W, D)
        Whether it is.
    """
    missing = np.ones((len(windows), len(devices)))
    silent = np.ones((len(windows), len(devices)), dtype=np.bool_)
    for number, columns in enumerate(devices):
        there: npt.NDArray[np.bool_] = np.asarray(np.isfinite(windows[:, :, columns]).any(axis=2))
        silent[:, number] = ~there[:, -tail:].any(axis=1)
        missing[:, number] = np.where(silent[:, number], 1.0, 1.0 - there.mean(axis=1))
        for window in np.flatnonzero(silent[:, number]):
            windows[window][:, columns] = np.nan
    return missing, silent
