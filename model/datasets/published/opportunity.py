"""Opportunity: four people in a flat with a kitchen, 113 body-worn channels, 30 Hz, packets lost on the air.

Roggen et al., "Collecting complex activity datasets in highly rich networked sensor environments", INSS 2010;
Chavarriaga et al., "The Opportunity challenge", Pattern Recognition Letters 34(15), 2013; UCI dataset 226.
"""

import re
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.published.opportunity_columns import WIDTH, find_columns
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.text import read_table
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Recording

GESTURES = {
    0: "Null",
    406516: "Open Door 1",
    406517: "Open Door 2",
    404516: "Close Door 1",
    404517: "Close Door 2",
    406520: "Open Fridge",
    404520: "Close Fridge",
    406505: "Open Dishwasher",
    404505: "Close Dishwasher",
    406519: "Open Drawer 1",
    404519: "Close Drawer 1",
    406511: "Open Drawer 2",
    404511: "Close Drawer 2",
    406508: "Open Drawer 3",
    404508: "Close Drawer 3",
    408512: "Clean Table",
    407521: "Drink from Cup",
    405506: "Toggle Switch",
}
"""Label codes of column 250 and their names in label_legend.txt, in the order of the published results."""

LOCOMOTION = {0: "Null", 1: "Stand", 2: "Walk", 4: "Sit", 5: "Lie"}
"""Label codes of column 244."""

COLUMN_NAMES = "column_names.txt"
_RECORDING = re.compile(r"(S[1-4]-(?:ADL[1-5]|Drill))\.dat")


class Opportunity(Reader):
    """Reads ``dataset/``; a recording is ``S1-ADL1``."""

    info = DatasetInfo(
        name="opportunity",
        title="OPPORTUNITY Activity Recognition",
        licence="CC BY 4.0",
        citation="Roggen et al., INSS 2010; Chavarriaga et al., Pattern Recognition Letters 34(15), 2013",
        url="https://archive.ics.uci.edu/static/public/226/opportunity+activity+recognition.zip",
        archive="OpportunityUCIDataset.zip",
        tasks=("gestures", "locomotion"),
        people=4,
        rate_hz=30.0,
        published={
            "recordings": 24,
            "train_rows": 557_963,
            "test_rows": 118_750,
            "joined_test_windows": 9_894,
            "window": 24,
            "stride": 12,
        },
    )
    marker = re.compile(r"S[1-4]-(?:ADL[1-5]|Drill)\.dat$")
    needs = ("polars",)
    null_class = 0

    def __init__(self, files: FileTree, task: str) -> None:
        super().__init__(files, task)
        self._codes = GESTURES if task == "gestures" else LOCOMOTION
        named = COLUMN_NAMES in files.names
        self._columns = find_columns(task, files.read(COLUMN_NAMES).decode("utf-8", "replace") if named else None)
        self._described_by = (COLUMN_NAMES,) if named else ()
        self.channels = self._columns.channels
        self.classes = tuple(self._codes.values())
        matches = (_RECORDING.fullmatch(name) for name in files.names)
        self.ids = tuple(match[1] for match in matches if match)

    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the run's file, and column_names.txt if there is one."""
        return f"{recording_id}.dat", *self._described_by

    def outline(self, recording_id: str) -> Outline:
        """Return what the recording's id says."""
        return Outline(recording_id, recording_id.partition("-")[0], published_split(recording_id))

    def read(self, recording_id: str) -> Recording:
        """Parse a run; only the wanted columns are turned into numbers."""
        name = self.files_of(recording_id)[0]
        exact = (self._columns.milliseconds, self._columns.label)
        table = read_table(
            self.files.read(name), name, columns=(*exact, *self._columns.positions), exact=exact, width=WIDTH
        )
        milliseconds, codes = (table[str(column)].to_numpy() for column in exact)
        return Recording(
            id=recording_id,
            person=recording_id.partition("-")[0],
            dataset=self.info.name,
            rate_hz=self.info.rate_hz,
            channels=self.channels,
            samples=table.select(str(column) for column in self._columns.positions).to_numpy(order="c"),
            timestamps=_since_first(milliseconds, name),
            labels=self._labels(codes, name),
            classes=self.classes,
            null_class=self.null_class,
            split=published_split(recording_id),
        )

    def _labels(self, codes: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.int16]:
        labels = np.full(len(codes), -1, dtype=np.int16)
        for label, code in enumerate(self._codes):
            labels[codes == code] = label
        unknown = np.flatnonzero(labels < 0)
        if len(unknown):
            row = int(unknown[0])
            raise SourceError(
                f"{name}: line {row + 1}, column {self._columns.label + 1}: {codes[row]:g} is no label of {self.task}"
            )
        return labels


def published_split(recording_id: str) -> str | None:
    """Return the challenge's split of a run; S4 has no part in it."""
    person, run = recording_id.split("-")
    if person == "S4":
        return None
    return "test" if person != "S1" and run in ("ADL4", "ADL5") else "train"


def joined_labels(recordings: Iterable[Recording]) -> npt.NDArray[np.int16]:
    """Return the labels of the published windows, cut as if the recordings were one, shape (W,).

    The published figures joined the runs S2-ADL4, S2-ADL5, S3-ADL4, S3-ADL5 before cutting windows of 24 every 12, so
    a few windows span two runs. For comparison with them only: nothing else here ever joins recordings.
    """
    published = Opportunity.info.published
    labels = np.concatenate([recording.labels for recording in recordings])
    return labels[published["window"] - 1 :: published["stride"]]


def _since_first(milliseconds: npt.NDArray[np.float64], name: str) -> npt.NDArray[np.int64]:
    if not np.isfinite(milliseconds).all():
        row = int(np.flatnonzero(~np.isfinite(milliseconds))[0])
        raise SourceError(f"{name}: line {row + 1}: the time in milliseconds is missing")
    nanoseconds: npt.NDArray[np.float64] = np.rint((milliseconds - milliseconds[0]) * 1e6)
    return nanoseconds.astype(np.int64)
