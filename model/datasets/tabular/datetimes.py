"""Date-times and times of day as they are written, in whatever layout and zone: when was it, in nanoseconds."""

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.timeformat import has_offset, is_time_of_day, to_polars

_OFFSET = r"[+-]\d\d:?\d\d$"
_SECOND = 1_000_000_000
_DAY = 86_400 * _SECOND
_SEAMLESS = 60 * _SECOND
"""Rows at most this far apart are taken for one stretch where it must be told which of two equal hours they lie in."""


def date_times(column: pl.Series) -> pl.Series:
    """Return date-times as ISO 8601 writes them, in UTC; those without a zone are taken for UTC."""
    read = iso_times(column)
    return read if read.dtype == pl.Datetime("ns") else read.dt.replace_time_zone(None)


def iso_times(column: pl.Series) -> pl.Series:
    """Return date-times as ISO 8601 writes them, in UTC where they have offsets, else naive; null for none."""
    written = column.str.replace("[ t]", "T").str.replace(",", ".", literal=True).str.replace("[Zz]$", "+00:00")
    zoned = bool(written.str.contains(_OFFSET).any())
    read = written.str.strptime(pl.Datetime("ns"), "%Y-%m-%dT%H:%M:%S%.f" + ("%z" if zoned else ""), strict=False)
    year = written.str.slice(0, 4).cast(pl.Int32, strict=False)
    return read.set((read.dt.year() - year).abs() > 1, None)  # polars wraps years past 2262 round, without a word


def laid_out_times(column: pl.Series, layout: str) -> pl.Series:
    """Return what is written in a layout of `kinestream.model.timeformat`, else null: a Datetime, or a Time of day."""
    polars_layout, pattern, replacement = to_polars(layout)
    written = column.str.replace_all(pattern, replacement)
    if is_time_of_day(layout):
        return written.str.strptime(pl.Time, polars_layout, strict=False)
    read = written.str.strptime(pl.Datetime("ns"), polars_layout, strict=False)
    if has_offset(layout) and read.dtype == pl.Datetime("ns"):  # not one row could be read
        return read
    coarse = written.str.strptime(pl.Datetime("us"), polars_layout, strict=False)
    return read.set((read.dt.year() != coarse.dt.year()).fill_null(True), None)


def whole_days(moments: pl.Series) -> pl.Series:
    """Return times of day, in nanoseconds, as a clock that goes on after midnight: rows stand in their order."""
    steps = moments.diff().fill_null(0)
    return moments + (steps < -_DAY // 2).cast(pl.Int64).cum_sum() * _DAY


def in_utc(naive: pl.Series, zone: str) -> tuple[pl.Series, dict[int, str]]:
    """Return local times in UTC, as far as that can be told.

    The hour that comes twice when summer time ends is told by the rows beside it: by the one step back from its first
    time to its second, or by the rows before or after it that go on without a break.

    Parameters
    ----------
    naive : Series of Datetime("ns")
        By the clock on the wall, N rows in the order of their recording.
    zone : str
        Where that wall is, as in ``Europe/Berlin``.

    Returns
    -------
    Series of Int64, dict of int to str
        Nanoseconds of Unix time, and what is wrong with which row.
    """
    first, second = (
        naive.dt.replace_time_zone(zone, ambiguous=which, non_existent="null").cast(pl.Int64)
        for which in ("earliest", "latest")
    )
    problems = {}
    leapt = (first.is_null() & naive.is_not_null()).arg_true()
    if len(leapt):
        problems[int(leapt[0])] = f"there was no such time in {zone}: clocks were put forward over it"
    double = (first != second).fill_null(False).to_numpy()
    found, later = (each.fill_null(0).to_numpy().astype(np.int64) for each in (first, second))
    for start, end in _stretches(double, found):
        seconds = _second_from(found, later, double, start, end)
        if seconds is None:
            problems[start] = f"comes twice in {zone}, when summer time ends: write the offset, as in +01:00"
        else:
            found[seconds:end] = later[seconds:end]
    return pl.Series(found).set(first.is_null(), None), problems


def _stretches(double: npt.NDArray[np.bool_], local: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (first row, one past the last) of rows beside each other that lie in one doubled hour."""
    rows = np.flatnonzero(double)
    if not len(rows):
        return []
    apart = (np.diff(rows) > 1) | (np.abs(np.diff(local[rows])) > _DAY // 2)
    starts = np.flatnonzero(np.append(True, apart))
    ends = np.append(starts[1:], len(rows)) - 1
    return list(zip(rows[starts].tolist(), (rows[ends] + 1).tolist(), strict=True))


def _second_from(
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    double: npt.NDArray[np.bool_],
    start: int,
    end: int,
) -> int | None:
    """Return from which row on the rows of a stretch lie in the second of both hours; None where nothing tells."""
    back = np.flatnonzero(np.diff(first[start:end]) < -_SECOND)
    if len(back) == 1:
        at = start + int(back[0]) + 1
        return at if second[at] - first[at - 1] <= _SEAMLESS else None
    if len(back):
        return None
    from_before = start > 0 and abs(first[start] - first[start - 1]) <= _SEAMLESS
    to_after = end < len(first) and not double[end] and abs(first[end] - second[end - 1]) <= _SEAMLESS
    if from_before == to_after:
        return None
    return end if from_before else start
