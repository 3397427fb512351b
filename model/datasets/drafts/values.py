"""What the values of a column are: numbers, texts, how often they change."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.datasets.drafts.sniff import Column

_MOST_MARKERS = 10  # different texts that mean "no reading"


def numbers_by_name(columns: Iterable[Column], decimal: str) -> dict[str, npt.NDArray[np.float64]]:
    """Return the values of the columns that are numbers, each of shape (N,)."""
    return {column.name: values for column in columns if (values := numbers_of(column, decimal)) is not None}


def numbers_of(column: Column, decimal: str) -> npt.NDArray[np.float64] | None:
    """Return the values of a column that is nearly all numbers, NaN for the others, or None."""
    values = column.values
    if values.dtype.is_temporal() or values.dtype == pl.Boolean:
        return None
    if values.dtype == pl.String and decimal == ",":
        values = values.str.replace(",", ".", literal=True)
    found = values.cast(pl.Float64, strict=False)
    given, read = values.count(), found.count()
    others = len(not_numbers(column, decimal))
    if not given or read < 0.2 * given or others > (3 if read < 0.95 * given else _MOST_MARKERS):
        return None
    return found.fill_null(float("nan")).to_numpy()


def not_numbers(column: Column, decimal: str) -> list[str]:
    """Return some of what stands among numbers in a column and is none."""
    if column.values.dtype != pl.String:
        return []
    values = column.values.drop_nulls()
    read = (values.str.replace(",", ".", literal=True) if decimal == "," else values).cast(pl.Float64, strict=False)
    return values.filter(read.is_null()).unique().head(_MOST_MARKERS + 1).to_list()


def as_text(values: pl.Series) -> pl.Series:
    """Return values as `kinestream.model.datasets.tabular.values.texts` writes them."""
    if values.dtype.is_float() and (values.drop_nulls() == values.drop_nulls().floor()).all():
        values = values.cast(pl.Int64)
    return values.cast(pl.String).replace("", None)


def changes(values: pl.Series) -> float:
    """Return the share of rows that hold something else than the one before."""
    return float((values != values.shift(1)).sum()) / (len(values) - 1) if len(values) > 1 else 0.0
