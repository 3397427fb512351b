"""Which devices are absent from a window: one that is silent at its end counts as absent in all of it, as it does live.

What a device said before it fell silent would be held, or interpolated, up to the window's end: that misleads a network
more than to know that there is nothing.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.model.windows.frozen import FrozenRule, blank, frozen_since

SILENT_NS = 500_000_000
"""A device without a reading for so long at a window's end is taken for absent in the whole window."""


@cache
def silent_samples(rate: Fraction) -> int:
    """Return how many samples at a window's end a device must be silent in, at so many a second."""
    return max(SampleGrid(0, rate).at_or_after(SILENT_NS), 1)


class Absence(NamedTuple):
    """Which devices are absent from windows, or should be.

    Attributes
    ----------
    missing : ndarray of float64, shape (W, D)
        The share of each window's samples in which a device has no reading; 1 where it was blanked.
    silent : ndarray of bool, shape (W, D)
        Whether it is silent at the window's end.
    frozen_since : ndarray of int64, shape (W, D)
        See `kinestream.model.windows.frozen.frozen_since`.
    """

    missing: npt.NDArray[np.float64]
    silent: npt.NDArray[np.bool_]
    frozen_since: npt.NDArray[np.int64]


def blank_absent(
    windows: npt.NDArray[np.float32], devices: Sequence[npt.NDArray[np.intp]], rate: Fraction, rule: FrozenRule
) -> Absence:
    """Blank the devices that are silent at the end of windows and, where the rule says so, those that are frozen.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        What such a device delivered of a window becomes NaN, in place.
    devices : sequence of ndarray of int
        The columns of each of D devices.
    rate : Fraction
        Samples a second.
    rule : FrozenRule
        The bundle's.
    """
    tail = silent_samples(rate)
    missing, silent = blank_silent(windows, devices, tail)
    since = np.full(missing.shape, -1, np.int64)
    for number, columns in enumerate(devices):
        since[:, number] = frozen_since(windows, columns, rule.repeats(columns, tail), tail)
    if rule.blank and (since >= 0).any():
        blank(windows, devices, since >= 0)
        missing[since >= 0] = 1.0
    return Absence(missing, silent, since)


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
    if all(map(len, devices)) and np.isfinite(windows).all():  # as nearly always: to look closer takes long
        return np.zeros((len(windows), len(devices))), np.zeros((len(windows), len(devices)), np.bool_)
    missing = np.ones((len(windows), len(devices)))
    silent = np.ones((len(windows), len(devices)), dtype=np.bool_)
    for number, columns in enumerate(devices):
        there: npt.NDArray[np.bool_] = np.asarray(np.isfinite(windows[:, :, columns]).any(axis=2))
        silent[:, number] = ~there[:, -tail:].any(axis=1)
        missing[:, number] = np.where(silent[:, number], 1.0, 1.0 - there.mean(axis=1))
        for window in np.flatnonzero(silent[:, number]):
            windows[window][:, columns] = np.nan
    return missing, silent
