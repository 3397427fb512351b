"""UCI HAR: thirty people, a phone at the waist, published as windows of 128 samples at 50 Hz.

Anguita, Ghio, Oneto, Parra, Reyes-Ortiz, "A Public Domain Dataset for Human Activity Recognition Using Smartphones",
ESANN 2013; UCI dataset 240. The windows overlap by half, so a recording's samples hold most readings twice and its
timestamps only count samples.
"""

import re
import threading

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.published.hapt import CLASSES as HAPT_CLASSES
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.text import read_table
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Channel, Recording

WINDOW = 128
CLASSES = HAPT_CLASSES[:6]
SIGNALS = tuple(f"{signal}_{axis}" for signal in ("body_acc", "body_gyro", "total_acc") for axis in "xyz")
SPLITS = ("train", "test")


class UciHar(Reader):
    """Reads ``train/`` and ``test/``; a recording is ``train-1``, all windows of one person."""

    info = DatasetInfo(
        name="uci_har",
        title="Human Activity Recognition Using Smartphones",
        licence="CC BY 4.0",
        citation="Anguita, Ghio, Oneto, Parra, Reyes-Ortiz, ESANN 2013",
        url="https://archive.ics.uci.edu/static/public/240/human+activity+recognition+using+smartphones.zip",
        archive="UCI HAR Dataset.zip",
        tasks=("activities",),
        people=30,
        rate_hz=50.0,
        published={"train_windows": 7352, "test_windows": 2947},
    )
    marker = re.compile(r"(?:train|test)/Inertial Signals/body_acc_x_(?:train|test)\.txt$")
    needs = ("polars",)

    channels = tuple(Channel(signal, "rad/s" if "gyro" in signal else "g") for signal in SIGNALS)
    classes = CLASSES

    def __init__(self, files: FileTree, task: str) -> None:
        super().__init__(files, task)
        self._people = {
            split: _integers(files, name) for split in SPLITS if (name := _people_file(split)) in files.names
        }
        self.ids = tuple(
            f"{split}-{person}" for split, people in self._people.items() for person in np.unique(people).tolist()
        )
        self._parsed: dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]] = {}
        self._parsing = threading.Lock()

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the nine signals' files, the labels' and the people's of the recording's split."""
        split = recording_id.partition("-")[0]
        signals = (f"{split}/Inertial Signals/{signal}_{split}.txt" for signal in SIGNALS)
        return *signals, f"{split}/y_{split}.txt", _people_file(split)

    def outline(self, recording_id: str) -> Outline:
        """Return what the recording's id says."""
        split, _, person = recording_id.partition("-")
        return Outline(recording_id, person, split)

    def read(self, recording_id: str) -> Recording:
        """Collect a person's windows; the split's files are parsed once."""
        split, _, person = recording_id.partition("-")
        with self._parsing:  # recordings are read by several threads
            if split not in self._parsed:
                self._parsed = {split: self._parse(recording_id)}  # one split at a time, to bound memory
            windows, labels = self._parsed[split]
        mine = self._people[split] == int(person)
        samples = windows[mine].reshape(-1, len(SIGNALS))
        return Recording(
            id=recording_id,
            person=person,
            dataset=self.info.name,
            rate_hz=self.info.rate_hz,
            channels=self.channels,
            samples=samples,
            timestamps=np.arange(len(samples), dtype=np.int64) * 20_000_000,
            labels=np.repeat(labels[mine] - 1, WINDOW).astype(np.int16),
            classes=self.classes,
            split=split,
            window=WINDOW,
        )

    def _parse(self, recording_id: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Return a split's windows, shape (W, 128, 9), and their labels from 1, shape (W,)."""
        *signals, labels_file, people_file = self.files_of(recording_id)
        tables = [read_table(self.files.read(name), name, width=WINDOW).to_numpy() for name in signals]
        labels = _integers(self.files, labels_file)
        people = self._people[recording_id.partition("-")[0]]
        for name, rows in zip([labels_file, *signals], [labels, *tables], strict=True):
            if len(rows) != len(people):
                raise SourceError(f"{name}: has {len(rows)} rows where {people_file} has {len(people)}")
        if not ((labels >= 1) & (labels <= len(CLASSES))).all():
            row = int(np.flatnonzero((labels < 1) | (labels > len(CLASSES)))[0])
            raise SourceError(f"{labels_file}: line {row + 1}: {labels[row]} is not 1 to {len(CLASSES)}")
        return np.stack(tables, axis=2), labels


def _people_file(split: str) -> str:
    return f"{split}/subject_{split}.txt"


def _integers(files: FileTree, name: str) -> npt.NDArray[np.int64]:
    table = read_table(files.read(name), name, width=1, dtype=np.int64)
    return table["0"].to_numpy()
