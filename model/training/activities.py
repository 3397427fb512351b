"""How labels become activities, set on the people validated on: so that more events are right, for little delay."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product

import numpy as np
import numpy.typing as npt

from kinestream.model.activity.decisions import Change, Decisions
from kinestream.model.activity.line import settled
from kinestream.model.activity.smoother import Probabilities, smooth
from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.activity import ActivitySection
from kinestream.model.evaluation.evaluation import RecordingLabels
from kinestream.model.scores.events import score_events
from kinestream.model.scores.metrics import Indices
from kinestream.model.windows.labelled import NOT_SCORED

LAGS = (0, 1, 2, 3, 4, 6)
STAYS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
SHARPNESS = (0.25, 0.5, 1.0)
SHARES = (0.0, 0.25, 0.5)
"""Of what nine in ten activities of a class last at least: what is asked of all."""

WITHIN = 0.02
"""How much event F1 may be below the best there is, for less delay: so much halves it (HAPT, people validated on)."""
_SHORTEST = 10  # per cent of the activities of a class that are shorter than what is taken for their length


@dataclass(frozen=True)
class Choice:
    """One way in which labels become activities, and what it came to on the people validated on."""

    settings: ActivitySection
    f1: float

    @property
    def windows(self) -> float:
        """Windows that it waits before it tells an activity, on average over classes."""
        return self.settings.lag + float(np.mean(self.settings.least)) - 1


def fit_activities(bundle: Bundle, validated: Sequence[RecordingLabels]) -> ActivitySection | None:
    """Return what suits the people validated on; None where their windows have no time line, or there is no event.

    Parameters
    ----------
    bundle : Bundle
        What named the windows; its probabilities are calibrated.
    validated : sequence of RecordingLabels
        Its labels of those people's recordings.
    """
    found = [each for each in validated if each.timeline is not None and len(each.windows)]
    scored: dict[bytes, float | None] = {}
    choices = [each for sharpness in SHARPNESS for each in _choices(bundle, found, sharpness, scored)] if found else []
    if not choices:
        return None
    chosen = choose(choices)
    return chosen.model_copy(update={"threshold": fit_threshold(chosen, found)})


def choose(choices: Sequence[Choice]) -> ActivitySection:
    """Return the choice that waits least of those whose event F1 is nearly the best, of equal ones the best."""
    best = max(choice.f1 for choice in choices)
    near = [choice for choice in choices if choice.f1 >= best - WITHIN]
    return min(near, key=lambda choice: (choice.windows, -choice.f1)).settings


def usual_lengths(found: Sequence[RecordingLabels], classes: int) -> list[float]:
    """Return how long nine in ten activities of each class last at least, in samples; 0 of one that is not there."""
    lengths: list[list[int]] = [[] for _ in range(classes)]
    for each in found:
        truth = each.sample_truth
        edges = np.concatenate(([0], np.flatnonzero(np.diff(truth)) + 1, [len(truth)]))
        for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if end > first and truth[first] != NOT_SCORED:
                lengths[truth[first]].append(end - first)
    return [float(np.percentile(some, _SHORTEST)) if some else 0.0 for some in lengths]


def fit_threshold(settings: ActivitySection, found: Sequence[RecordingLabels]) -> float:
    """Return below which probability a smoothed window is wrong more often than right.

    Parameters
    ----------
    settings : ActivitySection
        How windows are smoothed.
    found : sequence of RecordingLabels
        Of the people validated on.
    """
    answers = [_answers(settings, each) for each in found]
    p, right = np.concatenate([each[0] for each in answers]), np.concatenate([each[1] for each in answers])
    levels, whose = np.unique(p, return_inverse=True)
    counts = np.bincount(whose, minlength=len(levels))
    often = rising(np.bincount(whose, weights=right, minlength=len(levels)) / np.maximum(counts, 1), counts)
    enough = np.flatnonzero(often >= 0.5)
    if not len(enough) or not enough[0]:
        return 0.0
    return math.floor(1e4 * float(levels[enough[0]])) / 1e4


def rising(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the nearest values that never fall, each counted so often: isotonic regression, by pooling neighbours."""
    means: list[float] = []
    weights: list[int] = []
    lengths: list[int] = []
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        means.append(value)
        weights.append(count)
        lengths.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            last, weight, length = means.pop(), weights.pop(), lengths.pop()
            means[-1] = (means[-1] * weights[-1] + last * weight) / (weights[-1] + weight)
            weights[-1] += weight
            lengths[-1] += length
    return np.repeat(means, lengths)


def _choices(
    bundle: Bundle, found: Sequence[RecordingLabels], sharpness: float, scored: dict[bytes, float | None]
) -> Iterator[Choice]:
    """Yield every choice of one sharpness; many come to the same activities, which are scored once."""
    grid, about = bundle.grid, bundle.description
    usual = ActivitySection.usual(len(about.classes), grid.length, grid.stride)
    lengths = usual_lengths(found, len(about.classes))
    leasts = dict.fromkeys(tuple(max(int(share * each / grid.stride), 1) for each in lengths) for share in SHARES)
    timelines = [each.timeline for each in found if each.timeline is not None]
    for stay in STAYS:
        smoothed = [_smoothed(each, LAGS, stay, sharpness) for each in found]
        for (i, lag), least in product(enumerate(LAGS), leasts):
            knobs = {"lag": lag, "stay": stay, "sharpness": sharpness, "least": least}
            settings = usual.model_copy(update=knobs | {"patience": max(usual.patience, max(least))})
            lines = [
                (raw.truth, settled(_decided(settings, grid.stride, raw.last, rows[i]), raw.labels, len(about.classes)))
                for raw, rows in zip(timelines, smoothed, strict=True)
            ]
            activities = _digest([labels for _, labels in lines])
            if activities not in scored:
                events = score_events(lines, about.classes, about.null_class, about.rate_hz).total.events
                scored[activities] = events.f1
            if (f1 := scored[activities]) is not None:
                yield Choice(settings, f1)


def _digest(lines: Sequence[Indices]) -> bytes:
    """Return what tells activities of recordings from others, in few bytes."""
    digest = blake2b(digest_size=16)
    for labels in lines:
        digest.update(labels.tobytes())
    return digest.digest()


def _decided(settings: ActivitySection, stride: int, last: Indices, smoothed: Probabilities) -> tuple[Change, ...]:
    """Return the activities of a recording whose windows are smoothed already."""
    decisions = Decisions(settings, stride)
    ended: list[Change] = []
    for at, best, p in zip(last.tolist(), smoothed.argmax(axis=1).tolist(), smoothed.max(axis=1).tolist(), strict=True):
        ended += (change for change in decisions.add(at, best, p) if change.state == "ended")
    return (*ended, *decisions.end())


def _smoothed(labels: RecordingLabels, lags: Sequence[int], stay: float, sharpness: float) -> Probabilities:
    """Return a recording's windows smoothed, shape (L, W, K)."""
    rows = np.full((int(labels.windows[-1]) + 1, labels.probabilities.shape[1]), np.nan)
    rows[labels.windows] = labels.probabilities
    return smooth(rows, lags, stay, sharpness)[:, labels.windows]


def _answers(settings: ActivitySection, labels: RecordingLabels) -> tuple[npt.NDArray[np.float64], Indices]:
    """Return how probable the smoothed class of each window is that has a true one, and whether it is that."""
    smoothed = _smoothed(labels, [settings.lag], settings.stay, settings.sharpness)[0]
    scored = labels.truth != NOT_SCORED
    return smoothed.max(axis=1)[scored], (smoothed.argmax(axis=1) == labels.truth)[scored].astype(np.int64)
