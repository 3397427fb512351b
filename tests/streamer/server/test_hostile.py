"""A streamer in a process of its own, among those who wish it ill."""

import os
import random
import shutil
import signal
import socket as sockets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import zmq

import kinestream.replay.demo
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.streamer.client import LabelSubscriber, SampleSender
from kinestream.streamer.transport import connections as module
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Event, Label, StreamDescription
from tests.given.bundles import random_bundle
from tests.given.streamers import running_streamer

DEMO = Path(kinestream.replay.demo.__file__).parent / "demo_data" / "bundle"
BUNDLE = read_bundle(DEMO)
WIDTH = len(BUNDLE.channels)
HALF_A_GIGABYTE = 512e6
PATIENCE_S = 20.0
LOOKS = 160
"""Times that the memory is looked at, twenty a second."""
STOP_S = 4.0
"""Two seconds for what is on its way, one for subscribers to fetch it, one for the process to go."""


@pytest.fixture
def streamer() -> Iterator[OwnStreamer]:
    with started_streamer(DEMO) as streamer:
        yield streamer


def signal_of(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, WIDTH)).astype(np.float32)


def get_labels(streamer: OwnStreamer, name: str, count: int = 2) -> list[Label]:
    """Send samples until so many labels have come back; the streamer may be busy, but must not be deaf."""
    labels: list[Label] = []
    x = signal_of(25)
    deadline = time.monotonic() + PATIENCE_S
    with (
        LabelSubscriber(streamer.addresses.labels, streams=[name]) as subscriber,
        SampleSender(name, BUNDLE.channels, 50.0, endpoint=streamer.addresses.ingest) as sender,
    ):
        while len(labels) < count:
            assert time.monotonic() < deadline, "no label comes"
            sender.send(x)
            received = subscriber.receive(0.02)
            if isinstance(received, Label):
                labels.append(received)
    return labels


class Hostile:
    """Connections that send as fast as they can whatever `messages` yields."""

    def __init__(self, kind: int, address: str, count: int, messages: Iterator[bytes]) -> None:
        self.context = zmq.Context()
        self.sockets = []
        for _ in range(count):
            socket = self.context.socket(kind)
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.SNDHWM, 5)
            socket.set(zmq.RCVHWM, 1)
            socket.set(zmq.RCVBUF, 4096)
            socket.connect(address)
            self.sockets.append(socket)
        self.messages = messages
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        while not self.stopping.is_set():
            for socket in self.sockets:
                with suppress(zmq.Again):
                    socket.send(next(self.messages), zmq.DONTWAIT)
            time.sleep(0.0005)

    def __enter__(self) -> "Hostile":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
        self.context.destroy(linger=0)


def junk(size: int) -> Iterator[bytes]:
    while True:
        yield b"\x87" + random.randbytes(8) + bytes(size - 9)


def uploads() -> Iterator[bytes]:
    """Yield what is valid, and as much as a message may hold."""
    rows = (wire.MAX_BYTES - 256) // (4 * WIDTH)
    x = signal_of(rows)
    for name in range(20):
        yield codec.encode_description(StreamDescription(f"greedy-{name}", 50.0, BUNDLE.channels))
    seq = 0
    while True:
        for name in range(20):
            yield codec.encode_samples(f"greedy-{name}", 1, seq, time.time_ns(), x)
        seq += rows


def descriptions() -> Iterator[bytes]:
    """Yield descriptions of as many channels as there may be, never the same one."""
    number = 0
    while True:
        number += 1
        yield codec.encode_description(
            StreamDescription(f"wide-{number}", 50.0, tuple(wire.Channel(f"{number}-{i}", "g") for i in range(1024)))
        )


def topics() -> Iterator[bytes]:
    while True:
        yield b"\x01" + random.randbytes(random.choice((20, 50, 70)))


def subscribe_to_megabytes(address: str) -> None:
    """Subscribe to one topic of 20 MB, byte by byte: libzmq's own subscriber would not survive that."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
    with sockets.create_connection((host, int(port))) as peer:
        peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31))
        peer.sendall(bytes([4, len(ready)]) + ready)
        with suppress(ConnectionError):
            peer.sendall(b"\x02" + (20_000_001).to_bytes(8, "big") + b"\x01" + bytes(20_000_000))
            while peer.recv(4096):  # until it hangs up
                pass


@contextmanager
def watched_memory(pid: int) -> Iterator[list[float]]:
    """Look at a process' resident memory until the block ends."""
    seen: list[float] = []
    stopping = threading.Event()

    def look() -> None:
        while not stopping.wait(0.05):
            seen.append(psutil.Process(pid).memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stopping.set()
        thread.join()


def test_a_hundred_hostile_connections_take_less_than_half_a_gigabyte(streamer):
    ingest, labels = streamer.addresses.ingest, streamer.addresses.labels
    with (
        watched_memory(streamer.pid) as memory,
        Hostile(zmq.PUSH, ingest, 20, junk(60_000)),
        Hostile(zmq.PUSH, ingest, 10, junk(1_000_000)),
        Hostile(zmq.PUSH, ingest, 20, uploads()),
        Hostile(zmq.XSUB, labels, 20, topics()),
        Hostile(zmq.XSUB, labels, 15, junk(100_000)),
        Hostile(zmq.XSUB, labels, 14, iter(lambda: b"\x01", None)),  # hear all and read nothing
    ):
        subscribe_to_megabytes(labels)
        until(lambda: len(memory) > LOOKS)
    assert max(memory) < HALF_A_GIGABYTE
    get_labels(streamer, "after")


@pytest.mark.parametrize("load", [uploads, descriptions, lambda: junk(60_000)])
def test_whoever_is_told_to_stop_stops_under_any_load(streamer, load):
    with Hostile(zmq.PUSH, streamer.addresses.ingest, 4, load()):
        get_labels(streamer, "honest")
        began = time.monotonic()
        totals = streamer.stop()
        assert time.monotonic() - began < STOP_S
    assert totals["windows_labelled"] >= 2


def test_subscribing_to_too_much_ends_the_connection(monkeypatch, caplog):
    monkeypatch.setattr("kinestream.streamer.transport.subscriptions.MAX_BYTES", 100_000)
    bundle = random_bundle()
    modest = iter(lambda: b"\x01label/anna/", None)
    with (
        running_streamer(bundle) as streamer,
        Hostile(zmq.XSUB, streamer.labels, 1, topics()) as greedy,
        Hostile(zmq.XSUB, streamer.labels, 1, modest) as other,
    ):
        sockets_of_both = greedy.sockets + other.sockets
        monitors = [each.get_monitor_socket(zmq.EVENT_DISCONNECTED) for each in sockets_of_both]
        assert monitors[0].poll(1000 * PATIENCE_S)
        until(lambda: streamer.totals()["subscribers_broken"])
        assert not monitors[1].poll(0)  # whoever came last is not who has the most
        for socket in sockets_of_both:
            socket.disable_monitor()
    assert "was disconnected: subscribe to all" in caplog.text


NETWORK = f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
"""Of a host of this test's own, in a network namespace, whose cable can be pulled."""


@pytest.fixture
def other_host() -> Iterator[str]:
    """Make a host beside this one and return the name of its network namespace."""
    if os.geteuid() or shutil.which("ip") is None:
        pytest.skip("to make a network takes root and iproute2")
    name, ours, theirs = f"kinestream{os.getpid()}", f"kso{os.getpid()}", f"kst{os.getpid()}"
    network(f"netns add {name}")
    try:
        network(f"link add {ours} type veth peer name {theirs} netns {name}")
        network(f"addr add {NETWORK}.1/24 dev {ours}")
        network(f"link set {ours} up")
        network(f"-n {name} addr add {NETWORK}.2/24 dev {theirs}")
        network(f"-n {name} link set {theirs} up")
        yield name
    finally:
        network(f"link del {ours}")
        network(f"netns del {name}")


def network(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True)


def test_peers_that_vanish_are_dropped(other_host, monkeypatch):
    """A wearer who walks out of the network says no goodbye, and no answer comes to whoever asks."""
    quick = {zmq.TCP_KEEPALIVE_IDLE: 1, zmq.TCP_KEEPALIVE_INTVL: 1, zmq.TCP_KEEPALIVE_CNT: 2, zmq.TCP_MAXRT: 3000}
    monkeypatch.setattr(module, "KEEPALIVE", module.KEEPALIVE | quick)
    code = "import sys, zmq; c = zmq.Context(); s = c.socket(zmq.PUSH); s.connect(sys.argv[1]); s.send(b''); s.poll()"
    with running_streamer(random_bundle(), ingest=f"tcp://{NETWORK}.1:*") as streamer:
        command = ["ip", "netns", "exec", other_host, sys.executable, "-c", code, streamer.ingest]
        with subprocess.Popen(command) as process:
            try:
                until(lambda: streamer._senders.count == 1)
                quiet = time.monotonic() + 5  # longer than whoever does not answer is kept
                until(lambda: time.monotonic() > quiet)
                assert streamer._senders.count == 1
                network(f"-n {other_host} link set kst{os.getpid()} down")
                until(lambda: streamer._senders.count == 0)
            finally:
                process.kill()


def until(holds: object, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_whom_there_is_no_room_for_is_told_and_the_others_are_served():
    """As many files as a shell allows by default, shrunk to what a test can fill."""
    limit = 200
    command = f"ulimit -n {limit}; exec {sys.executable} -P -m kinestream serve {DEMO} --json"
    command += " --ingest tcp://127.0.0.1:* --labels tcp://127.0.0.1:*"
    with subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        served = OwnStreamer(process)
        get_labels(served, "first")
        host, _, port = served.addresses.ingest.removeprefix("tcp://").rpartition(":")
        crowd = [sockets.create_connection((host, int(port))) for _ in range(2 * limit)]
        until(lambda: any("no room for more than" in line for line in served.said))
        assert any("open files allow" in line and "ulimit -n" in line for line in served.said)
        for each in crowd:
            each.close()
        get_labels(served, "after")
        assert served.stop()["connections_refused"] > limit / 2


def test_the_file_limit_is_raised():
    command = f"ulimit -S -n 256; exec {sys.executable} -P -m kinestream serve {DEMO} --json --no-restart"
    command += " --ingest tcp://127.0.0.1:* --labels tcp://127.0.0.1:*"
    with subprocess.Popen(
        ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        served = OwnStreamer(process)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
        soft, hard = line.split()[3:5]
        assert soft == hard
        served.stop()


def test_a_pipe_that_nobody_empties_holds_up_nobody(tmp_path):
    """Every line that is written about strangers goes to a pipe that is full."""
    out = tmp_path / "totals.json"
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(DEMO), "--json"]
    ports = free_ports(2)
    addresses = [f"tcp://127.0.0.1:{port}" for port in ports]
    command += ["--ingest", addresses[0], "--labels", addresses[1]]
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with out.open("wb") as stdout, subprocess.Popen(command, stdout=stdout, stderr=writing) as process:
        from kinestream.replay.run import Addresses

        stand_in = type("Served", (), {"addresses": Addresses(*addresses)})()
        get_labels(stand_in, "honest")
        with SampleSender("stranger", ["none"], 50.0, endpoint=addresses[0]) as stranger:
            for _ in range(20):
                stranger.send([1.0])
        get_labels(stand_in, "another")
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S + 2) == 0
    os.close(reading)
    os.close(writing)
    assert b'"windows_labelled"' in out.read_bytes()


def free_ports(count: int) -> list[int]:
    held = [sockets.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def test_a_hangup_stops_it_like_any_other_signal(streamer):
    get_labels(streamer, "honest")
    os.kill(streamer.pid, signal.SIGHUP)
    until(lambda: any("stopped:" in line for line in streamer.said))
    assert streamer.stop()["windows_labelled"] >= 2


def test_a_hangup_does_not_stop_what_was_told_to_ignore_it():
    command = ["nohup", sys.executable, "-P", "-m", "kinestream", "serve", str(DEMO), "--json"]
    command += ["--ingest", "tcp://127.0.0.1:*", "--labels", "tcp://127.0.0.1:*"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        served = OwnStreamer(process)
        process.send_signal(signal.SIGHUP)
        get_labels(served, "after")
        served.stop()


def test_what_is_refused_unknown_or_unreadable_is_said_once_each(streamer):
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.connect(streamer.addresses.ingest)
        for _ in range(5):
            push.send(codec.encode_description(StreamDescription("misfit", 50.0, BUNDLE.channels[:1])))
            push.send(codec.encode_samples("unheard", 1, 0, 0, signal_of(1)))
            push.send(b"nonsense")
        get_labels(streamer, "honest")
    streamer.stop()
    for what in ("misfit: channels do not match", "unheard has not been described", "cannot be read (msgpack)"):
        assert sum(what in line for line in streamer.said) == 1, what


def test_a_jump_leaves_everybody_else_served(streamer):
    """What once ended the service: a description, a few samples, and then one with number 10^12."""
    with (
        LabelSubscriber(streamer.addresses.labels, streams=["jumper"], events=True) as subscriber,
        SampleSender("jumper", BUNDLE.channels, 50.0, endpoint=streamer.addresses.ingest) as sender,
    ):
        until(lambda: sender.describe() or isinstance(subscriber.receive(0.1), Event))
        sender.send(signal_of(64))
        sender.send(signal_of(1), seq=10**12)
        sender.send(signal_of(200))
        received = []
        while not received or not (isinstance(received[-1], Label) and received[-1].first_seq >= 10**12):
            received.append(subscriber.receive(PATIENCE_S))
            assert received[-1] is not None
    assert "seam" in [each.event for each in received if isinstance(each, Event)]
    get_labels(streamer, "honest")


def test_descriptions_without_end_are_put_off_and_told(monkeypatch, caplog):
    monkeypatch.setattr("kinestream.streamer.server.tuning.DESCRIPTION_BURST_NS", 1_000_000)
    with running_streamer(BUNDLE) as streamer:
        at = type("At", (), {"ingest": streamer.ingest, "labels": streamer.labels})
        served = type("Served", (), {"addresses": at})
        get_labels(served, "honest")
        with Hostile(zmq.PUSH, streamer.ingest, 1, descriptions()):
            until(lambda: streamer.totals().get("messages_put_off", 0) > 10)
            get_labels(served, "honest")  # it is known, and so not put off
    assert caplog.text.count("descriptions come faster") == 1
