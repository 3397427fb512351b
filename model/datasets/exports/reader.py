"""Recordings that apps and recorders wrote, read as ``dataset.export`` of a YAML file describes them."""

import itertools
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from kinestream.model.config.column import ChannelSection
from kinestream.model.config.export import ExportSection, SensorSection
from kinestream.model.counted import counted
from kinestream.model.datasets.exports.containers import Containers
from kinestream.model.datasets.exports.contents import Contents, SensorTable, names_a_class
from kinestream.model.datasets.exports.formats import read_export
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.tabular.labelling import Labeller, from_segments, segment_files
from kinestream.model.datasets.tabular.pieces import Piece, find_pieces, matching
from kinestream.model.errors import SourceError
from kinestream.model.recordings.bursts import spread
from kinestream.model.recordings.devices import DeviceReadings, as_readings, lay
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording, RowCounts
from kinestream.model.recordings.resample import sharing
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate

TASK = "activities"

_SECOND = 1_000_000_000
_MOST = 200
"""Samples of the grid for a reading beyond which something is wrong with the times."""

Labels = npt.NDArray[np.int16]


class Exports(Reader):
    """Reads what a description says.

    Parameters
    ----------
    containers : Containers
        What lies below what the description calls its source.
    name : str
        What the user calls the dataset.
    section : ExportSection
        The description.
    """

    version: ClassVar[int] = 1

    def __init__(self, containers: Containers, name: str, section: ExportSection) -> None:
        super().__init__(containers.tree, TASK)
        self._containers = containers
        self._section = section
        labels = section.labels
        self._labeller = None if labels is None else Labeller(labels, ())
        self.described = section.model_dump_json()
        self.channels = tuple(
            Channel(channel, each.unit)
            for sensor in section.sensors.values()
            for channel, each in sensor.channels.items()
        )
        self.classes = () if labels is None else labels.all_classes
        null = None if labels is None else labels.null_class
        self.null_class = None if null is None else self.classes.index(null)
        self._pieces = {piece.id: piece for piece in find_pieces(containers, section)}
        self.ids = tuple(self._pieces)
        segments = labels.segments if labels else None
        self._segments = tuple(matching(containers.tree, segments.files)) if segments else ()
        self.info = DatasetInfo(
            name=name,
            title="your own recordings",
            licence="not stated",
            citation="not stated",
            url="",
            archive="",
            tasks=(TASK,),
            people=len({piece.person for piece in self._pieces.values()}),
            rate_hz=section.rate_hz,
        )

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the recording's zip, file or files, and those of its segments."""
        piece = self._pieces[recording_id]
        return *self._containers.files_of(piece.file), *self._segment_files(piece)

    def export_of(self, recording_id: str) -> str:
        """Return what a recording's zip, folder or file is called below the source."""
        return self._pieces[recording_id].file

    def outline(self, recording_id: str) -> Outline:
        """Return what files' names say of a recording."""
        piece = self._pieces[recording_id]
        return Outline(recording_id, piece.person, piece.split)

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return each sensor's readings in the order of their times, those of one stamp spread over the time before."""
        piece = self._pieces[recording_id]
        return self._delivered(piece, self._contents(piece))

    def read(self, recording_id: str) -> Recording:
        """Parse a recording's sensors and lay them on one grid, from the first reading of any to the last."""
        piece = self._pieces[recording_id]
        contents = self._contents(piece)
        devices = self._delivered(piece, contents)
        rate = self.info.rate_hz
        grid = SampleGrid(min(int(each.times[0]) for each in devices), exact_rate(rate))
        count = grid.at_or_after(max(int(each.times[-1]) for each in devices) + 1)
        readings = sum(len(each.times) for each in devices)
        if count > _MOST * readings + 1000:
            raise SourceError(
                f"{piece.file}: {counted(readings, 'reading')} span {count / rate:g} s: divide it where it was paused, "
                "or look at its times"
            )
        moments = grid.times(0, count)
        return Recording(
            id=recording_id,
            person=piece.person,
            dataset=self.info.name,
            rate_hz=rate,
            channels=self.channels,
            samples=lay(devices, grid, 0, count),
            timestamps=moments,
            labels=self._labels(piece, contents, moments),
            classes=self.classes,
            null_class=self.null_class,
            split=piece.split,
            rows=self._counted(piece, contents),
        )

    def _contents(self, piece: Piece) -> Contents:
        return read_export(self._containers.open(piece.file), piece.file, self._section.format, self._section)

    def _delivered(self, piece: Piece, contents: Contents) -> tuple[DeviceReadings, ...]:
        tables = self._tables(piece, contents)
        return tuple(
            _readings(name, sensor, table)
            for (name, sensor), table in zip(self._section.sensors.items(), tables, strict=True)
        )

    def _tables(self, piece: Piece, contents: Contents) -> list[SensorTable]:
        there = {table.name: table for table in contents.sensors}
        found = []
        for name, sensor in self._section.sensors.items():
            source = sensor.source or name
            if source not in there:
                what = "no reading" if source in contents.empty else f"nothing called {source}"
                raise SourceError(
                    f"{piece.file}: its sensors are {', '.join(there) or 'none'}: {what} for {name} of "
                    "dataset.export.sensors: leave the sensor or the recording out"
                )
            found.append(there[source])
        return found

    def _labels(self, piece: Piece, contents: Contents, moments: npt.NDArray[np.int64]) -> Labels:
        """Return the class of each sample."""
        section = self._section.labels
        if section is None or self._labeller is None:
            return np.full(len(moments), UNLABELLED, dtype=np.int16)
        if section.segments is not None:
            names = self._segment_files(piece)
            return from_segments(self.files, names, section.segments, self._labeller, piece, moments)
        if section.markers is None:
            return self._labeller.of_name(piece, len(moments))
        stream = next((each for each in contents.markers if each.name == section.markers), None)
        if stream is None:
            known = ", ".join(each.name for each in contents.markers) or "none"
            raise SourceError(f"{piece.file}: no markers called {section.markers}: there are {known}")
        said = [text if names_a_class(text) else "" for text in stream.texts]
        codes = self._labeller.of_texts(said, f"{piece.file}: {stream.name}")
        before = np.searchsorted(stream.times, moments, side="right")  # markers that came until then
        return np.append(np.int16(UNLABELLED), codes)[before].astype(np.int16)

    def _segment_files(self, piece: Piece) -> tuple[str, ...]:
        segments = self._section.labels.segments if self._section.labels else None
        return segment_files(self._segments, segments, piece) if segments else ()

    def _counted(self, piece: Piece, contents: Contents) -> RowCounts:
        tables = self._tables(piece, contents)
        sensors = self._section.sensors.values()
        return RowCounts(
            read=sum(len(table.times) for table in tables),
            out_of_order=sum(int((each.times < np.maximum.accumulate(each.times)).sum()) for each in tables),
            spread=sum(
                int(sharing(table.times).sum()) if sensor.rate_hz else 0
                for sensor, table in zip(sensors, tables, strict=True)
            ),
        )


def _readings(name: str, sensor: SensorSection, table: SensorTable) -> DeviceReadings:
    """Return what a sensor delivered."""
    order = np.argsort(table.times, kind="stable")
    moments = table.times[order]
    if sensor.rate_hz:
        moments = spread(moments, round(_SECOND / sensor.rate_hz))
    columns = [_column(table, channel, each) for channel, each in sensor.channels.items()]
    return DeviceReadings(
        name=name,
        rate_hz=sensor.rate_hz,
        channels=tuple(Channel(channel, each.unit) for channel, each in sensor.channels.items()),
        times=moments,
        values=as_readings(np.stack(columns, axis=1)[order]),
    )


def _column(table: SensorTable, channel: str, section: ChannelSection) -> npt.NDArray[np.float64]:
    """Return a channel in its unit."""
    wanted = section.column if section.given else channel
    if isinstance(wanted, int) and wanted <= len(table.columns):
        values = next(itertools.islice(table.columns.values(), wanted - 1, None))
    elif str(wanted) in table.columns:
        values = table.columns[str(wanted)]
    else:
        raise SourceError(f"{table.place}: no column {wanted} of numbers: there are {', '.join(table.columns)}")
    return section.factor * values + section.offset
