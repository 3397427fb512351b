"""ActRecTut: two people, arm gestures of daily life and tennis, and walking, 32 Hz.

Bulling, Blanke, Schiele, "A Tutorial on Human Activity Recognition Using Body-worn Inertial Sensors", ACM Computing
Surveys 46(3):33, 2014. Read from ``data.mat``, which its authors resampled from the raw streams ``S*.dat``.

``data.mat`` has no times; ``labels.dat`` has: the annotator's keys, 16 a second, in the clock of the raw streams.
Samples of ``data.mat`` lie at 32 Hz and end where ``labels.dat`` does. Three of the four recordings begin with it, too;
of subject1_gesture the first 250 s were cut off. Found by sliding ``data.mat`` along the raw streams: all devices but
one fit best there, within five samples, in six parts of every recording (S111 of subject2_gesture, which lost 2,521
readings, was resampled up to 0.8 s off). In 97 to 100 % of the samples of a class the key says so, too, but for the
walk of subject1 (code 4), of which 77 % do; the authors mended the rest.
"""

import re
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.errors import SourceError
from kinestream.model.recordings.clocks import COUNTER
from kinestream.model.recordings.counters import unwrap
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.recordedclock import map_recording
from kinestream.model.recordings.recording import Channel, Recording

GESTURES = (
    "NULL",
    "Open window",
    "Drink",
    "Water plant",
    "Close window",
    "Cut",
    "Chop",
    "Stir",
    "Book",
    "Forehand",
    "Backhand",
    "Smash",
)
"""As in the toolbox's SETTINGS.CLASSLABELS."""

WALK = ("NULL", *(f"code {key}" for key in "12345"))
"""The publication does not name these; labels.dat holds the keys 1 to 5 that the annotator pressed."""

_RECORDING = re.compile(r"(subject\d+_(gesture|walk))/data\.mat")

_GESTURE_CHANNELS = tuple(
    Channel(f"{place}_{signal}")
    for place in ("right_hand", "right_lower_arm", "right_upper_arm")
    for signal in ("acc_x", "acc_y", "acc_z", "gyro_x", "gyro_y")
)
# The order of the devices in data.mat, found by comparing the means of its columns with those of the raw streams: each
# group of six matches one stream and no other, for both people. Where each was worn is not written down.
_WALK_CHANNELS = tuple(
    Channel(f"{device}_{signal}_{axis}")
    for device in ("S131", "S111", "S125", "S112")
    for signal in ("acc", "gyro")
    for axis in "xyz"
)

# Found in the same way: the means of data.mat's groups of five match those of one stream's first five columns.
_GESTURE_DEVICES = ("S131", "S111", "S125")
_WALK_DEVICES = ("S131", "S111", "S125", "S112")
_COUNTER_BITS = 16
_PERIOD_NS = 31_250_000
_SAMPLES_PER_KEY = 2  # of data.mat, for a row of labels.dat


class ActRecTut(Reader):
    """Reads ``Data/``; a recording is ``subject1_gesture``."""

    info = DatasetInfo(
        name="actrectut",
        title="A Tutorial on Human Activity Recognition Using Body-worn Inertial Sensors",
        licence="none stated; not to be redistributed",
        citation="Bulling, Blanke, Schiele, ACM Computing Surveys 46(3):33, 2014",
        url="https://github.com/andyknownasabu/ActRecTut/archive/HEAD.zip",
        archive="ActRecTut.zip",
        tasks=("gestures", "walk"),
        people=2,
        rate_hz=32.0,
        published={
            "subject1_gesture": 62480,
            "subject2_gesture": 70778,
            "subject1_walk": 31392,
            "subject2_walk": 32577,
        },
    )
    marker = re.compile(r"subject\d+_(gesture|walk)/data\.mat$")
    version = 2  # 2: samples have the times of labels.dat
    needs = ("scipy",)
    null_class = 0

    def __init__(self, files: FileTree, task: str) -> None:
        super().__init__(files, task)
        self.channels, self.classes = (_GESTURE_CHANNELS, GESTURES) if task == "gestures" else (_WALK_CHANNELS, WALK)
        matches = (_RECORDING.fullmatch(name) for name in files.names)
        self.ids = tuple(match[1] for match in matches if match and task.startswith(match[2]))

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the file that holds the recording and, where it is there, the one that tells when it was."""
        names = f"{recording_id}/data.mat", f"{recording_id}/labels.dat"
        return tuple(name for name in names if name == names[0] or name in self.files.names)

    def outline(self, recording_id: str) -> Outline:
        """Return what the recording's id says."""
        return Outline(recording_id, recording_id.partition("_")[0])

    def read(self, recording_id: str) -> Recording:
        """Read a person's ``data.mat``; without ``labels.dat`` its samples begin at 0."""
        name, *annotated = self.files_of(recording_id)
        variables = _variables(self.files.read(name), name)
        samples, labels = variables["data"].astype(np.float32), variables["labels"].ravel().astype(np.int16)
        if samples.shape != (len(labels), len(self.channels)):
            raise SourceError(
                f"{name}: data has shape {samples.shape} where {(len(labels), len(self.channels))} belongs"
            )
        if not ((labels >= 1) & (labels <= len(self.classes))).all():
            raise SourceError(
                f"{name}: labels reach from {labels.min()} to {labels.max()}, not 1 to {len(self.classes)}"
            )
        begin = _begin(self.files.read(annotated[0]), annotated[0], len(samples)) if annotated else 0
        return Recording(
            id=recording_id,
            person=recording_id.partition("_")[0],
            dataset=self.info.name,
            rate_hz=self.info.rate_hz,
            channels=self.channels,
            samples=samples,
            timestamps=begin + np.arange(len(samples), dtype=np.int64) * _PERIOD_NS,
            labels=labels - np.int16(1),
            classes=self.classes,
            null_class=self.null_class,
        )

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return the raw streams, each numbered by a counter that wraps, whose links lost packets.

        Their times are those of the computer that all of them arrived at, in its clock, as are those of what is read.
        """
        names, width = (_GESTURE_DEVICES, 5) if self.task == "gestures" else (_WALK_DEVICES, 6)
        found = []
        for place, device in enumerate(names):
            name = f"{recording_id}/{device}.dat"
            arrived, counts, values = _raw(self.files.read(name), name)
            numbers = unwrap(counts, _COUNTER_BITS)
            times, _ = map_recording(numbers * _PERIOD_NS, arrived, COUNTER)
            channels = self.channels[place * width : (place + 1) * width]
            found.append(DeviceReadings(device, self.info.rate_hz, channels, times, values[:, :width], numbers))
        return tuple(found)


def _begin(content: bytes, name: str, samples: int) -> int:
    """Return when the first of so many samples of ``data.mat`` lies, in nanoseconds, by ``labels.dat``."""
    rows = content.split(b"\n")
    try:
        first = float(rows[0].split()[0])
    except (ValueError, IndexError):
        raise SourceError(f"{name}: does not begin with a time in seconds: {rows[0][:40]!r}") from None
    if not 0 <= first < 1e9:
        raise SourceError(f"{name}: begins at {first:g} s, which is no time of this recording")
    labelled = _SAMPLES_PER_KEY * sum(bool(row.strip()) for row in rows)
    return round(first * 1e9) + max(labelled - samples, 0) * _PERIOD_NS


def _raw(content: bytes, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return when readings arrived in nanoseconds, what the counter said, and the readings, shape (M, 6)."""
    try:
        rows = np.loadtxt(BytesIO(content), dtype=np.float64, ndmin=2)
    except ValueError as error:
        raise SourceError(f"{name}: not a table of numbers ({error})") from error
    if rows.shape[1] != 9 or not len(rows):
        raise SourceError(f"{name}: {rows.shape[1]} numbers a row where 9 belong: time, device, number, 6 readings")
    counts = rows[:, 2].astype(np.int64)
    if not ((counts >= 0) & (counts < 1 << _COUNTER_BITS) & (counts == rows[:, 2])).all():
        raise SourceError(f"{name}: its third column is no counter of {_COUNTER_BITS} bits")
    return np.rint(rows[:, 0] * 1e9).astype(np.int64), counts, rows[:, 3:].astype(np.float32)


def _variables(content: bytes, name: str) -> dict[str, Any]:
    import scipy.io

    # What scipy raises, by where a .mat file is damaged.
    unreadable = scipy.io.matlab.MatReadError, ValueError, TypeError, NotImplementedError, zlib.error, EOFError, OSError
    try:
        variables: dict[str, Any] = scipy.io.loadmat(BytesIO(content), variable_names=("data", "labels"))
    except unreadable as error:
        raise SourceError(f"{name}: not a readable MATLAB file ({error})") from error
    missing = [variable for variable in ("data", "labels") if variable not in variables]
    if missing:
        raise SourceError(f"{name}: holds no variable {' or '.join(missing)}")
    return variables
