"""What the columns of a table mean: numbers, texts, times."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.config.column import Unit
from kinestream.model.datasets.tabular.datetimes import date_times, in_utc, iso_times, laid_out_times, whole_days
from kinestream.model.datasets.tabular.table import Ref, Table

__all__ = ["date_times", "numbers", "texts", "times"]

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}


def numbers(table: Table, ref: Ref, missing: Collection[str], decimal: str = ".") -> npt.NDArray[np.float64]:
    """Return a column of numbers, NaN where one is missing.

    Parameters
    ----------
    table : Table
        Of N rows.
    ref : Ref
        The column.
    missing : collection of str
        What means that there is no reading, besides nothing.
    decimal : str
        What stands before the fraction.

    Raises
    ------
    SourceError
        If something is not a number; the message says where.
    """
    column = table.columns[ref]
    if column.dtype.is_temporal():
        raise table.wrong(0, ref, f"{str(column[0])[:40]!r} is not a number, but {_kind(column)}")
    given = _given(column, missing)
    values = _point(given, decimal).cast(pl.Float64, strict=False)
    wrong = (values.is_null() & given.is_not_null()).arg_true()
    if len(wrong):
        raise table.wrong(wrong[0], ref, f"{str(given[wrong[0]])[:40]!r} is not a number")
    result = values.fill_null(float("nan")).to_numpy().copy()
    for marker in _as_numbers(missing):  # -999 also stands for -999.0
        result[result == marker] = np.nan
    return result


def texts(table: Table, ref: Ref, missing: Collection[str] = ()) -> pl.Series:
    """Return a column as text, null where nothing stands; a whole number is written without a fraction."""
    column = table.columns[ref]
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.drop_nulls()
        column = column.cast(pl.Int64) if (whole == whole.floor()).all() else column
    return _given(column.cast(pl.String), missing)


def times(
    table: Table, ref: Ref, unit: Unit, decimal: str = ".", *, layout: str | None = None, zone: str | None = None
) -> npt.NDArray[np.int64]:
    """Return a column of times in nanoseconds.

    Parameters
    ----------
    table : Table
        Of N rows.
    ref : Ref
        The column.
    unit : str
        Of numbers, or ``iso`` for date-times; what is stored as a date-time, duration or time of day needs neither.
    decimal : str
        What stands in numbers before the fraction.
    layout : str, optional
        How date-times are written, where not as ISO 8601 has it; see `kinestream.model.timeformat`.
    zone : str, optional
        Whose local time date-times without an offset are; UTC by default.

    Raises
    ------
    SourceError
        If something is missing or not a time, or could be either of two; the message says where.
    """
    column = table.columns[ref]
    if column.dtype.is_temporal():
        read = column
    elif unit == "iso":
        written = column.cast(pl.String)
        read = iso_times(written) if layout is None else laid_out_times(written, layout)
    else:
        read = _counted(_point(column, decimal), _NANOSECONDS[unit])
    found, problems = _in_nanoseconds(read, zone)
    for row in found.is_null().arg_true().head(1).to_list():
        problems.setdefault(row, _no_time(unit, layout))
    if problems:
        first = min(problems)
        value = column[first]
        raise table.wrong(first, ref, "no time" if value in (None, "") else f"{str(value)[:40]!r} {problems[first]}")
    return found.to_numpy().astype(np.int64)


def _in_nanoseconds(read: pl.Series, zone: str | None) -> tuple[pl.Series, dict[int, str]]:
    """Return times, of whatever type, in nanoseconds, null for what is none; and what else is wrong with which row."""
    kind = read.dtype
    if isinstance(kind, pl.Date | pl.Datetime):
        exact = read.cast(pl.Datetime("ns", getattr(kind, "time_zone", None)), strict=False)
        if zone is not None and getattr(kind, "time_zone", None) is None:
            return in_utc(exact, zone)
        return exact.cast(pl.Int64), {}
    if isinstance(kind, pl.Duration):
        return read.cast(pl.Duration("ns"), strict=False).cast(pl.Int64), {}
    if isinstance(kind, pl.Time):
        return whole_days(read.cast(pl.Int64)), {}
    return read, {}


def _no_time(unit: Unit, layout: str | None) -> str:
    if layout is not None:
        return f"is not a time in the layout {layout}: set dataset.tabular.time.format"
    other = ": give its layout as dataset.tabular.time.format" if unit == "iso" else ""
    return f"is not a time in {unit}{other}"


def _kind(column: pl.Series) -> str:
    if isinstance(column.dtype, pl.Duration):
        return "a duration"
    return "a time of day" if isinstance(column.dtype, pl.Time) else "a date-time"


def _given(column: pl.Series, missing: Collection[str]) -> pl.Series:
    """Return the column with null where its text is empty or a marker."""
    if column.dtype != pl.String:
        return column
    return column.set(column.is_in(["", *missing]), None)


def _point(column: pl.Series, decimal: str) -> pl.Series:
    if column.dtype != pl.String:
        return column
    return (column.str.replace(",", ".", literal=True) if decimal == "," else column).str.strip_prefix("+")


def _as_numbers(markers: Collection[str]) -> list[float]:
    values = pl.Series(list(markers), dtype=pl.String).cast(pl.Float64, strict=False).drop_nulls().drop_nans()
    return values.to_list()


def _counted(column: pl.Series, factor: int) -> pl.Series:
    """Return numbers as nanoseconds, whole ones exactly, null for what is none or too large."""
    largest = (2**63 - 1) // factor
    whole = column.cast(pl.Int64, strict=False)
    if column.dtype.is_integer() or (column.dtype == pl.String and not whole.has_nulls()):
        return whole.set(whole.abs() > largest, None) * factor
    values = column.cast(pl.Float64, strict=False)
    values = values.set(~(values.abs() <= largest).fill_null(False), None)
    return (values * factor).round().cast(pl.Int64)
