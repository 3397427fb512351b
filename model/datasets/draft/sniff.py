"""Finds out how a file of recordings nobody has described is laid out."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

import polars as pl

from model.columnconfig import TextSection
from model.datasets.tabular.arrays import load_arrays
from model.datasets.tabular.delimited import read_delimited
from model.datasets.tabular.table import Ref
from model.datasets.tabular.unpacked import check_unpacked
from model.errors import SourceError
from model.tabularconfig import Format, format_of

_SEPARATORS = ("\t", ";", "|", ",", " ")  # the last that is tried stands within what the others separate
_COMMENTS = ("#", "%", "//")
_LINES = 300  # that are looked at
_MOST_COLUMNS = 200  # of an array, else it is no recording
_NUMBER = re.compile(r"[+-]?(nan|inf|(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?)", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
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
    """

    ref: Ref
    name: str
    values: pl.Series


@dataclass(frozen=True)
class Layout:
    """How a file is laid out.

    Parameters
    ----------
    format : str
        One of `model.tabularconfig.Format`.
    text : dict of str to object
        What differs from the defaults of `TextSection`.
    transposed : bool
        Whether arrays have a channel per row.
    """

    format: Format
    text: dict[str, object] = field(default_factory=dict)
    transposed: bool = False


def sniff(data: bytes, name: str) -> tuple[Layout, list[Column]] | None:
    """Return how a file is laid out and its columns, or None if it is no table with two columns or more.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, whose end tells text from the other formats.
    """
    kind = format_of(name)
    try:
        if kind in ("npz", "mat"):
            return _sniff_arrays(data, name, kind)
        if kind == "parquet":
            check_unpacked(data, name, "parquet")
            frame = pl.read_parquet(BytesIO(data))
            return Layout(kind), [Column((None, each), each, frame[each]) for each in frame.columns]
        return _sniff_text(data, name, kind or "text")
    except (SourceError, pl.exceptions.PolarsError, OSError):  # a draft leaves out what it cannot read
        return None


def _sniff_text(data: bytes, name: str, kind: Format) -> tuple[Layout, list[Column]] | None:
    encoding = _encoding(data)
    lines = re.split("\r\n|\r|\n", data[: 1 << 18].decode(encoding, "ignore").removeprefix("\ufeff"))[:_LINES]
    lines = lines[:-1] if len(data) > 1 << 18 else lines
    found = _separator(lines)
    if found is None:
        return None
    separator, start = found
    blanks = separator == " "
    kind = "text" if blanks else kind
    usual = {"csv": ",", "tsv": "\t", "text": " "}[kind]
    before = [line for line in lines[:start] if line.strip()]
    comment = next((mark for mark in _COMMENTS if before and all(line.startswith(mark) for line in before)), None)
    rows = [_fields(line, separator) for line in lines[start:] if line.strip()]
    told: dict[str, object] = {
        "header": _is_header(rows),
        "separator": None if separator == usual else separator,
        "decimal": "," if separator != "," and _has_decimal_commas(rows) else ".",
        "comment": comment,
        "skip_rows": 0 if comment or not before else start,
        "encoding": encoding,
    }
    text = TextSection.model_validate(told)
    table = read_delimited(data, name, text, separator, blanks=blanks)
    columns = table.columns(range(table.width))
    header = table.header or [f"c{at + 1}" for at in range(table.width)]
    refs: list[Ref] = [(None, each if header.count(each) == 1 else at + 1) for at, each in enumerate(header)]
    refs = refs if table.header else [(None, at + 1) for at in range(table.width)]
    layout = Layout(kind, text.model_dump(exclude_defaults=True))
    return layout, [Column(ref, each, values) for ref, each, values in zip(refs, header, columns, strict=True)]


def _encoding(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _separator(lines: Sequence[str]) -> tuple[str, int] | None:
    """Return what separates columns, and the line from which on all have the same number of them."""
    for separator in _SEPARATORS:
        widths = [len(_fields(line, separator)) if line.strip() else 0 for line in lines]
        seen = [width for width in widths if width]
        if not seen or seen[-1] < 2:
            continue
        marked = [width if not line.startswith(_COMMENTS) else 0 for width, line in zip(widths, lines, strict=True)]
        others = [at for at, width in enumerate(marked) if width not in (0, seen[-1])]
        start = others[-1] + 1 if others else next(at for at, width in enumerate(marked) if width)
        if sum(width > 0 for width in marked[start:]) >= 3:
            return separator, start
    return None


def _fields(line: str, separator: str) -> list[str]:
    fields = line.split() if separator == " " else line.split(separator)
    return [each.strip().strip('"') for each in fields]


def _is_header(rows: Sequence[Sequence[str]]) -> bool:
    top, rest = rows[0], rows[1:]
    numeric = [any(_NUMBER.fullmatch(row[at]) for row in rest) for at in range(len(top))]
    return any(numeric) and not any(_NUMBER.fullmatch(each) for each in top if each)


def _has_decimal_commas(rows: Sequence[Sequence[str]]) -> bool:
    fields = [each for row in rows for each in row]
    return any(_COMMA.fullmatch(each) for each in fields) and not any(re.fullmatch(r"-?\d+\.\d+", f) for f in fields)


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
