import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.scores.metrics import Scores, score

# Opportunity's test windows by gesture class, null first (DESIGN: windowed over the joined test runs).
OPPORTUNITY = (8237, 58, 95, 60, 83, 228, 160, 100, 77, 39, 42, 40, 26, 67, 61, 99, 317, 105)


def test_hand_worked_example():
    truth = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    predicted = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    scores = score(truth, predicted, ("null", "a", "b"), "null")
    # null: precision 3/3, recall 3/4; a: 1/2, 1/2; b: 2/3, 2/2.
    assert scores.averages.accuracy == pytest.approx(6 / 8)
    f1 = 6 / 7, 1 / 2, 4 / 5
    assert [entry.f1 for entry in scores.classes] == pytest.approx(f1)
    assert scores.averages.f1_macro == pytest.approx(sum(f1) / 3)
    assert scores.averages.f1_weighted == pytest.approx((4 * f1[0] + 2 * f1[1] + 2 * f1[2]) / 8)
    assert scores.averages.f1_macro_no_null == pytest.approx((f1[1] + f1[2]) / 2)
    assert scores.averages.f1_weighted_no_null == pytest.approx((f1[1] + f1[2]) / 2)
    assert scores.confusion == ((3, 1, 0), (0, 1, 1), (0, 0, 2))
    assert [entry.support for entry in scores.classes] == [4, 2, 2]
    # always null: accuracy 4/8, its F1 2*4/(8+4), the others' 0.
    assert scores.floor.accuracy == pytest.approx(4 / 8)
    assert scores.floor.f1_macro == pytest.approx(2 / 3 / 3)
    assert scores.floor.f1_weighted == pytest.approx(2 / 3 / 2)
    assert scores.floor.f1_macro_no_null == 0


def test_null_floor_of_opportunity_is_the_published_one():
    truth = np.repeat(np.arange(18), OPPORTUNITY)
    names = ("Null", *(f"gesture {i}" for i in range(1, 18)))
    scores = score(truth, np.zeros_like(truth), names, "Null")
    assert scores.windows == 9894
    assert scores.floor == scores.averages
    assert scores.floor.accuracy == pytest.approx(0.8325, abs=5e-5)
    assert scores.floor.f1_weighted == pytest.approx(0.756, abs=5e-4)
    assert scores.floor.f1_macro == pytest.approx(0.0505, abs=5e-5)


def test_one_answer_for_all_is_beaten_by_accuracy_or_with_a_null_class_by_f1():
    truth = np.array([0, 0, 0, 1])
    assert not score(truth, np.array([0, 0, 0, 0]), ("a", "b")).beats_floor
    assert not score(truth, np.array([0, 0, 1, 1]), ("a", "b")).beats_floor  # as accurate as always a
    assert score(truth, np.array([0, 0, 0, 1]), ("a", "b")).beats_floor
    assert score(truth, np.array([0, 0, 1, 1]), ("a", "b"), "a").beats_floor
    assert not score(truth, np.array([0, 0, 0, 0]), ("a", "b"), "a").beats_floor


def test_without_null_the_floor_is_the_commonest_class():
    scores = score(np.array([0, 1, 1]), np.array([0, 1, 1]), ("a", "b"))
    assert scores.floor_class == "b"
    assert scores.floor.accuracy == pytest.approx(2 / 3)
    assert scores.averages.f1_macro_no_null is None


def test_a_class_that_never_occurs_does_not_lower_the_average():
    scores = score(np.array([0, 1]), np.array([0, 1]), ("a", "b", "c"))
    assert scores.averages.f1_macro == 1.0
    assert scores.classes[2].support == 0


def test_nothing_to_score_is_no_score():
    assert score(np.empty(0, dtype=int), np.empty(0, dtype=int), ("a", "b")) is None


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50),
    null=st.sampled_from([None, "a", "d"]),
)
def test_scores_are_consistent_and_survive_json(pairs, null):
    truth, predicted = np.array(pairs).T
    scores = score(truth, predicted, ("a", "b", "c", "d"), null)
    confusion = np.array(scores.confusion)
    assert confusion.sum() == scores.windows == len(pairs)
    assert np.trace(confusion) / len(pairs) == pytest.approx(scores.averages.accuracy)
    assert confusion.sum(axis=1).tolist() == [entry.support for entry in scores.classes]
    content = json.loads(json.dumps(scores.as_dict()))
    assert content["accuracy"] == scores.averages.accuracy
    assert Scores.from_dict(content) == scores


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50),
    null=st.sampled_from([None, "a", "d"]),
)
def test_scores_are_those_of_scikit_learn(pairs, null):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, predicted = np.array(pairs).T
    scores = score(truth, predicted, ("a", "b", "c", "d"), null)
    *by_class, support = metrics.precision_recall_fscore_support(truth, predicted, labels=range(4), zero_division=0.0)
    found = [(entry.precision, entry.recall, entry.f1) for entry in scores.classes]
    np.testing.assert_allclose(found, np.transpose(by_class), rtol=1e-12)
    assert [entry.support for entry in scores.classes] == support.tolist()
    assert np.array_equal(scores.confusion, metrics.confusion_matrix(truth, predicted, labels=range(4)))
    averages = scores.averages
    assert averages.accuracy == pytest.approx(metrics.accuracy_score(truth, predicted))
    occurring = set(truth) | set(predicted)
    for labels, kind, ours in (
        (occurring, "macro", averages.f1_macro),
        (occurring, "weighted", averages.f1_weighted),
        (occurring - {"abcd".find(null or "-")}, "macro", averages.f1_macro_no_null),
        (occurring - {"abcd".find(null or "-")}, "weighted", averages.f1_weighted_no_null),
    ):
        if ours is not None:
            expected = metrics.f1_score(truth, predicted, labels=sorted(labels), average=kind, zero_division=0.0)
            assert ours == pytest.approx(expected)
