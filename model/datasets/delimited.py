"""Text with columns of any layout, read with polars; a malformed line is named.

Comments, skipped and blank lines are taken out before polars reads, so that what is a row is decided here alone. Like
`model.datasets.text`, a file that does not add up is gone through once more, slowly, to say where.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import polars as pl

from model.datasets.text import single_blanks
from model.errors import SourceError
from model.tabularconfig import TextSection

_BLANK_LINES = re.compile(rb"\n(?:[ \t\r]*\n)+")


@dataclass(frozen=True)
class Rows:
    """Text whose every row has as many columns.

    Parameters
    ----------
    name : str
        The file's name, for messages.
    body : bytes
        The rows, without the header.
    separator : str
        Between columns.
    header : list of str or None
        Names of the columns.
    width : int
        Columns in a row.
    """

    name: str
    body: bytes
    separator: str
    header: list[str] | None
    width: int

    def columns(self, wanted: Sequence[int]) -> list[pl.Series]:
        """Return columns as text by position from 0, null where nothing stands; `SourceError` for ragged rows."""
        if not self.body.strip():
            raise SourceError(f"{self.name}: holds no rows")
        chosen = sorted(set(wanted))
        frame = pl.read_csv(
            BytesIO(self.body),
            has_header=False,
            separator=self.separator,
            columns=chosen,
            schema_overrides=[pl.String] * self.width,
            infer_schema_length=0,
        )
        by_position = {at: frame.to_series(i).str.strip_chars() for i, at in enumerate(chosen)}
        return [by_position[at] for at in wanted]


def read_delimited(data: bytes, name: str, text: TextSection, separator: str, *, blanks: bool = False) -> Rows:
    """Take text apart into header and rows.

    Parameters
    ----------
    data : bytes
        The file.
    name : str
        Its name, for messages.
    text : TextSection
        How it is laid out.
    separator : str
        Between columns.
    blanks : bool
        Whether any number of blanks and tabs separates.

    Raises
    ------
    SourceError
        If it is not text, is empty, or has a row with too few or too many columns.
    """
    content = _without_litter(_decoded(data, name, text), text)
    content = single_blanks(content) if blanks else content
    first, _, rest = content.partition(b"\n")
    top = _fields(first, separator)
    body = rest if text.header else content
    rows = Rows(name, body, separator, [field.strip() for field in top] if text.header else None, len(top))
    _check_widths(rows, data, text, blanks)
    return rows


def line_of(data: bytes, text: TextSection, row: int) -> int:
    """Return the number, from 1, of the line that a row stands in; rows are counted from 0, without the header."""
    kept = [number for number, _ in _kept_lines(data, text)]
    return kept[min(row + text.header, len(kept) - 1)]


def _decoded(data: bytes, name: str, text: TextSection) -> bytes:
    """Return the text as UTF-8 with plain line ends."""
    try:
        content = data.decode(text.encoding)
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name}: byte {error.start + 1} is not {text.encoding}: give text.encoding, as in latin-1"
        ) from None
    return content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").encode()


def _without_litter(content: bytes, text: TextSection) -> bytes:
    for _ in range(text.skip_rows):
        content = content.partition(b"\n")[2]
    if text.comment:
        content = re.sub(rb"(?m)^" + re.escape(text.comment.encode()) + rb".*\n?", b"", content)
    return _BLANK_LINES.sub(b"\n", content).strip(b"\n")


def _kept_lines(data: bytes, text: TextSection) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line) of what `_without_litter` leaves, line by line."""
    content = data.decode(text.encoding, "replace").removeprefix("\ufeff")
    for number, line in enumerate(re.split("\r\n|\r|\n", content), start=1):
        comment = text.comment is not None and line.startswith(text.comment)
        if number > text.skip_rows and line.strip() and not comment:
            yield number, line


def _fields(line: bytes, separator: str) -> list[str]:
    return next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator), [])


def _check_widths(rows: Rows, data: bytes, text: TextSection, blanks: bool) -> None:
    """Make sure that every row has its columns; polars fills up short ones without a word."""
    body, separator = rows.body, rows.separator.encode()
    if b'"' not in body and body.count(separator) == (body.count(b"\n") + 1) * (rows.width - 1):
        return  # that a short and a long row make up for each other, polars finds out
    kept = list(_kept_lines(data, text))
    lines = [" ".join(line.split()) if blanks else line for _, line in kept]
    reader = csv.reader(lines, delimiter=rows.separator)
    for fields in reader:
        if len(fields) != rows.width:
            number = kept[reader.line_num - 1][0]
            raise SourceError(f"{rows.name}: line {number} has {len(fields)} columns where {rows.width} belong")
