"""What comes of an evaluation: the labels of each recording's windows beside the truth, and the scores over all."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.activity.line import ActivityScores
from kinestream.model.config.training import Cut
from kinestream.model.scores.calibration import Calibration
from kinestream.model.scores.metrics import Scores
from kinestream.model.scores.timeline import Timeline, TimelineScores
from kinestream.model.windows.labelled import NOT_SCORED


@dataclass(frozen=True)
class RecordingLabels:
    """A bundle's labels for one recording, with the truth.

    Parameters
    ----------
    recording, person : str
        Whose windows.
    windows : ndarray of int64, shape (W,)
        Which windows were recognised, counted from the recording's first; skipped ones are missing.
    last : ndarray of int64, shape (W,)
        Each window's last sample, the one that decides its true class.
    labels : ndarray of int64, shape (W,)
        The most probable class, as an index into the bundle's.
    probabilities : ndarray of float32, shape (W, K)
        Of each class.
    truth : ndarray of int64, shape (W,)
        The true class, or -1 where the window is not scored.
    sample_truth : ndarray of int64, shape (N,)
        The same of each sample of the recording.
    skipped : int
        Windows that are skipped because too many samples are missing.
    at_seams : int
        Windows that are skipped because the times and the numbers of a device part in them.
    silent, frozen : dict of str to int
        Windows recognised at whose end a device is silent, and frozen, by device; empty where samples are as published.
    foreign : dict of str to int
        Windows of classes that the bundle does not know; they are recognised, not scored.
    rate_hz : float
        Samples a second.
    timeline : Timeline or None
        The label of each sample; None where windows share no time line, because they were cut separately in each
        labelled segment or published as windows.
    """

    recording: str
    person: str
    windows: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    sample_truth: npt.NDArray[np.int64]
    skipped: int
    at_seams: int
    silent: dict[str, int]
    frozen: dict[str, int]
    foreign: dict[str, int]
    rate_hz: float
    timeline: Timeline | None


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a bundle on recordings.

    Parameters
    ----------
    bundle : str
        Id of the bundle.
    dataset, task : str
        What was evaluated on.
    chosen : str
        Whose recordings, in words.
    cut : {"continuous", "segmented"}
        How windows were cut.
    engine : str
        What ran the bundle.
    recordings : tuple of RecordingLabels
        In the source's order.
    scores : Scores or None
        Over all windows; None where none has a class that the bundle knows.
    calibration : Calibration or None
        Whether their probabilities mean what they say; None likewise.
    timeline : TimelineScores or None
        By the sample, by the event, and how soon; None likewise, and where recordings have no time line.
    activities : ActivityScores or None
        The same of the activities that the bundle makes of its labels; None likewise, and of one that makes none.
    """

    bundle: str
    dataset: str
    task: str
    chosen: str
    cut: Cut
    engine: str
    recordings: tuple[RecordingLabels, ...]
    scores: Scores | None
    calibration: Calibration | None = None
    timeline: TimelineScores | None = None
    activities: ActivityScores | None = None

    @property
    def windows(self) -> int:
        """Windows recognised."""
        return sum(len(labels.windows) for labels in self.recordings)

    @property
    def skipped(self) -> int:
        """Windows that are skipped because too many samples are missing."""
        return sum(labels.skipped for labels in self.recordings)

    @property
    def at_seams(self) -> int:
        """Windows that are skipped because the times and the numbers of a device part in them."""
        return sum(labels.at_seams for labels in self.recordings)

    @property
    def silent(self) -> dict[str, int]:
        """Windows recognised at whose end a device is silent, by device; empty where samples are as published."""
        return _added(labels.silent for labels in self.recordings)

    @property
    def frozen(self) -> dict[str, int]:
        """The same of devices that are frozen."""
        return _added(labels.frozen for labels in self.recordings)

    @property
    def not_scored(self) -> int:
        """Windows recognised whose true class is unknown, or unknown to the bundle."""
        return sum(int((labels.truth == NOT_SCORED).sum()) for labels in self.recordings)

    @property
    def foreign(self) -> dict[str, int]:
        """Windows of classes that the bundle does not know, by class."""
        return dict(sum((Counter(labels.foreign) for labels in self.recordings), Counter()))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON takes them, without the labels."""
        counts = {
            "bundle": self.bundle,
            "dataset": self.dataset,
            "task": self.task,
            "chosen": self.chosen,
            "cut": self.cut,
            "engine": self.engine,
            "recordings": [labels.recording for labels in self.recordings],
            "windows_recognised": self.windows,
            "windows_skipped": self.skipped,
            "windows_at_seams": self.at_seams,
            "windows_device_silent": self.silent,
            "windows_device_frozen": self.frozen,
            "windows_not_scored": self.not_scored,
            "foreign_classes": self.foreign,
        }
        scores = self.scores.as_dict() if self.scores else {"windows": 0}
        line = self.timeline.as_dict() if self.timeline else dict.fromkeys(("samples", "events", "delay"))
        more = {
            "calibration": self.calibration.as_dict() if self.calibration else None,
            "activities": self.activities.as_dict() if self.activities else None,
        }
        return counts | scores | line | more


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name, zeros included."""
    total: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            total[name] = total.get(name, 0) + count
    return total
