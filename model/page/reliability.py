"""How often labels are right that claim a probability."""

import numpy as np
import numpy.typing as npt

from model.evaluate import Evaluation
from model.page.figures import Reliability
from model.windowset import NOT_SCORED

_BINS = 10


def reliability(evaluation: Evaluation, temperature: float = 1.0) -> list[Reliability]:
    """Put the labels of the scored windows into bins by what they claim; there must be one such window.

    Parameters
    ----------
    evaluation : Evaluation
        What a bundle makes of recordings.
    temperature : float
        By which it divides its logits; where it does, the first of two results is what it would claim if it did not.
    """
    truth = np.concatenate([labels.truth for labels in evaluation.recordings])
    scored = truth != NOT_SCORED
    p = np.concatenate([labels.probabilities for labels in evaluation.recordings])[scored].astype(np.float64)
    right = p.argmax(axis=1) == truth[scored]
    if temperature == 1:
        return [_binned("", p.max(axis=1), right)]
    raised = p**temperature  # a softmax of logits / T, to the power of T, is that of the logits but for a factor
    before = raised.max(axis=1) / raised.sum(axis=1)
    return [_binned("as trained", before, right), _binned("after temperature", p.max(axis=1), right)]


def _binned(name: str, p: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> Reliability:
    which = np.minimum((p * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(which, minlength=_BINS)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(which, weights=p, minlength=_BINS) / counts
        accuracy = np.bincount(which, weights=right, minlength=_BINS) / counts
    ece = float(np.nansum(counts * np.abs(confidence - accuracy)) / counts.sum())
    return Reliability(name, np.linspace(0, 1, _BINS + 1), confidence, accuracy, counts, ece)
