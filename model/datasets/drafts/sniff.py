"""Finds out how a file of recordings nobody has described is laid out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

import polars as pl

from kinestream.model.config.column import TextSection
from kinestream.model.config.tabular import Format, format_of
from kinestream.model.datasets.drafts.lines import lay_out
from kinestream.model.datasets.tabular.arrays import load_arrays
from kinestream.model.datasets.tabular.delimited import read_delimited
from kinestream.model.datasets.tabular.table import Ref
from kinestream.model.datasets.tabular.unpacked import check_unpacked
from kinestream.model.errors import SourceError

_MOST_COLUMNS = 200  # of an array, else it is no recording
_AXES = re.compile(r"acc|gyr|mag|grav|imu", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """One column of a file.

    Parameters
    ----------
    ref : Ref
        Where it is.
    name : str
        What its header says, or else something short.
    values : Series
        Text where the file is text, else as stored.
    where : tuple of (str, str)
        Where only some rows are its own: what other columns hold there.
    """

    ref: Ref
    name: str
    values: pl.Series
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """How a file is laid out.

    Parameters
    ----------
    format : str
        One of `kinestream.model.config.tabular.Format`.
    text : dict of str to object
        What differs from the defaults of `TextSection`.
    transposed : bool
        Whether arrays have a channel per row.
    """

    format: Format
    text: dict[str, object] = field(default_factory=dict)
    transposed: bool = False

    @property
    def of_all(self) -> list[object]:
        """What files must share to be read alike: all but what one may have no occasion to show."""
        text = {key: value for key, value in self.text.items() if key not in ("decimal", "comment", "encoding")}
        utf16 = self.text.get("encoding") == "utf-16"
        return [self.format, self.transposed, sorted(text.items()), utf16]


def sniff(data: bytes, name: str) -> tuple[Layout, list[Column]] | None:
    """Return how a file is laid out and its columns, or None if it is no table with two columns or more.

    Two columns of one name are told apart by numbers, and named by their positions.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, whose end tells text from the other formats.

    Raises
    ------
    SourceError
        If it is a table, but a damaged one, in the words of what would read it.
    """
    kind = format_of(name)
    if kind in ("npz", "mat"):
        return _sniff_arrays(data, name, kind)
    if kind == "parquet":
        check_unpacked(data, name, "parquet")
        try:
            frame = pl.read_parquet(BytesIO(data))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise SourceError(f"{name}: not a whole Parquet file ({' '.join(str(error).split())[:80]})") from error
        return Layout(kind), [Column((None, each), each, frame[each]) for each in frame.columns]
    return _sniff_text(data, name, kind or "text")


def _sniff_text(data: bytes, name: str, kind: Format) -> tuple[Layout, list[Column]] | None:
    lines = lay_out(data)
    if lines is None:
        return None
    blanks = lines.separator == " "
    kind = "text" if blanks else kind
    usual = {"csv": ",", "tsv": "\t", "text": " "}[kind]
    options: dict[str, object] = {
        "header": lines.header,
        "separator": None if lines.separator == usual else lines.separator,
        "decimal": lines.decimal,
        "comment": lines.comment,
        "skip_rows": lines.skip_rows,
        "encoding": lines.encoding,
    }
    text = TextSection.model_validate(options)
    table = read_delimited(data, name, text, lines.separator, blanks=blanks)
    columns = table.columns(range(table.width))
    headings = table.header or lines.names or [""] * table.width
    names = _told_apart([each or f"c{at + 1}" for at, each in enumerate(headings)])
    layout = Layout(kind, text.model_dump(exclude_defaults=True))
    named = [
        bool(table.header) and headings.count(each) == 1 and each == here
        for each, here in zip(headings, names, strict=True)
    ]
    return layout, [
        Column((None, each if by_name else at + 1), each, values)
        for at, (each, by_name, values) in enumerate(zip(names, named, columns, strict=True))
    ]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names with a number behind each that was there before."""
    found: list[str] = []
    for name in names:
        again = 2
        new = name
        while new in found or (new != name and new in names):
            new, again = f"{name}_{again}", again + 1
        found.append(new)
    return found


def _sniff_arrays(data: bytes, name: str, kind: Format) -> tuple[Layout, list[Column]] | None:
    arrays = load_arrays(data, name, "npz" if kind == "npz" else "mat")
    shapes = [array.shape for array in arrays.values() if array.ndim in (1, 2) and array.size > 1]
    if not shapes:
        return None
    length = max(max(shape) for shape in shapes)
    transposed = not any(len(shape) == 2 and shape[0] == length and shape[1] > 1 for shape in shapes) and any(
        len(shape) == 2 and shape[1] == length and shape[0] > 1 for shape in shapes
    )
    columns = []
    for variable, array in arrays.items():
        if array.ndim == 2 and transposed:
            array = array.T
        if array.ndim == 2 and 1 in array.shape:
            array = array.ravel()
        if array.ndim not in (1, 2) or len(array) != length or (array.ndim == 2 and array.shape[1] > _MOST_COLUMNS):
            continue
        if array.ndim == 1:
            stored = array.astype(str) if array.dtype.kind in "OU" else array
            columns.append(Column((None, variable), variable, pl.Series(stored)))
        else:
            columns += [
                Column((variable, at + 1), axis, pl.Series(array[:, at].copy()))
                for at, axis in enumerate(_axes(variable, array.shape[1]))
            ]
    return (Layout(kind, transposed=transposed), columns) if len(columns) > 1 else None


def _axes(variable: str, count: int) -> list[str]:
    short = variable.rpartition(".")[2]
    letters = "xyz" if count == 3 and _AXES.search(short) else [str(at + 1) for at in range(count)]
    return [f"{short}_{letter}" for letter in letters]
