"""Tables of what an evaluation found on the time line, as rows of text."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.activity.line import ActivityScores
from kinestream.model.counted import counted
from kinestream.model.report.colours import CLASSES, RIGHT, WRONG
from kinestream.model.report.figures import Panel
from kinestream.model.report.words import share
from kinestream.model.scores.calibration import Calibration
from kinestream.model.scores.delay import Delays
from kinestream.model.scores.events import ClassEvents, Division, Events
from kinestream.model.scores.timeline import SampleScores, TimelineScores

_TIMING, _PIECES = CLASSES[1].hex, CLASSES[4].hex


@dataclass(frozen=True)
class Sheet:
    """A table: what its columns are called, its rows, whose first cell names them, and how it is to be read."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    total: bool = False  # whether the last row sums up the others
    prose: bool = False  # whether its cells are sentences


def sample_sheet(scores: SampleScores) -> Sheet:
    """Return the sample-wise scores, next to those of guessing."""
    result, floor = scores.averages, scores.floor
    rows = [
        ("accuracy", result.accuracy, floor.accuracy),
        ("weighted F1", result.f1_weighted, floor.f1_weighted),
        ("macro F1", result.f1_macro, floor.f1_macro),
    ]
    return Sheet(
        "Sample by sample",
        ("", "result", f"always {scores.floor_class}"),
        tuple((name, share(value), share(guessed)) for name, value, guessed in rows),
        f"{counted(scores.samples, 'sample')}, {scores.seconds:,.0f} s. A label speaks for the samples that are new in "
        "its window.",
    )


def delay_sheet(delays: Delays) -> Sheet:
    """Return how soon activities are recognised."""
    rows = [
        (
            entry.name,
            _count(entry.events),
            _count(entry.missed),
            *("-" if value is None else f"{value:.2f} s" for value in (entry.median_s, entry.p90_s)),
        )
        for entry in (*delays.classes, delays.overall)
    ]
    return Sheet(
        "How soon it is recognised",
        ("", "events", "missed", "median", "90 % within"),
        tuple(rows),
        "From the first sample of an activity to the last one of the first window in it that is classified correctly. "
        "Missed are those that end before.",
        total=True,
    )


def event_sheet(events: Events) -> Sheet:
    """Return what became of the events of each class."""
    return Sheet(
        "Event by event",
        (
            *("", "in truth", "correct", "fragmented", "merged", "both", "deleted"),
            *("returned", "inserted", "fragmenting", "merging", "both", "F1"),
        ),
        tuple(_event_row(entry) for entry in (*events.classes, events.total)),
        "An event is a stretch of one class; correct is one that meets one returned event, which meets no other. After "
        "Ward, Lukowicz, Gellersen, ACM TIST 2(1):6, 2011.",
        total=True,
    )


def activity_sheet(labels: TimelineScores, activities: ActivityScores) -> Sheet:
    """Return what activities are worth beside the labels they are made of."""
    rows = []
    for name, events, delay in (
        ("labels", labels.events.total.events, labels.delay.overall),
        ("activities", activities.events.total.events, activities.delay.overall),
    ):
        seconds = ("-" if value is None else f"{value:.2f} s" for value in (delay.median_s, delay.p90_s))
        counts = map(_count, (events.truth, events.returned, events.correct, events.inserted))
        rows.append((name, *counts, share(events.f1), *seconds, _count(delay.missed)))
    return Sheet(
        "Labels and the activities made of them",
        ("", "in truth", "returned", "correct", "inserted", "F1", "median delay", "90 % within", "missed live"),
        tuple(rows),
        f"Activities are smoothed, last a while, and come later; {activities.uncertain_share:.1%} of the time none is "
        "certain enough. Missed live are events that are over before they are told.",
    )


def _event_row(entry: ClassEvents) -> tuple[str, ...]:
    e = entry.events
    counts = (
        *(e.truth, e.correct, e.fragmented, e.merged, e.fragmented_merged, e.deleted),
        *(e.returned, e.inserted, e.fragmenting, e.merging, e.fragmenting_merging),
    )
    return (entry.name, *map(_count, counts), share(e.f1))


def division_panels(events: Events) -> tuple[Panel, Panel]:
    """Return how the time of each class, and the time it was returned, are divided."""
    lines = [entry.division for entry in events.classes]
    lost = (
        ("right", RIGHT.hex, _amounts(d.true_positive for d in lines)),
        ("begun late, ended early", _TIMING, _amounts(d.underfill_start + d.underfill_end for d in lines)),
        ("fragmented", _PIECES, _amounts(d.fragmentation for d in lines)),
        ("deleted", WRONG.hex, _amounts(d.deletion for d in lines)),
    )
    false = (
        ("right", RIGHT.hex, _amounts(d.true_positive for d in lines)),
        ("begun early, ended late", _TIMING, _amounts(d.overfill_start + d.overfill_end for d in lines)),
        ("merging", _PIECES, _amounts(d.merge for d in lines)),
        ("inserted", WRONG.hex, _amounts(d.insertion for d in lines)),
    )
    return Panel("Time of the class", lost), Panel("Time it was named", false)


def division_words(total: Division) -> str:
    """Return where the time goes in a sentence."""
    missed, false = total.positives - total.true_positive, total.negatives - total.true_negative
    named = total.true_positive + false
    parts = []
    if total.positives:
        parts.append(f"{missed / total.positives:.1%} of the time of all classes is missed")
    if named:
        parts.append(f"{false / named:.1%} of the time that they were named is false")
    return f"{' and '.join(parts) or 'No class was there or named'}."


def calibration_words(calibration: Calibration) -> str:
    """Return the other two figures of probabilities."""
    return f"Negative log likelihood {calibration.nll:.3f}, Brier score {calibration.brier:.3f}."


def _amounts(samples: Iterable[int]) -> npt.NDArray[np.float64]:
    return np.array(list(samples), dtype=np.float64)


def _count(count: int) -> str:
    return f"{count:,}" if count else "·"
