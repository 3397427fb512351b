"""A rehearsal names a window each time, and leaves the real streams as they are."""

import numpy as np
import pytest

from model.engine import OnnxEngine
from streamer.recognizer import Recognizer
from streamer.rehearsal import Rehearsal
from tests.bundles import random_bundle


@pytest.mark.parametrize("stride", [1, 4, 8, 12])
def test_each_rehearsal_names_a_window(stride):
    bundle = random_bundle(channels=3, length=8, stride=stride)
    rehearsal = Rehearsal(bundle, OnnxEngine(bundle))
    assert [[label.window for label in rehearsal.run()] for _ in range(20)] == [[k] for k in range(1, 21)]
    assert 0 < rehearsal.least_ns <= rehearsal.took_ns


def test_a_window_of_more_than_a_message_may_hold_is_rehearsed():
    bundle = random_bundle(channels=64, length=4200, stride=4200, stem_kernel=100, stem_stride=100)
    assert len(Rehearsal(bundle, OnnxEngine(bundle)).run()) == 1


def test_it_changes_nothing():
    bundle = random_bundle(channels=3, length=8, stride=4)
    x = np.random.default_rng(0).normal(size=(40, 3))
    answers, totals = [], []
    for rehearsals in (0, 3):
        engine = OnnxEngine(bundle)
        live, rehearsal = Recognizer(bundle, engine), Rehearsal(bundle, engine)
        found = []
        for part in np.split(x, 5):
            for _ in range(rehearsals):
                rehearsal.run()
            found += [(label.window, label.label, label.p) for label in live.push("anna", part)]
        answers.append(found)
        totals.append(live.totals())
    assert answers[0] == answers[1]
    assert len(answers[0]) == 9
    assert totals[0] == totals[1]
