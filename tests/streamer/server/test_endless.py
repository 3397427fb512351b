"""Messages that never end, at every port of a streamer: memory stays, labels flow, whoever sent them is told."""

import sys
import time
from collections.abc import Iterator

import psutil
import pytest
import zmq

from kinestream.replay.process import OwnStreamer, started_streamer
from tests.given.endless import Endless, frame
from tests.given.hostile import (
    DEMO,
    Hostile,
    descriptions,
    get_labels,
    many_frames,
    questions,
    until,
    uploads,
    watched_memory,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what was read of a connection")

GROWTH = 100e6
"""Bytes: without an end to it, it is several times this within the time that the tests take."""
HALF_A_GIGABYTE = 512e6
PORTS = [("ingest", "PUSH"), ("labels", "SUB"), ("control", "DEALER")]
SECONDS = 2.0


@pytest.fixture
def streamer() -> Iterator[OwnStreamer]:
    with started_streamer(DEMO) as streamer:
        yield streamer


@pytest.mark.parametrize("size", [0, 40, 60_000], ids=lambda size: f"{size}-bytes")
@pytest.mark.parametrize(("port", "kind"), PORTS, ids=[kind for _, kind in PORTS])
def test_a_message_without_an_end_is_ended(streamer, port, kind, size):
    if port == "labels":
        size = min(size, 100)  # what is larger ends the connection by itself
    get_labels(streamer, "first")
    before = psutil.Process(streamer.pid).memory_info().rss
    address = getattr(streamer.addresses, port)
    with watched_memory(streamer.pid) as memory, Endless(address, kind, size, 10) as endless:
        sending(streamer)
        until(lambda: endless.ended)
    assert max(memory) - before < GROWTH
    told(streamer)


def test_a_hundred_at_all_ports_take_less_than_half_a_gigabyte(streamer):
    get_labels(streamer, "first")
    sub = frame(b"\x01", more=False)
    with (
        watched_memory(streamer.pid) as memory,
        Endless(streamer.addresses.ingest, "PUSH", 0, 20),
        Endless(streamer.addresses.ingest, "PUSH", 60_000, 20, before=frame(b"nonsense", more=False)),
        Endless(streamer.addresses.labels, "SUB", 0, 30, before=sub),
        Endless(streamer.addresses.control, "DEALER", 0, 15),
        Endless(streamer.addresses.control, "DEALER", 1000, 15),
    ):
        sending(streamer)
    assert max(memory) < HALF_A_GIGABYTE
    told(streamer)


def test_among_valid_messages_that_are_too_many(streamer):
    """The samples port is never found empty then."""
    get_labels(streamer, "first")
    with (
        watched_memory(streamer.pid) as memory,
        Hostile(zmq.PUSH, streamer.addresses.ingest, 30, uploads()),
        Endless(streamer.addresses.ingest, "PUSH", 60_000, 20),
    ):
        sending(streamer)
    assert max(memory) < HALF_A_GIGABYTE
    told(streamer)


def test_whoever_only_sends_much_is_left_alone(streamer):
    ingest, control = streamer.addresses.ingest, streamer.addresses.control
    with (
        Hostile(zmq.PUSH, ingest, 20, uploads()),
        Hostile(zmq.PUSH, ingest, 1, uploads()),
        Hostile(zmq.PUSH, ingest, 3, descriptions()),
        Hostile(zmq.PUSH, ingest, 3, many_frames()),
        Hostile(zmq.DEALER, control, 3, many_frames()),
        Hostile(zmq.DEALER, control, 3, questions()),
    ):
        sending(streamer)
    assert not streamer.stop()["connections_endless"]


def sending(streamer: OwnStreamer) -> None:
    """Let labels flow for a while."""
    until = time.monotonic() + SECONDS
    get_labels(streamer, "honest")
    while time.monotonic() < until:
        get_labels(streamer, "honest")


def told(streamer: OwnStreamer) -> None:
    assert streamer.stop()["connections_endless"]
    assert sum("a message without an end" in line for line in streamer.said) == 1
