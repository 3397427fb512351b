"""Readings that arrive together under one stamp, spread over the time in which they were taken."""

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]


def spread(times: Times, period_ns: int, after: int | None = None) -> Times:
    """Spread readings that share a stamp back from it by the nominal period.

    The last reading of a burst keeps the stamp: it cannot have been taken later. Where the burst holds more readings
    than fit between the stamp before it and its own, they lie closer together.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        Stamps in nanoseconds, in the order in which the readings were taken. A burst must be whole: what comes later
        under a stamp that was there already finds no room.
    period_ns : int
        Time between two readings by the device's nominal rate, in nanoseconds.
    after : int, optional
        Stamp of the reading before the first of these, where there is one.

    Returns
    -------
    ndarray of int64, shape (M,)
        Increasing wherever stamps are and differ by a nanosecond or more for each reading. Where the clock steps back,
        what follows begins anew.
    """
    if not len(times):
        return times.copy()
    starts = np.append(0, np.flatnonzero(np.diff(times)) + 1)
    counts = np.diff(np.append(starts, len(times)))
    room = np.diff(times[starts], prepend=0)
    room[0] = -1 if after is None else times[0] - after
    steps = np.where(room >= 0, np.minimum(period_ns, room // counts), period_ns)
    remaining = np.repeat(starts + counts, counts) - 1 - np.arange(len(times))
    spread_back: Times = times - remaining * np.repeat(steps, counts)
    return spread_back
