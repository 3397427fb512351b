"""The activities of a whole recording on its time line, to be scored beside its raw labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.activity.decisions import Change
from kinestream.model.activity.tracker import ActivityTracker
from kinestream.model.config.activity import ActivitySection
from kinestream.model.scores.delay import Delays, score_delays
from kinestream.model.scores.events import Events, score_events
from kinestream.model.scores.metrics import Indices
from kinestream.model.scores.timeline import Timeline


@dataclass(frozen=True)
class ActivityLine:
    """What became of a recording's windows.

    Parameters
    ----------
    activities : tuple of Change
        Each as it ended, in order; moments are samples, an activity covers those behind `begin` up to `end`.
    shown : ndarray of int64, shape (W,)
        Which was told last when each window came, K where none is or all is uncertain.
    """

    activities: tuple[Change, ...]
    shown: Indices


@dataclass(frozen=True)
class ActivityScores:
    """What activities are worth.

    Parameters
    ----------
    events : Events
        As in `kinestream.model.scores.timeline.TimelineScores`, of the samples that labels speak for; there is no
        event where all is uncertain.
    delay : Delays
        Until the activity that was told last is the true one, as seen live.
    seconds, uncertain_s : float
        Time that labels speak for, and what of it is uncertain or told to be nothing.
    """

    events: Events
    delay: Delays
    seconds: float
    uncertain_s: float

    @property
    def uncertain_share(self) -> float:
        """The uncertain time as a share of all."""
        return self.uncertain_s / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        about = {"seconds": self.seconds, "uncertain_s": self.uncertain_s}
        return about | {"events": self.events.as_dict(), "delay": self.delay.as_dict()}


def follow(
    settings: ActivitySection,
    stride: int,
    windows: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.floating[Any]],
) -> ActivityLine:
    """Return the activities of a recording.

    Parameters
    ----------
    settings : ActivitySection
        How they come about.
    stride : int
        Samples from one window to the next.
    windows, last : ndarray of int64, shape (W,)
        Which windows got labels, ascending, and each one's last sample.
    probabilities : ndarray of float, shape (W, K)
        Of each class.
    """
    tracker = ActivityTracker(settings, stride)
    nothing = probabilities.shape[1]
    ended: list[Change] = []
    shown = np.full(len(windows), nothing, dtype=np.int64)
    for i, (window, at) in enumerate(zip(windows.tolist(), last.tolist(), strict=True)):
        ended += (change for change in tracker.add(window, at, probabilities[i]) if change.state == "ended")
        current = tracker.current
        shown[i] = nothing if current is None or current < 0 else current
    ended += (change for change in tracker.finish() if change.state == "ended")
    return ActivityLine(tuple(ended), shown)


def settled(activities: Sequence[Change], labels: Indices, classes: int) -> Indices:
    """Return the activity of each sample that a label speaks for, shape (N,): K where it is uncertain, -1 elsewhere."""
    samples = np.where(labels >= 0, classes, labels)
    for activity in activities:
        covered = slice(max(activity.begin + 1, 0), activity.end + 1)
        if activity.which >= 0:
            samples[covered][labels[covered] >= 0] = activity.which
    return samples


def score_activities(
    lines: Sequence[ActivityLine],
    timelines: Sequence[Timeline],
    classes: Sequence[str],
    null_class: str | None,
    rate_hz: float,
) -> ActivityScores:
    """Score the activities of recordings.

    Parameters
    ----------
    lines, timelines : sequence of ActivityLine and of Timeline
        Of each recording; the latter has the truth and where labels speak.
    classes, null_class, rate_hz
        As for `kinestream.model.scores.timeline.score_timelines`.
    """
    samples = [settled(line.activities, raw.labels, len(classes)) for line, raw in zip(lines, timelines, strict=True)]
    found = [(raw.truth, each) for raw, each in zip(timelines, samples, strict=True)]
    seen = [(raw.truth, _shown(line, raw), raw.last) for line, raw in zip(lines, timelines, strict=True)]
    return ActivityScores(
        events=score_events(found, classes, null_class, rate_hz),
        delay=score_delays(seen, classes, null_class, rate_hz),
        seconds=sum(int((each >= 0).sum()) for each in samples) / rate_hz,
        uncertain_s=sum(int((each == len(classes)).sum()) for each in samples) / rate_hz,
    )


def _shown(line: ActivityLine, raw: Timeline) -> Indices:
    shown = raw.labels.copy()
    shown[raw.last] = line.shown
    return shown
