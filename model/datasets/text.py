"""Tables of numbers in text files; a malformed one is named by file, line and column.

Large ones are read with polars, with every core and only the columns that are asked for. Small ones with a header are
read with NumPy: the demo's recordings are such, and polars takes more space than all else that they need. Both tell
little of where a file is wrong, so a file they refuse is gone through once more, slowly, to say so.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kinestream.model.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_NUMBER = re.compile(rb"[+-]?(nan|inf|infinity|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", re.IGNORECASE)
_PIECE = 1 << 18
_UNEXPLAINED = "cannot be read as a table of numbers"


def read_table(
    data: bytes,
    name: str,
    *,
    columns: Sequence[int] | None = None,
    exact: Collection[int] = (),
    width: int | None = None,
    dtype: type[np.generic] = np.float32,
) -> "pl.DataFrame":
    """Read a table of numbers separated by single or repeated blanks.

    Parameters
    ----------
    data : bytes
        The text, without a header.
    name : str
        The file's name, for messages.
    columns : sequence of int, optional
        The columns that are wanted, counted from 0; all by default.
    exact : collection of int, optional
        Those of them to be read in double precision.
    width : int, optional
        Numbers in every row, where the format says so; by default as many as the first row has.
    dtype : numpy data type
        Type of the numbers: float32, float64 or int64.

    Returns
    -------
    DataFrame, N rows
        The columns in the file's order, named by their position: ``"0"``, ``"1"``, and so on.

    Raises
    ------
    SourceError
        If a row has too few or too many columns, or something that is not a number in a column that is wanted.
    """
    import polars as pl

    kind = {np.float32: pl.Float32, np.float64: pl.Float64, np.int64: pl.Int64}[dtype]
    width = width or len(data.lstrip().partition(b"\n")[0].split())
    # The last column is always read: it is what shows that a row is too short.
    wanted = sorted({*columns, width - 1}) if columns is not None else list(range(width))
    types = {str(column): pl.Float64 if column in exact else kind for column in range(width)}
    frame = _parsed(data, types, wanted)
    if frame is None:  # rare, and slower than the parsing itself: hence only now
        frame = _parsed(single_blanks(data), types, wanted)
    if frame is None:
        raise _explained(data, name, width)
    return frame if columns is None else frame.select(str(column) for column in sorted(columns))


def read_csv(data: bytes, name: str, types: Mapping[str, npt.DTypeLike]) -> dict[str, npt.NDArray[Any]]:
    """Read the named columns of a comma-separated table with a header, shape (N,) each.

    Parameters
    ----------
    data : bytes
        The text, in UTF-8; what stands in quotes holds no comma.
    name : str
        The file's name, for messages.
    types : mapping of str to numpy data type
        The columns that are wanted; of text, what is longer than its type is cut off.

    Raises
    ------
    SourceError
        If a column is missing, empty somewhere, or does not hold what `types` says.
    """
    header, _, body = data.partition(b"\n")
    names = [field.strip() for field in header.decode("utf-8", "replace").split(",")]
    missing = [column for column in types if column not in names]
    if missing:
        raise SourceError(f"{name}: line 1: no column {', '.join(missing)} (there are {', '.join(names)})")
    rows = body.rstrip().count(b"\n") + 1
    # A row too short or too long only shows in the commas: NumPy ignores what it is not asked for.
    if not body.strip() or body.count(b",") != rows * (len(names) - 1):
        raise _explained_csv(body, name, names, types)
    try:
        table = np.loadtxt(
            BytesIO(body),
            dtype=list(types.items()),
            delimiter=",",
            comments=None,
            usecols=[names.index(column) for column in types],
            encoding="utf-8",
            quotechar='"',
            ndmin=1,
        )
    except ValueError as error:
        raise _explained_csv(body, name, names, types) from error
    if len(table) != rows:
        raise _explained_csv(body, name, names, types)
    return {column: np.ascontiguousarray(table[column]) for column in types}


def single_blanks(data: bytes) -> bytes:
    """Return the text with one blank between numbers and none at the ends of a line."""
    data = data.replace(b"\t", b" ").replace(b"\r", b"")
    while b"  " in data:
        data = data.replace(b"  ", b" ")
    return data.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip(b" \n")


def _parsed(text: bytes, types: Mapping[str, type["pl.DataType"]], wanted: Sequence[int]) -> "pl.DataFrame | None":
    """Return the wanted columns, or None unless single blanks separate just as many numbers as there are types."""
    import polars as pl

    try:
        frame = pl.read_csv(
            text, has_header=False, separator=" ", quote_char=None, schema=dict(types), columns=list(wanted)
        )
    except pl.exceptions.PolarsError:
        return None
    # A projection ignores what stands past the last wanted column, so two rows run into one only show in the blanks.
    whole = len(frame) and _blanks(text) == len(frame) * (len(types) - 1) and not any(frame.null_count().row(0))
    return frame if whole else None


def _blanks(text: bytes) -> int:
    """Count blanks, a piece at a time so that what is compared stays in the processor's cache."""
    letters = np.frombuffer(text, np.uint8)
    pieces = (letters[first : first + _PIECE] for first in range(0, len(letters), _PIECE))
    return sum(int(np.count_nonzero(piece == ord(" "))) for piece in pieces)


def _explained(data: bytes, name: str, width: int) -> SourceError:
    rows = ((number, line.split()) for number, line in _lines(data))
    return SourceError(f"{name}: {_first_problem(rows, width, range(width)) or _UNEXPLAINED}")


def _explained_csv(body: bytes, name: str, names: Sequence[str], types: Mapping[str, npt.DTypeLike]) -> SourceError:
    rows = ((number + 1, [field.strip() for field in line.split(b",")]) for number, line in _lines(body))
    numeric = [names.index(column) for column, dtype in types.items() if np.dtype(dtype).kind != "U"]
    return SourceError(f"{name}: {_first_problem(rows, len(names), numeric) or _UNEXPLAINED}")


def _lines(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (number from 1, line), blank lines at the end left out."""
    yield from enumerate(data.rstrip().splitlines(), start=1)


def _first_problem(rows: Iterator[tuple[int, list[bytes]]], width: int, numeric: Sequence[int]) -> str | None:
    empty = True
    for number, fields in rows:
        empty = False
        if len(fields) != width:
            return f"line {number} has {len(fields)} columns where {width} belong"
        for column in numeric:
            if not _NUMBER.fullmatch(fields[column]):
                shown = fields[column][:40].decode("utf-8", "replace")
                return f"line {number}, column {column + 1}: {shown!r} is not a number"
    return "holds no rows" if empty else None
