"""Which devices are frozen in a window: they deliver, but one and the same reading over and over.

A driver that hangs, or a link whose receiver repeats what it had last, delivers on and on what was true once. That
misleads a network more than to know that there is nothing. But a coarse sensor that lies still repeats itself, too. So
training notes for how many samples in a row each channel kept its value in what a network was trained on, and a device
is frozen only where all its channels have kept theirs for longer: longer, too, than a device is silent before it counts
as absent. A bundle that was trained on repeats as long as its window, or without noting them, tells no frozen device:
a label depends on its window alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Windows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FrozenRule:
    """When a device is frozen, and what is done then.

    Parameters
    ----------
    longest : tuple of int, or None
        For how many samples in a row, at most, each of the bundle's C channels kept its value in what it was trained
        on; None where nobody noted it: then no device is frozen.
    blank : bool
        Whether a frozen device counts as absent in all of the window; else it is only told.
    """

    longest: tuple[int, ...] | None = None
    blank: bool = False

    def repeats(self, columns: npt.NDArray[np.intp], silent: int) -> int | None:
        """Return for how many samples in a row a device may repeat itself; None where nothing says.

        All its channels did so for no longer than the one that did so least.

        Parameters
        ----------
        columns : ndarray of int
            The bundle's channels it delivers, at least one.
        silent : int
            How many samples a device is silent before it counts as absent.
        """
        if self.longest is None:
            return None
        least: int = min(self.longest[column] for column in columns.tolist())
        return max(silent, least)


NEVER = FrozenRule()
"""No device is frozen."""


def frozen_since(
    windows: Windows, columns: npt.NDArray[np.intp], repeats: int | None, silent: int
) -> npt.NDArray[np.int64]:
    """Return since when a device has been frozen at the end of windows.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        What was delivered; NaN for no reading.
    columns : ndarray of int
        The device's.
    repeats : int or None
        As `FrozenRule.repeats` returns it.
    silent : int
        As there; `repeats` is no less.

    Returns
    -------
    ndarray of int64, shape (W,)
        The sample of each window with the first of the repeated readings; -1 where the device is not frozen.
    """
    since = np.full(len(windows), -1, np.int64)
    length = windows.shape[1]
    if repeats is None or repeats >= length:
        return since
    # Of a device that is not silent, the last reading lies in the last `silent` samples: one that is frozen repeats it
    # in these two samples at least. One channel tells of nearly every window that it needs no closer look.
    one, other = windows[:, length - 1 - repeats, columns[0]], windows[:, length - silent, columns[0]]
    for window in np.flatnonzero((one == other) | (np.isnan(one) & np.isnan(other))).tolist():
        rows = windows[window][:, columns]
        there = np.flatnonzero(np.isfinite(rows).any(axis=1))
        if not len(there) or there[-1] < length - silent:
            continue  # it is silent
        last = int(there[-1])
        changed = np.flatnonzero(~_same(rows[:last], rows[1 : last + 1]))
        first = int(changed[-1]) + 1 if len(changed) else 0
        if last - first + 1 > repeats:
            since[window] = first
    return since


def blank(windows: Windows, devices: Sequence[npt.NDArray[np.intp]], frozen: npt.NDArray[np.bool_]) -> None:
    """Make NaN of what frozen devices delivered, in place; `frozen` of shape (W, D)."""
    for window, device in np.argwhere(frozen).tolist():
        windows[window][:, devices[device]] = np.nan


def longest_repeats(recordings: Sequence[Windows]) -> tuple[int, ...]:
    """Return for how many samples in a row, at most, each channel kept its value.

    Parameters
    ----------
    recordings : sequence of ndarray of float32, each of shape (N, C)
        At least one; NaN for no reading.
    """
    longest = [0] * recordings[0].shape[1]
    for samples in recordings:
        for channel, before in enumerate(longest):
            x = samples[:, channel]
            changed = np.flatnonzero(np.append(x[1:] != x[:-1], True))
            longest[channel] = max(before, int(np.diff(changed, prepend=-1).max(initial=0)))
    return tuple(longest)


def _same(one: Windows, other: Windows) -> npt.NDArray[np.bool_]:
    """Tell which readings, the last axis, are the same and are there."""
    equal = (one == other) | (np.isnan(one) & np.isnan(other))
    same: npt.NDArray[np.bool_] = equal.all(axis=-1) & np.isfinite(one).any(axis=-1)
    return same
