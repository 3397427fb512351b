"""A rehearsal names a window each time, sends itself a message, and leaves the real streams as they are."""

import time

import numpy as np
import pytest
import zmq

from kinestream.model.engine.load import load_engine
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.warmup import Rehearsal
from tests.given.bundles import random_bundle


@pytest.fixture
def rehearsal_of():
    """What makes a rehearsal of a bundle, and closes all that it made."""
    made = []
    with zmq.Context() as context:

        def make(bundle, engine=None):
            made.append(Rehearsal(bundle, engine or load_engine(bundle, "cpu"), context))
            return made[-1]

        yield make
        for rehearsal in made:
            rehearsal.close()


@pytest.mark.parametrize("stride", [1, 4, 8, 12])
def test_each_rehearsal_names_a_window(stride, rehearsal_of):
    bundle = random_bundle(channels=3, length=8, stride=stride)
    rehearsal = rehearsal_of(bundle)
    assert [[label.window for label in rehearsal.run()] for _ in range(20)] == [[k] for k in range(1, 21)]
    assert 0 < rehearsal.least_ns <= rehearsal.took_ns


def test_a_window_of_more_than_a_message_may_hold_is_rehearsed(rehearsal_of):
    bundle = random_bundle(channels=64, length=4200, stride=4200, stem_kernel=100, stem_stride=100)
    assert len(rehearsal_of(bundle).run()) == 1


def test_its_messages_come_back(rehearsal_of):
    rehearsal = rehearsal_of(random_bundle(channels=3, length=8, stride=4))
    deadline = time.monotonic() + 10
    while rehearsal.returned < 3 and time.monotonic() < deadline:
        rehearsal.run()
    assert rehearsal.returned >= 3


def test_without_a_way_to_itself_it_goes_on(rehearsal_of, monkeypatch):
    def refuse(*_):
        raise zmq.ZMQBindError("no such interface")

    monkeypatch.setattr(zmq.Socket, "bind_to_random_port", refuse)
    rehearsal = rehearsal_of(random_bundle(channels=3, length=8, stride=4))
    assert [len(rehearsal.run()) for _ in range(3)] == [1, 1, 1]
    assert not rehearsal.returned


def test_it_changes_nothing(rehearsal_of):
    bundle = random_bundle(channels=3, length=8, stride=4)
    x = np.random.default_rng(0).normal(size=(40, 3))
    answers, totals = [], []
    for rehearsals in (0, 3):
        engine = load_engine(bundle, "cpu")
        live, rehearsal = Recognizer(bundle, engine), rehearsal_of(bundle, engine)
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
