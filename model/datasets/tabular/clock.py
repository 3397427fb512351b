"""Whether the times of rows tell when each was taken: a clock that was set back, stood still or is too coarse is found.

Readings of one time count as one, their mean, and rows are sorted by their times. Both are right while few readings
share a time by rounding, and while rows that come late fill the place where they are missing. Both would mix what has
nothing to do with each other where a clock was set back over a time that was recorded already, or where it does not
tell a sensor's readings apart.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import RowCounts
from kinestream.model.recordings.resample import sharing

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SECOND = 1_000_000_000
_AMONG = 3
"""Rows that lie among earlier ones and are taken for a clock set back; fewer are taken for jitter."""
_HOLE = 1.5
"""Usual steps between two rows beyond which another is missing there."""
_MOST_SHARED = 1 / 3
_MOST_AT_ONCE = 3
_STALL = _SECOND // 4
"""How long a clock may stand still: in the published sp-sw-har, phones give up to ten readings one time, 0.1 s."""
_COARSE = 0.75
"""Steps of the grid between a clock's different times from which it counts as no finer than the grid."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row's time.

    Parameters
    ----------
    row : int
        Counted from 0.
    what : str
        In words.
    set_back : bool
        Whether it is that the clock was set back.
    """

    row: int
    what: str
    set_back: bool = False


def examine(
    moments: Times,
    samples: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int16],
    *,
    step: float,
    longest_gap: float,
    any_order: bool = False,
) -> tuple[Mask, RowCounts, Fault | None]:
    """Look at the times of a recording's rows, in the order in which they stand in its files.

    Parameters
    ----------
    moments : ndarray of int64, shape (N,)
        When each row was taken, in nanoseconds.
    samples : ndarray of float64, shape (N, C)
        The readings, NaN where there is none; channels that have theirs in the same rows are one sensor's.
    labels : ndarray of int16, shape (N,)
        The class of each row.
    step, longest_gap : float
        The grid's step, and between which readings nothing is interpolated, in nanoseconds.
    any_order : bool
        Whether rows may stand in any order.

    Returns
    -------
    ndarray of bool, shape (N,)
        Which rows are no exact copy of the row above them.
    RowCounts
        What there is to tell of them.
    Fault or None
        What makes the recording unreadable, the first of each sensor's.
    """
    kept = ~_copies(moments, samples, labels)
    shared = np.zeros(len(moments), dtype=np.bool_)
    faults = []
    for present, _ in sensors(np.isfinite(samples)):
        every, rows = np.flatnonzero(present), np.flatnonzero(present & kept)
        found = [
            (every, _standing_still(moments[every], longest_gap)),
            (rows, None if any_order else _set_back(moments[rows], longest_gap)),
            (rows, _too_coarse(moments[rows], step)),
        ]
        faults += [replace(fault, row=int(where[fault.row])) for where, fault in found if fault is not None]
        shared[rows] |= sharing(moments[rows])
    late = moments < np.maximum.accumulate(moments)
    counts = RowCounts(len(moments), int(late.sum()), int(shared.sum()), int((~kept).sum()))
    return kept, counts, min(faults, key=lambda fault: fault.row, default=None)


def sensors(present: Mask) -> Iterator[tuple[Mask, list[int]]]:
    """Yield the rows in which channels have readings, and the channels that have them in just these."""
    groups: dict[bytes, list[int]] = {}
    for column, rows in enumerate(present.T):
        groups.setdefault(rows.tobytes(), []).append(column)
    for columns in groups.values():
        rows = present[:, columns[0]]
        if rows.any():
            yield rows, columns


def _copies(moments: Times, samples: npt.NDArray[np.float64], labels: npt.NDArray[np.int16]) -> Mask:
    """Tell which rows say just what the row above them says."""
    copied = np.zeros(len(moments), dtype=np.bool_)
    same = np.flatnonzero((np.diff(moments) == 0) & (np.diff(labels) == 0)) + 1
    here, above = samples[same], samples[same - 1]
    copied[same] = ((here == above) | (np.isnan(here) & np.isnan(above))).all(axis=1)
    return copied


def _standing_still(times: Times, longest_gap: float) -> Fault | None:
    """Find a time that so many readings share that they were not taken at one moment."""
    different, counts = np.unique(times, return_counts=True)
    usual = float(np.median(np.diff(different))) if len(different) > 1 else np.inf
    usual *= len(different) / len(times)
    most = int(counts.max())
    if most <= (_MOST_AT_ONCE if len(different) > 1 else 1) or (most - 1) * usual <= max(longest_gap, _STALL):
        return None
    row = int(np.flatnonzero(times == different[counts.argmax()])[1])
    return Fault(row, f"the same time in {most} rows, so that it does not tell them apart: {_ADVICE}")


def _too_coarse(times: Times, step: float) -> Fault | None:
    """Find out whether many readings share times that are no closer together than the grid's."""
    different = np.unique(times)
    alike = len(times) - len(different)
    if alike <= _MOST_SHARED * len(times) or len(different) < 2 or np.median(np.diff(different)) <= _COARSE * step:
        return None
    order = np.argsort(times, kind="stable")
    row = int(order[1:][np.diff(times[order]) == 0].min())
    return Fault(row, f"the time of another row, as in {alike} of {len(times)} rows: it tells too few apart; {_ADVICE}")


_ADVICE = "give finer times, or leave out dataset.tabular.time if rows are regular"


def _set_back(times: Times, longest_gap: float) -> Fault | None:
    """Find where a clock was set back: later rows that lie among earlier ones, or far from all of them."""
    steps = np.diff(times)
    back = np.flatnonzero(steps < 0)
    if not len(back):
        return None
    if len(back) > (steps > 0).sum():  # the newest row stands first
        fault = _set_back(times[::-1], longest_gap)
        return None if fault is None else replace(fault, row=len(times) - 1 - fault.row)
    usual = float(np.median(steps[steps > 0]))
    run = np.append(0, np.cumsum(steps < 0))  # rows between two steps back
    order = np.argsort(times, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(run[order]) != 0))  # of blocks: rows of one run beside each other
    ends = np.append(starts[1:], len(times))
    runs, first, last = run[order[starts]], times[order[starts]], times[order[ends - 1]]
    before = _nearest_smaller(runs)
    after = len(runs) - 1 - _nearest_smaller(runs[::-1])[::-1]
    late, follows = after < len(runs), before >= 0
    since = np.where(follows, first - last[before], np.iinfo(np.int64).max)
    until = np.where(late, first[np.minimum(after, len(runs) - 1)] - last, np.iinfo(np.int64).max)
    hole = first[np.minimum(after, len(runs) - 1)] - last[before]
    among = late & follows & (hole <= _HOLE * usual)
    far = late & ~among & (np.minimum(since, until) > max(longest_gap, 2 * _HOLE * usual))
    many = np.bincount(runs[among], weights=(ends - starts)[among], minlength=len(back) + 1) >= _AMONG
    many[runs[far]] = True
    if not many.any():
        return None
    row = int(back[many.argmax() - 1]) + 1
    step_back = f"the clock steps back by {-steps[row - 1] / _SECOND:g} s"
    return Fault(
        row,
        f"{step_back}: divide the file there, or set any_order if rows merely stand in another order",
        set_back=True,
    )


def set_back(times: Times) -> Fault | None:
    """Find where the clock of a sensor was set back, in the order in which its readings stand."""
    forward = np.diff(times)
    usual = float(np.median(forward[forward > 0])) if (forward > 0).any() else 0.0
    return _set_back(times, max(5 * usual, _STALL))


def _nearest_smaller(values: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return, for each value, the position of the nearest smaller one before it, or -1."""
    found = np.full(len(values), -1, dtype=np.int64)
    open_: list[int] = []
    items = values.tolist()
    for at, value in enumerate(items):
        while open_ and items[open_[-1]] >= value:
            open_.pop()
        if open_:
            found[at] = open_[-1]
        open_.append(at)
    return found
