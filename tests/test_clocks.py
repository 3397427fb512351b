"""The wall clock is set by an hour while something runs: nothing stalls, nothing rushes, nothing is an hour late."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from replay.bench.streams import measure
from replay.demo import BUNDLE, RECORDINGS
from replay.own_streamer import OwnStreamer, started_streamer
from streamer.client import Label, LabelSubscriber
from tests.bundles import random_bundle
from tests.clocks import HOUR_S, SteppedClock, stepped_clock

__all__ = ["stepped_clock"]

SECONDS, SPEED = 12.0, 4.0
STREAM = "s04_01"
WAIT_S = 30


@contextmanager
def replaying(clock: SteppedClock, streamer: OwnStreamer) -> Iterator[subprocess.Popen[str]]:
    """Run a scored replay of one recording under a clock that can be set."""
    addresses = ("--ingest", streamer.addresses.ingest, "--labels", streamer.addresses.labels)
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


def test_a_replay_keeps_its_pace_and_shows_no_latency_of_an_hour(stepped_clock):
    with started_streamer(BUNDLE) as streamer, replaying(stepped_clock, streamer) as process:
        step_forward_and_back(stepped_clock, streamer)
        told, noticed = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    report = json.loads(told)
    assert report["labels_missing"] == 0
    assert report["seconds"] == pytest.approx(SECONDS / SPEED, rel=0.3)
    assert report["pacing_error_ms"]["max"] < 1000
    assert 0 < report["latency_ms"]["max"] < 1000
    # While the replay's clock was an hour ahead of the streamer's, the streamer's stamps meant nothing to it.
    assert 0 < report["labels_untimed"] < report["labels_received"]
    assert all(0 <= stage["max"] < 1000 for stage in report["stages_ms"].values())
    assert [line for line in noticed.splitlines() if "stepped" in line] == [
        "the clock of this machine stepped forward by 3600.000 s",
        "the clock of this machine stepped back by 3600.000 s",
    ]


def test_a_streamer_keeps_its_sessions(stepped_clock, monkeypatch):
    for name in ("LD_PRELOAD", "STEPPED_CLOCK"):
        monkeypatch.setenv(name, stepped_clock.environment[name])
    with started_streamer(BUNDLE) as streamer, replaying(stepped_clock, streamer) as process:
        step_forward_and_back(stepped_clock, streamer)
        report = json.loads(process.communicate(timeout=WAIT_S)[0])
        totals = streamer.stop()
    assert process.returncode == 0
    assert report["labels_missing"] == 0
    assert report["labels_untimed"] < report["labels_received"] / 4
    assert all(-1 <= stage["p50"] < 1000 for stage in report["stages_ms"].values())
    assert totals["sessions"] == 1
    assert totals["streams"] == 1


def test_watching_shows_no_latency_of_an_hour(stepped_clock):
    """The watcher's clock is set; the streamer's and the sender's stamps are from before."""
    with started_streamer(BUNDLE) as streamer:
        command = [sys.executable, "-m", "kinestream", "watch", "--labels", streamer.addresses.labels, "--json"]
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=stepped_clock.environment,
        ) as watching:
            try:
                assert "listening" in watching.stderr.readline()
                with replaying(stepped_clock, streamer) as process:
                    step_forward_and_back(stepped_clock, streamer)
                    process.communicate(timeout=WAIT_S)
                latencies = []
                for line in watching.stdout:
                    message = json.loads(line)
                    if message["kind"] == "label":
                        latencies.append(message["latency_ms"])
                    elif message["event"] == "end":
                        break
            finally:
                watching.kill()
    assert len(latencies) > 10
    assert all(0 < latency < 1000 for latency in latencies)


def test_a_bench_measures_the_same(stepped_clock, monkeypatch, tmp_path):
    for name in ("LD_PRELOAD", "STEPPED_CLOCK"):
        monkeypatch.setenv(name, stepped_clock.environment[name])
    random_bundle(channels=3, length=8, stride=4).write(tmp_path / "bundle")
    stepped_clock.set(-HOUR_S)  # of the processes that are started, not of this one
    point = measure(tmp_path / "bundle", 3, chunk=1, seconds=1.0)
    assert point.labels_missing == 0
    assert point.heard.latency_max_ms < 1000
