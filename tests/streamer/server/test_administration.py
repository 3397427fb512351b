"""Whoever keeps a streamer learns how it fares, and has it take another bundle while streams go on."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import msgpack
import numpy as np
import psutil
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from kinestream import Event, Label, LabelSubscriber, Recognizer, SampleSender
from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import BundleError, EndpointError
from kinestream.streamer.client.keeper import health, reload
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import requests
from kinestream.streamer.wire.messages import MalformedMessage
from tests.given.bundles import random_bundle
from tests.given.hostile import DEMO, PATIENCE_S, SERVE, until
from tests.given.streamers import free_addresses, running_streamer, unserved_addresses

BEFORE = random_bundle(channels=3, classes=4, length=8, stride=4)
AFTER = random_bundle(channels=3, classes=5, length=8, stride=4, seed=1)
RATE = 50.0
RUN = [sys.executable, "-P", "-m", "kinestream"]


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BEFORE) as streamer:
        yield streamer


def written(bundle: Bundle, folder: Path) -> Path:
    bundle.write(folder)
    return folder


def test_health_says_what_runs_and_what_it_came_to(streamer):
    first = health(streamer.control)
    assert (first.version, first.bundle, first.streams) == (metadata.version("kinestream"), BEFORE.id, 0)
    with SampleSender("anna", BEFORE.channels, RATE, endpoint=streamer.ingest, control=streamer.control) as sender:
        sender.wait_accepted()
        sender.send(np.zeros((8, 3)))
        until(lambda: health(streamer.control).totals.get("windows_labelled") == 1)
    later = health(streamer.control)
    assert later.streams == 1
    assert later.uptime_s > first.uptime_s >= 0
    assert later.totals["requests_received"] >= 3


def test_the_commands_say_it_for_people_and_programs(streamer, tmp_path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*RUN, *words], capture_output=True, text=True, check=False, timeout=PATIENCE_S)

    found = run("health", "--control", streamer.control, "--json")
    assert json.loads(found.stdout)["bundle"] == BEFORE.id
    assert BEFORE.id in run("health", "--control", streamer.control).stdout
    done = run("reload", str(written(AFTER, tmp_path / "after")), "--control", streamer.control, "--json")
    assert json.loads(done.stdout) == {"old": BEFORE.id, "new": AFTER.id}
    wrong = run("reload", str(tmp_path / "nothing"), "--control", streamer.control)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)
    assert "the streamer does not take" in wrong.stderr
    assert health(streamer.control).bundle == AFTER.id


def test_where_no_streamer_is_one_line_says_so():
    with unserved_addresses(1) as (address,), pytest.raises(EndpointError, match="no streamer answers at"):
        health(address, timeout_s=0.1)


def test_another_bundle_takes_over_between_two_windows_and_no_stream_is_dropped(streamer, tmp_path, monkeypatch):
    """The samples go on while it is loaded; each window is named by one of the two, in order, and none is missing."""
    x = np.random.default_rng(0).normal(size=(4000, 3)).astype(np.float32)
    folder = written(AFTER, tmp_path / "after")
    ready = threading.Event()
    monkeypatch.setattr(
        "kinestream.streamer.server.administration.load_engine",
        lambda *args: (ready.wait(PATIENCE_S), load_engine(*args))[1],
    )
    names = ("anna", "ben")
    heard: list[Label | Event] = []
    with (
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        SampleSender("anna", BEFORE.channels, RATE, endpoint=streamer.ingest, control=streamer.control) as anna,
        SampleSender("ben", BEFORE.channels, RATE, endpoint=streamer.ingest, control=streamer.control) as ben,
    ):
        for sender in (anna, ben):
            until(lambda sender=sender: sender.describe() or subscriber.receive(0.1))
        asking = threading.Thread(target=reload, args=(folder, streamer.control))
        asking.start()
        sent = 0
        while not heard or heard[-1] is None or not (isinstance(heard[-1], Label) and heard[-1].model == AFTER.id):
            for sender in (anna, ben):
                sender.send(x[sent : sent + 4], seq=sent)
            sent += 4
            heard.append(subscriber.receive(0.05))
            if sum(isinstance(each, Label) for each in heard) == 20:
                ready.set()
        asking.join()
        for sender in (anna, ben):
            sender.end()
        while sum(isinstance(each, Event) and each.event == "end" for each in heard) < 2:
            heard.append(subscriber.receive(PATIENCE_S))
            assert heard[-1] is not None
        assert sent < len(x)
    offline = {}
    for bundle in (BEFORE, AFTER):
        named = Recognizer(bundle, load_engine(bundle, "cpu")).push("offline", x[:sent])
        offline[bundle.id] = {each.window: (each.label, each.probs) for each in named}
    for name in names:
        own = [each for each in heard if each is not None and each.stream == name]
        labels = [each for each in own if isinstance(each, Label)]
        assert [each.window for each in labels] == list(range((sent - 8) // 4 + 1))
        for label in labels:
            assert label.label == offline[label.model][label.window][0]
            np.testing.assert_allclose(
                label.probabilities, np.frombuffer(offline[label.model][label.window][1], "<f4"), atol=1e-5
            )
        (told,) = [each for each in own if isinstance(each, Event) and each.event == "model"]
        assert told.details == {"old": BEFORE.id, "new": AFTER.id, "classes": list(AFTER.description.classes)}
        at = own.index(told)
        assert {each.model for each in own[:at] if isinstance(each, Label)} == {BEFORE.id}
        assert {each.model for each in own[at:] if isinstance(each, Label)} == {AFTER.id}
    with SampleSender("carl", BEFORE.channels, RATE, endpoint=streamer.ingest, control=streamer.control) as sender:
        accepted = sender.wait_accepted()
    assert (accepted["bundle"], accepted["classes"]) == (AFTER.id, list(AFTER.description.classes))


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"rate_hz": 40.0}, "its rate (40 Hz, not 50) differ"),
        ({"channels": 4}, "channels (c3 in no unit)"),
        ({"length": 12}, "window (12 samples every 4, 0.25 of it may be missing, not 8 samples every 4"),
        ({"stride": 2}, "window (8 samples every 2"),
    ],
)
def test_a_bundle_for_which_the_open_windows_would_not_do_is_refused(streamer, tmp_path, other, why):
    bundle = random_bundle(**{"channels": 3, "classes": 4, "length": 8, "stride": 4} | other)
    with pytest.raises(BundleError) as raised:
        reload(written(bundle, tmp_path / "other"), streamer.control)
    assert why in str(raised.value)
    assert "\n" not in str(raised.value)
    assert health(streamer.control).bundle == BEFORE.id


def test_what_is_no_bundle_is_refused_and_the_one_before_goes_on(streamer, tmp_path):
    for folder in (tmp_path, tmp_path / "nothing", Path(__file__)):
        with pytest.raises(BundleError, match="the streamer does not take"):
            reload(folder, streamer.control)
    assert health(streamer.control).bundle == BEFORE.id


def test_one_at_a_time(streamer, tmp_path, monkeypatch):
    folder, ready = written(AFTER, tmp_path / "after"), threading.Event()
    monkeypatch.setattr(
        "kinestream.streamer.server.administration.load_engine",
        lambda *args: (ready.wait(PATIENCE_S), load_engine(*args))[1],
    )
    first = threading.Thread(target=reload, args=(folder, streamer.control))
    first.start()
    until(lambda: streamer._administration._underway is not None)
    with pytest.raises(BundleError, match="another bundle is being loaded: ask again"):
        reload(folder, streamer.control)
    ready.set()
    first.join()
    assert health(streamer.control).bundle == AFTER.id


def test_who_may_be_asked_from_elsewhere_does_not_reload(tmp_path):
    folder = written(AFTER, tmp_path / "after")
    with running_streamer(BEFORE, control="tcp://0.0.0.0:*") as streamer:
        control = streamer.control.replace("0.0.0.0", "127.0.0.1")
        with pytest.raises(BundleError, match="only where the control endpoint is bound to the streamer's own machine"):
            reload(folder, control)
        assert health(control).bundle == BEFORE.id


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"kind": "health", "more": 1}, "keys"),
        ({"kind": "reload"}, "keys"),
        ({"kind": "reload", "bundle": 3}, "bundle"),
        ({"kind": "reload", "bundle": ""}, "bundle"),
        ({"kind": "reload", "bundle": "a\0b"}, "bundle"),
        ({"kind": "reload", "bundle": "x" * 4097}, "bundle"),
        ({"kind": "forget"}, "keys"),
        ({"kind": "forget", "stream": 3}, "stream"),
        ({"kind": "forget", "stream": "a b"}, "stream"),
        ({"kind": "health", "v": 1}, "version"),
    ],
)
def test_a_wrong_request_is_counted_and_the_next_is_answered(streamer, content, reason):
    with zmq.Context() as context, context.socket(zmq.DEALER) as ask:
        ask.linger = 0
        ask.connect(streamer.control)
        ask.send(msgpack.packb({"v": 2, **content}))
        ask.send(requests.encode_request(requests.HealthRequest()))
        assert ask.poll(1000 * PATIENCE_S)
        assert isinstance(requests.decode_reply(ask.recv()), requests.Health)
    totals = streamer.totals()
    assert totals[f"requests_malformed_{reason}"] == 1
    became = sum(count for name, count in totals.items() if name.startswith("requests_") and "received" not in name)
    assert became == totals["requests_received"] == 2


@given(st.binary(max_size=200))
def test_random_bytes_are_no_request_and_no_reply(frame):
    with suppress(MalformedMessage):
        assert requests.decode_request(frame) is None
    with pytest.raises(MalformedMessage):
        requests.decode_reply(frame)


@pytest.mark.skipif(os.name != "posix", reason="serve watches over itself on POSIX systems")
def test_one_that_dies_is_started_again_with_the_bundle_it_took(tmp_path):
    shipped = read_bundle(DEMO)
    other = Bundle(shipped.description.model_copy(update={"name": "other"}), shipped.weights)
    folder = written(other, tmp_path / "other")
    with subprocess.Popen(SERVE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert reload(folder, ready["control"]).new == other.id
        psutil.Process(ready["pid"]).send_signal(signal.SIGKILL)
        again = json.loads(process.stdout.readline())
        assert (again["bundle"], again["control"]) == (other.id, ready["control"])
        assert health(ready["control"], PATIENCE_S).bundle == other.id
        process.terminate()
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


def test_who_is_not_there_is_not_waited_for_as_long_as_a_bundle_may_take():
    (nobody,) = free_addresses(1)
    with pytest.raises(EndpointError, match=r"no streamer answers at .* within 5 s"):
        reload("anything", nobody, timeout_s=100_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_in_the_place_of_weights_holds_up_no_further_reload(streamer, tmp_path):
    folder = written(AFTER, tmp_path / "after")
    (folder / "weights.safetensors").rename(tmp_path / "weights")
    os.mkfifo(folder / "weights.safetensors")
    with pytest.raises(BundleError, match="is no plain file"):
        reload(folder, streamer.control)
    (tmp_path / "weights").replace(folder / "weights.safetensors")
    assert reload(folder, streamer.control).new == AFTER.id


def test_the_same_bundle_again_is_answered_and_no_stream_is_told(streamer, tmp_path):
    folder = written(BEFORE, tmp_path / "before")
    with (
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        SampleSender("anna", BEFORE.channels, RATE, endpoint=streamer.ingest, control=streamer.control) as sender,
    ):
        until(lambda: sender.describe() or subscriber.receive(0.1))
        assert reload(folder, streamer.control) == (BEFORE.id, BEFORE.id)
        sender.end()
        kinds = []
        while "end" not in kinds and (heard := subscriber.receive(1.0)) is not None:
            kinds.append(heard.event)
    assert "model" not in kinds


def test_where_no_thread_is_to_be_had_it_says_so_and_the_one_before_goes_on(streamer, tmp_path, monkeypatch):
    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    folder = written(AFTER, tmp_path / "after")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        with pytest.raises(BundleError, match="nothing more can be begun"):
            reload(folder, streamer.control)
    assert health(streamer.control).bundle == BEFORE.id
    assert reload(folder, streamer.control).new == AFTER.id
