"""The wall clock is set by an hour while something runs: nothing stalls, nothing rushes, nothing is an hour late."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from kinestream.model.clock import STEP_NS
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from tests.given.bundles import random_bundle
from tests.given.clocks import HOUR_S, SteppedClock, stepped_clock

__all__ = ["stepped_clock"]

SECONDS, SPEED = 10.0, 5.0
STEP_MS = STEP_NS / 1e6
STREAM = "s04_01"
WAIT_S = 30


@contextmanager
def replaying(clock: SteppedClock, streamer: OwnStreamer) -> Iterator[subprocess.Popen[str]]:
    """Run a scored replay of one recording under a clock that can be set."""
    addresses = (
        "--ingest",
        streamer.addresses.ingest,
        "--labels",
        streamer.addresses.labels,
    )
    command = [
        sys.executable,
        "-m",
        "kinestream",
        "replay",
        str(RECORDINGS),
        "--recording",
        STREAM,
        "--score",
        "--json",
    ]
    with subprocess.Popen(
        [*command, "--duration", str(SECONDS), "--speed", str(SPEED), *addresses],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clock.environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def step_forward_and_back(clock: SteppedClock, streamer: OwnStreamer) -> None:
    """Set the clock an hour ahead while labels come, and right again when some more have come."""
    with LabelSubscriber(streamer.addresses.labels) as subscriber:
        for ahead_s in (HOUR_S, 0.0):
            for _ in range(5):
                assert isinstance(subscriber.receive(WAIT_S), Label)
            clock.set(ahead_s)


def test_a_replay_keeps_its_pace_and_neither_it_nor_a_watcher_shows_a_latency_of_an_hour(stepped_clock):
    """Their clock is set; the streamer's is not."""
    with started_streamer(BUNDLE) as streamer:
        watch = [
            sys.executable,
            "-m",
            "kinestream",
            "watch",
            "--labels",
            streamer.addresses.labels,
            "--json",
        ]
        with subprocess.Popen(
            watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=stepped_clock.environment
        ) as watching:
            try:
                assert "listening" in watching.stderr.readline()
                with replaying(stepped_clock, streamer) as process:
                    step_forward_and_back(stepped_clock, streamer)
                    told, noticed = process.communicate(timeout=WAIT_S)
                latencies = [message["latency_ms"] for message in messages_of(watching) if message["kind"] == "label"]
            finally:
                watching.kill()
    assert process.returncode == 0
    report = json.loads(told)
    assert report["labels_missing"] == 0
    assert report["seconds"] == pytest.approx(SECONDS / SPEED, rel=0.3)
    assert report["pacing_error_ms"]["max"] < 1000
    assert 0 < report["latency_ms"]["max"] < 1000
    # While the replay's clock was an hour ahead of the streamer's, the streamer's stamps meant nothing to it.
    assert 0 < report["labels_untimed"] < report["labels_received"]
    assert all(-STEP_MS < stage["p50"] <= stage["max"] < 1000 for stage in report["stages_ms"].values())
    assert [line for line in noticed.splitlines() if "stepped" in line] == [
        "the clock of this machine stepped forward by 3600.000 s",
        "the clock of this machine stepped back by 3600.000 s",
    ]
    assert len(latencies) == report["labels_received"]
    assert all(-STEP_MS < latency < 1000 for latency in latencies)


def messages_of(watching: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield what is watched until a session ends."""
    for line in watching.stdout:
        message = json.loads(line)
        yield message
        if message.get("event") == "end":
            return


@pytest.fixture
def streamer_of_that_clock(stepped_clock, monkeypatch, tmp_path):
    """Return how to start a streamer whose wall clock is the one that can be set."""
    random_bundle(channels=3, length=8, stride=4).write(tmp_path / "bundle")
    for name in ("LD_PRELOAD", "STEPPED_CLOCK"):
        monkeypatch.setenv(name, stepped_clock.environment[name])
    return lambda *options: started_streamer(tmp_path / "bundle", *options)


class Wearers:
    """Wearers whose samples are sent one after the other; labels and events of all."""

    def __init__(self, streamer: OwnStreamer) -> None:
        self._subscriber = LabelSubscriber(streamer.addresses.labels, events=True)
        self._streamer = streamer
        self._senders: dict[str, SampleSender] = {}
        self.ended: list[Event] = []

    def name_a_window(self, wearer: str) -> Label:
        """Send samples of a wearer until there is a label of it, and return that."""
        if wearer not in self._senders:
            endpoint = self._streamer.addresses.ingest
            self._senders[wearer] = SampleSender(wearer, ["c0", "c1", "c2"], 50, endpoint=endpoint, session=1)
        sender = self._senders[wearer]
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            sender.send([[0.0, 0.0, 0.0]] * 4, seq=sender.seq)  # they follow, however long another one was served
            message = self.next(0.02)
            while message is not None:
                if isinstance(message, Label) and message.stream == wearer:
                    return message
                message = self.next(0.02)
        raise AssertionError(f"no label of {wearer}")

    def next(self, timeout_s: float) -> Label | Event | None:
        """Return what comes next; ends are noted."""
        message = self._subscriber.receive(timeout_s)
        if isinstance(message, Event) and message.event == "end":
            self.ended.append(message)
        return message

    def close(self) -> None:
        """Close all sockets."""
        self._subscriber.close()
        for sender in self._senders.values():
            sender.close()


def test_a_streamer_keeps_the_sessions_of_those_who_pause(stepped_clock, streamer_of_that_clock):
    with streamer_of_that_clock() as streamer, closing(Wearers(streamer)) as wearers:
        first = wearers.name_a_window("anna")
        for ahead_s in (0.0, HOUR_S, 0.0):
            stepped_clock.set(ahead_s)
            housekept = time.monotonic() + 1.5  # a streamer looks for the silent once a second
            while time.monotonic() < housekept:
                wearers.name_a_window("bert")
            assert wearers.ended == []
        last = wearers.name_a_window("anna")
        totals = streamer.stop()
    assert last.window > first.window
    assert totals["sessions"] == 2


def test_a_streamer_whose_clock_was_set_back_still_forgets_the_silent(stepped_clock, streamer_of_that_clock):
    with streamer_of_that_clock("--forget-after", "1") as streamer, closing(Wearers(streamer)) as wearers:
        wearers.name_a_window("anna")
        stepped_clock.set(-HOUR_S)
        deadline = time.monotonic() + 8
        while not wearers.ended and time.monotonic() < deadline:
            wearers.next(0.2)
    assert [event.details["reason"] for event in wearers.ended] == ["idle"]
