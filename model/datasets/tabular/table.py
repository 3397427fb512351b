"""Columns of one file of recordings, in whatever format; read by name or by position."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.config.column import ColumnSection, TextSection
from kinestream.model.config.tabular import Format, format_of
from kinestream.model.datasets.tabular.arrays import read_arrays
from kinestream.model.datasets.tabular.delimited import read_delimited
from kinestream.model.datasets.tabular.unpacked import check_unpacked
from kinestream.model.errors import SourceError

Ref = tuple[str | None, str | int | None]
"""Where a column is: the array it is in, if any, and its name or position in it."""


@dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Parameters
    ----------
    name : str
        The file's name, for messages.
    columns : dict of Ref to Series
        What was read, each of N values: text where the file is text, else as it is stored.
    lines : ndarray of int64, shape (N,)
        Which row of the file each row is, counted from 0.
    place : callable
        Says where a row of the file and a column are, in words that begin with the file's name.
    """

    name: str
    columns: dict[Ref, pl.Series]
    lines: npt.NDArray[np.int64]
    place: Callable[[int, Ref], str]

    def __len__(self) -> int:
        """Return N."""
        return len(self.lines)

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "Table":
        """Return the rows for which `chosen` is true."""
        kept = pl.Series(chosen)
        return replace(
            self, columns={ref: values.filter(kept) for ref, values in self.columns.items()}, lines=self.lines[chosen]
        )

    def wrong(self, row: int, ref: Ref, what: str) -> SourceError:
        """Return the error that something is wrong with one value."""
        return SourceError(f"{self.place(int(self.lines[row]), ref)}: {what}")


def ref_of(section: ColumnSection, default: str | None = None) -> Ref:
    """Return where a section says a column is, or the column called `default` where it says nothing."""
    return (section.variable, section.column) if section.given else (None, default)


def joined(tables: Sequence[Table]) -> Table:
    """Return the rows of files that continue each other as one table.

    Raises
    ------
    SourceError
        If a column holds numbers in one of them and text in another.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    offsets = np.cumsum([0, *(int(table.lines[-1]) + 1 if len(table) else 0 for table in tables)])

    def place(row: int, ref: Ref) -> str:
        at = int(np.searchsorted(offsets, row, side="right")) - 1
        return tables[at].place(row - int(offsets[at]), ref)

    columns = {}
    for ref in first.columns:
        series = [table.columns[ref].alias("") for table in tables]
        try:
            columns[ref] = pl.concat([each.to_frame() for each in series], how="vertical_relaxed").to_series()
        except pl.exceptions.PolarsError:
            other = next(at for at, each in enumerate(series) if each.dtype != series[0].dtype)
            raise tables[other].wrong(
                0, ref, f"of type {series[other].dtype} where {first.name} has {series[0].dtype}: store it alike"
            ) from None
    lines = np.concatenate([table.lines + offset for table, offset in zip(tables, offsets, strict=False)])
    return Table(first.name, columns, lines, place)


def read_table_file(
    data: bytes,
    name: str,
    refs: Collection[Ref],
    *,
    format: Format | None = None,
    text: TextSection,
    transposed: bool = False,
    whole: Collection[Ref] = (),
) -> Table:
    """Read columns of a file.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, which tells the format unless `format` does.
    refs : collection of Ref
        The columns wanted.
    format : str, optional
        One of `kinestream.model.config.tabular.Format`.
    text : TextSection
        How text is laid out.
    transposed : bool
        Whether arrays have a channel per row.
    whole : collection of Ref
        Those that NPZ and MAT may also say once for all rows, as one value.

    Raises
    ------
    SourceError
        If the file does not parse, or has no such column, or no rows.
    """
    wanted = list(dict.fromkeys(refs))
    kind = format or format_of(name)
    if kind in ("npz", "mat"):
        columns = read_arrays(data, name, kind, wanted, transposed, whole)
        place: Callable[[int, Ref], str] = partial(_place_in_array, name)
    else:
        columns, place = _read_rows(data, name, kind, wanted, text)
    rows = len(next(iter(columns.values())))
    if not rows:
        raise SourceError(f"{name}: holds no rows")
    table = Table(name, {ref: _plain(values) for ref, values in columns.items()}, np.arange(rows), place)
    for ref, values in table.columns.items():
        if values.dtype.is_nested() or values.dtype in (pl.Binary, pl.Object):
            raise table.wrong(0, ref, f"holds values of type {values.dtype}: neither numbers nor text nor times")
    return table


def positions(name: str, refs: Iterable[Ref], header: Sequence[str] | None, width: int) -> list[int]:
    """Return the position of each column, counted from 0; `SourceError` names every one that is missing."""
    found, missing = [], []
    for _, column in refs:
        if header is not None and isinstance(column, str) and header.count(column) > 1:
            at = ", ".join(str(place + 1) for place, each in enumerate(header) if each == column)
            raise SourceError(f"{name}: {column} is the name of columns {at}: give the position of one")
        if isinstance(column, int) and column <= width:
            found.append(column - 1)
        elif header is not None and column in header:
            found.append(header.index(str(column)))
        else:
            missing.append(str(column))
    if missing:
        there = f"there are {', '.join(header)}" if header else f"there are {width}, without names: give positions"
        raise SourceError(f"{name}: no column {', '.join(missing)}: {there}")
    return found


def _read_rows(
    data: bytes, name: str, kind: Format | None, refs: Sequence[Ref], text: TextSection
) -> tuple[dict[Ref, pl.Series], Callable[[int, Ref], str]]:
    inside = [variable for variable, _ in refs if variable is not None]
    if inside:
        raise SourceError(f"{name}: has columns, not arrays such as {inside[0]}: leave out 'variable'")
    if kind == "parquet":
        return _read_parquet(data, name, refs), lambda row, ref: f"{name}: row {row + 1}, column {ref[1]}"
    blanks = kind == "text" and text.separator is None
    separator = " " if blanks else text.separator or ("\t" if kind == "tsv" else ",")
    rows = read_delimited(data, name, text, separator, blanks=blanks)
    where = positions(name, refs, rows.header, rows.width)
    series = rows.columns(where)
    at = dict(zip(refs, where, strict=True))

    def place(row: int, ref: Ref) -> str:
        named = f" ({rows.header[at[ref]]})" if rows.header else ""
        return f"{name}: line {rows.line_of(row)}, column {at[ref] + 1}{named}"

    return dict(zip(refs, series, strict=True)), place


def _read_parquet(data: bytes, name: str, refs: Sequence[Ref]) -> dict[Ref, pl.Series]:
    check_unpacked(data, name, "parquet")
    try:
        header = list(pl.read_parquet_schema(BytesIO(data)))
        chosen = positions(name, refs, header, len(header))
        frame = pl.read_parquet(BytesIO(data), columns=sorted({header[at] for at in chosen}))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SourceError(f"{name}: not a whole Parquet file ({' '.join(str(error).split())[:80]})") from error
    return {ref: frame[header[at]] for ref, at in zip(refs, chosen, strict=True)}


def _place_in_array(name: str, row: int, ref: Ref) -> str:
    variable, column = ref
    where = f"row {row + 1} of {variable or column}" + (f", column {column}" if variable and column else "")
    return f"{name}: {where}"


def _plain(values: pl.Series) -> pl.Series:
    """Return categories as the texts they stand for, not their numbers, and decimals as the numbers they are."""
    if values.dtype in (pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    return values.cast(pl.Float64) if values.dtype.is_decimal() else values
