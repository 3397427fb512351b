"""Whoever is asked to stop says so, goes on with whom it knows for a stated time, and takes nobody new."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.client.keeper import health
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.drain import Drain
from kinestream.streamer.server.server import Streamer
from tests.given.bundles import random_bundle
from tests.given.hostile import PATIENCE_S, SERVE, until
from tests.given.streamers import ANY_PORT

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
RUN = [sys.executable, "-P", "-m", "kinestream"]


@contextmanager
def draining(longest_s: float) -> Iterator[tuple[Streamer, threading.Thread, SampleSender, LabelSubscriber]]:
    """Run a streamer with one wearer, whose sender goes on, and ask it to stop."""
    at = {"ingest": ANY_PORT, "labels": ANY_PORT, "control": ANY_PORT}
    streamer = Streamer(Recognizer(BUNDLE, load_engine(BUNDLE, "cpu")), drain_s=longest_s, **at)
    running, over = threading.Thread(target=streamer.run), threading.Event()
    running.start()
    with (
        LabelSubscriber(streamer.labels, streams=["anna"], events=True) as subscriber,
        SampleSender("anna", BUNDLE.channels, 50.0, endpoint=streamer.ingest, control=streamer.control) as sender,
    ):

        def send() -> None:
            while not over.wait(0.01):
                sender.send(np.zeros((1, 3)), seq=sender.seq)

        sending = threading.Thread(target=send)
        try:
            until(lambda: sender.describe() or isinstance(subscriber.receive(0.05), Event))
            sending.start()
            while not isinstance(subscriber.receive(PATIENCE_S), Label):
                pass
            streamer.stop()
            yield streamer, running, sender, subscriber
        finally:
            over.set()
            sending.join()
            streamer.stop()
            running.join()
            streamer.close()


def test_it_says_that_it_is_not_ready_refuses_who_is_new_and_goes_on_with_who_is_known():
    with draining(3.0) as (streamer, running, _, subscriber):
        began = time.monotonic()
        until(lambda: not health(streamer.control).ready)
        found = health(streamer.control)
        assert (found.ready, found.state, found.streams) == (False, "draining", 1)
        with (
            SampleSender("ben", BUNDLE.channels, 50.0, endpoint=streamer.ingest, control=streamer.control) as late,
            pytest.raises(ChannelMismatch, match="this streamer is stopping"),
        ):
            late.wait_accepted()
        while subscriber.receive(0):  # what came before
            pass
        assert isinstance(subscriber.receive(1.0), Label)
        running.join(PATIENCE_S)
        assert 2.5 <= time.monotonic() - began
        received = [subscriber.receive(1.0)]
        while not (isinstance(received[-1], Event) and received[-1].event == "end"):
            received.append(subscriber.receive(1.0))
            assert received[-1] is not None
    windows = [each.window for each in received if isinstance(each, Label)]
    assert windows == list(range(windows[0], windows[0] + len(windows)))
    assert received[-1].details["reason"] == "stopped"


def test_who_asks_twice_does_not_wait():
    with draining(PATIENCE_S) as (streamer, running, *_):
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 0.6)
        assert running.is_alive()
        streamer.stop()
        running.join(5.0)
        assert not running.is_alive()


def test_ctrl_c_that_comes_twice_at_once_is_one():
    drain = Drain(1000.0)
    drain.ask()
    drain.ask()
    assert drain.asked
    assert drain.goes_on(True)


def test_a_pause_of_a_sender_is_not_its_end():
    """A fortieth of the time there is, a second at most."""
    for longest_s, pause_s in ((4.0, 0.1), (1000.0, 1.0)):
        drain = Drain(longest_s)
        drain.ask()
        began = time.monotonic()
        while drain.goes_on(False):
            time.sleep(0.01)
        assert pause_s * 0.99 <= time.monotonic() - began


def test_it_ends_as_soon_as_nothing_comes_any_more():
    began = time.monotonic()
    with subprocess.Popen([*SERVE, "--drain", "1000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        control = json.loads(process.stdout.readline())["control"]
        done = subprocess.run([*RUN, "health", "--control", control, "--json"], capture_output=True, check=False)
        assert (done.returncode, json.loads(done.stdout)["ready"]) == (0, True)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert b"stopping: no new streams" in said
    assert time.monotonic() - began < PATIENCE_S


def test_the_command_tells_ready_from_alive_and_from_nobody():
    def status(streamer: Streamer, *options: str) -> int:
        command = [*RUN, "health", "--control", streamer.control, "--timeout", "5", *options]
        return subprocess.run(command, capture_output=True, check=False, timeout=PATIENCE_S).returncode

    with draining(PATIENCE_S) as (streamer, *_):
        until(lambda: not health(streamer.control).ready)
        assert [status(streamer), status(streamer, "--live")] == [1, 0]

    assert status(streamer, "--timeout", "0.2") == 2
