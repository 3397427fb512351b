"""Lays a sensor's readings, however they come, on a regular grid: the same for a recording and for a live stream.

Neighbouring readings are joined by straight lines, except across a hole longer than `longest_gap`: nothing is invented.
Where readings come faster than the grid, that line is averaged over a triangle around each grid point, one grid step to
either side, so that a vibration too fast for the grid does not turn up on it as a slow one. The average is an integral
in closed form, not a sum over readings: a ramp stays exactly what it is, whatever the readings' jitter and losses. Near
a hole the triangle is narrowed, on both sides alike, to what the line covers; at the hole's edge it is the line itself.

What lies on a grid point is a pure function of the readings within a stated reach of it, to the bit: each point is
computed from times relative to itself and summed on its own, in order. So a window cut from a whole recording and one
laid live from readings in messages of any size are the same.

Single precision is laid in C (resample.c), or here in NumPy where that was not compiled: the same bits, since both do
the same sums in the same order; here some forty calls, which take thirty times as long for the few points of a window.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.samplegrid import SampleGrid

try:
    from kinestream.model.recordings import _resample
except ImportError:
    is_compiled = False
else:
    is_compiled = True

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]

_SECOND = 1_000_000_000
_BRIDGED_NS = 200_000_000
_BRIDGED_PERIODS = 4
_FASTER = 1.01
"""By what factor readings must come faster than the grid to be averaged; no clock is exact."""
_PIECES_AT_ONCE = 1 << 18
"""Pieces of the line that are averaged in one go, which bounds the memory that takes."""


@dataclass(frozen=True)
class Reach:
    """On which readings a grid point depends, in nanoseconds.

    Parameters
    ----------
    before, after : int
        No reading earlier or later than this, seen from the grid point, changes anything.
    settled : int
        Once each channel has a reading at or past this long after the grid point, nothing that comes later changes it:
        what a live window waits for. `settled_until` says it for channels that lack readings, too.
    """

    before: int
    after: int
    settled: int


@dataclass(frozen=True)
class Resampling:
    """How a device's readings come to the grid.

    Parameters
    ----------
    longest_gap : int
        The longest time between two readings that is bridged, in nanoseconds.
    half_width : int
        Of the triangle over which the line is averaged, in nanoseconds; 0: the line as it is.
    """

    longest_gap: int
    half_width: int = 0

    @property
    def reach(self) -> Reach:
        """On which readings a grid point depends.

        A reading just within the triangle may be joined to one that lies `longest_gap` further out.
        """
        furthest = self.half_width + self.longest_gap
        return Reach(furthest, furthest, self.half_width)


def resampling(
    rate_hz: float, grid: SampleGrid, *, average: bool | None = None, longest_gap: int | None = None
) -> Resampling:
    """Return how the readings of a device come to a grid.

    Parameters
    ----------
    rate_hz : float
        Readings per second; 0 where they are irregular.
    grid : SampleGrid
        Where they go.
    average : bool, optional
        Whether the line is averaged; without it, where readings are irregular or come faster than the grid by over 1%.
    longest_gap : int, optional
        In nanoseconds; without it, 200 ms or four readings, whichever is longer.
    """
    if average is None:
        average = not rate_hz or rate_hz > _FASTER * float(grid.rate)
    if longest_gap is None:
        longest_gap = longest_gap_ns(rate_hz)
    return Resampling(longest_gap, grid.period_ns if average else 0)


def longest_gap_ns(rate_hz: float) -> int:
    """Return the longest time between readings of a rate (0: irregular) that is bridged unless a bundle says more."""
    return max(_BRIDGED_NS, round(_BRIDGED_PERIODS * _SECOND / rate_hz) if rate_hz else 0)


def resample(
    times: Times, values: Values, grid: SampleGrid, first: int, count: int, how: Resampling
) -> npt.NDArray[np.float32]:
    """Lay readings on grid points `first` to `first` + `count` - 1.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        When the readings were taken, in nanoseconds, not decreasing. At a time that several share (see
        `kinestream.model.recordings.bursts.spread`) the line jumps, and the last one counts.
    values : ndarray of float32 or float64, shape (M, C)
        The readings. A value that is NaN or infinite is no reading of its channel, whose neighbours are then joined.
    grid : SampleGrid
        Where samples lie.
    first, count : int
        Which samples are wanted.
    how : Resampling
        What is bridged, and whether the line is averaged.

    Returns
    -------
    ndarray of float32, shape (`count`, C)
        NaN within holes, and before the first reading of a channel and after its last.
    """
    points, channels = grid.times(first, count), values.shape[1]
    rows = np.full((count, channels), np.nan, np.float32)
    fill(rows, np.arange(channels), times, values, points, how)
    return rows


def fill(
    rows: npt.NDArray[np.float32],
    columns: npt.NDArray[np.intp],
    times: Times,
    values: Values,
    points: Times,
    how: Resampling,
) -> None:
    """Lay readings on given times, in columns of an array, where it holds NaN.

    Parameters
    ----------
    rows : ndarray of float32, shape (K, W)
        What is filled, in C order.
    columns : ndarray of intp, shape (C,)
        Where the channels of the readings go.
    times, values, how
        As for `resample`.
    points : ndarray of int64, shape (K,)
        Times of the rows.
    """
    if is_compiled and values.dtype == np.float32:
        contiguous = np.ascontiguousarray(times), np.ascontiguousarray(values), np.ascontiguousarray(points)
        _resample.lay(*contiguous, how.longest_gap, how.half_width, columns, rows)
        return
    there = rows[:, columns]
    rows[:, columns] = np.where(np.isnan(there), _lay(times, values, points, how), there)


def settled_until(times: Times, values: Values, how: Resampling) -> int | None:
    """Return up to which time, in nanoseconds, grid points no longer change, whatever a device delivers from here on.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        When its readings so far were taken, not decreasing; those of the last `how.reach.before` suffice.
    values : ndarray of float32 or float64, shape (M, C)
        The readings.
    how : Resampling
        How they come to the grid.

    Returns
    -------
    int or None
        None where there is no reading yet. What comes next is taken later than the last reading.
    """
    if not len(times):
        return None
    if is_compiled and values.dtype == np.float32 and values.flags.c_contiguous:
        return _resample.settled(times, values, how.longest_gap, how.half_width)
    newest = int(times[-1])
    present = np.isfinite(values)
    if present[-1].all():
        return newest - how.half_width
    last = times[len(times) - 1 - present[::-1].argmax(axis=0)]  # reading of each channel
    # What comes next is joined to no channel whose last reading lies so far back: there, the points before it stay NaN.
    ended = ~present.any(axis=0) | (newest - last >= how.longest_gap)
    return int(np.where(ended, newest, last - how.half_width).min())


def on_grid(
    times: Times, values: Floats, grid: Times, longest_gap: int, half_width: int = 0
) -> npt.NDArray[np.float32]:
    """Lay readings in any order, of which several may share a time, on given times.

    Readings that carry the same time (a clock coarser than the sensor) count as one, their mean. Nothing is
    invented: where the readings on both sides lie further apart than `longest_gap`, and outside the readings
    altogether, the result is NaN, unless a reading falls on the grid's very time.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        When the readings were taken, in any order.
    values : ndarray of float64, shape (M, C)
        The readings.
    grid : ndarray of int64, shape (N,)
        Times at which values are wanted, in the unit of `times`.
    longest_gap : int
        The longest time between two readings that is bridged.
    half_width : int
        Of the triangle over which the line is averaged; 0: the line as it is.

    Returns
    -------
    ndarray of float32, shape (N, C)
    """
    moments, belongs = np.unique(times, return_inverse=True)
    counts = np.bincount(belongs, minlength=len(moments))
    means = np.column_stack([np.bincount(belongs, column, len(moments)) / counts for column in values.T])
    return _lay(moments, means, grid, Resampling(longest_gap, half_width))


def sharing(times: Times) -> npt.NDArray[np.bool_]:
    """Return which readings carry the time of another, shape (M,) as `times`, which may be in any order."""
    _, belongs, counts = np.unique(times, return_inverse=True, return_counts=True)
    shared: npt.NDArray[np.bool_] = counts[belongs] > 1
    return shared


def nearest(times: Times, grid: Times) -> npt.NDArray[np.int64]:
    """Return the index of the reading nearest to each time of a grid, the earlier one of two equally near.

    Parameters
    ----------
    times : ndarray of int64, shape (M,)
        Not decreasing, at least one.
    grid : ndarray of int64, shape (N,)
    """
    after = np.searchsorted(times, grid).clip(max=len(times) - 1)
    before = (after - 1).clip(min=0)
    return np.where(np.abs(times[after] - grid) < np.abs(grid - times[before]), after, before)


def _lay(times: Times, values: Values, points: Times, how: Resampling) -> npt.NDArray[np.float32]:
    laid = np.full((len(points), values.shape[1]), np.nan, np.float32)
    with np.errstate(over="ignore"):  # between readings as large as a number can be, rounding may give infinity
        for rows, columns in _together(np.isfinite(values)):
            moments = times if rows is None else times[rows]
            readings = values if rows is None else values[rows][:, columns]
            laid[:, columns] = _line(moments, readings.astype(np.float64), points, how)
    return laid


def _together(present: npt.NDArray[np.bool_]) -> Iterator[tuple[Times | None, Times | slice]]:
    """Yield rows (None: all) and the columns that have readings in just these; nothing for columns without any."""
    if not present.size:
        return
    if present.all():
        yield None, slice(None)
        return
    groups: dict[bytes, list[int]] = {}
    for column, rows in enumerate(present.T):
        groups.setdefault(rows.tobytes(), []).append(column)
    for columns in groups.values():
        rows = np.flatnonzero(present[:, columns[0]])
        if len(rows):
            yield rows, np.array(columns)


def _line(times: Times, values: Floats, points: Times, how: Resampling) -> Floats:
    """Return what all columns, none of which lacks a reading, are at given points, shape (K, C)."""
    breaks = np.flatnonzero(np.diff(times) > how.longest_gap)
    first, last = times[np.append(0, breaks + 1)], times[np.append(breaks, len(times) - 1)]  # of what is joined
    part = np.searchsorted(first, points, side="right") - 1
    left, right = points - first[part], last[part] - points
    inside = (part >= 0) & (right >= 0)
    width = np.where(inside, np.minimum(np.minimum(left, right), how.half_width), -1)
    line = np.full((len(points), values.shape[1]), np.nan)
    for chosen, laid in ((width == 0, _joined), (width > 0, _averaged)):
        if chosen.all():
            return laid(times, values, points, width)
        if chosen.any():
            line[chosen] = laid(times, values, points[chosen], width[chosen])
    return line


def _joined(times: Times, values: Floats, points: Times, _: Times) -> Floats:
    """Return the line itself."""
    before = np.searchsorted(times, points, side="right") - 1
    after = np.minimum(before + 1, len(times) - 1)
    since = (points - times[before]).astype(np.float64)[:, None]
    span = np.maximum(times[after] - times[before], 1).astype(np.float64)[:, None]
    line: Floats = (values[after] - values[before]) / span * since + values[before]
    hit = since[:, 0] == 0
    line[hit] = values[before[hit]]  # a reading is itself, even where it is -0.0, whatever comes next
    return line


def _averaged(times: Times, values: Floats, points: Times, width: Times) -> Floats:
    """Return the line averaged over a triangle of half-width `width` around each point, shape (K, C)."""
    begin = np.searchsorted(times, points - width, side="right") - 1
    pieces = np.searchsorted(times, points + width, side="left") - begin  # of the line, from reading to reading
    if len(points) > 1 and pieces.sum() > _PIECES_AT_ONCE:
        half = len(points) // 2
        parts = slice(0, half), slice(half, None)
        return np.concatenate([_averaged(times, values, points[part], width[part]) for part in parts])
    point = np.repeat(np.arange(len(points)), pieces)
    piece = np.arange(len(point)) - np.repeat(np.cumsum(pieces) - pieces - begin, pieces)
    # Seen from the point, in half-widths: a piece runs from a to b, the triangle from -1 to 1.
    centre, scale = points[point], width[point].astype(np.float64)
    a, b = (times[piece] - centre) / scale, (times[piece + 1] - centre) / scale
    zeroth, first = _moments(np.clip(a, -1, 1), np.clip(b, -1, 1))
    span = b - a
    span[span == 0] = 1  # of readings that share a time; such a piece weighs nothing
    weights = np.stack([b * zeroth - first, first - a * zeroth]) / span
    shares = weights[0][:, None] * values[piece] + weights[1][:, None] * values[piece + 1]
    # bincount adds one after the other, so what a point gets does not depend on which points are beside it.
    channels = values.shape[1]
    cells = (point[:, None] * channels + np.arange(channels)).ravel()
    sums: Floats = np.bincount(cells, shares.ravel(), len(points) * channels).astype(np.float64)
    return sums.reshape(len(points), channels)


def _moments(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the integrals of the triangle 1 - abs(u), and of u times it, from a to b."""
    high, low = np.abs(b), np.abs(a)
    return b - a - (b * high - a * low) / 2, (b * b - a * a) / 2 - (high * b * b - low * a * a) / 3
