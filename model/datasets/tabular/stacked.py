"""Long tables: the rows of several sensors below one another, told apart by a column such as ``sensor``."""

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.config.column import ChannelSection
from kinestream.model.config.tabular import TabularSection
from kinestream.model.datasets.tabular.table import Ref, Table, ref_of
from kinestream.model.datasets.tabular.values import numbers, texts
from kinestream.model.errors import SourceError


def refs_where(section: TabularSection) -> list[Ref]:
    """Return the columns that say which rows are a channel's."""
    return [_ref(column) for channel in section.channels.values() for column in channel.where]


def read_channel(table: Table, name: str, channel: ChannelSection, section: TabularSection) -> npt.NDArray[np.float64]:
    """Return one channel in its unit, shape (N,), NaN in the rows that are another's.

    Raises
    ------
    SourceError
        If one of its rows holds no number, or no row is its own.
    """
    ref = ref_of(channel, default=name)
    own = rows_where(table, channel)
    rows = table if own.all() else table.rows(own)
    values = channel.factor * numbers(rows, ref, section.missing, section.text.decimal) + channel.offset
    if own.all():
        return values
    spread = np.full(len(table), np.nan)
    spread[own] = values
    return spread


def rows_where(table: Table, channel: ChannelSection) -> npt.NDArray[np.bool_]:
    """Return which rows are a channel's, shape (N,); `SourceError` where none is."""
    own = np.ones(len(table), dtype=np.bool_)
    for column, value in channel.where.items():
        present = texts(table, _ref(column))
        found = (present == value).fill_null(False).to_numpy()
        if not found.any():
            raise SourceError(f"{table.name}: no row where {column} is {value}: there are {_some(present)}")
        own &= found
    return own


def _ref(column: str) -> Ref:
    return (None, int(column) if column.isdecimal() else column)


def _some(values: pl.Series) -> str:
    distinct = values.drop_nulls().unique(maintain_order=True).to_list()
    return ", ".join([*distinct[:8], *(["..."] if len(distinct) > 8 else [])]) or "none"
