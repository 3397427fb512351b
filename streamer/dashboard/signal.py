"""The signal of streams that somebody looks at: kept for some minutes, and thinned out to what a screen can show."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

KEPT_BYTES = 4 << 20
"""Of a device's readings: twelve channels at 100 Hz for twelve minutes."""
_BEGIN = 256


class DeviceSignal:
    """The latest readings of one device, in bounded memory.

    Parameters
    ----------
    channels : sequence of (str, str)
        Name and unit of each.
    most_bytes : int
        What is kept.

    Attributes
    ----------
    channels : tuple of (str, str)
    end : int
        The newest reading's time, Unix ns; -1 before the first.
    """

    def __init__(self, channels: Sequence[tuple[str, str]], most_bytes: int = KEPT_BYTES) -> None:
        self.channels = tuple(channels)
        self.end = -1
        self._most = max(most_bytes // (8 + 4 * len(self.channels)), 2 * _BEGIN)
        self._times = np.empty(_BEGIN, np.int64)
        self._x = np.empty((_BEGIN, len(self.channels)), np.float32)
        self._count = 0

    def add(self, times: npt.NDArray[np.int64], x: npt.NDArray[np.float32]) -> None:
        """Add readings, shape (n,) and (n, C); those that are not later than the newest one are passed over."""
        if len(times) == 0:
            return
        later = int(np.searchsorted(times, self.end, side="right"))
        times, x = times[later:], x[later:]
        if len(times) > self._most // 2:  # what was before would lie behind a hole
            times, x, self._count = times[-self._most // 2 :], x[-self._most // 2 :], 0
        if len(times) == 0:
            return
        if self._count + len(times) > len(self._times):
            self._make_room(len(times))
        end = self._count + len(times)
        self._times[self._count : end], self._x[self._count : end] = times, x
        self._count = end
        self.end = int(times[-1])

    def between(self, begin: int, end: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the readings of [begin, end), Unix ns."""
        times = self._times[: self._count]
        first, last = np.searchsorted(times, [begin, end])
        return times[first:last], self._x[first:last]

    def _make_room(self, count: int) -> None:
        keep = min(self._count, self._most // 2)
        size = min(max(2 * (keep + count), _BEGIN), self._most)
        times, x = np.empty(size, np.int64), np.empty((size, self._x.shape[1]), np.float32)
        begin = self._count - keep
        times[:keep], x[:keep] = self._times[begin : self._count], self._x[begin : self._count]
        self._times, self._x, self._count = times, x, keep


def decimated(
    times: npt.NDArray[np.int64], x: npt.NDArray[np.float32], width: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Thin readings out without hiding a peak: of each stretch of `width` ns, the least and the greatest value remain.

    Stretches begin at multiples of `width`, so that whoever asks for a part gets the same points as of the whole. One
    that holds a single reading keeps it.

    Parameters
    ----------
    times : ndarray of int64, shape (n,)
        Rising, Unix ns.
    x : ndarray of float32, shape (n, C)
        NaN where there is no value.
    width : int
        Of a stretch, ns.

    Returns
    -------
    (ndarray of int64, shape (m,), ndarray of float32, shape (m, C))
        At most two points a stretch, at the times of its first and its last reading. The least comes first in a channel
        that rises over the stretch, else the greatest.
    """
    if len(times) == 0:
        return times, x
    stretch = times // width
    begins = np.flatnonzero(np.r_[True, stretch[1:] != stretch[:-1]])
    ends = np.r_[begins[1:], len(times)] - 1
    if len(begins) == len(times):
        return times, x
    least = np.fmin.reduceat(x, begins, axis=0)
    most = np.fmax.reduceat(x, begins, axis=0)
    rises = ~(x[ends] < x[begins])  # where either is missing, any order will do
    pairs = np.stack([np.where(rises, least, most), np.where(rises, most, least)], axis=1)
    moments = np.stack([times[begins], times[ends]], axis=1)
    wanted = np.ones(moments.shape, bool)
    wanted[:, 1] = ends > begins
    return moments[wanted], pairs[wanted]
