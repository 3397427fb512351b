"""The time line: each sample of a recording gets the label of a window, and these are scored.

A label is known when its window's last sample is: it speaks for the time since the label before, the `stride` samples
that end with that one. What no label speaks for, as the start of a recording and where windows were skipped, is not
scored.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.scores.delay import Delays, score_delays
from kinestream.model.scores.events import Events, score_events
from kinestream.model.scores.metrics import Averages, Indices, score


@dataclass(frozen=True)
class Timeline:
    """One recording, sample by sample.

    Parameters
    ----------
    truth : ndarray of int, shape (N,)
        Index of the true class, negative where there is none or none that the bundle knows.
    labels : ndarray of int, shape (N,)
        What it was named, negative where no label speaks for a sample.
    last : ndarray of int, shape (W,)
        The samples with which labels came, ascending: the last one of each window that was named.
    """

    truth: Indices
    labels: Indices
    last: Indices

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        """Which samples have both, shape (N,)."""
        scored: npt.NDArray[np.bool_] = (self.truth >= 0) & (self.labels >= 0)
        return scored


@dataclass(frozen=True)
class SampleScores:
    """Sample-wise scores.

    Parameters
    ----------
    samples : int
        Samples scored.
    seconds : float
        The time they take.
    averages, floor : Averages
        Of the labels, and of answering `floor_class` throughout; in samples where those of `Scores` are in windows.
    floor_class : str
        The null class, or where there is none the commonest.
    """

    samples: int
    seconds: float
    averages: Averages
    floor: Averages
    floor_class: str

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it; the averages stand at the top."""
        content = asdict(self)
        averages: dict[str, Any] = content.pop("averages")
        return averages | content


@dataclass(frozen=True)
class TimelineScores:
    """Scores on the time line: by sample, by event, and the delay."""

    samples: SampleScores
    events: Events
    delay: Delays

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return {"samples": self.samples.as_dict(), "events": self.events.as_dict(), "delay": self.delay.as_dict()}


def lay_out(truth: Indices, last: Indices, labels: Indices, stride: int) -> Timeline:
    """Give each sample of a recording the label of a window.

    Parameters
    ----------
    truth : ndarray of int, shape (N,)
        Index of each sample's true class, negative where it is not scored.
    last : ndarray of int, shape (W,)
        The last sample of each window that was named, ascending, `stride` or more apart.
    labels : ndarray of int, shape (W,)
        What they were named.
    stride : int
        Samples that a label speaks for.
    """
    line = np.full(len(truth), -1, dtype=np.int64)
    covered = last[:, None] - np.arange(stride)  # (W, stride)
    inside = covered >= 0  # a stride may be longer than the first window
    line[covered[inside]] = np.broadcast_to(labels[:, None], covered.shape)[inside]
    return Timeline(truth, line, last)


def score_timelines(
    timelines: Sequence[Timeline], classes: Sequence[str], null_class: str | None, rate_hz: float
) -> TimelineScores | None:
    """Score the time lines of recordings.

    Parameters
    ----------
    timelines : sequence of Timeline
        One for each recording; no event spans two.
    classes : sequence of str
        K names.
    null_class : str or None
        Which of them means "none of the others".
    rate_hz : float
        Samples a second.

    Returns
    -------
    TimelineScores or None
        None where no sample can be scored.
    """
    scored = [line.scored for line in timelines]
    truth = [line.truth[where] for line, where in zip(timelines, scored, strict=True)]
    labels = [line.labels[where] for line, where in zip(timelines, scored, strict=True)]
    nothing = np.empty(0, dtype=np.int64)
    found = score(np.concatenate([nothing, *truth]), np.concatenate([nothing, *labels]), classes, null_class)
    if found is None:
        return None
    seconds = found.windows / rate_hz
    return TimelineScores(
        SampleScores(found.windows, seconds, found.averages, found.floor, found.floor_class),
        score_events([(line.truth, line.labels) for line in timelines], classes, null_class, rate_hz),
        score_delays([(line.truth, line.labels, line.last) for line in timelines], classes, null_class, rate_hz),
    )
