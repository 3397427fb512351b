import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from kinestream.model.scores.calibration import Calibration, calibrate, fit_temperature


def nll(logits, truth, temperature):
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(truth)), truth].mean()


def drawn_from(temperature, windows=4000, classes=5, seed=0):
    """Return logits that are `temperature` times as sure as the truth drawn from them warrants."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2, size=(windows, classes))
    truth = np.array([rng.choice(classes, p=p) for p in softmax(logits, axis=1)])
    return logits * temperature, truth


def test_hand_worked_example():
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.55, 0.45]], dtype=np.float32)
    found = calibrate(p, np.array([0, 1, 1, 0]), bins=5)
    # (0.4, 0.6]: 0.55, right. (0.6, 0.8]: 0.8 (float32: just above) wrong, 0.7 right. (0.8, 1]: 0.9, right.
    full = {round(entry.upper, 1): entry for entry in found.bins if entry.count}
    assert {upper: entry.count for upper, entry in full.items()} == {0.6: 1, 0.8: 1, 1.0: 2}
    assert full[1.0].confidence == pytest.approx(0.85)
    assert full[1.0].accuracy == 0.5
    assert found.ece == pytest.approx((1 * 0.45 + 1 * 0.3 + 2 * 0.35) / 4)
    assert found.nll == pytest.approx(-np.log([0.9, 0.2, 0.7, 0.55]).mean(), rel=1e-6)
    assert found.brier == pytest.approx(2 * (0.1**2 + 0.8**2 + 0.3**2 + 0.45**2) / 4, rel=1e-6)
    assert (found.confidence, found.accuracy) == (pytest.approx(2.95 / 4), 0.75)
    assert [entry.count for entry in found.bins][:2] == [0, 0]
    assert found.bins[0].confidence is None


def test_a_probability_on_an_edge_belongs_to_the_bin_below():
    found = calibrate(np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]), np.array([0, 0, 0]), bins=4)
    assert [entry.count for entry in found.bins] == [0, 1, 1, 1]


def test_sure_and_wrong_is_finite():
    found = calibrate(np.array([[1.0, 0.0]], dtype=np.float32), np.array([1]))
    assert (found.ece, found.brier) == (1.0, 2.0)
    assert 80 < found.nll < 100


def test_nothing_to_score_is_no_score():
    assert calibrate(np.empty((0, 3), dtype=np.float32), np.empty(0, dtype=int)) is None


@settings(deadline=None)
@given(
    logits=st.lists(st.lists(st.floats(-50, 50, width=32), min_size=3, max_size=3), min_size=1, max_size=40),
    seed=st.integers(0, 9),
)
def test_figures_are_consistent_and_survive_json(logits, seed):
    p = softmax(np.array(logits), axis=1).astype(np.float32)
    truth = np.random.default_rng(seed).integers(0, 3, len(p))
    found = calibrate(p, truth)
    assert sum(entry.count for entry in found.bins) == found.windows == len(p)
    assert abs(found.confidence - found.accuracy) <= found.ece + 1e-9  # bins may not hide what is wrong on the whole
    assert found.ece <= 1 + 1e-6
    assert -1e-6 <= found.brier <= 2 + 1e-6
    for entry in found.bins:
        if entry.count:
            assert entry.lower - 1e-6 <= entry.confidence <= entry.upper + 1e-6
    assert Calibration.from_dict(json.loads(json.dumps(found.as_dict()))) == found


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature):
    logits, truth = drawn_from(temperature)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.07)
    before = calibrate(softmax(logits, axis=1), truth)
    after = calibrate(softmax(logits / temperature, axis=1), truth)
    assert after.ece < 0.025
    assert after.accuracy == before.accuracy


def test_no_other_temperature_is_likelier():
    logits, truth = drawn_from(3.0, windows=300, seed=1)
    best = fit_temperature(logits.astype(np.float32), truth)
    for factor in (0.9, 0.99, 1.01, 1.1):
        assert nll(logits, truth, best) < nll(logits, truth, best * factor)


@pytest.mark.parametrize(
    ("logits", "truth", "expected"),
    [
        (np.empty((0, 3)), [], 1.0),
        ([[5.0, 0.0], [0.0, 0.1]], [0, 1], 1.0),  # all right: the colder the likelier, without end
        ([[5.0, 0.0], [0.0, 5.0]], [1, 0], 100.0),  # all wrong: the hotter the likelier
        ([[1e30, 0.0], [0.0, 1e30]], [1, 0], 100.0),
    ],
)
def test_where_there_is_no_best_temperature_the_answer_is_sane(logits, truth, expected):
    assert fit_temperature(np.array(logits), np.array(truth, dtype=int)) == pytest.approx(expected, rel=1e-3)


def test_logits_that_are_all_alike_do_no_harm():
    assert 0.01 <= fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) <= 100
