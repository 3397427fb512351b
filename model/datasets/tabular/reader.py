"""Anyone's own recordings: tables of any layout, as ``dataset.tabular`` of a YAML file describes them."""

import logging
import threading
from dataclasses import replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from kinestream.model.config.tabular import TabularSection
from kinestream.model.counted import counted
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.tabular.clock import examine, sensors
from kinestream.model.datasets.tabular.labelling import Labeller, Labels, from_segments, segment_files
from kinestream.model.datasets.tabular.pieces import Piece, dividing, find_pieces, matching
from kinestream.model.datasets.tabular.readings import delivered, moments_of
from kinestream.model.datasets.tabular.stacked import read_channel, refs_where, rows_where
from kinestream.model.datasets.tabular.table import Ref, Table, joined, read_table_file, ref_of
from kinestream.model.datasets.tabular.values import texts
from kinestream.model.errors import SourceError
from kinestream.model.recordings.devices import DeviceReadings, as_readings
from kinestream.model.recordings.recording import Channel, Recording, RowCounts
from kinestream.model.recordings.resample import nearest, on_grid, sharing

_log = logging.getLogger(__name__)

TASK = "activities"

_NANOSECONDS = 1_000_000_000
_STEPS_BRIDGED = 5
_MOST = 200
"""Samples of the grid for a row, or rows for a sample, beyond which the unit of the times must be wrong."""


class Tabular(Reader):
    """Reads what a description says.

    Parameters
    ----------
    files : FileTree
        Below what the description calls its source.
    name : str
        What the user calls the dataset.
    section : TabularSection
        The description.
    """

    version: ClassVar[int] = 2

    def __init__(self, files: FileTree, name: str, section: TabularSection) -> None:
        super().__init__(files, TASK)
        self._section = section
        self._labeller = Labeller(section.labels, section.missing)
        self._held: tuple[tuple[str, ...], Table] | None = None  # a file of many recordings is parsed once
        self._holding = threading.Lock()
        self.described = section.model_dump_json()
        self.channels = tuple(Channel(channel, each.unit) for channel, each in section.channels.items())
        self.classes = section.labels.all_classes
        null = section.labels.null_class
        self.null_class = None if null is None else self.classes.index(null)
        self._pieces = {piece.id: piece for piece in find_pieces(files, section, self._divided, self._unreadable)}
        self.ids = tuple(self._pieces)
        segments = section.labels.segments
        self._segments = tuple(matching(files, segments.files)) if segments else ()
        self.info = DatasetInfo(
            name=name,
            title="your own recordings",
            licence="not stated",
            citation="not stated",
            url="",
            archive="",
            tasks=(TASK,),
            people=len({piece.person for piece in self._pieces.values() if piece.person}),
            rate_hz=section.rate_hz,
        )

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the recording's file, or the files that it is divided into, and those of its segments."""
        piece = self._pieces[recording_id]
        if piece.unreadable is not None:
            raise piece.unreadable
        return *piece.files, *self._segment_files(piece)

    def outline(self, recording_id: str) -> Outline:
        """Return what files and their names say of a recording."""
        piece = self._pieces[recording_id]
        return Outline(recording_id, piece.person, piece.split)

    def read(self, recording_id: str) -> Recording:
        """Parse a recording's rows and label them, and put them on a regular grid where they carry times."""
        piece = self._pieces[recording_id]
        table = self._own_rows(self._rows(piece))
        self._check_no_answer(table)
        samples, (moments, stated) = self._samples(table), self._moments(table)
        order = np.argsort(moments, kind="stable")
        labels = self._labels(piece, table, order, moments[order])
        rows = None
        if self._section.time is not None:
            kept, rows = self._examined(table, order, samples, moments, labels)
            if self._section.time.packets:
                rows = replace(rows, spread=int(sharing(stated).sum()))
            labels, order = labels[kept[order]], order[kept[order]]
            samples, moments, labels = self._gridded(piece, samples[order], moments[order], labels)
        return Recording(
            id=recording_id,
            person=piece.person,
            dataset=self.info.name,
            rate_hz=self.info.rate_hz,
            channels=self.channels,
            samples=as_readings(samples),
            timestamps=moments,
            labels=labels,
            classes=self.classes,
            null_class=self.null_class,
            split=piece.split,
            rows=rows,
        )

    @property
    def has_devices(self) -> bool:
        """Whether rows carry times."""
        return self._section.time is not None

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return the readings of the table's sensor, or of each of those that a long table holds."""
        time = self._section.time
        if time is None:
            return ()
        table = self._rows(self._pieces[recording_id])
        return delivered(table, self._section, time, self._samples(table))

    def _segment_files(self, piece: Piece) -> tuple[str, ...]:
        segments = self._section.labels.segments
        return segment_files(self._segments, segments, piece) if segments else ()

    def _own_rows(self, table: Table) -> Table:
        """Return the rows without those of other sensors, where no times would join them to ours."""
        first = next(iter(self._section.channels.values()))
        return table if self._section.time or not first.where else table.rows(rows_where(table, first))

    def _check_no_answer(self, table: Table) -> None:
        """Make sure that no channel is the column of labels, one named and the other counted."""
        labels = self._section.labels
        if not labels.given:
            return
        answer = ref_of(labels)
        for name, channel in self._section.channels.items():
            ref = ref_of(channel, default=name)
            counted = isinstance(ref[1], int) != isinstance(answer[1], int) and ref[0] == answer[0]
            values = table.columns[ref]
            same = table.place(0, ref) == table.place(0, answer)  # which Parquet does not tell
            if counted and (same or (values.n_unique() > 1 and values.equals(table.columns[answer]))):
                raise SourceError(
                    f"{table.name}: the channel {name} is the column of labels, and a model would read its own answer: "
                    "take it out of dataset.tabular.channels"
                )

    def _divided(self, name: str) -> Table:
        """Return the columns of a file by which it is divided."""
        return self._parsed(name, [ref_of(column) for column in dividing(self._section).values()])

    def _rows(self, piece: Piece) -> Table:
        """Return the rows of one recording."""
        if not piece.divided:
            return self._all_rows(piece)
        with self._holding:
            if self._held is None or self._held[0] != piece.files:
                self._held = None  # before the next one is read: they may be large
                self._held = piece.files, self._all_rows(piece)
            table = self._held[1]
        chosen = np.ones(len(table), dtype=np.bool_)
        for part, column in dividing(self._section).items():
            chosen &= (texts(table, ref_of(column)) == piece.divided[part]).to_numpy()
        return table.rows(chosen)

    def _all_rows(self, piece: Piece) -> Table:
        return joined([self._parsed(name, self._refs()) for name in piece.files])

    def _parsed(self, name: str, refs: list[Ref]) -> Table:
        section = self._section
        whole = [ref_of(each) for each in (section.labels, *dividing(section).values()) if each.given]
        return read_table_file(
            self.files.read(name),
            name,
            refs,
            format=section.format,
            text=section.text,
            transposed=section.transposed,
            whole=whole,
        )

    def _unreadable(self, error: SourceError) -> None:
        """Tell that a file cannot be read in which columns say whose rows are whose; who asks for it gets the error."""
        _log.warning("kinestream: %s; what else there is can be read", error)

    def _refs(self) -> list[Ref]:
        section = self._section
        refs = [ref_of(channel, default=name) for name, channel in section.channels.items()]
        counter = section.time.counter if section.time else None
        others = (section.time, counter, section.labels, *dividing(section).values())
        return refs + refs_where(section) + [ref_of(each) for each in others if each is not None and each.given]

    def _samples(self, table: Table) -> npt.NDArray[np.float64]:
        """Return the channels in their units, shape (N, C)."""
        section = self._section
        return np.column_stack([read_channel(table, name, each, section) for name, each in section.channels.items()])

    def _moments(self, table: Table) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return when each row was taken, and its time as it stands, in nanoseconds, both of shape (N,)."""
        time = self._section.time
        if time is not None:
            return moments_of(table, self._section, time)
        regular = _regular(len(table), self.info.rate_hz)
        return regular, regular

    def _labels(
        self, piece: Piece, table: Table, order: npt.NDArray[np.int64], moments: npt.NDArray[np.int64]
    ) -> Labels:
        """Return the class of each row, in the order of their times."""
        section = self._section
        if section.labels.segments is not None:
            names = self._segment_files(piece)
            segments, time = section.labels.segments, section.time
            return from_segments(self.files, names, segments, self._labeller, piece, moments, time)
        if section.labels.given:
            ref = ref_of(section.labels)
            return self._labeller.of_values(table, texts(table, ref), ref)[order]
        return self._labeller.of_name(piece, len(table))

    def _examined(
        self,
        table: Table,
        order: npt.NDArray[np.int64],
        samples: npt.NDArray[np.float64],
        moments: npt.NDArray[np.int64],
        labels: Labels,
    ) -> tuple[npt.NDArray[np.bool_], RowCounts]:
        """Return which rows are read and what became of them; labels are in order, all else as it stands."""
        time = self._section.time
        assert time is not None
        as_they_stand = np.empty_like(labels)
        as_they_stand[order] = labels
        kept, rows, fault = examine(
            moments,
            samples,
            as_they_stand,
            step=_NANOSECONDS / self.info.rate_hz,
            longest_gap=self._longest_gap,
            any_order=time.any_order,
        )
        if fault is not None:
            local = time.unit == "iso" and time.zone is None and fault.set_back
            hint = "; if these are local times, give dataset.tabular.time.zone" if local else ""
            raise table.wrong(fault.row, ref_of(time if time.given else time.counter or time), fault.what + hint)
        return kept, rows

    @property
    def _longest_gap(self) -> int:
        """Between readings further apart, in nanoseconds, nothing is interpolated."""
        time = self._section.time
        gap = time.longest_gap_s if time is not None and time.longest_gap_s else _STEPS_BRIDGED / self.info.rate_hz
        return round(gap * _NANOSECONDS)

    def _gridded(
        self, piece: Piece, samples: npt.NDArray[np.float64], moments: npt.NDArray[np.int64], labels: Labels
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], Labels]:
        """Return samples, times and labels on a regular grid from the first row's time on."""
        rate = self.info.rate_hz
        step = _NANOSECONDS / rate
        since = moments - moments[0]  # small numbers, for interpolation in double precision
        count = int(since[-1] / step) + 1
        if count > _MOST * len(moments) + 1000 or len(moments) > _MOST * count + 1000:
            rows, samples_in_grid = counted(len(moments), "row"), counted(count, "sample")
            raise SourceError(
                f"{piece.file}: the times of {rows} span {since[-1] / _NANOSECONDS:g} s, at {rate:g} Hz "
                f"{samples_in_grid}: check dataset.tabular.time.unit and rate_hz, and what is one recording"
            )
        grid = _regular(count, rate)
        gridded = np.full((count, samples.shape[1]), np.nan)
        for present, columns in sensors(np.isfinite(samples)):
            gridded[:, columns] = on_grid(since[present], samples[present][:, columns], grid, self._longest_gap)
        return gridded, grid + moments[0], labels[nearest(since, grid)]


def _regular(count: int, rate_hz: float) -> npt.NDArray[np.int64]:
    """Return the times of rows that follow each other regularly, in nanoseconds since the first."""
    moments: npt.NDArray[np.int64] = np.rint(np.arange(count) * (_NANOSECONDS / rate_hz)).astype(np.int64)
    return moments
