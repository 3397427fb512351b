"""SP-SW-HAR: timed-up-and-go, a phone in the left front pocket and a watch on the left wrist.

Matey-Sanz, Casteleyn, Granell, "Dataset of inertial measurements of smartphones and smartwatches for human activity
recognition", Data in Brief 51, 2023, 109809; data CC BY 4.0.

Each device has its own clock, Unix milliseconds, about 102 and 104 readings a second; about one in twenty readings
carries the same time as the one before it. Both are put on one 50 Hz grid over the time that both record.
"""

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.text import read_csv
from kinestream.model.errors import SourceError
from kinestream.model.recordings.bursts import spread
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.recording import Channel, Recording, RowCounts
from kinestream.model.recordings.resample import nearest, on_grid, sharing

CLASSES = ("SEATED", "STANDING_UP", "WALKING", "TURNING", "SITTING_DOWN")

RATES_HZ = {"phone": 102.0, "watch": 104.0}
STEP_MS = 20
LONGEST_GAP_MS = 100
"""Half of the recordings have no gap over 49 ms, one in ten has one over 92 ms; the longest is 188 ms."""

_READINGS = ("x_acc", "y_acc", "z_acc", "x_gyro", "y_gyro", "z_gyro")
_TYPES: dict[str, npt.DTypeLike] = {**dict.fromkeys(_READINGS, np.float64), "timestamp": np.int64, "label": "U32"}
_Table = dict[str, npt.NDArray[Any]]
_RECORDING = re.compile(r"(s\d+)/((s\d+)_\d+)_sp\.csv")


class SpSwHar(Reader):
    """Reads ``DATA/``; a recording is ``s01_01``, both devices of one execution."""

    info = DatasetInfo(
        name="sp_sw_har",
        title="Smartphone and smartwatch inertial measurements from heterogeneous subjects",
        licence="CC BY 4.0",
        citation="Matey-Sanz, Casteleyn, Granell, Data in Brief 51, 2023, 109809",
        url="https://github.com/GeoTecINIT/sp-sw-har-dataset/archive/HEAD.zip",
        archive="sp-sw-har-dataset.zip",
        tasks=("activities",),
        people=23,
        rate_hz=1000 / STEP_MS,
        published={"recordings": 223, "files": 446},
    )
    marker = re.compile(r"s\d+/s\d+_\d+_s[pw]\.csv$")

    channels = tuple(
        Channel(f"{device}_{sensor}_{axis}", unit)
        for device in ("phone", "watch")
        for sensor, unit in (("acc", "m/s2"), ("gyro", "rad/s"))
        for axis in "xyz"
    )
    classes = CLASSES

    def __init__(self, files: FileTree, task: str) -> None:
        super().__init__(files, task)
        names = set(files.names)
        phones = (match for name in files.names if (match := _RECORDING.fullmatch(name)))
        self.ids = tuple(sorted(match[2] for match in phones if f"{match[1]}/{match[2]}_sw.csv" in names))

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the phone's file and the watch's."""
        stem = f"{recording_id.partition('_')[0]}/{recording_id}"
        return f"{stem}_sp.csv", f"{stem}_sw.csv"

    def outline(self, recording_id: str) -> Outline:
        """Return what the recording's id says."""
        return Outline(recording_id, recording_id.partition("_")[0])

    def read(self, recording_id: str) -> Recording:
        """Parse both devices' files and put them on one grid."""
        names = self.files_of(recording_id)
        as_they_stand = [read_csv(self.files.read(name), name, _TYPES) for name in names]
        phone, watch = map(_sorted, as_they_stand)
        phone_ms, watch_ms = phone["timestamp"], watch["timestamp"]
        grid = np.arange(max(phone_ms[0], watch_ms[0]), min(phone_ms[-1], watch_ms[-1]) + 1, STEP_MS)
        if not len(grid):
            raise SourceError(f"{names[0]}: its times share none with those of {names[1]}")
        devices = [
            on_grid(device["timestamp"], np.stack([device[each] for each in _READINGS], axis=1), grid, LONGEST_GAP_MS)
            for device in (phone, watch)
        ]
        return Recording(
            id=recording_id,
            person=recording_id.partition("_")[0],
            dataset=self.info.name,
            rate_hz=self.info.rate_hz,
            channels=self.channels,
            samples=np.hstack(devices),
            timestamps=grid * 1_000_000,
            labels=_labels(phone, names[0], grid),
            classes=self.classes,
            rows=_counted([device["timestamp"] for device in as_they_stand], grid),
        )

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return the phone's and the watch's readings, sorted, those of one stamp spread over the time before it."""
        found = []
        for device, name in zip(("phone", "watch"), self.files_of(recording_id), strict=True):
            table = _sorted(read_csv(self.files.read(name), name, _TYPES))
            found.append(
                DeviceReadings(
                    device,
                    RATES_HZ[device],
                    tuple(channel for channel in self.channels if channel.name.startswith(device)),
                    spread(table["timestamp"] * 1_000_000, round(1e9 / RATES_HZ[device])),
                    np.stack([table[each] for each in _READINGS], axis=1).astype(np.float32),
                )
            )
        return tuple(found)


def _sorted(device: _Table) -> _Table:
    order = np.argsort(device["timestamp"], kind="stable")
    return {name: column[order] for name, column in device.items()}


def _counted(devices: list[npt.NDArray[np.int64]], grid: npt.NDArray[np.int64]) -> RowCounts:
    """Return what becomes of the rows of both devices, whose times are given in the order they stand in."""
    first, last = grid[0] - LONGEST_GAP_MS, grid[-1] + LONGEST_GAP_MS
    return RowCounts(
        read=sum(len(times) for times in devices),
        out_of_order=sum(int((times < np.maximum.accumulate(times)).sum()) for times in devices),
        shared_stamp=sum(int(sharing(times).sum()) for times in devices),
        dropped=sum(int(((times < first) | (times > last)).sum()) for times in devices),
    )


def _labels(phone: _Table, name: str, grid: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
    """Return the label of the phone's nearest reading.

    Both devices carry the same annotation: on 99.7% of the grid the watch's nearest reading says the same, and where
    not, it is within 60 ms of a change of class. So either would do; the phone's is taken, for at the thigh every
    class shows.
    """
    codes = np.full(len(phone["label"]), -1, np.int16)
    for code, each in enumerate(CLASSES):
        codes[phone["label"] == each] = code
    if (codes < 0).any():
        row = int(np.argmax(codes < 0))
        raise SourceError(f"{name}: line {row + 2}: {str(phone['label'][row])!r} is not one of {', '.join(CLASSES)}")
    return codes[nearest(phone["timestamp"], grid)]
