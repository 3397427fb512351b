"""A streamer that dies is started again, where it was; nobody who sends or listens has to do anything."""

import json
import signal
import socket as sockets
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest

from replay.own_streamer import OwnStreamer, _addresses
from streamer.client import LabelSubscriber, SampleSender
from streamer.loop import INGEST_BYTES, INGEST_HWM, INGEST_HWM_MOST, ingest_hwm
from streamer.supervise import supervise
from streamer.wire import MAX_BYTES, Label
from tests.bundles import random_bundle
from tests.streamer.test_hostile import BUNDLE, DEMO, PATIENCE_S, get_labels, signal_of, until
from tests.streamers import running_streamer


class Supervised(OwnStreamer):
    """`kinestream serve` as a user starts it: who watches, and who serves."""

    @property
    def child(self) -> psutil.Process:
        """Who serves."""
        until(psutil.Process(self.pid).children)
        return psutil.Process(self.pid).children()[0]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def result(self) -> tuple[int, str]:
        """Wait for its end; return its status and what it printed."""
        status = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status, self._process.stdout.read()


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(DEMO), "--json"]
    command += ["--ingest", "tcp://127.0.0.1:*", "--labels", "tcp://127.0.0.1:*"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            supervised = Supervised(process, _addresses(process))
            yield supervised
        finally:
            process.terminate()
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
        until(lambda: sum("ready: " in line for line in supervised.said) == 1)
        until(lambda: labelled_by(supervised.child.pid))
    assert [line for line in supervised.said if f"was ended by {how.name}" in line and "started again" in line]
    supervised.signal(signal.SIGTERM)
    status, out = supervised.result()
    assert (status, json.loads(out)["restarts"]) == (0, 1)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_whoever_watches_ends_with_the_streamer_when_asked(supervised, how):
    get_labels(supervised, "alice")
    child = supervised.child
    supervised.signal(how)
    status, out = supervised.result()
    assert (status, json.loads(out)["restarts"]) == (0, 0)
    assert not child.is_running()


def test_a_streamer_does_not_outlive_whoever_watches(supervised):
    child = supervised.child
    supervised.signal(signal.SIGKILL)
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_what_never_began_is_not_started_again():
    said: list[str] = []
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
    assert supervise([sys.executable, "-c", "raise SystemExit(2)"], said.append) == 2
    assert supervise([sys.executable, "-c", "import os; os.abort()"], said.append) == 128 + signal.SIGABRT
    assert said == []
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)] == handlers


def test_who_dies_again_and_again_is_started_less_often(tmp_path):
    """The third time it is asked to end while it waits to be started."""
    dies = "from streamer.supervise import taken_charge as t; c = t(); c.tell_ready(ingest='a', labels='b'); 1 / 0"
    watch = "import sys; from streamer.supervise import supervise; from model.printable import say; "
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
    until(lambda: supervised.child.pid == first or any("ready: " in line for line in supervised.said))
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


def test_the_fewer_may_send_the_more_may_wait_of_each():
    assert ingest_hwm(None) == INGEST_HWM
    for connections in range(1, 200):
        mark = ingest_hwm(connections)
        assert INGEST_HWM <= mark <= INGEST_HWM_MOST
        if mark > INGEST_HWM:
            assert connections * mark * MAX_BYTES <= INGEST_BYTES
    assert ingest_hwm(4) == INGEST_HWM_MOST


def test_more_senders_than_are_wanted_are_turned_away_and_told(caplog):
    with running_streamer(random_bundle(), most_senders=2) as streamer:
        address = streamer.ingest.removeprefix("tcp://").split(":")
        welcome = [sockets.create_connection((address[0], int(address[1])), PATIENCE_S) for _ in range(2)]
        until(lambda: streamer._senders.count == 2)
        with sockets.create_connection((address[0], int(address[1])), PATIENCE_S) as further:
            while further.recv(4096):
                pass
        until(lambda: streamer.totals()["connections_refused"] == 1)
        for each in welcome:
            each.close()
        until(lambda: streamer._senders.count == 0)
    assert "no room for more than 2 connections" in caplog.text
    assert "--max-senders" in caplog.text
