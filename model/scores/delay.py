"""Delay: how long after the start of an activity its first correct label comes, as seen live."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.scores.metrics import Indices

LabelledLine = tuple[Indices, Indices, Indices]
"""Truth and labels of one recording's samples, shape (N,), and the samples with which labels came, shape (W,)."""


@dataclass(frozen=True)
class ClassDelay:
    """How soon the events of one class are recognised.

    Parameters
    ----------
    name : str
        The class.
    events : int
        Stretches of it in the truth.
    missed : int
        Events that end before a correct label comes.
    median_s, p90_s : float or None
        Seconds from the first sample of an event to the last sample of the first window within it that is named
        correctly, over those that are not missed; None where all are. What computing and sending take comes on top.
    """

    name: str
    events: int
    missed: int
    median_s: float | None
    p90_s: float | None

    @property
    def missed_share(self) -> float | None:
        """Missed events as a share of all, None where there are none."""
        return self.missed / self.events if self.events else None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return asdict(self) | {"missed_share": self.missed_share}


@dataclass(frozen=True)
class Delays:
    """How soon events are recognised: for each class, in the bundle's order without null, and over all classes."""

    overall: ClassDelay
    classes: tuple[ClassDelay, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        return {"overall": self.overall.as_dict(), "classes": [entry.as_dict() for entry in self.classes]}


def score_delays(
    lines: Sequence[LabelledLine], classes: Sequence[str], null_class: str | None, rate_hz: float
) -> Delays:
    """Measure how soon events are recognised.

    An event is the longest stretch of one class in the truth, whether or not a label speaks for all of it: one that
    begins with the recording is waited for from its first sample, until the first window is full.

    Parameters
    ----------
    lines : sequence of (truth, labels, last)
        Of each recording: classes by index, negative where there is none, both of shape (N,), and the samples with
        which labels came, ascending, shape (W,).
    classes : sequence of str
        K names.
    null_class : str or None
        Which of them means "none of the others"; it is not waited for.
    rate_hz : float
        Samples a second.
    """
    nothing = np.empty((2, 0))
    events, delays = np.concatenate([nothing, *(_waits(*line) for line in lines)], axis=1)
    waited = [(name, delays[events == i] / rate_hz) for i, name in enumerate(classes) if name != null_class]
    everything = np.concatenate([np.empty(0), *(seconds for _, seconds in waited)])
    return Delays(_summary("all", everything), tuple(_summary(name, seconds) for name, seconds in waited))


def _waits(truth: Indices, labels: Indices, last: Indices) -> npt.NDArray[np.float64]:
    """Return the class of each event and the samples until it is recognised, infinite if it never is, shape (2, E)."""
    starts = np.concatenate(([0], np.flatnonzero(np.diff(truth)) + 1))[: len(truth)]
    ends = np.append(starts[1:], len(truth))
    right = last[labels[last] == truth[last]]
    first = np.append(right, len(truth))[np.searchsorted(right, starts)]  # beyond the line where none follows
    return np.stack([truth[starts], np.where(first < ends, first - starts, np.inf)])


def _summary(name: str, seconds: npt.NDArray[np.float64]) -> ClassDelay:
    named = seconds[np.isfinite(seconds)]
    median, p90 = np.percentile(named, [50, 90]).tolist() if len(named) else (None, None)
    return ClassDelay(name, len(seconds), len(seconds) - len(named), median, p90)
