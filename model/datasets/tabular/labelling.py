"""Gives each row of a table its class: from a column, from the file's name, or from segments in other files."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.config.column import TimeSection
from kinestream.model.config.export import ExportLabelSection
from kinestream.model.config.tabular import LabelSection, SegmentsSection
from kinestream.model.counted import counted
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.tabular.pieces import Piece
from kinestream.model.datasets.tabular.table import Ref, Table, read_table_file, ref_of
from kinestream.model.datasets.tabular.values import numbers, texts, times
from kinestream.model.errors import SourceError
from kinestream.model.printable import printable
from kinestream.model.recordings.recording import UNLABELLED

Labels = npt.NDArray[np.int16]


class Labeller:
    """Knows the classes, and what stands for them.

    Parameters
    ----------
    section : LabelSection
        What is said of labels.
    missing : sequence of str
        Values that mean "not labelled", besides those the section ignores.
    """

    def __init__(self, section: LabelSection, missing: Sequence[str]) -> None:
        self.classes = section.all_classes
        self._key = "dataset.export.labels" if isinstance(section, ExportLabelSection) else "dataset.tabular.labels"
        numbers_of = {name: number for number, name in enumerate(self.classes)}
        self._codes = {
            **dict.fromkeys((*missing, *section.ignore), UNLABELLED),
            **numbers_of,
            **{written: numbers_of[name] for written, name in section.names.items()},
        }

    def of_values(self, table: Table, values: pl.Series, ref: Ref) -> Labels:
        """Return the class of each value of a column; `SourceError` says where one stands for none."""
        unknown = (~values.is_in(list(self._codes))).fill_null(False).arg_true()
        if len(unknown):
            raise table.wrong(unknown[0], ref, self._foreign(values[unknown[0]]))
        codes = values.replace_strict(self._codes, default=UNLABELLED, return_dtype=pl.Int16)
        return codes.fill_null(UNLABELLED).to_numpy().copy()

    def of_texts(self, values: Sequence[str], where: str) -> Labels:
        """Return the class of each of some texts; `SourceError` begins with `where` they stand."""
        unknown = next((value for value in values if value and value not in self._codes), None)
        if unknown is not None:
            raise SourceError(f"{where}: {self._foreign(unknown)}")
        return np.array([self._codes.get(value, UNLABELLED) for value in values], dtype=np.int16)

    def of_name(self, piece: Piece, rows: int) -> Labels:
        """Return the class that a file's name says, for each of its rows."""
        label = piece.label or ""
        if label not in self._codes:
            raise SourceError(f"{piece.file}: {self._foreign(label)}")
        return np.full(rows, self._codes[label], dtype=np.int16)

    def _foreign(self, value: str) -> str:
        return (
            f"{printable(value)[:80]!r} is not one of the classes {', '.join(self.classes)}: add it to names, classes "
            f"or ignore of {self._key}"
        )


def segment_files(
    found: Sequence[tuple[str, dict[str, str]]], section: SegmentsSection, piece: Piece
) -> tuple[str, ...]:
    """Return the files that hold segments of a recording.

    Parameters
    ----------
    found : sequence of (str, dict)
        All files of segments, with the parts of their names.
    section : SegmentsSection
        What is said of them.
    piece : Piece
        The recording.

    Raises
    ------
    SourceError
        If there is none.
    """
    known = {"person": piece.person, "recording": piece.recording}
    ours = tuple(
        name
        for name, parts in found
        if all(known.get(part) == value for part, value in parts.items() if part != "part")
    )
    if not ours:
        raise SourceError(
            f"{piece.file}: no file of segments like {' or '.join(section.files)} for recording {piece.id}: "
            "set dataset.tabular.labels.segments.files"
        )
    return ours


def from_segments(
    files: FileTree,
    names: Sequence[str],
    section: SegmentsSection,
    labeller: Labeller,
    piece: Piece,
    moments: npt.NDArray[np.int64],
    time: TimeSection | None = None,
) -> Labels:
    """Return the class of each row from the segments that it lies in, the last of them where several do.

    Parameters
    ----------
    files : FileTree
        Where the segments lie.
    names : sequence of str
        In which files.
    section : SegmentsSection
        What is said of segments.
    labeller : Labeller
        Knows the classes.
    piece : Piece
        The recording.
    moments : ndarray of int64, shape (N,)
        When each row was taken, in nanoseconds.
    time : TimeSection, optional
        What is said of these times, for what the section does not say of its own.
    """
    labels = np.full(len(moments), UNLABELLED, dtype=np.int16)
    for name in names:
        table = _segments(files.read(name), name, section, piece)
        if not len(table):
            continue
        ref = ref_of(section.label)
        codes = labeller.of_values(table, texts(table, ref), ref)
        for row, (first, last) in enumerate(_bounds(table, section, moments, time)):
            if section.counted_from == "start" and not (0 <= first <= last and first < len(moments)):
                raise table.wrong(row, ref_of(section.start), f"does not lie in {piece.file}: check unit and first")
            if section.unit == "samples" and last > len(moments):
                raise table.wrong(row, ref_of(section.end), f"{piece.file} has only {counted(len(moments), 'row')}")
            labels[first:last] = codes[row]
    return labels


def _segments(data: bytes, name: str, section: SegmentsSection, piece: Piece) -> Table:
    """Return the segments of one recording."""
    refs = [ref_of(each) for each in (section.start, section.end, section.label)]
    named = None if section.recording is None else ref_of(section.recording)
    table = read_table_file(data, name, [*refs, *([named] if named else [])], format=section.format, text=section.text)
    if named is None:
        return table
    path = piece.file
    stem = path.rpartition(".")[0]
    names = {piece.id, piece.recording, path, stem, path.rpartition("/")[2], stem.rpartition("/")[2]}
    return table.rows(texts(table, named).is_in(sorted(names)).fill_null(False).to_numpy())


def _bounds(
    table: Table, section: SegmentsSection, moments: npt.NDArray[np.int64], time: TimeSection | None
) -> Iterator[tuple[int, int]]:
    """Yield (first row, one past the last row) of each segment."""
    decimal = section.text.decimal
    ends = [ref_of(section.start), ref_of(section.end)]
    if section.unit == "samples":
        start, end = (_counted(table, ref, decimal) - section.first for ref in ends)
        yield from zip(start.tolist(), (end + section.end_included).tolist(), strict=True)
        return
    origin = moments[0] if section.counted_from == "start" else 0
    layout, zone = section.time_format, section.zone
    if time is not None and section.unit == "iso":
        layout, zone = layout or time.format, zone or time.zone
    start, end = (times(table, ref, section.unit, decimal, layout=layout, zone=zone) + origin for ref in ends)
    side: Literal["left", "right"] = "right" if section.end_included else "left"
    yield from zip(
        np.searchsorted(moments, start).tolist(), np.searchsorted(moments, end, side=side).tolist(), strict=True
    )


def _counted(table: Table, ref: Ref, decimal: str) -> npt.NDArray[np.int64]:
    """Return a column of row numbers; `SourceError` says where one is missing."""
    values = numbers(table, ref, (), decimal)
    wrong = np.flatnonzero(~(np.abs(values) < 2**53))
    if len(wrong):
        raise table.wrong(int(wrong[0]), ref, "no number of a row")
    return values.astype(np.int64)
