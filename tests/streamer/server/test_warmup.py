"""Each run of a warm-up names a window, sends itself a message, and leaves the real streams as they are."""

import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq

from kinestream.model.engine.load import load_engine
from kinestream.model.system import has_unix_sockets
from kinestream.streamer.client.sender import SampleSender
from kinestream.streamer.client.subscriber import LabelSubscriber
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.ports import Ports
from kinestream.streamer.server.warmup import WarmUp
from kinestream.streamer.wire.messages import Event, Label
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.streamers import running_streamer


@pytest.fixture
def warm_up_of():
    """What makes the warm-up of a bundle, and closes all that it made."""
    made = []
    with zmq.Context() as context:

        def make(bundle, engine=None):
            made.append(WarmUp(bundle, engine or load_engine(bundle, "cpu"), context))
            return made[-1]

        yield make
        for warm_up in made:
            warm_up.close()


@pytest.mark.parametrize("stride", [1, 4, 8, 12])
def test_each_run_names_a_window(stride, warm_up_of):
    bundle = random_bundle(channels=3, length=8, stride=stride)
    warm_up = warm_up_of(bundle)
    assert [[label.window for label in warm_up.run()] for _ in range(20)] == [[k] for k in range(1, 21)]
    assert 0 < warm_up.least_ns <= warm_up.took_ns


def test_a_window_of_more_than_a_message_may_hold_comes_due(warm_up_of):
    bundle = random_bundle(channels=64, length=4200, stride=4200, stem_kernel=100, stem_stride=100)
    assert len(warm_up_of(bundle).run()) == 1


def test_its_messages_come_back(warm_up_of):
    warm_up = warm_up_of(random_bundle(channels=3, length=8, stride=4))
    deadline = time.monotonic() + 10
    while warm_up.returned < 3 and time.monotonic() < deadline:
        warm_up.run()
    assert warm_up.returned >= 3


def test_without_a_way_to_itself_it_goes_on(warm_up_of, monkeypatch):
    def refuse(*_):
        raise zmq.ZMQBindError("no such interface")

    monkeypatch.setattr(zmq.Socket, "bind_to_random_port", refuse)
    monkeypatch.setattr(zmq.Socket, "bind", refuse)
    warm_up = warm_up_of(random_bundle(channels=3, length=8, stride=4))
    assert [len(warm_up.run()) for _ in range(3)] == [1, 1, 1]
    assert not warm_up.returned


@pytest.mark.skipif(not has_unix_sockets, reason="needs sockets of Unix")
def test_nobody_else_can_send_where_it_does(warm_up_of):
    before = len(psutil.Process().net_connections("inet"))
    warm_up = warm_up_of(random_bundle(channels=3, length=8, stride=4))
    assert len(psutil.Process().net_connections("inet")) == before
    path = Path(warm_up._from_itself.last_endpoint.decode().rstrip("\0").removeprefix("ipc://"))
    assert not path.exists()
    assert not path.parent.exists()


def test_it_changes_nothing(warm_up_of):
    bundle = random_bundle(channels=3, length=8, stride=4)
    x = np.random.default_rng(0).normal(size=(40, 3))
    answers, totals = [], []
    for runs in (0, 3):
        engine = load_engine(bundle, "cpu")
        live, warm_up = Recognizer(bundle, engine), warm_up_of(bundle, engine)
        found = []
        for part in np.split(x, 5):
            for _ in range(runs):
                warm_up.run()
            found += [(label.window, label.label, label.p) for label in live.push("anna", part)]
        answers.append(found)
        totals.append(live.totals())
    assert answers[0] == answers[1]
    assert len(answers[0]) == 9
    assert totals[0] == totals[1]


def served(monkeypatch, warm_up):
    """Serve some windows of a stream; return for how long the loop would sleep, and how often the warm-up ran."""
    waits, runs = [], []
    wait, run = Ports.wait, WarmUp.run
    monkeypatch.setattr(Ports, "wait", lambda self, ms: (waits.append(ms), wait(self, ms))[1])
    monkeypatch.setattr(WarmUp, "run", lambda self: (runs.append(1), run(self))[1])
    bundle = random_bundle(channels=3, length=8, stride=4, rate_hz=50.0)
    with (
        running_streamer(bundle, warm_up=warm_up) as streamer,
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        SampleSender("anna", bundle.channels, 50.0, endpoint=streamer.ingest) as sender,
    ):
        until(lambda: sender.describe() or isinstance(subscriber.receive(0.1), Event))
        for seq in range(40):
            sender.send(np.zeros((1, 3), np.float32))
            if seq >= 7 and (seq - 7) % 4 == 0:  # this sample completes a window
                until(lambda: isinstance(subscriber.receive(1), Label))
            time.sleep(1 / bundle.description.rate_hz)
    return set(waits), len(runs)


def test_it_is_awake_before_a_window(monkeypatch):
    waits, runs = served(monkeypatch, True)
    assert 0 in waits
    assert runs > 1  # the first is made when it starts


def test_switched_off_it_opens_no_port_and_the_loop_sleeps(monkeypatch):
    monkeypatch.setattr("kinestream.streamer.server.server.WarmUp", lambda *_: pytest.fail("it is there"))
    assert served(monkeypatch, False) == ({tuning.POLL_MS}, 0)
