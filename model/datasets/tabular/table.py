"""Columns of one file of recordings, in whatever format; read by name or by position."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import numpy.typing as npt
import polars as pl

from model.columnconfig import ColumnSection, TextSection
from model.datasets.tabular.arrays import read_arrays
from model.datasets.tabular.delimited import read_delimited
from model.datasets.tabular.unpacked import check_unpacked
from model.errors import SourceError
from model.tabularconfig import Format, format_of

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
        Says where a row of the file and a column are, in words.
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
        return SourceError(f"{self.name}: {self.place(int(self.lines[row]), ref)}: {what}")


def ref_of(section: ColumnSection, default: str | None = None) -> Ref:
    """Return where a section says a column is, or the column called `default` where it says nothing."""
    return (section.variable, section.column) if section.given else (None, default)


def read_table_file(
    data: bytes,
    name: str,
    refs: Collection[Ref],
    *,
    format: Format | None = None,
    text: TextSection,
    transposed: bool = False,
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
        One of `model.tabularconfig.Format`.
    text : TextSection
        How text is laid out.
    transposed : bool
        Whether arrays have a channel per row.

    Raises
    ------
    SourceError
        If the file does not parse, or has no such column, or no rows.
    """
    wanted = list(dict.fromkeys(refs))
    kind = format or format_of(name)
    if kind in ("npz", "mat"):
        columns = read_arrays(data, name, kind, wanted, transposed)
        place: Callable[[int, Ref], str] = _place_in_array
    else:
        columns, place = _read_rows(data, name, kind, wanted, text)
    rows = len(next(iter(columns.values())))
    if not rows:
        raise SourceError(f"{name}: holds no rows")
    return Table(name, columns, np.arange(rows), place)


def positions(name: str, refs: Iterable[Ref], header: Sequence[str] | None, width: int) -> list[int]:
    """Return the position of each column, counted from 0; `SourceError` names every one that is missing."""
    found, missing = [], []
    for _, column in refs:
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
        return _read_parquet(data, name, refs), lambda row, ref: f"row {row + 1}, column {ref[1]}"
    blanks = kind == "text" and text.separator is None
    separator = " " if blanks else text.separator or ("\t" if kind == "tsv" else ",")
    rows = read_delimited(data, name, text, separator, blanks=blanks)
    where = positions(name, refs, rows.header, rows.width)
    series = rows.columns(where)
    at = dict(zip(refs, where, strict=True))

    def place(row: int, ref: Ref) -> str:
        named = f" ({rows.header[at[ref]]})" if rows.header else ""
        return f"line {rows.line_of(row)}, column {at[ref] + 1}{named}"

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


def _place_in_array(row: int, ref: Ref) -> str:
    variable, column = ref
    return f"row {row + 1} of {variable or column}" + (f", column {column}" if variable and column else "")
