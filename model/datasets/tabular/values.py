"""What the columns of a table mean: numbers, texts, times."""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl

from model.columnconfig import Unit
from model.datasets.tabular.table import Ref, Table

_NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}
_ZONE = r"[+-]\d\d:?\d\d$"


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


def times(table: Table, ref: Ref, unit: Unit, decimal: str = ".") -> npt.NDArray[np.int64]:
    """Return a column of times in nanoseconds.

    Parameters
    ----------
    table : Table
        Of N rows.
    ref : Ref
        The column.
    unit : str
        Of numbers, or ``iso`` for date-times; what is stored as a date-time needs neither.
    decimal : str
        What stands in numbers before the fraction.

    Raises
    ------
    SourceError
        If something is missing or not a time; the message says where.
    """
    column = table.columns[ref]
    if column.dtype.is_temporal():
        found = column.cast(pl.Datetime("ns")).cast(pl.Int64)
    elif unit == "iso":
        found = date_times(column.cast(pl.String)).cast(pl.Int64)
    else:
        found = _counted(_point(column, decimal), _NANOSECONDS[unit])
    wrong = found.is_null().arg_true()
    if len(wrong):
        value = column[wrong[0]]
        told = "no time" if value is None else f"{str(value)[:40]!r} is not a time in {unit}"
        raise table.wrong(wrong[0], ref, told)
    return found.to_numpy().astype(np.int64)


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


def date_times(column: pl.Series) -> pl.Series:
    """Return date-times as ISO 8601 writes them; those without a zone are taken for UTC."""
    written = column.str.replace("[ t]", "T").str.replace(",", ".", literal=True).str.replace("[Zz]$", "+00:00")
    zoned = bool(written.str.contains(_ZONE).any())
    read = written.str.strptime(pl.Datetime("ns"), "%Y-%m-%dT%H:%M:%S%.f" + ("%z" if zoned else ""), strict=False)
    return read.dt.replace_time_zone(None) if zoned else read
