"""systemd is told what a streamer is doing: by the process that serves, and only while its loop turns."""

import json
import os
import shutil
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
from kinestream.streamer.client import SampleSender
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.lifecycle import Lifecycle
from kinestream.streamer.server.systemd import Notifier
from tests.given.bundles import random_bundle
from tests.given.hostile import DEMO, PATIENCE_S, until
from tests.given.streamers import ANY_PORT, running_streamer
from tests.given.systemd import Systemd, systemd

pytestmark = pytest.mark.skipif(os.name != "posix", reason="systemd is Linux's")

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
ON_ANY_PORTS = [each for port in ("--ingest", "--labels", "--control") for each in (port, ANY_PORT)]


@contextmanager
def served(service: Systemd, *options: object, **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-m", "kinestream", "serve", *map(str, options), "--json", *ON_ANY_PORTS]
    told = os.environ | service.environment | environment
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=told) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)


@pytest.mark.parametrize("abstract", [False, True])
def test_what_is_told_is_what_sd_notify_has(abstract):
    with systemd(abstract=abstract) as service:
        notifier = Notifier(service.environment)
        notifier.ready("serving a\nb")
        assert service.next(1) == {"READY": "1", "STATUS": "serving a\\nb"}
        notifier.reloading()
        told = service.next(1)
        assert told is not None
        assert abs(int(told["MONOTONIC_USEC"]) / 1e6 - time.monotonic()) < 5
        assert told["RELOADING"] == "1"
        notifier.stopping("bye")
        assert service.next(1) == {"STOPPING": "1", "STATUS": "bye"}
        notifier.alive()  # nobody wants it
        assert service.next(0.05) is None


@pytest.mark.parametrize(
    ("told", "period"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "7"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_a_sign_of_life_is_given_by_whom_it_is_wanted_of(told, period):
    assert Notifier({"NOTIFY_SOCKET": "/nowhere"} | told, 6, 7).period_s == period
    assert Notifier(told, 6, 7).period_s is None


@pytest.mark.parametrize("address", ["", "nowhere", "vsock:2:1", "/nobody/listens"])
def test_nobody_who_listens_is_no_harm(address):
    Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"}).alive()


def test_a_service_tells_of_its_life(tmp_path):
    shutil.copytree(DEMO, tmp_path / "bundle")
    with systemd(watchdog_s=30.0) as service, served(service, tmp_path / "bundle", "--no-restart") as process:
        ready = service.wait_for("READY")
        assert ready["STATUS"].startswith("serving ")
        for _ in range(2):
            assert service.wait_for("WATCHDOG", anew=True) == {"WATCHDOG": "1"}
        process.send_signal(signal.SIGHUP)
        service.wait_for("RELOADING")
        assert service.wait_for("READY", anew=True) == ready
        (tmp_path / "bundle" / "weights.safetensors").unlink()
        process.send_signal(signal.SIGHUP)
        service.wait_for("RELOADING", anew=True)
        refused = service.wait_for("READY", anew=True)["STATUS"]
        assert refused.startswith(f"{ready['STATUS']}; not reloaded: ")
        assert "has no weights.safetensors" in refused
        process.send_signal(signal.SIGTERM)
        service.wait_for("STOPPING")
        assert process.wait(PATIENCE_S) == 0
    order = [next(key for key in told if key != "STATUS") for told in service.told if "WATCHDOG" not in told]
    assert order == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]


def test_one_that_is_watched_over_tells_it_itself_and_again_after_a_death():
    with systemd(watchdog_s=30.0) as service, served(service, DEMO) as process:
        assert process.stdout is not None
        child = json.loads(process.stdout.readline())["pid"]
        service.wait_for("READY")
        service.wait_for("WATCHDOG", anew=True)
        os.kill(child, signal.SIGKILL)
        service.wait_for("READY", anew=True)
        assert json.loads(process.stdout.readline())["pid"] != child


class Stuck:
    """An engine that answers nothing until it is let go."""

    def __init__(self) -> None:
        self._engine = load_engine(BUNDLE, "cpu")
        self.free = threading.Event()
        self.free.set()

    def answer(self, part: object) -> object:
        self.free.wait(PATIENCE_S)
        return self._engine.answer(part)

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)


class Quiet:
    """A display that shows nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *what: None


@pytest.mark.parametrize("windows", [1, 30])
def test_no_sign_of_life_comes_while_no_label_does(windows, monkeypatch):
    """Whether the loop itself waits for the engine, as for few windows, or the inference thread does."""
    monkeypatch.setattr("kinestream.streamer.server.tuning.INLINE_INFERENCE_NS", 0)
    monkeypatch.setattr("kinestream.streamer.server.tuning.HOUSEKEEPING_INTERVAL_NS", 20_000_000)
    engine = Stuck()
    recognizer = Recognizer(BUNDLE, engine)
    with systemd(watchdog_s=0.5) as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        life = Lifecycle(Quiet(), None, recognizer, 1.0)
        with running_streamer(recognizer, report=life.live, warm_up=False) as streamer:
            service.wait_for("WATCHDOG")
            engine.free.clear()
            with SampleSender("anna", BUNDLE.channels, 50.0, endpoint=streamer.ingest) as sender:
                sender.send(np.zeros((8 + 4 * (windows - 1), 3)))
                until(lambda: _is_stuck(service))
                assert service.next(0.5) is None
                engine.free.set()
                service.wait_for("WATCHDOG", anew=True)


def _is_stuck(service: Systemd) -> bool:
    """Tell whether no sign of life has come for longer than one takes."""
    return service.next(0.3) is None
