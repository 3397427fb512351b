"""The process that serves may take no more memory: whom there is none for is refused; a death is followed by life."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.errors import BundleError, ChannelMismatch, EndpointError
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client import Label, LabelSubscriber, SampleConnection, SampleSender
from kinestream.streamer.client.keeper import health, reload
from tests.given.bundles import random_bundle
from tests.given.hostile import BUNDLE, DEMO, PATIENCE_S, SERVE, get_labels, signal_of, until

pytestmark = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux's")

MB = 1_000_000


@contextmanager
def served(*command: str) -> Iterator[tuple[OwnStreamer, int]]:
    """Run a streamer that is watched over; yield it and the process that serves."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            streamer = OwnStreamer(process)
            yield streamer, psutil.Process(process.pid).children()[0].pid
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def leave_room(pid: int, bytes_: int) -> None:
    """Let a process take no more than so much address space besides what it has."""
    limit = psutil.Process(pid).memory_info().vms + bytes_
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))


def test_a_bundle_that_there_is_no_memory_for_is_refused_and_the_one_before_goes_on(tmp_path: Path):
    """Its weights alone take 64 MB; all else is as of the one that it is to replace."""
    shipped = read_bundle(DEMO)
    grid = {"length": shipped.grid.length, "stride": shipped.grid.stride, "max_missing": shipped.grid.max_missing}
    large = random_bundle(shipped.channels, 5, rate_hz=shipped.description.rate_hz, hidden=1000, **grid)
    large.write(tmp_path / "large")
    with served(*SERVE) as (streamer, pid):
        control = streamer.addresses.control
        get_labels(streamer, "before")
        leave_room(pid, 50 * MB)
        with pytest.raises(BundleError, match=r"^[^\n]*cannot be loaded \(MemoryError\)[^\n]*$"):
            reload(tmp_path / "large", control)
        get_labels(streamer, "after")
        assert health(control).bundle == shipped.id
        assert psutil.Process(pid).is_running()
        renamed = Bundle(shipped.description.model_copy(update={"name": "small"}), shipped.weights)
        renamed.write(tmp_path / "small")
        assert reload(tmp_path / "small", control).new == renamed.id


def test_a_stream_that_there_is_no_memory_for_is_refused_and_the_others_go_on(tmp_path: Path):
    """Windows of 2,000 samples of 16 channels: room for 128 streams, made when the 65th comes, takes 32 MB."""
    wide = random_bundle(16, 4, length=2000, stride=2000, rate_hz=1000.0, hidden=2, cells=1, blocks=1, norm="none")
    wide.write(tmp_path / "bundle")
    command = [str(tmp_path / "bundle") if each == str(DEMO) else each for each in SERVE]
    with served(*command, "--no-warm-up") as (streamer, pid):
        at = streamer.addresses
        leave_room(pid, 30 * MB)
        accepted, why = 0, ""
        with SampleConnection(at.ingest, control=at.control) as connection:
            for number in range(128):
                sender = SampleSender(f"s{number}", wide.channels, 1000.0, connection=connection)
                try:
                    sender.wait_accepted(PATIENCE_S)
                except ChannelMismatch as error:
                    why = str(error)
                    break
                accepted += 1
        assert "no memory is left for another stream" in why
        assert accepted >= 16
        assert health(at.control).streams == accepted
        assert psutil.Process(pid).is_running()


def test_one_that_dies_for_want_of_memory_is_started_again():
    """No room is left at all: whatever asks for some next ends it, or the system does, as by SIGKILL."""
    with served(*SERVE) as (streamer, pid):
        get_labels(streamer, "before")
        process = psutil.Process(pid)
        leave_room(pid, 0)
        at = streamer.addresses
        with (
            LabelSubscriber(at.labels, streams=["anna"]) as subscriber,
            SampleSender("anna", BUNDLE.channels, 50.0, endpoint=at.ingest, control=at.control, timeout_s=5) as sender,
        ):
            x = signal_of(500)

            def send() -> bool:
                sender.send(x)
                subscriber.receive(0)
                return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE

            try:
                until(send, 10.0)
            except (AssertionError, EndpointError):  # it goes on with what it has, or waits for ever
                os.kill(pid, 9)
            until(lambda: "ready: " in "".join(streamer.said).partition("started again")[2])

            def labelled() -> bool:
                sender.send(x[:25])
                return isinstance(subscriber.receive(0.05), Label)

            until(labelled)
