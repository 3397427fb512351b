"""The plain alternative to a chain: the mean of the probabilities of a window and of as many before as behind it."""

from collections.abc import Iterator, Sequence

import numpy as np

from kinestream.model.activity.decisions import Decisions
from kinestream.model.activity.line import ActivityLine, ActivityScores, score_activities
from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.activity import ActivitySection
from kinestream.model.evaluation.evaluation import RecordingLabels
from kinestream.model.training.activities import LAGS, SHARES, Choice, choose, usual_lengths


def averaged(probabilities: np.ndarray, lag: int) -> np.ndarray:
    """Return the mean of each window, shape (W, K), and of up to `lag` on either side."""
    sums = np.cumsum(np.vstack([np.zeros(probabilities.shape[1]), probabilities.astype(np.float64)]), axis=0)
    at = np.arange(len(probabilities))
    first, end = np.maximum(at - lag, 0), np.minimum(at + lag + 1, len(probabilities))
    return (sums[end] - sums[first]) / (end - first)[:, None]


def line_of(settings: ActivitySection, stride: int, labels: RecordingLabels) -> ActivityLine:
    """Return the activities of a recording that is averaged; what is shown of a window comes `lag` windows later."""
    smoothed = averaged(labels.probabilities, settings.lag)
    decisions, ended, nothing = Decisions(settings, stride), [], smoothed.shape[1]
    shown = np.full(len(labels.last), nothing)
    for i, (at, row) in enumerate(zip(labels.last.tolist(), smoothed, strict=True)):
        ended += (each for each in decisions.add(at, int(row.argmax()), float(row.max())) if each.state == "ended")
        current = decisions.current
        if i + settings.lag < len(shown):
            shown[i + settings.lag] = nothing if current is None or current < 0 else current
    return ActivityLine((*ended, *decisions.end()), shown)


def scored(bundle: Bundle, settings: ActivitySection, found: Sequence[RecordingLabels]) -> ActivityScores:
    """Return what averaging is worth on recordings."""
    about = bundle.description
    lines = [line_of(settings, bundle.grid.stride, each) for each in found]
    timelines = [each.timeline for each in found if each.timeline is not None]
    return score_activities(lines, timelines, about.classes, about.null_class, about.rate_hz)


def fit_averaging(bundle: Bundle, validated: Sequence[RecordingLabels]) -> ActivitySection:
    """Return what suits the people validated on, chosen as for a chain."""
    return choose(list(_choices(bundle, validated)))


def _choices(bundle: Bundle, validated: Sequence[RecordingLabels]) -> Iterator[Choice]:
    grid, classes = bundle.grid, len(bundle.description.classes)
    usual = ActivitySection.usual(classes, grid.length, grid.stride)
    lengths = usual_lengths(validated, classes)
    for lag in LAGS:
        for share in SHARES:
            least = tuple(max(int(share * length / grid.stride), 1) for length in lengths)
            patience = max(usual.patience, max(least))
            settings = usual.model_copy(update={"lag": lag, "least": least, "patience": patience})
            f1 = scored(bundle, settings, validated).events.total.events.f1
            yield Choice(settings, 0.0 if f1 is None else f1)
