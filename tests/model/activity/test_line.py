"""Activities are scored where labels speak, beside them."""

import numpy as np
import pytest

from kinestream.model.activity.line import follow, score_activities, settled
from kinestream.model.scores.timeline import lay_out
from tests.model.activity.test_smoother import settings_of
from tests.model.activity.test_tracker import PLAIN

STRIDE = 4
CLASSES = ("sit", "walk", "run")


def laid(truth, labels):
    """Return windows that end every four samples from the eighth on, on a time line."""
    last = 7 + STRIDE * np.arange(len(labels))
    probabilities = np.full((len(labels), 3), 0.05)
    probabilities[np.arange(len(labels)), labels] = 0.9
    return lay_out(np.asarray(truth), last, np.asarray(labels), STRIDE), np.arange(len(labels)), probabilities


def scored(settings, truth, labels):
    raw, windows, probabilities = laid(truth, labels)
    line = follow(settings, STRIDE, windows, raw.last, probabilities)
    return line, raw, score_activities([line], [raw], CLASSES, None, 50.0)


def test_a_flicker_costs_labels_an_event_and_activities_none():
    truth = np.repeat([0, 1], [24, 24])
    labels = [0, 0, 1, 0, 0, 1, 1, 1, 1, 1]
    line, _, scores = scored(settings_of(3, **PLAIN, least=(2, 2, 2)), truth, labels)
    assert [(each.which, each.begin, each.end) for each in line.activities] == [(0, 3, 23), (1, 23, 43)]
    events = scores.events.total.events
    assert (events.correct, events.inserted, events.f1) == (2, 0, 1.0)
    # Known two windows after its first sample: one lasts from 24 to 27, the next decides.
    assert scores.delay.classes[1].median_s == pytest.approx((31 - 24) / 50)
    assert scores.uncertain_s == 0
    assert scores.seconds == pytest.approx(40 / 50)


def test_what_no_label_speaks_for_is_not_scored_and_what_is_uncertain_is_no_class():
    truth = np.zeros(32, dtype=np.int64)
    settings = settings_of(3, **PLAIN, threshold=0.95, patience=1)
    line, raw, scores = scored(settings, truth, [0, 0, 0])
    samples = settled(line.activities, raw.labels, 3)
    assert (samples[:4] == -1).all()
    assert (samples[4:16] == 3).all()
    assert (samples[16:] == -1).all()
    assert scores.uncertain_share == 1.0
    assert scores.events.total.events.deleted == 1
    assert scores.delay.overall.missed == 1
    assert scores.as_dict()["events"]["total"]["returned"] == 0


def test_without_rules_to_speak_of_activities_are_the_labels():
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 3, 200), rng.integers(0, 3, 40)
    line, raw, _ = scored(settings_of(3, **PLAIN), truth, labels)
    np.testing.assert_array_equal(settled(line.activities, raw.labels, 3), raw.labels)
    np.testing.assert_array_equal(line.shown, labels)
