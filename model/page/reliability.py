"""How often labels are right that claim a probability."""

import numpy as np

from model.evaluate import Evaluation
from model.page.figures import Reliability
from model.windowset import NOT_SCORED

_BINS = 10


def reliability(evaluation: Evaluation) -> Reliability:
    """Put the labels of the scored windows into bins by what they claim; there must be one such window."""
    recordings = evaluation.recordings
    truth = np.concatenate([labels.truth for labels in recordings])
    scored = truth != NOT_SCORED
    right = (np.concatenate([labels.labels for labels in recordings]) == truth)[scored]
    p = np.concatenate([labels.probabilities.max(axis=1, initial=0.0) for labels in recordings])[scored]
    which = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(which, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(which, weights=p, minlength=_BINS) / counts
        accuracy = np.bincount(which, weights=right, minlength=_BINS) / counts
    ece = float(np.nansum(counts * np.abs(confidence - accuracy)) / counts.sum())
    return Reliability("", np.linspace(0, 1, _BINS + 1), confidence, accuracy, counts, ece)
