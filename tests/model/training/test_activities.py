"""How labels become activities is set on validation people: more events are right, after as short a wait as will do."""

import numpy as np
import pytest

from kinestream.model.activity.line import follow, score_activities
from kinestream.model.evaluation.evaluation import RecordingLabels
from kinestream.model.scores.events import score_events
from kinestream.model.scores.timeline import lay_out
from kinestream.model.training.activities import Choice, choose, fit_activities, fit_threshold, rising, usual_lengths
from tests.given.bundles import random_bundle
from tests.model.activity.test_smoother import settings_of

BUNDLE = random_bundle(classes=3, length=8, stride=4)


def labelled(seed, windows=300, flicker=0.1):
    """Return labels of a wearer whose activities last 20 windows, some of them wrong."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(windows) // 20 % 3, 4)
    last = 7 + 4 * np.arange(windows - 1)
    labels = truth[last].copy()
    wrong = rng.random(len(labels)) < flicker
    labels[wrong] = (labels[wrong] + rng.integers(1, 3, wrong.sum())) % 3
    probabilities = np.full((len(labels), 3), 0.2, np.float32)
    probabilities[np.arange(len(labels)), labels] = 0.6
    return RecordingLabels(
        recording=f"r{seed}",
        person=f"p{seed}",
        windows=np.arange(len(labels)),
        last=last,
        labels=labels,
        probabilities=probabilities,
        truth=truth[last],
        sample_truth=truth,
        skipped=0,
        at_seams=0,
        silent={},
        frozen={},
        foreign={},
        rate_hz=50.0,
        timeline=lay_out(truth, last, labels, 4),
    )


def f1_of(settings, found):
    lines = [follow(settings, 4, each.windows, each.last, each.probabilities) for each in found]
    timelines = [each.timeline for each in found]
    return score_activities(lines, timelines, BUNDLE.description.classes, None, 50.0).events.total.events.f1


def test_labels_that_flicker_become_activities_that_do_not():
    chosen = fit_activities(BUNDLE, [labelled(seed) for seed in range(3)])
    others = [labelled(seed) for seed in range(3, 6)]
    raw = score_events(
        [(each.timeline.truth, each.timeline.labels) for each in others], BUNDLE.description.classes, None, 50.0
    )
    assert raw.total.events.f1 < 0.6
    assert f1_of(chosen, others) > 0.9
    assert chosen.lag + max(chosen.least) - 1 <= 6


def test_labels_that_are_right_are_not_waited_for():
    chosen = fit_activities(BUNDLE, [labelled(0, flicker=0.0)])
    assert (chosen.lag, chosen.least) == (0, (1, 1, 1))


def test_where_windows_have_no_time_line_nothing_is_set():
    from dataclasses import replace

    assert fit_activities(BUNDLE, [replace(labelled(0), timeline=None)]) is None
    assert fit_activities(BUNDLE, []) is None


def test_of_choices_that_are_nearly_as_good_the_one_that_waits_least_is_taken():
    quick, slow, bad = (settings_of(3, lag=lag) for lag in (1, 4, 0))
    assert choose([Choice(slow, 0.900), Choice(quick, 0.895), Choice(bad, 0.7)]) == quick
    assert choose([Choice(slow, 0.900), Choice(quick, 0.870), Choice(bad, 0.7)]) == slow


def test_a_length_is_that_of_the_shorter_activities_of_a_class():
    assert usual_lengths([labelled(0)], 4) == [80, 80, 80, 0]


def test_what_is_wrong_more_often_than_right_is_below_the_threshold():
    plain = settings_of(3, lag=0, stay=1 / 3, sharpness=1.0)
    one = labelled(0, flicker=0.0)
    assert fit_threshold(plain, [one]) == 0.0
    unsure = np.arange(len(one.labels)) % 3 == 0
    one.probabilities[unsure] = [0.4, 0.35, 0.25]  # of class 0, which two in three of them are not
    assert fit_threshold(plain, [one]) == pytest.approx(0.6, abs=0.001)  # which is no more below it


def test_values_are_pooled_until_they_never_fall():
    np.testing.assert_allclose(rising(np.array([0.2, 0.8, 0.4, 0.9]), np.array([1, 1, 3, 1])), [0.2, 0.5, 0.5, 0.9])
    np.testing.assert_allclose(rising(np.array([3.0, 2.0, 1.0]), np.ones(3, np.int64)), [2, 2, 2])
