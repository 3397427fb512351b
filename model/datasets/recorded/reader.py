"""Recordings of live streams as a source: what `kinestream record` wrote, a file of it or a folder."""

import logging
import re
from collections import Counter
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from kinestream.model.counted import counted
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.recorded.contents import END, FIRST, Annotation, Recorded
from kinestream.model.datasets.recorded.sessions import (
    Stretch,
    first_sample,
    grid_of,
    readings_of,
    samples_of,
    stretches,
)
from kinestream.model.errors import SourceError
from kinestream.model.recordings.devices import DeviceReadings, lay
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording, RowCounts

NAME = "recorded"
TASK = "activities"

_MOST_SAMPLES = 1 << 28
"""Values of a recording: one whose numbers are wrong would take all memory."""

_log = logging.getLogger(__name__)


class RecordedStreams(Reader):
    """Reads sessions of streams; what people said, annotations, is their truth.

    A recording is called as its stream, with a number behind it where there are several; its person is the stream. The
    channels are those that most sessions have, by name: sessions without them are left out, with a warning.

    Parameters
    ----------
    files : FileTree
        The files.
    label : str
        What they are called, for messages.

    Raises
    ------
    SourceError
        If there is no reading in them.
    """

    marker: ClassVar[re.Pattern[str]] = re.compile(r"\.mcap$")
    version: ClassVar[int] = 1

    def __init__(self, files: FileTree, label: str) -> None:
        super().__init__(files, TASK)
        self._recorded = recorded = Recorded(files)
        for name, cut in recorded.cut.items():
            _log.warning(
                "kinestream: %s: it has no end, so it is still being written or was cut off: read up to byte %d",
                *(name, cut),
            )
        if recorded.unreadable:
            _log.warning("kinestream: %s: %d messages cannot be read and are left out", label, recorded.unreadable)
        found = {stretch.id: stretch for stretch in stretches(recorded) if self._holds_samples(stretch)}
        if not found:
            raise SourceError(f"{label}: holds no readings: record while a stream sends")
        self.channels, rate_hz = _most_common(list(found.values()))
        self._stretches = {
            name: stretch
            for name, stretch in found.items()
            if stretch.rate_hz == rate_hz and set(self.channels) <= set(_channels(stretch))
        }
        if len(self._stretches) < len(found):
            _log.warning(
                "kinestream: %s: %s of other channels or another rate left out: %s",
                label,
                counted(len(found) - len(self._stretches), "recording"),
                ", ".join(sorted(found.keys() - self._stretches.keys())[:8]),
            )
        self.ids = tuple(self._stretches)
        self.classes, self.null_class = self._said()
        self.described = repr((recorded.about, self.channels, self.classes))
        self.info = DatasetInfo(
            name=NAME,
            title="recorded live streams",
            licence="not stated",
            citation="not stated",
            url="",
            archive="",
            tasks=(TASK,),
            people=len({stretch.stream for stretch in self._stretches.values()}),
            rate_hz=rate_hz,
        )

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return all files: what was said of a session may stand in a later one."""
        return self._recorded.names

    def outline(self, recording_id: str) -> Outline:
        """Return whose a recording is: the stream's."""
        return Outline(recording_id, self._stretches[recording_id].stream)

    @property
    def has_devices(self) -> bool:
        """Whether any session's readings carry times."""
        return any(stretch.has_times for stretch in self._stretches.values())

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return what each device delivered; one whose readings lie on the grid at the times of its samples."""
        stretch = self._stretches[recording_id]
        if stretch.has_times:
            return tuple(readings_of(self._recorded, *each) for each in stretch.devices)
        ((device, _),) = stretch.devices[:1]
        samples, moments, first = self._on_grid(stretch)
        came = ~np.isnan(samples).all(axis=1)
        numbers = np.arange(first, first + len(samples))[came]
        times = np.maximum.accumulate(moments)[came]
        return (DeviceReadings(device.name, device.rate_hz, device.channels, times, samples[came], numbers),)

    def read(self, recording_id: str) -> Recording:
        """Return a session, or a part of one between long silences."""
        stretch = self._stretches[recording_id]
        if stretch.has_times:
            samples, moments, readings = self._laid(stretch)
        else:
            samples, moments, _ = self._on_grid(stretch)
            readings = int((~np.isnan(samples).all(axis=1)).sum())
        there = _channels(stretch)
        columns = [there.index(channel) for channel in self.channels]
        return Recording(
            id=recording_id,
            person=stretch.stream,
            dataset=NAME,
            rate_hz=stretch.rate_hz,
            channels=self.channels,
            samples=samples[:, columns],
            timestamps=moments,
            labels=self._labels(stretch, moments),
            classes=self.classes,
            null_class=self.null_class,
            rows=RowCounts(read=readings),
        )

    def _on_grid(self, stretch: Stretch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
        device, pieces = stretch.devices[0]
        first = first_sample(device, pieces, self._recorded.about.stride)
        self._check_size(stretch, (int(pieces[:, END].max()) - first) * device.width)
        return *samples_of(self._recorded, device, pieces, first), first

    def _laid(self, stretch: Stretch) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
        devices = self.devices(stretch.id)
        origin = stretch.devices[0][0].origin
        grid, first, count = grid_of(devices, origin, stretch.rate_hz, self._recorded.about.stride)
        self._check_size(stretch, count * len(_channels(stretch)))
        samples = lay(devices, grid, first, count)
        return samples, grid.times(first, count), sum(len(each.times) for each in devices)

    def _holds_samples(self, stretch: Stretch) -> bool:
        """Tell whether anything is left behind the beginning of the first window."""
        if stretch.has_times:
            return True
        device, pieces = stretch.devices[0]
        return int(pieces[:, END].max()) > first_sample(device, pieces, self._recorded.about.stride)

    def _check_size(self, stretch: Stretch, values: int) -> None:
        if values > _MOST_SAMPLES:
            raise SourceError(f"recording {stretch.id}: its readings span more than there is memory for: leave it out")

    def _said(self) -> tuple[tuple[str, ...], int | None]:
        """Return the activities that were annotated, behind the bundle's classes where any of those is among them."""
        streams = {stretch.stream for stretch in self._stretches.values()}
        said = {each.activity for stream in streams for each in self._recorded.annotations.get(stream, ())}
        about = self._recorded.about
        known = about.classes if said & set(about.classes) else ()
        classes = (*known, *sorted(said - set(known)))
        return classes, classes.index(about.null_class) if about.null_class in classes else None

    def _labels(self, stretch: Stretch, moments: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
        """Return the class of each sample; of annotations that overlap, that of the latest."""
        labels = np.full(len(moments), UNLABELLED, np.int16)
        half = max(int(np.median(np.diff(moments))), 0) // 2 if len(moments) > 1 else 0
        for said in self._recorded.annotations.get(stretch.stream, ()):
            if self._is_of(said, stretch):
                begin, end = np.searchsorted(moments, (said.begin - half, said.end - half))
                labels[begin:end] = self.classes.index(said.activity)
        return labels

    def _is_of(self, said: Annotation, stretch: Stretch) -> bool:
        """Tell whether an annotation may be of a session: one that names another one that was recorded is not."""
        return said.session == stretch.session or (stretch.stream, said.session) not in self._recorded.sessions


def _channels(stretch: Stretch) -> tuple[Channel, ...]:
    return tuple(channel for device, _ in stretch.devices for channel in device.channels)


def _most_common(found: list[Stretch]) -> tuple[tuple[Channel, ...], float]:
    """Return the channels and the rate that most sessions have, by how many readings they hold."""
    weights: Counter[tuple[tuple[Channel, ...], float]] = Counter()
    for stretch in found:
        readings = sum(int((pieces[:, END] - pieces[:, FIRST]).sum()) for _, pieces in stretch.devices)
        weights[_channels(stretch), stretch.rate_hz] += readings
    return weights.most_common(1)[0][0]
