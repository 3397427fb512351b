"""Text with columns of any layout, read with polars; a malformed line is named.

Comments, skipped and blank lines are taken out before polars reads, so that what is a row is decided here alone. A
file that does not add up is gone through once more, slowly, to say where.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import polars as pl

from kinestream.model.config.column import TextSection
from kinestream.model.datasets.text import single_blanks
from kinestream.model.errors import SourceError

_BLANK_LINES = re.compile(rb"(?m)^ *(?:\n|\Z)")  # a line of nothing but tabs is a row of missing values


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
    numbered : callable
        Returns the lines that header and rows are made of, each with its number in the file, from 1.
    """

    name: str
    body: bytes
    separator: str
    header: list[str] | None
    width: int
    numbered: Callable[[], list[tuple[int, str]]]

    def line_of(self, row: int) -> int:
        """Return the number of the line that a row stands in, the rows counted from 0."""
        lines = self.numbered()
        return lines[min(row + (self.header is not None), len(lines) - 1)][0]

    def columns(self, wanted: Sequence[int]) -> list[pl.Series]:
        """Return columns as text by position from 0, null where nothing stands; `SourceError` for ragged rows."""
        if not self.body.strip():
            raise SourceError(f"{self.name}: holds no rows")
        chosen = sorted(set(wanted))
        try:
            frame = pl.read_csv(
                BytesIO(self.body),
                has_header=False,
                separator=self.separator,
                columns=chosen,
                schema_overrides=[pl.String] * self.width,
                infer_schema_length=0,
            )
        except pl.exceptions.PolarsError as error:  # quotes that do not end
            raise SourceError(
                f"{self.name}: cannot be read as a table: look at its quotes and text.separator"
            ) from error
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
    content = _BLANK_LINES.sub(b"", single_blanks(content)) if blanks else content
    first, _, rest = content.partition(b"\n")
    top = _fields(first, separator)
    body = rest if text.header else content
    header = [field.strip() for field in top] if text.header else None
    rows = Rows(name, body, separator, header, len(top), lambda: list(_numbered(data, text, blanks)))
    _check_widths(rows)
    return rows


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
    return _BLANK_LINES.sub(b"", content).removesuffix(b"\n")


def _numbered(data: bytes, text: TextSection, blanks: bool) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, line) of what is left of the text when it is taken apart, line by line."""
    content = data.decode(text.encoding, "replace").removeprefix("\ufeff")
    for number, line in enumerate(re.split("\r\n|\r|\n", content), start=1):
        comment = text.comment is not None and line.startswith(text.comment)
        line = " ".join(line.split()) if blanks else line
        if number > text.skip_rows and line.strip(" ") and not comment:
            yield number, line


def _fields(line: bytes, separator: str) -> list[str]:
    return next(csv.reader([line.decode("utf-8", "replace")], delimiter=separator), [])


def _check_widths(rows: Rows) -> None:
    """Make sure that every row has its columns; polars fills up short ones without a word."""
    wrong = _first_ragged_quoted(rows) if b'"' in rows.body else _first_ragged(rows)
    if wrong is not None:
        row, width = wrong
        raise SourceError(f"{rows.name}: line {rows.line_of(row)} has {width} columns where {rows.width} belong")


def _first_ragged(rows: Rows) -> tuple[int, int] | None:
    """Return (row, columns) of the first row of another width, found by counting separators."""
    letters = np.frombuffer(rows.body, np.uint8)
    ends = np.append(np.flatnonzero(letters == ord("\n")), len(letters))
    separators = np.flatnonzero(letters == ord(rows.separator))
    widths = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    wrong = np.flatnonzero(widths != rows.width)
    return (int(wrong[0]), int(widths[wrong[0]])) if rows.body and len(wrong) else None


def _first_ragged_quoted(rows: Rows) -> tuple[int, int] | None:
    """Return the same where separators may stand within quotes: slower."""
    reader = csv.reader(rows.body.decode("utf-8", "replace").split("\n"), delimiter=rows.separator)
    try:
        return next(((at, len(row)) for at, row in enumerate(reader) if len(row) != rows.width and rows.body), None)
    except csv.Error as error:
        raise SourceError(f"{rows.name}: line {rows.line_of(reader.line_num - 1)}: {error}") from None
