"""A streamer that dies is started again, where it was; nobody who sends or listens has to do anything."""

import json
import os
import signal
import socket as sockets
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import psutil
import pytest
import zmq

from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client import LabelSubscriber, SampleSender
from kinestream.streamer.server.supervise import Orders, supervise
from kinestream.streamer.server.tuning import INGEST_BYTES, INGEST_HWM, INGEST_HWM_MOST, ingest_hwm
from kinestream.streamer.wire.messages import MAX_BYTES, Label
from tests.given.bundles import random_bundle
from tests.given.hostile import BUNDLE, DEMO, PATIENCE_S, SERVE, get_labels, signal_of, until
from tests.given.streamers import running_streamer


class Supervised(OwnStreamer):
    """`kinestream serve` as a user starts it: who watches, and who serves."""

    @property
    def child(self) -> psutil.Process:
        """Who serves."""
        children: list[psutil.Process] = []  # of one look: by the next the child may have died
        until(lambda: children.extend(psutil.Process(self.pid).children()) or children)
        return children[0]

    def is_ready_again(self) -> bool:
        """Whether it was said after a death: who dies as soon as programs know it ready may not have told people."""
        said = "".join(self.said)
        return "ready: " in said.partition("started again")[2]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def result(self) -> tuple[int, list[dict]]:
        """Wait for its end; return its status and the objects it printed since it was ready."""
        status = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status, [json.loads(line) for line in self._process.stdout]


STOPS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def served(**options: Any) -> Iterator[Supervised]:
    options = {"stderr": subprocess.PIPE, **options}
    with subprocess.Popen(SERVE, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield Supervised(process)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    with served() as supervised:
        yield supervised
        if supervised._process.poll() is None:
            supervised.signal(signal.SIGTERM)
        supervised.result()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
def test_who_dies_is_started_again_for_the_same_senders_and_subscribers(supervised, how):
    addresses = supervised.addresses
    with (
        LabelSubscriber(addresses.labels, streams=["alice"]) as subscriber,
        SampleSender("alice", BUNDLE.channels, 50.0, endpoint=addresses.ingest) as sender,
    ):

        def labelled_by(pid: int) -> bool:
            sender.send(signal_of(25))
            return isinstance(subscriber.receive(0.05), Label) and supervised.child.pid == pid

        first = supervised.child
        until(lambda: labelled_by(first.pid))
        first.send_signal(how)
        first.wait(PATIENCE_S)
        until(supervised.is_ready_again)
        again = supervised.child.pid
        until(lambda: labelled_by(again))
    assert [line for line in supervised.said if f"was ended by {how.name}" in line and "started again" in line]
    supervised.signal(signal.SIGTERM)
    status, (ready, totals) = supervised.result()
    assert (status, totals["restarts"]) == (0, 1)
    assert ready["ready"]
    assert (ready["samples"], ready["labels"], ready["control"]) == (
        addresses.ingest,
        addresses.labels,
        addresses.control,
    )
    assert ready["pid"] == again


@pytest.mark.parametrize("how", STOPS)
def test_whoever_watches_ends_with_the_streamer_when_asked(supervised, how):
    get_labels(supervised, "alice")
    child = supervised.child
    supervised.signal(how)
    status, (totals,) = supervised.result()
    assert (status, totals["restarts"]) == (0, 0)
    assert not child.is_running()


def test_a_streamer_does_not_outlive_whoever_watches(supervised):
    child = supervised.child
    supervised.signal(signal.SIGKILL)
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_what_never_began_is_not_started_again():
    said: list[str] = []
    assert supervise([sys.executable, "-c", "raise SystemExit(2)"], said.append) == 2
    assert supervise([sys.executable, "-c", "import os; os.abort()"], said.append) == 128 + signal.SIGABRT
    assert said == []


_DIES_AS_SOON_AS_IT_SAYS_READY = """
import os, signal, sys
from kinestream.screens.serve import StatusLine
from kinestream.streamer.server import serve

class Dies(StatusLine):
    def begin(self, ready):
        os.kill(os.getpid(), signal.SIGTERM if orders.restarts else signal.SIGKILL)

orders = serve.orders_given()
serve.orders_given = lambda: orders
at = "tcp://127.0.0.1:*"
serve.serve(sys.argv[1], display=Dies(), ingest=at, subscribe=(), labels=at, control=at, device="cpu", threads=1,
            forget_after=60.0, most_streams=10, most_senders=None)
"""


def test_who_dies_as_soon_as_programs_know_it_ready_is_started_again():
    said: list[str] = []
    assert supervise([sys.executable, "-c", _DIES_AS_SOON_AS_IT_SAYS_READY, str(DEMO)], said.append) == 0
    assert ["was ended by SIGKILL" in line for line in said] == [True]


def test_who_dies_again_and_again_is_started_less_often(tmp_path):
    """The third time it is asked to end while it waits to be started."""
    dies = "from kinestream.streamer.server.supervise import orders_given; "
    dies += "orders_given().report_ready(ingest='a', labels='b', control='c'); 1 / 0"
    watch = "import sys; from kinestream.streamer.server.supervise import supervise; "
    watch += "from kinestream.screens.stderr import say; "
    watch += f"sys.exit(supervise([sys.executable, '-c', {dies!r}], say))"
    with subprocess.Popen([sys.executable, "-c", watch], stderr=subprocess.PIPE, text=True) as process:
        pauses = []
        for line in process.stderr:
            if "started again" in line:
                pauses.append(line.split()[-2])
            if len(pauses) == 3:
                process.terminate()
                break
        assert process.wait(PATIENCE_S) == 0
        process.stderr.read()
    assert pauses == ["0.2", "0.4", "0.8"]


def test_a_peer_that_makes_libzmq_give_up_ends_the_service_for_nobody(supervised):
    """More messages than may wait, then pings, then no connection: libzmq 4.3.5 then ends its process.

    "Assertion failed: !_io_error (src/stream_engine_base.cpp:310)". Should a later one not, all the better.
    """
    get_labels(supervised, "before")
    host, _, port = supervised.addresses.ingest.removeprefix("tcp://").rpartition(":")
    first = supervised.child.pid
    deadline = time.monotonic() + 10.0
    tries = 0
    while supervised.child.pid == first and time.monotonic() < deadline:
        tries += 1
        with suppress(OSError), _raw_peer((host, int(port))) as peer:  # nobody may be there just now
            peer.sendall(b"\0\0" * 200 + 3 * b"\4\7\4PING\0\0")
            time.sleep(tries % 10 * 0.00005)
            peer.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    if supervised.child.pid == first:
        pytest.skip(f"libzmq {zmq.zmq_version()} outlived it {tries} times")
    until(supervised.is_ready_again)
    get_labels(supervised, "after")


@contextmanager
def _raw_peer(address: tuple[str, int]) -> Iterator[sockets.socket]:
    """Shake hands as ZMTP 3.1 has it, with no security."""
    with sockets.create_connection(address, PATIENCE_S) as peer:
        peer.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32))
        ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 4) + b"PUSH"
        peer.sendall(bytes([4, len(ready)]) + ready)
        got = b""
        while len(got) < 64 + 10:
            part = peer.recv(4096)
            if not part:
                raise ConnectionError
            got += part
        yield peer


def test_a_death_is_seen_where_deaths_of_children_are_ignored():
    """Some daemons start programs with SIGCHLD ignored, and then nobody learns how a child ended."""
    with served(preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)) as supervised:
        supervised.child.kill()
        until(supervised.is_ready_again)


def test_a_hangup_that_is_ignored_leaves_both_alive():
    with served(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as supervised:
        supervised.signal(signal.SIGHUP)
        get_labels(supervised, "after")


@pytest.mark.parametrize("later", [0.1, 0.5])
def test_who_is_asked_to_end_while_it_is_started_again_has_done_well(supervised, later):
    """In the pause before, or while the new one loads."""
    supervised.child.kill()
    time.sleep(later)
    supervised.signal(signal.SIGTERM)
    assert supervised.result()[0] == 0


def test_a_second_process_that_cannot_be_started_is_tried_again(monkeypatch):
    tries: list[object] = []
    started = subprocess.Popen

    def sometimes(*arguments: Any, **options: Any) -> Any:
        tries.append(arguments)
        if len(tries) == 2:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return started(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", sometimes)
    dies = "from kinestream.streamer.server.supervise import orders_given; o = orders_given(); "
    dies += "o.report_ready(ingest='a', labels='b', control='c'); raise SystemExit(0 if o.restarts == 2 else 3)"
    said: list[str] = []
    assert supervise([sys.executable, "-c", dies], said.append) == 0
    assert ["ended with status 3" in said[0], "could not be started" in said[1], len(said)] == [True, True, 2]


@pytest.mark.parametrize("dies_before", [False, True])
def test_a_full_pipe_keeps_nobody_from_ending(dies_before):
    """Python's farewell waits for whoever reads stderr; so do threads that write to it."""
    reading, writing = os.pipe()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with served(stderr=writing, env=environment) as supervised:
        os.set_blocking(writing, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        if dies_before:
            before = supervised.child
            before.kill()
            until(lambda: supervised.child.pid != before.pid)
        supervised.signal(signal.SIGTERM)
        assert supervised._process.wait(PATIENCE_S) == 0
    os.close(reading)
    os.close(writing)


def test_totals_come_although_nobody_reads_stderr_any_more():
    reading, writing = os.pipe()
    with served(stderr=writing) as supervised:
        os.close(writing)
        os.close(reading)
        before = supervised.child
        before.kill()
        until(lambda: supervised.child.pid != before.pid)
        get_labels(supervised, "after")
        supervised.signal(signal.SIGTERM)
        assert supervised._process.wait(PATIENCE_S) == 0
        *_, totals = [json.loads(line) for line in supervised._process.stdout]
    assert totals["windows_labelled"] >= 2


def test_the_fewer_may_send_the_more_may_wait_of_each():
    assert ingest_hwm(None) == INGEST_HWM
    for connections in range(1, 200):
        mark = ingest_hwm(connections)
        assert INGEST_HWM <= mark <= INGEST_HWM_MOST
        if mark > INGEST_HWM:
            assert connections * mark * MAX_BYTES <= INGEST_BYTES
    assert ingest_hwm(4) == INGEST_HWM_MOST


def test_what_a_sender_sends_who_is_turned_away_is_hardly_taken():
    """A message that comes together with the connection may be, since nothing tells whose it is."""
    with running_streamer(BUNDLE, most_senders=1) as streamer:
        with SampleSender("first", BUNDLE.channels, 50.0, endpoint=streamer.ingest) as first:
            first.describe()
            until(lambda: streamer.totals()["messages_received"] == 1)
            with SampleSender("second", BUNDLE.channels, 50.0, endpoint=streamer.ingest) as second:
                deadline = time.monotonic() + 2.0
                while time.monotonic() < deadline:
                    second.send(signal_of(1))
                    time.sleep(0.02)
                refused = streamer.totals()["connections_refused"]
                assert refused > 1
                sent, received = second.seq, streamer.totals()["messages_received"] - 1
                assert received < sent
        until(lambda: streamer.ports.senders.count == 0)


def test_more_senders_than_are_wanted_are_turned_away_and_told(caplog):
    with running_streamer(random_bundle(), most_senders=2) as streamer:
        address = streamer.ingest.removeprefix("tcp://").split(":")
        welcome = [sockets.create_connection((address[0], int(address[1])), PATIENCE_S) for _ in range(2)]
        until(lambda: streamer.ports.senders.count == 2)
        with sockets.create_connection((address[0], int(address[1])), PATIENCE_S) as further:
            while further.recv(4096):
                pass
        until(lambda: streamer.totals()["connections_refused"] == 1)
        for each in welcome:
            each.close()
        until(lambda: streamer.ports.senders.count == 0)
    assert "no room for more than 2 connections" in caplog.text
    assert "--max-senders" in caplog.text


_HANGS = """
import sys, time
from kinestream.streamer.server.supervise import orders_given
orders = orders_given()
orders.report_ready(ingest='a', labels='b', control='c')
orders.report_alive()
if orders.restarts:
    orders.report_stopped()
    sys.exit()
if sys.argv[1] == "deaf":
    import signal
    signal.signal(signal.SIGABRT, signal.SIG_IGN)
time.sleep(1000)
"""


@pytest.mark.parametrize(("how", "signal_name"), [("hears", "SIGABRT"), ("deaf", "SIGKILL")])
def test_who_hangs_is_ended_and_started_again(how, signal_name):
    said: list[str] = []
    assert supervise([sys.executable, "-c", _HANGS, how], said.append, hung_s=1) == 0
    assert said[0] == "the streamer has given no sign of life for 1 s: it is ended"
    assert f"was ended by {signal_name}" in said[1]
    assert len(said) == 2


def test_who_is_alive_says_so_once_a_second():
    """Whoever watches would end it otherwise; how long it waits is not what is tested here."""
    reading, writing = os.pipe()
    orders = Orders(writing, os.getpid(), 0, {})
    environment = os.environ | {"KINESTREAM_SUPERVISED": json.dumps(asdict(orders))}
    with subprocess.Popen(
        [*SERVE, "--no-restart"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=[writing], env=environment
    ) as process:
        os.close(writing)
        try:
            with open(reading, "rb") as told:
                assert json.loads(told.readline()).keys() == {"ingest", "labels", "control", "watch"}
                assert [told.readline() for _ in range(3)] == [b"alive\n"] * 3
                process.terminate()
                assert told.read().endswith(b"stopped\n")
        finally:
            process.terminate()
    assert process.returncode == 0
