"""A streamer that goes away for good: what was scored by then is told, and that it is a part."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.play.take import takes_of
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.replay.report import ReplayReport
from kinestream.replay.run import play_takes
from kinestream.screens.scores import print_replay
from kinestream.streamer.client import Label, LabelSubscriber
from tests.given.bundles import random_bundle
from tests.given.replayed import made_up

WAIT_S = 30


@contextmanager
def after_labels(streamer: OwnStreamer, count: int, does: Callable[[], None]) -> Iterator[None]:
    """Do something once some labels have come."""

    def wait() -> None:
        with LabelSubscriber(streamer.addresses.labels) as subscriber:
            for _ in range(count):
                assert isinstance(subscriber.receive(WAIT_S), Label)
        does()

    thread = threading.Thread(target=wait)
    thread.start()
    yield
    thread.join()


def test_a_score_of_a_part_says_so_and_ends_with_status_1():
    command = [sys.executable, "-m", "kinestream", "replay", str(RECORDINGS), "--recording", "s04_01", "--speed", "8"]
    with (
        started_streamer(BUNDLE) as streamer,
        after_labels(streamer, 3, lambda: os.kill(streamer.pid, signal.SIGKILL)),
    ):
        addresses = [
            "--ingest",
            streamer.addresses.ingest,
            "--labels",
            streamer.addresses.labels,
        ]
        done = subprocess.run(
            [*command, "--score", "--json", *addresses], capture_output=True, text=True, timeout=WAIT_S, check=False
        )
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    assert "is it still running?" in report["vanished"]
    assert 2 <= report["labels_received"] < report["labels_expected"]
    assert 0 <= report["accuracy"] <= 1
    assert report["latency_ms"]["p50"] is not None


@pytest.fixture
def small_bundle(tmp_path: Path) -> Path:
    random_bundle(channels=3, length=8, stride=4).write(tmp_path / "bundle")
    return tmp_path / "bundle"


def played(streamer: OwnStreamer, samples: int, *, score: bool = True, **options: object) -> ReplayReport:
    takes = takes_of([made_up("a", samples)], first_session=1)
    return play_takes(takes, streamer.addresses, score=score, **options)


def shown(report: ReplayReport) -> str:
    console = Console(file=io.StringIO(), width=200)
    print_replay(report, console)
    return console.file.getvalue()


def test_a_sender_that_can_send_no_more_reports_what_it_has(small_bundle):
    with (
        started_streamer(small_bundle) as streamer,
        after_labels(streamer, 3, lambda: os.kill(streamer.pid, signal.SIGKILL)),
    ):
        report = played(streamer, 400_000, speed="max", timeout_s=0.5)
    assert "has taken nothing for 0.5 s" in report.vanished
    assert report.samples_sent < 400_000
    assert 1 <= report.live.received < report.live.expected


def test_a_streamer_that_hangs_is_not_waited_for_without_end(small_bundle, monkeypatch):
    monkeypatch.setattr("kinestream.replay.run.PATIENCE_S", 0.5)
    with started_streamer(small_bundle) as streamer:
        try:
            with after_labels(streamer, 3, lambda: os.kill(streamer.pid, signal.SIGSTOP)):
                report = played(streamer, 200, speed=4.0)
        finally:
            os.kill(streamer.pid, signal.SIGCONT)
    assert "has not ended 1 session of 1" in report.vanished
    assert 1 <= report.live.received < report.live.expected


def test_a_streamer_that_is_stopped_is_told(small_bundle):
    with (
        started_streamer(small_bundle) as streamer,
        after_labels(streamer, 3, lambda: os.kill(streamer.pid, signal.SIGTERM)),
    ):
        report = played(streamer, 800, speed=4.0)  # four seconds: a streamer that stops waits for no more than two
    assert f"incomplete: {report.vanished}" in shown(report)
    assert 1 <= report.live.received < report.live.expected


def test_what_is_not_scored_is_told_too(small_bundle):
    with (
        started_streamer(small_bundle) as streamer,
        after_labels(streamer, 3, lambda: os.kill(streamer.pid, signal.SIGKILL)),
    ):
        report = played(streamer, 200, speed=4.0, score=False)
    assert "incomplete: nobody is at" in shown(report)


def test_a_streamer_that_is_there_to_the_end_has_not_vanished(small_bundle):
    with started_streamer(small_bundle) as streamer:
        assert played(streamer, 200, speed="max").as_dict()["vanished"] is None
