"""The reliability of an evaluation's probabilities, and what it was before the temperature."""

import numpy as np

from kinestream.model.evaluation.evaluation import Evaluation
from kinestream.model.report.figures import Reliability
from kinestream.model.scores.calibration import Calibration, calibrate, temper
from kinestream.model.windows.labelled import NOT_SCORED


def reliability(evaluation: Evaluation, temperature: float = 1.0) -> list[Reliability]:
    """Return the curves to draw; none where nothing is scored.

    Parameters
    ----------
    evaluation : Evaluation
        What a bundle makes of recordings.
    temperature : float
        By which it divides its logits; where it does, the first of two curves is what it would claim if it did not.
    """
    if evaluation.calibration is None:
        return []
    if temperature == 1:
        return [_curve("", evaluation.calibration)]
    truth = np.concatenate([labels.truth for labels in evaluation.recordings])
    before = temper(np.concatenate([labels.probabilities for labels in evaluation.recordings]), 1 / temperature)
    scored = truth != NOT_SCORED
    untempered = calibrate(before[scored], truth[scored])
    drawn = [("as trained", untempered), ("after temperature", evaluation.calibration)]
    return [_curve(name, calibration) for name, calibration in drawn if calibration is not None]


def _curve(name: str, calibration: Calibration) -> Reliability:
    bins = calibration.bins
    return Reliability(
        name=name,
        edges=np.array([bins[0].lower, *(entry.upper for entry in bins)]),
        confidence=np.array([entry.confidence for entry in bins], dtype=np.float64),
        accuracy=np.array([entry.accuracy for entry in bins], dtype=np.float64),
        counts=np.array([entry.count for entry in bins], dtype=np.int64),
        ece=calibration.ece,
    )
