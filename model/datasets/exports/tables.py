"""Reads the table of one sensor: a column of times, and columns of numbers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kinestream.model.config.column import TextSection, TimeSection
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.tabular.clock import set_back
from kinestream.model.datasets.tabular.delimited import read_delimited
from kinestream.model.datasets.tabular.table import Ref, Table, read_table_file
from kinestream.model.datasets.tabular.values import numbers, times
from kinestream.model.errors import SourceError

MISSING = ("NaN", "nan", "NA", "null")
"""Values that mean "no reading"."""

_HEAD = 1 << 12
"""Bytes of a table that are looked at to tell whose it is."""
_NUMERIC = 0.5
"""Of a column's values must be numbers for the others to be mistakes; else it holds something else."""

Columns = dict[str, npt.NDArray[np.float64]]


def header_of(data: bytes, name: str, text: TextSection) -> list[str]:
    """Return the names of a table's columns, none where it is empty; raises as `read_delimited`."""
    first = data.partition(b"\n")[0]
    return read_delimited(first, name, text, text.separator or ",").header or [] if first.strip() else []


def heads_of(files: FileTree) -> dict[str, bytes]:
    """Return how the tables of an export begin, by their names; one that cannot be read begins with nothing."""
    return {name: _head(files, name) for name in files.names if "/" not in name and name.lower().endswith(".csv")}


def begins_with(head: bytes, columns: Sequence[str], text: TextSection) -> bool:
    """Tell whether a table has these columns first."""
    try:
        return header_of(head, "", text)[: len(columns)] == list(columns)
    except SourceError:
        return False


def _head(files: FileTree, name: str) -> bytes:
    on_disk = files.on_disk(name)
    try:
        if on_disk is None:
            return files.read(name)[:_HEAD]
        with on_disk.open("rb") as file:
            return file.read(_HEAD)
    except (SourceError, OSError):
        return b""


def read_sensor(
    data: bytes, name: str, text: TextSection, time: TimeSection, left_out: Sequence[str] = ()
) -> tuple[npt.NDArray[np.int64], Columns] | None:
    """Return the times of a sensor's readings in nanoseconds and its columns of numbers, or None where it has no rows.

    Parameters
    ----------
    data : bytes
        The table.
    name : str
        Its name, for messages.
    text : TextSection
        How it is laid out.
    time : TimeSection
        The column of times, and what they are in.
    left_out : sequence of str
        Columns that nobody wants.

    Raises
    ------
    SourceError
        Where it is no table, has a row too short or a value that is no number, or its clock was set back.
    """
    table = _table(data, name, text)
    if table is None:
        return None
    ref: Ref = (None, str(time.column))
    found = times(table, ref, time.unit, text.decimal, layout=time.format, zone=time.zone)
    if not time.any_order and (fault := set_back(found)):
        raise table.wrong(fault.row, ref, f"{fault.what.partition(': ')[0]}: divide the recording there")
    others = [each for each in table.columns if each != ref and each[1] not in left_out]
    return found, {
        str(each[1]): numbers(table, each, MISSING, text.decimal) for each in others if _measures(table, each)
    }


def read_texts(data: bytes, name: str, text: TextSection, column: str) -> Table | None:
    """Return a table that has a column of texts, or None where it has no rows; raises `SourceError`."""
    table = _table(data, name, text)
    if table is not None and (None, column) not in table.columns:
        raise SourceError(f"{name}: no column {column}")
    return table


def _table(data: bytes, name: str, text: TextSection) -> Table | None:
    names = header_of(data, name, text)
    if not names or not data.partition(b"\n")[2].strip():
        return None
    refs: list[Ref] = [(None, each) for each in names]
    return read_table_file(data, name, refs, format="csv", text=text)


def _measures(table: Table, ref: Ref) -> bool:
    """Tell whether a column holds numbers, though one may be damaged."""
    given = table.columns[ref].drop_nulls()
    given = given.filter(~given.is_in(["", *MISSING]))
    if not len(given):
        return False
    # A comma in a number is of no matter here: all of a column have it or none.
    parsed = given.str.replace(",", ".", literal=True).cast(float, strict=False).drop_nulls()
    return len(parsed) > _NUMERIC * len(given)
