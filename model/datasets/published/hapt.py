"""HAPT: thirty people, a phone at the waist, the continuous recordings behind UCI HAR.

The task ``uci_har`` gives what UCI HAR was cut from: its six classes, and nine channels filtered over the whole
recording, which a live stream cannot have; see `kinestream.model.recordings.filters`.

Reyes-Ortiz, Oneto, Sama, Parra, Anguita, "Transition-Aware Human Activity Recognition Using Smartphones",
Neurocomputing 171, 2016; UCI dataset 341.
"""

import re

import numpy as np
import numpy.typing as npt

from kinestream.model.config.training import PreprocessSection
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.text import read_table
from kinestream.model.errors import SourceError
from kinestream.model.recordings.filters import derive, derived_names
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording

TEST_PEOPLE = frozenset({2, 4, 9, 10, 12, 13, 18, 20, 24})
"""The published split, by Test/subject_id_test.txt."""

CLASSES = (
    "WALKING",
    "WALKING_UPSTAIRS",
    "WALKING_DOWNSTAIRS",
    "SITTING",
    "STANDING",
    "LAYING",
    "STAND_TO_SIT",
    "SIT_TO_STAND",
    "SIT_TO_LIE",
    "LIE_TO_SIT",
    "STAND_TO_LIE",
    "LIE_TO_STAND",
)
"""As in activity_labels.txt, whose numbers start at 1; the first six are the basic ones."""

UCI_HAR_FILTERS = PreprocessSection(
    median=True, lowpass_hz=20.0, gravity_channels=("acc_x", "acc_y", "acc_z"), gravity_hz=0.3
)
"""Anguita et al., ESANN 2013."""

SEGMENTS = "RawData/labels.txt"
_RECORDING = re.compile(r"RawData/acc_(exp(\d+)_user(\d+))\.txt")


_RAW_CHANNELS = (
    *(Channel(f"acc_{axis}", "g") for axis in "xyz"),
    *(Channel(f"gyro_{axis}", "rad/s") for axis in "xyz"),
)
_UCI_HAR_CHANNELS = tuple(
    Channel(name, "rad/s" if "gyro" in name else "g")
    for name in derived_names(UCI_HAR_FILTERS, [channel.name for channel in _RAW_CHANNELS])
)


class Hapt(Reader):
    """Reads ``RawData/``; a recording is ``exp01_user01``."""

    info = DatasetInfo(
        name="hapt",
        title="Smartphone-Based Recognition of Human Activities and Postural Transitions",
        licence="no commercial use; not to be redistributed",
        citation="Reyes-Ortiz et al., Neurocomputing 171, 2016",
        url="https://archive.ics.uci.edu/static/public/341/"
        "smartphone+based+recognition+of+human+activities+and+postural+transitions.zip",
        archive="HAPT Data Set.zip",
        tasks=("activities", "uci_har"),
        people=30,
        rate_hz=50.0,
        published={
            "recordings": 61,
            "train_windows": 7767,
            "test_windows": 3162,
            "basic_train_windows": 7415,
            "basic_test_windows": 2996,
        },
    )
    marker = re.compile(r"RawData/acc_exp\d+_user\d+\.txt$")
    needs = ("polars",)

    def __init__(self, files: FileTree, task: str) -> None:
        super().__init__(files, task)
        self._filtered = task == "uci_har"
        self.channels = _UCI_HAR_CHANNELS if self._filtered else _RAW_CHANNELS
        self.classes = CLASSES[:6] if self._filtered else CLASSES
        self.ids = tuple(sorted(match[1] for name in files.names if (match := _RECORDING.fullmatch(name))))
        self._segments: npt.NDArray[np.int64] | None = None

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the accelerometer's file, the gyroscope's, and the segments'."""
        return f"RawData/acc_{recording_id}.txt", f"RawData/gyro_{recording_id}.txt", SEGMENTS

    def outline(self, recording_id: str) -> Outline:
        """Return what the recording's id says."""
        person = int(recording_id.rpartition("_user")[2])
        return Outline(recording_id, str(person), "test" if person in TEST_PEOPLE else "train")

    def read(self, recording_id: str) -> Recording:
        """Parse both sensors' files and lay the labelled segments over them."""
        acc_name, gyro_name, _ = self.files_of(recording_id)
        acc = read_table(self.files.read(acc_name), acc_name, width=3)
        gyro = read_table(self.files.read(gyro_name), gyro_name, width=3)
        if len(acc) != len(gyro):
            raise SourceError(f"{gyro_name}: has {len(gyro)} rows where {acc_name} has {len(acc)}")
        experiment, person = (int(number) for number in re.findall(r"\d+", recording_id))
        samples = np.hstack([acc.to_numpy(), gyro.to_numpy()])
        if self._filtered:
            samples = derive(samples, UCI_HAR_FILTERS, [channel.name for channel in _RAW_CHANNELS], self.info.rate_hz)
        return Recording(
            id=recording_id,
            person=str(person),
            dataset=self.info.name,
            rate_hz=self.info.rate_hz,
            channels=self.channels,
            samples=samples,
            timestamps=np.arange(len(samples), dtype=np.int64) * 20_000_000,
            labels=self._labels(experiment, len(samples)),
            classes=self.classes,
            split="test" if person in TEST_PEOPLE else "train",
        )

    def segments(self) -> npt.NDArray[np.int64]:
        """Return (experiment, person, activity, first, last) of each segment, all counted from 1, shape (S, 5)."""
        if self._segments is None:
            table = read_table(self.files.read(SEGMENTS), SEGMENTS, width=5, dtype=np.int64)
            self._segments = table.to_numpy()
        return self._segments

    def _labels(self, experiment: int, length: int) -> npt.NDArray[np.int16]:
        labels = np.full(length, UNLABELLED, dtype=np.int16)
        for line, (of, _, activity, first, last) in enumerate(self.segments().tolist(), start=1):
            if of != experiment:
                continue
            if not (1 <= first <= last <= length and 1 <= activity <= len(CLASSES)):
                raise SourceError(
                    f"{SEGMENTS}: line {line}: activity {activity} in samples {first} to {last} does not fit"
                    f" {len(CLASSES)} activities and {length} samples"
                )
            if activity <= len(self.classes):
                labels[first - 1 : last] = activity - 1
        return labels
