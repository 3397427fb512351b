"""A stream is forgotten with all that is known of it; what was due of it is published, and nobody else notices."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from kinestream.model.errors import KinestreamError
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.client.keeper import forget, health
from kinestream.streamer.server.server import Streamer
from tests.given.bundles import random_bundle
from tests.given.hostile import PATIENCE_S, until
from tests.given.streamers import running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


def sender_to(streamer: Streamer, name: str, **options: object) -> SampleSender:
    channels = options.pop("channels", BUNDLE.channels)
    return SampleSender(name, channels, 50.0, endpoint=streamer.ingest, control=streamer.control, **options)


def test_nothing_is_left_of_a_stream_and_an_event_says_so(streamer):
    with (
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        sender_to(streamer, "anna", session=1) as anna,
        sender_to(streamer, "ben", session=1) as ben,
    ):
        for sender in (anna, ben):
            until(lambda sender=sender: sender.describe() or subscriber.receive(0.05))
        for sender in (anna, ben):
            sender.send(np.full((10, 3), 7.5))
        until(lambda: streamer.totals().get("samples_received") == 20)
        lane = streamer.recognizer._streams["anna"].session.buffer.lane
        lanes = streamer.recognizer._quick._lanes
        assert (lanes.rows[lane] == 7.5).any()
        done = forget("anna", streamer.control)
        assert done.stream == "anna"
        assert done.removed.pop("published_messages") > 0
        assert done.removed == {
            "streams": 1,
            "sessions": 1,
            "keys": 1,
            "devices": 0,
            "samples": 6,
            "readings": 0,
            "messages": 0,
            "refusals": 0,
        }
        assert np.isnan(lanes.rows[lane]).all()
        received = [subscriber.receive(PATIENCE_S)]
        while not (isinstance(received[-1], Event) and received[-1].event == "end"):
            received.append(subscriber.receive(PATIENCE_S))
        assert (received[-1].stream, received[-1].details["reason"]) == ("anna", "forgotten")
        assert [each.window for each in received if isinstance(each, Label) and each.stream == "anna"] == [0]
        assert list(streamer.recognizer._streams) == ["ben"]
        ben.send(np.zeros((2, 3)), seq=ben.seq)
        until(lambda: streamer.totals().get("windows_labelled") == 3)
    totals = streamer.totals()
    assert totals["samples_unfinished"] == 2  # what was in no window yet
    parts = ("used", "late", "duplicate", "outside", "unfinished", "closed_session", "held")
    assert sum(totals.get(f"samples_{part}", 0) for part in parts) == totals["samples_received"]
    assert health(streamer.control).streams == 1


def test_what_is_not_known_is_no_error(streamer):
    assert set(forget("nobody", streamer.control).removed.values()) == {0}


def test_a_sender_that_goes_on_is_a_new_stream(streamer):
    with sender_to(streamer, "anna") as sender:
        sender.wait_accepted()
        sender.send(np.zeros((8, 3)))
        until(lambda: streamer.totals().get("windows_labelled") == 1)
        forget("anna", streamer.control)
        assert streamer.recognizer.streams == 0
        sender.describe()
        sender.send(np.zeros((8, 3)), seq=sender.seq)
        until(lambda: streamer.totals().get("windows_labelled") == 2)
    assert streamer.totals()["sessions"] == 2


def test_devices_and_what_waits_of_them_go_too(streamer):
    with sender_to(streamer, "anna", channels=BUNDLE.channels[:2], device="a", timing="times", session=1) as a:
        a.wait_accepted()
        times = 10**18 + np.arange(20) * 20_000_000
        a.send(np.zeros((20, 2)), times=times)
        until(lambda: streamer.totals().get("readings_received") == 20)
        removed = forget("anna", streamer.control).removed
        assert (removed["devices"], removed["keys"]) == (1, 1)
    totals = streamer.totals()
    became = ("used", "late", "duplicate", "astray", "dropped", "unfinished", "closed_session", "waiting")
    assert sum(totals.get(f"readings_{what}", 0) for what in became) == 20
    assert streamer.recognizer._registry._budget.bytes == 0


def test_who_was_refused_is_forgotten_too(streamer):
    with sender_to(streamer, "anna", channels=[Channel("other")]) as sender:
        with pytest.raises(KinestreamError):
            sender.wait_accepted()
    until(lambda: streamer.ports.senders.count == 0)  # all that it sent has come
    assert forget("anna", streamer.control).removed["refusals"] == 1
    assert not streamer.recognizer._registry.refused
    assert not [key for key in streamer._notices._said if key[0] == "anna"]


def test_messages_that_wait_for_their_turn_go_too(streamer, monkeypatch):
    """An upload of which nothing is taken any more."""
    monkeypatch.setattr(streamer.recognizer, "take_queued", lambda windows: None)
    with sender_to(streamer, "anna") as sender:
        sender.wait_accepted()
        sender.send(np.zeros((1000, 3)))
        until(lambda: streamer.recognizer.backlog_bytes)
        assert forget("anna", streamer.control).removed["messages"] == 1
    assert streamer.recognizer.backlog_bytes == 0
    assert streamer.totals()["messages_unfinished"] == 1


def test_it_is_done_only_for_whoever_is_on_this_machine():
    with running_streamer(BUNDLE, control="tcp://0.0.0.0:*") as streamer:
        control = streamer.control.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(KinestreamError, match="forget is answered only where the control endpoint is bound to"):
            forget("anna", control)


def test_the_command_says_what_was_removed(streamer):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "kinestream", "forget", *words, "--control", streamer.control]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    with sender_to(streamer, "anna") as sender:
        sender.wait_accepted()
    until(lambda: streamer.ports.senders.count == 0)
    assert re.fullmatch(r"anna is forgotten: removed 1 stream, 1 key, \d published messages?\n", run("anna").stdout)
    assert run("anna").stdout == "anna is forgotten: nothing was known of it\n"
    assert json.loads(run("anna", "--json").stdout)["removed"]["streams"] == 0
    assert run("no such name").returncode == 2
