"""A streamer in a process of its own, among those who wish it ill."""

import os
import shlex
import shutil
import signal
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.replay.run import Addresses
from kinestream.streamer.client import LabelSubscriber, SampleSender
from kinestream.streamer.transport import connections as module
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Event, Label
from tests.given.bundles import random_bundle
from tests.given.hostile import (
    BUNDLE,
    DEMO,
    PATIENCE_S,
    SERVE,
    Hostile,
    descriptions,
    get_labels,
    junk,
    signal_of,
    subscribe_to_megabytes,
    topics,
    until,
    uploads,
    watched_memory,
)
from tests.given.keys import described, key_of
from tests.given.long import long_form
from tests.given.streamers import free_addresses, running_streamer

HALF_A_GIGABYTE = 512e6
LOOKS = 160
"""Times that the memory is looked at, twenty a second."""
PILE = 10e6
"""Bytes of messages that pile up while a streamer is held up."""
STOP_S = 4.0
"""Two seconds for what is on its way, one for subscribers to fetch it, one for the process to go."""


@pytest.fixture
def streamer() -> Iterator[OwnStreamer]:
    with started_streamer(DEMO) as streamer:
        yield streamer


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


@long_form
def test_memory_that_a_pile_took_is_given_back(streamer):
    get_labels(streamer, "before")
    with watched_memory(streamer.pid) as memory:
        until(lambda: memory)
        before = memory[-1]
        os.kill(streamer.pid, signal.SIGSTOP)  # so does a machine that has much else to do
        with Hostile(zmq.PUSH, streamer.addresses.ingest, 300, junk(3_000, 700, 100)):
            time.sleep(2)
            os.kill(streamer.pid, signal.SIGCONT)
            until(lambda: max(memory) > before + PILE)
        until(lambda: memory[-1] < before + PILE / 2)
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
    quick = {zmq.TCP_KEEPALIVE_IDLE: 1, zmq.TCP_KEEPALIVE_INTVL: 1, zmq.TCP_KEEPALIVE_CNT: 2}
    monkeypatch.setattr(module, "KEEPALIVE", module.KEEPALIVE | quick)
    monkeypatch.setattr(module, "_UNACKNOWLEDGED_MS", 3000)
    code = "import sys, zmq; c = zmq.Context(); s = c.socket(zmq.PUSH); s.connect(sys.argv[1]); s.send(b''); s.poll()"
    with running_streamer(random_bundle(), ingest=f"tcp://{NETWORK}.1:*") as streamer:
        command = ["ip", "netns", "exec", other_host, sys.executable, "-c", code, streamer.ingest]
        with subprocess.Popen(command) as process:
            try:
                until(lambda: streamer.ports.senders.count == 1)
                quiet = time.monotonic() + 5  # longer than whoever does not answer is kept
                until(lambda: time.monotonic() > quiet)
                assert streamer.ports.senders.count == 1
                network(f"-n {other_host} link set kst{os.getpid()} down")
                until(lambda: streamer.ports.senders.count == 0)
            finally:
                process.kill()


def test_whom_there_is_no_room_for_is_told_and_the_others_are_served():
    """As many files as a shell allows by default, shrunk to what a test can fill."""
    limit = 200
    command = f"ulimit -n {limit}; exec {shlex.join(SERVE)}"
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
    command = f"ulimit -S -n 256; exec {shlex.join(SERVE)} --no-restart"
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
    addresses = Addresses(*free_addresses(3))
    command = [*SERVE, "--ingest", addresses.ingest, "--labels", addresses.labels, "--control", addresses.control]
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 4096)
    os.set_blocking(writing, True)
    with out.open("wb") as stdout, subprocess.Popen(command, stdout=stdout, stderr=writing) as process:
        stand_in = type("Served", (), {"addresses": addresses})()
        get_labels(stand_in, "honest")
        with SampleSender("stranger", ["none"], 50.0, endpoint=addresses.ingest) as stranger:
            for _ in range(20):
                stranger.send([1.0])
        get_labels(stand_in, "another")
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S + 2) == 0
    os.close(reading)
    os.close(writing)
    assert b'"windows_labelled"' in out.read_bytes()


def test_a_hangup_does_not_stop_what_was_told_to_ignore_it():
    with subprocess.Popen(["nohup", *SERVE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        served = OwnStreamer(process)
        process.send_signal(signal.SIGHUP)
        get_labels(served, "after")
        served.stop()


def test_what_is_refused_unknown_or_unreadable_is_said_once_each(streamer):
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.connect(streamer.addresses.ingest)
        for _ in range(5):
            push.send(codec.encode_description(described("misfit", BUNDLE.channels[:1], 50.0)))
            push.send(codec.encode_samples(key_of("unheard"), 0, 0, signal_of(1)))
            push.send(b"nonsense")
        get_labels(streamer, "honest")
        until(lambda: any("a key that nobody has described" in line for line in streamer.said))
    streamer.stop()
    for what in ("misfit: channels do not match", "a key that nobody has described", "cannot be read (msgpack)"):
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
