"""A whole replay against a real streamer: what comes back is what an engine alone would say, and all of it comes."""

import io
import os
import re
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import zmq
from rich.console import Console

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch, ConfigError, EndpointError
from kinestream.model.recordings.recording import Recording
from kinestream.model.windows.grid import continuous_starts
from kinestream.replay.play.screen import NoScreen
from kinestream.replay.play.take import takes_of
from kinestream.replay.report import ReplayReport
from kinestream.replay.run import Addresses, play_takes, replay
from kinestream.replay.score.scorer import STAGES
from kinestream.screens.scores import print_replay
from kinestream.streamer.client import Event, LabelSubscriber
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import published
from tests.given.bundles import random_bundle
from tests.given.replayed import made_up, offline, silenced, unlabelled
from tests.given.streamers import running_streamer, unserved_addresses
from tests.soak.many_names import WINDOWS, play_many

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)


def played(streamer: Streamer, recordings: list[Recording], **options: object) -> ReplayReport:
    cutting = {name: options.pop(name) for name in ("loop", "start_offset_s", "duration_s") if name in options}
    takes = takes_of(recordings, first_session=1, **cutting)
    return play_takes(takes, Addresses(streamer.ingest, streamer.labels), score=True, **options)


def expected_accuracy(bundle: Bundle, recordings: list[Recording]) -> float:
    right = []
    for recording in recordings:
        starts = continuous_starts(recording, bundle.grid)
        predicted = offline(bundle, recording.samples, starts).argmax(axis=1)
        truth = recording.labels[starts + bundle.grid.length - 1]
        right.append((predicted == truth)[truth >= 0])
    return float(np.concatenate(right).mean())


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_live_labels_are_those_of_the_engine_alone(chunk):
    recordings = [made_up("a", 403, seed=1), made_up("b", 250, seed=2)]
    with running_streamer(BUNDLE) as streamer:
        report = played(streamer, recordings, speed="max", chunk=chunk)
    content = report.as_dict()
    assert content["samples_sent"] == 653
    assert content["labels_expected"] == content["labels_received"] == 99 + 61
    assert content["labels_missing"] == content["labels_unexpected"] == content["labels_duplicate"] == 0
    assert content["accuracy"] == pytest.approx(expected_accuracy(BUNDLE, recordings))
    assert {stream["stream"]: stream["received"] for stream in content["by_stream"]} == {"a": 99, "b": 61}


def test_every_loop_is_a_session_with_its_own_windows():
    with running_streamer(BUNDLE) as streamer:
        content = played(streamer, [made_up("a", 50)], speed="max", loop=3).as_dict()
    assert content["labels_expected"] == content["labels_received"] == 3 * 11


def test_recordings_published_as_windows_give_a_label_a_window():
    with running_streamer(BUNDLE) as streamer:
        content = played(streamer, [made_up("a", 8 * 20, window=8)], speed="max", loop=2).as_dict()
    assert content["labels_expected"] == content["labels_received"] == 40
    assert content["labels_unexpected"] == content["labels_missing"] == 0


def test_windows_that_are_too_empty_are_neither_expected_nor_missing():
    recording = silenced(made_up("a", 100), 41, 50)
    with running_streamer(BUNDLE) as streamer:
        content = played(streamer, [recording], speed="max").as_dict()
    # Of the windows at 36, 40, 44 and 48, samples 41 to 43, 41 to 47, 44 to 49 and 48 to 49 are silent.
    assert content["windows_skipped"] == {"missing": 3}
    assert content["labels_expected"] == content["labels_received"] == 24 - 3
    assert content["labels_missing"] == 0


def test_a_silent_channel_counts_only_where_the_bundle_reads_it():
    recording = made_up("a", 100, channels=3)
    samples = recording.samples.copy()
    samples[40:60, 0] = np.nan
    one_channel = random_bundle([recording.channels[0]], length=8, stride=4)
    with running_streamer(one_channel) as streamer:
        content = played(streamer, [replace(recording, samples=samples)], speed="max").as_dict()
    assert content["windows_skipped"]["missing"] > 0
    assert content["labels_expected"] == content["labels_received"]
    assert content["labels_missing"] == content["labels_unexpected"] == 0


def test_a_streamer_that_forgets_the_silent_knows_the_stream_again_after_a_long_delay():
    bundle = BUNDLE
    recognizer = Recognizer(bundle, load_engine(bundle, "cpu"), forget_after=1.0)
    with running_streamer(recognizer) as streamer:
        content = played(streamer, [made_up("a", 40)], speed=10.0, delay_s=4.0).as_dict()
    assert content["labels_missing"] == 0


def test_a_paced_replay_reports_its_rate_and_latency_by_stage():
    with running_streamer(BUNDLE) as streamer:
        report = played(streamer, [made_up("a", 100)], speed=4.0)
    content = report.as_dict()
    assert content["achieved_hz"] == pytest.approx(200, rel=0.1)
    assert set(content["pacing_error_ms"]) == {"p50", "p99", "max"}
    assert set(content["latency_ms"]) == {"p50", "p90", "p99", "max"}
    assert list(content["stages_ms"]) == list(STAGES)
    assert report.live is not None
    stages = sum(report.live.stages_ms.values())
    np.testing.assert_allclose(stages, report.live.latency_ms, atol=1e-6)
    assert min(figures.min() for figures in report.live.stages_ms.values()) >= 0


def test_channels_are_matched_by_name():
    recording = made_up("a", 100)
    turned = Recording(
        **{**vars(recording), "channels": recording.channels[::-1], "samples": recording.samples[:, ::-1]}
    )
    with running_streamer(BUNDLE) as streamer:
        content = played(streamer, [turned], speed="max").as_dict()
    assert content["accuracy"] == pytest.approx(expected_accuracy(BUNDLE, [recording]))


@pytest.mark.parametrize(("wrong", "named"), [({"channels": 2}, "c2"), ({"rate_hz": 30.0}, "30")])
def test_a_stream_that_does_not_fit_is_refused_in_one_line(wrong, named):
    with running_streamer(BUNDLE) as streamer, pytest.raises(ChannelMismatch, match=named) as raised:
        played(streamer, [made_up("a", 100, **wrong)])
    assert "\n" not in str(raised.value)


def test_where_no_streamer_is_says_so():
    takes = takes_of([made_up("a")], first_session=1)
    with (
        unserved_addresses() as (ingest, labels),
        pytest.raises(EndpointError, match=f"no streamer answered at {ingest} .*kinestream serve BUNDLE"),
    ):
        play_takes(takes, Addresses(ingest, labels), timeout_s=0.2)


def test_options_that_make_no_sense_are_all_named():
    with pytest.raises(ConfigError) as raised:
        replay("nothing.zip", speed=0, loop=0, chunk=0, duration=-1.0)
    assert [problem.split(":")[0] for problem in raised.value.problems] == ["speed", "loop", "duration", "chunk"]


class _Told(NoScreen):
    """A screen that notices the lines it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.first = threading.Event()

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.first.set()


def test_a_replay_can_wait_for_somebody_else_to_listen():
    told = _Told()
    received: list[object] = []

    def listen(address: str) -> None:
        told.first.wait(20)
        with LabelSubscriber(address, streams=["a"]) as subscriber:
            received.extend(subscriber.receive(20) for _ in range(24))

    with running_streamer(BUNDLE) as streamer:
        listener = threading.Thread(target=listen, args=(streamer.labels,))
        listener.start()
        report = played(streamer, [made_up("a", 100)], speed="max", wait_for_subscribers=True, screen=told)
        listener.join()
    content = report.as_dict()
    assert told.lines == ["waiting for subscribers to a"]
    assert [label.window for label in received] == list(range(24))
    assert content["labels_received"] == 24


def test_ctrl_c_reports_what_came_of_what_was_sent():
    with running_streamer(BUNDLE) as streamer:

        def interrupt() -> None:
            with LabelSubscriber(streamer.labels) as subscriber:
                subscriber.receive(20)
            os.kill(os.getpid(), signal.SIGINT)

        interrupter = threading.Thread(target=interrupt)
        interrupter.start()
        content = played(streamer, [made_up("a", 100_000)], speed=1.0).as_dict()
        interrupter.join()
    assert content["interrupted"]
    assert 8 <= content["samples_sent"] < 1000
    assert content["labels_expected"] == content["labels_received"] == (content["samples_sent"] - 8) // 4 + 1


@pytest.mark.parametrize(
    ("recording", "why"),
    [
        (made_up("a", 7), "no window of 8 samples was sent whole"),
        (unlabelled(made_up("a", 20)), "no window that got a label has a true class in the recordings"),
        (replace(made_up("a", 20), classes=("w", "x", "y", "z")), "no window has a class that the bundle knows"),
    ],
)
def test_why_nothing_is_scored_is_said_as_it_is(recording, why):
    with running_streamer(BUNDLE) as streamer:
        report = played(streamer, [recording], speed="max")
    assert report.as_dict()["unscored"] == why
    console = Console(file=io.StringIO(), width=200)
    print_replay(report, console)
    assert f"nothing to score: {why}\n" in console.file.getvalue()


@pytest.mark.parametrize(
    ("recording", "why"),
    [
        (made_up("a", 20, window=4), "made_up comes as windows of 4 samples, the bundle's have 8"),
        (replace(made_up("a", 20), classes=("w", "x", "y", "z")), r"the recordings' classes \(z, ...\) are not"),
    ],
)
def test_a_truth_that_is_not_the_bundles_is_told_before_anything_is_played(recording, why, caplog):
    told = _Told()
    with running_streamer(BUNDLE) as streamer:
        played(streamer, [recording], speed="max", screen=told)
        played(streamer, [recording], speed="max")
    assert re.match(why, told.lines[0])
    assert told.lines == [record.message for record in caplog.records if record.name.endswith("replay.play.screen")]


def test_more_streams_than_a_socket_forgets_at_give_all_their_labels():
    told, by_subscriber = play_many(1100)
    assert told["labels_missing"] == 0
    assert told["labels_received"] == by_subscriber == 1100 * WINDOWS


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"window": {"length": "8", "stride": 4, "max_missing": 0.25}}, "window.length"),
        ({"window": {"length": 8, "stride": 0, "max_missing": 0.25}}, "window.stride"),
        ({"classes": [1, 2]}, "classes.0"),
        ({"columns": [0, 9]}, "columns"),
        ({"columns": [-1]}, "columns.0"),
        ({"subscribers": None}, "subscribers"),
        ({"undelivered": [1]}, "undelivered.0"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_in_one_line(change, named):
    about = {
        "bundle": "m",
        "rate_hz": 50.0,
        "window": {"length": 8, "stride": 4, "max_missing": 0.25},
        "classes": ["a"],
    }
    answer = Event("accepted", "a", -1, about | {"null_class": None, "columns": None, "subscribers": 1} | change)
    context = zmq.Context()
    done = threading.Event()
    ingest, labels = context.socket(zmq.PULL), context.socket(zmq.XPUB)
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (ingest, labels)]

    def answering() -> None:
        while not done.is_set():
            if ingest.poll(50):
                ingest.recv()
                labels.send_multipart(published.encode_event(answer))

    thread = threading.Thread(target=answering)
    thread.start()
    addresses = Addresses(*(f"tcp://127.0.0.1:{port}" for port in ports))
    try:
        with pytest.raises(EndpointError, match=rf"cannot be read \({named}\)"):
            play_takes(takes_of([made_up("a")], first_session=1), addresses, timeout_s=20)
    finally:
        done.set()
        thread.join()
        context.destroy(linger=0)
