"""Honest wearers beside one sender who sends all it can, in every way there is to do that.

``python -m tests.soak.beside --seconds 20`` prints the honest labels' latency for each way. With ``--connections 1``
the wearers share one connection, as behind a gateway, and share it by the message with whoever is greedy.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.recordings.recording import Channel
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.process import started_streamer
from tests.soak.crew import crew
from tests.soak.encoder import Encoder, VersionTwo
from tests.soak.honest import Wearers, hear, play

_DESCRIPTIONS = 400  # of fifty streams: by the time one comes again, its stream has been described otherwise
_LEAD_S = 1.0  # the wearers begin so long before the greedy one


def one_by_one(encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    """Send a sample a message."""
    return _in_messages_of(1, encoder, bundle)


def in_thousands(encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    """Send 1,000 samples a message, or as many as one holds."""
    return _in_messages_of(1000, encoder, bundle)


def as_many_streams(encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    """Send a hundred streams, a full message of each in turn."""
    rows = _rows(bundle, 1000)
    for i in range(100):
        yield encoder.describe(f"greedy-{i}", 1, bundle.description.rate_hz, bundle.channels)
    seq = 0
    while True:
        for i in range(100):
            yield encoder.samples(f"greedy-{i}", 1, seq, time.time_ns(), rows)
        seq += len(rows)


def describing(encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    """Describe streams of as many channels as there may be."""
    made = []
    for number in range(_DESCRIPTIONS):  # made before: their sender shares the processor with what it is beside
        channels = (*bundle.channels, *(Channel(f"{number}-{i}", "g") for i in range(1024 - len(bundle.channels))))
        made.append(encoder.describe(f"wide-{number % 50}", number, bundle.description.rate_hz, channels))
    return itertools.cycle(made)


def with_new_sessions(encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    """Begin a session with every message."""
    session = 0
    while True:
        session += 1
        yield encoder.describe("restless", session, bundle.description.rate_hz, bundle.channels)
        yield encoder.samples("restless", session, 0, time.time_ns(), _rows(bundle, 1))


def with_gaps(encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    """Leave out a window and more before every sample."""
    yield encoder.describe("gappy", 1, bundle.description.rate_hz, bundle.channels)
    seq = 0
    while True:
        yield encoder.samples("gappy", 1, seq, time.time_ns(), _rows(bundle, 1))
        seq += 3 * bundle.grid.length


WAYS: dict[str, Callable[[Encoder, Bundle], Iterator[bytes]] | None] = {
    "alone": None,
    "one-by-one": one_by_one,
    "in-thousands": in_thousands,
    "as-many-streams": as_many_streams,
    "describing": describing,
    "with-new-sessions": with_new_sessions,
    "with-gaps": with_gaps,
}


def send_all_it_can(way: str, folder: Path, ingest: str, seconds: float) -> int:
    """Send in one of the `WAYS` for so long; return how many messages."""
    make = WAYS[way]
    if make is None:
        return 0
    messages = make(VersionTwo(), read_bundle(folder))
    time.sleep(_LEAD_S)
    until, sent = time.monotonic() + seconds, 0
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDTIMEO, 500)
        socket.connect(ingest)
        while time.monotonic() < until:
            try:
                socket.send(next(messages))
                sent += 1
            except zmq.Again:
                continue
    return sent


def beside(way: str, folder: Path, *, streams: int, connections: int, seconds: float) -> dict[str, Any]:
    """Serve honest streams beside a greedy one and return what became of them."""
    bundle = read_bundle(folder)
    wearers = Wearers(streams, connections, seconds)
    with started_streamer(folder) as streamer, crew(3, streamer, seconds) as hands:
        heard = hands.start(hear, streamer.addresses.labels, streams, hands.ready)
        hands.ready.wait()
        greedy = hands.start(send_all_it_can, way, folder, streamer.addresses.ingest, seconds)
        played = hands.start(play, wearers, bundle, VersionTwo(), streamer.addresses.ingest)
        report = {
            "way": way,
            "streams": streams,
            "connections": connections,
            "seconds": seconds,
            "labels_expected": wearers.windows(bundle),
            "heard": heard.result(),
            "played": played.result(),
            "greedy_messages": greedy.result(),
        }
        streamer.stop()
    return report


def _in_messages_of(samples: int, encoder: Encoder, bundle: Bundle) -> Iterator[bytes]:
    rows = _rows(bundle, samples)
    yield encoder.describe("greedy", 1, bundle.description.rate_hz, bundle.channels)
    seq = 0
    while True:
        yield encoder.samples("greedy", 1, seq, time.time_ns(), rows)
        seq += len(rows)


def _rows(bundle: Bundle, most: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    width = len(bundle.channels)
    return np.random.default_rng(0).normal(size=(min(most, 65_000 // (4 * width)), width)).astype(np.float32)


def main() -> None:
    """Try every way, or those that are named, and print a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ways", nargs="*", default=list(WAYS))
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder) / "bundle", "reference")
        for way in asked.ways:
            connections = asked.connections or asked.streams
            reports.append(beside(way, bundle, streams=asked.streams, connections=connections, seconds=asked.seconds))
            print(json.dumps(reports[-1]), flush=True)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / f"beside-{asked.connections or asked.streams}.json").write_text(
            json.dumps(reports, indent=2) + "\n"
        )
    lost = [each["way"] for each in reports if each["heard"]["labels"] < each["labels_expected"]]
    if lost:
        sys.exit(f"labels were lost beside a sender {', '.join(lost)}")


if __name__ == "__main__":
    main()
