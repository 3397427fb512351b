"""Who means a streamer ill, who means it well beside them, and what shows whether the latter fare well."""

import itertools
import random
import socket as sockets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psutil
import zmq

import kinestream.replay.demo
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.recordings.recording import Channel
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client import Label, LabelSubscriber, SampleSender
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from tests.given.keys import described, key_of
from tests.given.streamers import ANY_PORT

DEMO = Path(kinestream.replay.demo.__file__).parent / "demo_data" / "bundle"
BUNDLE = read_bundle(DEMO)
WIDTH = len(BUNDLE.channels)
PATIENCE_S = 60.0
SERVE = [sys.executable, "-P", "-m", "kinestream", "serve", str(DEMO), "--json"]
SERVE += [each for port in ("--ingest", "--labels", "--control") for each in (port, ANY_PORT)]
"""As a user starts it, on free ports."""


def signal_of(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, WIDTH)).astype(np.float32)


def until(holds: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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

    def __init__(self, kind: int, address: str, count: int, messages: Iterator[bytes | list[bytes]]) -> None:
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
                    message = next(self.messages)
                    socket.send_multipart(message if isinstance(message, list) else [message], zmq.DONTWAIT)
            time.sleep(0.0005)

    def __enter__(self) -> "Hostile":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.thread.join()
        self.context.destroy(linger=0)


def junk(*sizes: int) -> Iterator[bytes]:
    """Yield what begins like a description, or like samples, of each size in turn."""
    while True:
        for size, begin in itertools.product(sizes, (b"\x8a", b"KS\x02\x01")):
            yield begin + random.randbytes(8) + bytes(size - 8 - len(begin))


def uploads() -> Iterator[bytes]:
    """Yield what is valid, and as much as a message may hold."""
    rows = (wire.MAX_BYTES - wire.HEAD.size) // (4 * WIDTH)
    x = signal_of(rows)
    for name in range(20):
        yield codec.encode_description(described(f"greedy-{name}", BUNDLE.channels, 50.0))
    seq = 0
    while True:
        for name in range(20):
            yield codec.encode_samples(key_of(f"greedy-{name}"), seq, time.time_ns(), x)
        seq += rows


def descriptions() -> Iterator[bytes]:
    """Yield descriptions of as many channels as there may be, never the same one."""
    number = 0
    while True:
        number += 1
        channels = tuple(Channel(f"{number}-{i}", "g") for i in range(1024))
        yield codec.encode_description(described(f"wide-{number}", channels, 50.0))


def questions() -> Iterator[bytes]:
    """Yield descriptions of a few streams, again and again."""
    made = [codec.encode_description(described(f"asker-{i}", BUNDLE.channels, 50.0)) for i in range(20)]
    yield from itertools.cycle(made)


def many_frames() -> Iterator[list[bytes]]:
    """Yield messages of more frames than there should be."""
    while True:
        yield [b"\x8a" + random.randbytes(8)] * 1000


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
