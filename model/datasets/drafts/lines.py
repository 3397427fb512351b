"""Finds out how the lines of a text file are laid out: what stands before the table, its header, what separates it."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

_SEPARATORS = ("\t", ";", "|", ",", " ")  # the last that is tried stands within what the others separate
_COMMENTS = ("#", "%", "//")
_LOOKED_AT = 300  # lines
_RAGGED = 0.1  # of a table's lines may be damaged
_BYTES = 1 << 18

NUMBER = re.compile(r"[+-]?(nan|inf|(\d+[.,]?\d*|[.,]\d+)(e[+-]?\d+)?)", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}[-/.:]\d{1,2}[-/.:]\d.*")
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_POINT = re.compile(r"[+-]?\d+\.\d+")


@dataclass(frozen=True)
class Lines:
    """How the lines of a file are laid out.

    Parameters
    ----------
    separator : str
        Between columns; a blank stands for any number of blanks and tabs.
    width : int
        Columns.
    header : bool
        Whether the names of the columns stand right above the rows.
    names : tuple of str or None
        The names, where there are any; they may stand where a reader does not look for them.
    skip_rows : int
        Lines before the header, or before the rows where there is none.
    comment : str or None
        What lines begin with that belong to neither.
    decimal : str
        What stands before the fraction of a number.
    encoding : str
        Of the text.
    """

    separator: str
    width: int
    header: bool
    names: tuple[str, ...] | None
    skip_rows: int
    comment: str | None
    decimal: str
    encoding: str


@dataclass(frozen=True)
class _Row:
    at: int  # its line, counted from 0
    fields: list[str]


def lay_out(data: bytes) -> Lines | None:
    """Return how a text is laid out, or None if it is no table of two columns or more."""
    encoding = _encoding(data)
    lines = re.split("\r\n|\r|\n", data[:_BYTES].decode(encoding, "ignore").removeprefix("\ufeff"))
    lines = lines[:-1] if len(data) > _BYTES else lines
    lines = lines[:_LOOKED_AT]
    found = next((found for each in _SEPARATORS if (found := _table(lines, each))), None)
    if found is None:
        return None
    separator, rows = found
    width = len(rows[0].fields)
    names, first = _head(rows, width)
    begin = rows[first].at if names is None or names != first - 1 else rows[names].at
    header = None if names is None else _with_units(rows[names].fields, [row.fields for row in rows[names + 1 : first]])
    before = [line for line in lines[:begin] if line.strip()]
    comment = next((mark for mark in _COMMENTS if any(line.startswith(mark) for line in lines)), None)
    only_comments = all(comment and line.startswith(comment) for line in before)
    if header is None and before:
        header = _commented_names(before[-1], comment, separator, width)
    return Lines(
        separator=separator,
        width=width,
        header=names is not None and names == first - 1,
        names=None if header is None else tuple(header),
        skip_rows=0 if only_comments else begin,
        comment=comment,
        decimal="," if separator != "," and _has_decimal_commas(rows[first:]) else ".",
        encoding=encoding,
    )


def _encoding(data: bytes) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _table(lines: Sequence[str], separator: str) -> tuple[str, list[_Row]] | None:
    """Return the rows from the first on after which nearly all have the same number of columns, if there are any."""
    rows = [_Row(at, _fields(line, separator)) for at, line in enumerate(lines)
            if line.strip() and not line.startswith(_COMMENTS)]  # fmt: skip
    widths = [len(row.fields) for row in rows]
    wide = Counter(width for width in widths if width > 1)
    if not wide:
        return None
    width, count = wide.most_common(1)[0]
    start = next((at for at in range(len(rows)) if widths[at : at + 3] == [width] * 3), None)
    if count < 3 or start is None or widths[start:].count(width) < (1 - _RAGGED) * len(widths[start:]):
        return None
    return separator, [row for row in rows[start:] if len(row.fields) == width]


def _fields(line: str, separator: str) -> list[str]:
    if separator == " ":
        fields = line.split()
    elif '"' in line:
        fields = next(csv.reader([line], delimiter=separator))
    else:
        fields = line.split(separator)
    return [each.strip().strip('"') for each in fields]


def _head(rows: Sequence[_Row], width: int) -> tuple[int | None, int]:
    """Return which row names the columns, if one does, and which is the first that holds values."""
    below = [row.fields for row in rows[len(rows) // 2 :]]
    valued = []
    for at in range(width):
        given = [fields[at] for fields in below if fields[at]]
        if given and sum(map(_is_value, given)) >= 0.8 * len(given):
            valued.append(at)
    holds = [_holds_values([row.fields[at] for at in valued]) for row in rows]
    first = next((at for at in range(len(rows)) if all(holds[at : at + 3])), 0)
    names = max(range(first), key=lambda at: len(_words(rows[at])), default=None)
    # A preamble may be as wide as the table and yet name nothing.
    return (names if names is not None and len(_words(rows[names])) > width / 2 else None), first


def _words(row: _Row) -> set[str]:
    return {each for each in row.fields if each and not _is_value(each)}


def _is_value(text: str) -> bool:
    return bool(NUMBER.fullmatch(text) or _DATE.fullmatch(text))


def _holds_values(fields: Sequence[str]) -> bool:
    values = sum(map(_is_value, fields))
    return values > sum(map(bool, fields)) - values


def _with_units(names: Sequence[str], between: Sequence[Sequence[str]]) -> list[str]:
    """Return names with what the last row between them and the values says, as in ``acc_x (g)``."""
    units = [re.sub(r"[()\[\]]", "", unit) for unit in between[-1]] if between else [""] * len(names)
    return [
        f"{name} ({unit})" if name and re.search(r"\w", unit) else name for name, unit in zip(names, units, strict=True)
    ]


def _commented_names(line: str, comment: str | None, separator: str, width: int) -> list[str] | None:
    """Return the names in the last comment above a table, as NumPy's savetxt writes them."""
    if comment is None or not line.startswith(comment):
        return None
    names = _fields(line.removeprefix(comment).strip(), separator)
    return names if len(names) == width and all(names) and not any(map(_is_value, names)) else None


def _has_decimal_commas(rows: Sequence[_Row]) -> bool:
    fields = [each for row in rows for each in row.fields]
    return any(map(_COMMA.fullmatch, fields)) and not any(map(_POINT.fullmatch, fields))
