"""Event metrics: how each continuous stretch of an activity was recognised, and where its time went.

After Ward, Lukowicz, Gellersen, "Performance Metrics for Activity Recognition", ACM TIST 2(1):6, 2011. Each class is
judged against all others on the time line of samples. An event is the longest stretch of a class, in the truth or among
the labels (then it is "returned"). A segment is the longest stretch over which neither begins or ends, so each is one
of true or false, positive or negative; a false one is named by which of its neighbours are true positives.
"""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.scores.metrics import Indices

Line = tuple[Indices, Indices]
"""Truth and labels of one recording, each of shape (N,): a class by its index, negative where there is none."""

_NOTHING, _LABEL, _TRUTH, _BOTH = (
    0,
    1,
    2,
    3,
)  # whether a class stands in the labels, plus 2 where it stands in the truth
_BREAK = -1  # not scored


class Kind(IntEnum):
    """What a segment is for one class, in the order of `Division`."""

    TRUE_NEGATIVE = 0
    TRUE_POSITIVE = 1
    INSERTION = 2  # a false positive between two segments that are not true positives
    OVERFILL_START = 3  # before a true positive: the returned event begins too early
    OVERFILL_END = 4  # after one: it ends too late
    MERGE = 5  # between two
    DELETION = 6  # a false negative between two segments that are not true positives
    UNDERFILL_START = 7  # before a true positive: the returned event begins too late
    UNDERFILL_END = 8  # after one: it ends too early
    FRAGMENTATION = 9  # between two
    NOT_SCORED = 10


@dataclass(frozen=True)
class Division:
    """Samples by what they are for one class; the fields are those of `Kind`.

    Start and end of overfill and underfill are alpha and omega in the paper.
    """

    true_negative: int
    true_positive: int
    insertion: int
    overfill_start: int
    overfill_end: int
    merge: int
    deletion: int
    underfill_start: int
    underfill_end: int
    fragmentation: int

    @property
    def positives(self) -> int:
        """Samples of the class in the truth."""
        return self.true_positive + self.deletion + self.underfill_start + self.underfill_end + self.fragmentation

    @property
    def negatives(self) -> int:
        """Samples of other classes in the truth."""
        return self.true_negative + self.insertion + self.overfill_start + self.overfill_end + self.merge

    def rates(self) -> dict[str, float | None]:
        """Return the paper's rates: each part of the positives or negatives as a share of them, None where none are."""
        negative = {"true_negative", "insertion", "overfill_start", "overfill_end", "merge"}
        wholes = {name: self.negatives if name in negative else self.positives for name in asdict(self)}
        return {name: part / wholes[name] if wholes[name] else None for name, part in asdict(self).items()}


@dataclass(frozen=True)
class EventCounts:
    """Events by what became of them.

    Parameters
    ----------
    correct : int
        Events of the truth that meet one returned event, which meets no other: as many as correct returned ones.
    deleted, fragmented, merged, fragmented_merged : int
        The truth's other events (D, F, M, FM): they meet no returned event; several; one that meets others too; both.
    inserted, fragmenting, merging, fragmenting_merging : int
        The other returned events (I', F', M', FM'): they meet no event of the truth; one that meets others too;
        several; both.
    """

    correct: int
    deleted: int
    fragmented: int
    merged: int
    fragmented_merged: int
    inserted: int
    fragmenting: int
    merging: int
    fragmenting_merging: int

    @property
    def truth(self) -> int:
        """Events in the truth."""
        return self.correct + self.deleted + self.fragmented + self.merged + self.fragmented_merged

    @property
    def returned(self) -> int:
        """Events among the labels."""
        return self.correct + self.inserted + self.fragmenting + self.merging + self.fragmenting_merging

    @property
    def recall(self) -> float | None:
        """Share of the truth's events that are correct, None where there are none."""
        return self.correct / self.truth if self.truth else None

    @property
    def precision(self) -> float | None:
        """Share of the returned events that are correct, None where there are none."""
        return self.correct / self.returned if self.returned else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of the two, None where there is no event at all."""
        return 2 * self.correct / (self.truth + self.returned) if self.truth + self.returned else None


@dataclass(frozen=True)
class ClassEvents:
    """Events of one class, and its samples by what they are."""

    name: str
    events: EventCounts
    division: Division


@dataclass(frozen=True)
class Events:
    """What became of the events of each class.

    Parameters
    ----------
    rate_hz : float
        Samples a second.
    classes : tuple of ClassEvents
        In the bundle's order; the null class has no events of its own.
    total : ClassEvents
        Sums over the classes; a sample counts once for each.
    """

    rate_hz: float
    classes: tuple[ClassEvents, ...]
    total: ClassEvents

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it: counts of events, seconds and rates of their parts."""
        return {"total": self._entry(self.total), "classes": [self._entry(entry) for entry in self.classes]}

    def _entry(self, entry: ClassEvents) -> dict[str, Any]:
        events, division = entry.events, entry.division
        return {
            "name": entry.name,
            "truth": events.truth,
            "returned": events.returned,
            **asdict(events),
            "precision": events.precision,
            "recall": events.recall,
            "f1": events.f1,
            "seconds": {name: samples / self.rate_hz for name, samples in asdict(division).items()},
            "rates": division.rates(),
        }


def score_events(lines: Sequence[Line], classes: Sequence[str], null_class: str | None, rate_hz: float) -> Events:
    """Score the events of recordings.

    Parameters
    ----------
    lines : sequence of (truth, labels)
        Of each recording, both of shape (N,): index into `classes`, negative where a sample is not scored; such
        samples, and a recording's end, end every event.
    classes : sequence of str
        K names.
    null_class : str or None
        Which of them means "none of the others".
    rate_hz : float
        Samples a second.
    """
    truth, labels, lengths = _runs(lines)
    found = []
    for i, name in enumerate(classes):
        if name != null_class:
            kinds, sizes = _segments(truth, labels, lengths, i)
            found.append(ClassEvents(name, _count(kinds), _divide(kinds, sizes)))
    return Events(rate_hz, tuple(found), _total(found))


def segments(truth: Indices, labels: Indices, which: int) -> list[tuple[Kind, int]]:
    """Return the segments of one class on one time line, in order.

    Parameters
    ----------
    truth, labels : ndarray of int, shape (N,)
        As in `score_events`.
    which : int
        The class, by its index.

    Returns
    -------
    list of (Kind, int)
        What each segment is, and its samples, which add up to N.
    """
    kinds, sizes = _segments(*_run_lengths(truth, labels), which)
    return [(Kind(kind), int(size)) for kind, size in zip(kinds, sizes, strict=True)]


Runs = tuple[Indices, Indices, Indices]
"""Truth, label and length in samples of each stretch over which neither changes, each of shape (R,)."""


def _runs(lines: Sequence[Line]) -> Runs:
    """Return the runs of all lines, an empty one that is not scored after each, so that no event spans a seam."""
    apart = np.array([_BREAK]), np.array([_BREAK]), np.array([0])
    parts = [part for line in lines for part in (_run_lengths(*line), apart)] or [apart]
    truth, labels, lengths = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return truth, labels, lengths


def _run_lengths(truth: Indices, labels: Indices) -> Runs:
    changes = np.flatnonzero((np.diff(truth) != 0) | (np.diff(labels) != 0)) + 1
    starts = np.concatenate(([0], changes))[: len(truth)]  # none where there is no sample
    return truth[starts], labels[starts], np.diff(np.append(starts, len(truth)))


def _segments(
    truth: Indices, labels: Indices, lengths: Indices, which: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the kind and the samples of each segment of one class, each of shape (S,)."""
    scored = (truth >= 0) & (labels >= 0)
    states = np.where(scored, _TRUTH * (truth == which) + (labels == which), _BREAK)
    starts = np.flatnonzero(np.append(True, np.diff(states) != 0)[: len(states)])
    states, sizes = states[starts], np.add.reduceat(lengths, starts) if len(starts) else lengths
    hit = np.concatenate(([False], states == _BOTH, [False]))
    neighbours = 2 * hit[:-2] + hit[2:]  # which neighbours are true positives: none, the next, the one before, both
    kinds = np.select(
        [states == _NOTHING, states == _BOTH, states == _LABEL, states == _TRUTH],
        [Kind.TRUE_NEGATIVE, Kind.TRUE_POSITIVE, Kind.INSERTION + neighbours, Kind.DELETION + neighbours],
        Kind.NOT_SCORED,
    )
    return kinds.astype(np.int64), sizes.astype(np.int64)


def _divide(kinds: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> Division:
    samples = np.bincount(kinds, weights=sizes, minlength=len(Kind))
    return Division(*samples[: Kind.NOT_SCORED].astype(np.int64).tolist())


def _count(kinds: npt.NDArray[np.int64]) -> EventCounts:
    """Count events by which events of the other side they overlap.

    A true positive is where one event of the truth meets one returned event; two of them never meet twice, for what
    lies between would end one of them.
    """
    hit = kinds == Kind.TRUE_POSITIVE
    true, events = _numbered(hit | ((kinds >= Kind.DELETION) & (kinds <= Kind.FRAGMENTATION)))
    named, returned = _numbered(hit | ((kinds >= Kind.INSERTION) & (kinds <= Kind.MERGE)))
    true, named = true[hit], named[hit]
    pieces = np.bincount(true, minlength=events)  # returned events that an event overlaps
    spans = np.bincount(named, minlength=returned)  # events that a returned event overlaps
    merged = np.bincount(true[spans[named] > 1], minlength=events) > 0
    fragmenting = np.bincount(named[pieces[true] > 1], minlength=returned) > 0
    correct, deleted, fragmented, only_merged, both = _fates(pieces, merged)
    _, inserted, merging, only_fragmenting, both_returned = _fates(spans, fragmenting)
    return EventCounts(
        correct, deleted, fragmented, only_merged, both, inserted, only_fragmenting, merging, both_returned
    )


def _numbered(member: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], int]:
    """Return which run of members each segment belongs to, shape (S,), and how many there are."""
    first = member & ~np.append(False, member[:-1])[: len(member)]
    return np.cumsum(first) - 1, int(first.sum())


def _fates(meets: Indices, shared: npt.NDArray[np.bool_]) -> tuple[int, int, int, int, int]:
    """Count events by overlap: one to one; with none; with several; with one that has others; with several such."""
    several = meets > 1
    one_each = (meets == 1) & ~shared
    fates = one_each, meets == 0, several & ~shared, shared & ~several, several & shared
    correct, none, many, taken, both = (int(fate.sum()) for fate in fates)
    return correct, none, many, taken, both


def _total(found: Sequence[ClassEvents]) -> ClassEvents:
    events = [astuple(entry.events) for entry in found] or [(0,) * 9]
    divisions = [astuple(entry.division) for entry in found] or [(0,) * 10]
    return ClassEvents(
        "all",
        EventCounts(*map(sum, zip(*events, strict=True))),
        Division(*map(sum, zip(*divisions, strict=True))),
    )
