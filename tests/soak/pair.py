"""What two streamers take in a fleet, and two by themselves: as fast as they can, by turns.

``python -m tests.soak.pair --rounds 3 --out results/fleet``: each streamer is sent streams by a process of its own,
which waits where the streamer takes no more. Labels a second are counted once all are under way. The fleet is on a
cluster of Ray, whose own processes run beside it.
"""

import argparse
import json
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.machine import machine
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.client import SampleConnection, SampleSender
from kinestream.streamer.directory.messages import Told, Where
from kinestream.streamer.directory.registration import ask
from tests.given.fleets import children
from tests.given.raynodes import RayNodes

STREAMERS = 2
_CHUNK, _LEAD_S, _PATIENCE_S = 25, 5.0, 30.0
_RATE_HZ = 50.0


def send(where: dict[str, str], names: Sequence[str], until: float) -> None:
    """Send streams as fast as they are taken; a process's whole work."""
    channels = read_bundle(BUNDLE).channels
    x = np.random.default_rng(4).normal(size=(_CHUNK, len(channels))).astype(np.float32)
    with SampleConnection(**where, timeout_s=_PATIENCE_S) as connection:
        senders = [SampleSender(name, channels, _RATE_HZ, connection=connection) for name in names]
        at = 0
        while time.monotonic() < until:
            for sender in senders:
                sender.send(x, seq=at)
            at += _CHUNK


class Counting:
    """How many labels come of some streamers, by the second."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.times: list[float] = []
        self._over = threading.Event()
        self._labels = labels
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def stop(self) -> None:
        """Count no more."""
        self._over.set()
        self._thread.join()

    def _count(self) -> None:
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.set(zmq.RCVHWM, 0)
            socket.subscribe(b"label/")
            for address in self._labels:
                socket.connect(address)
            while not self._over.is_set():
                if socket.poll(100):
                    socket.recv_multipart()
                    self.times.append(time.monotonic())


@contextmanager
def alone(streams: int) -> Iterator[tuple[list[str], list[dict[str, str]], list[list[str]]]]:
    """Run two streamers; return where labels are, and for each where its streams go and what they are called."""
    with children(BUNDLE, STREAMERS) as pair:
        at = [each.addresses for each in pair]
        names = [
            [f"wearer-{each}" for each in range(slot, STREAMERS * streams, STREAMERS)] for slot in range(STREAMERS)
        ]
        yield [each.labels for each in at], [{"endpoint": each.ingest, "control": each.control} for each in at], names


@contextmanager
def in_a_fleet(streams: int) -> Iterator[tuple[list[str], list[dict[str, str]], list[list[str]]]]:
    """Run a fleet of two; return the same."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RayNodes(Path(folder), BUNDLE, 1, streamers=STREAMERS, processors=0.5) as nodes,
    ):
        nodes.tell("up")
        answer = ask(nodes.directory, Where(), timeout_s=_PATIENCE_S)
        assert isinstance(answer, Told)
        table = answer.table
        names: dict[str, list[str]] = {slot: [] for slot in table.serving}
        number = 0
        while min(map(len, names.values())) < streams:
            of_slot = names[table.slot_of(name := f"wearer-{number}")]
            if len(of_slot) < streams:
                of_slot.append(name)
            number += 1
        labels = [table.named[slot].addresses.labels for slot in names]
        yield labels, [{"fleet": nodes.directory}] * STREAMERS, list(names.values())


def taken(kind: Any, streams: int, seconds: float) -> dict[str, float]:
    """Return the labels a second that two streamers give."""
    spawn = multiprocessing.get_context("spawn")
    with kind(streams) as (labels, where, names):
        counting = Counting(labels)
        begin = time.monotonic() + _LEAD_S
        crew = [
            spawn.Process(target=send, args=(at, own, begin + seconds), daemon=True)
            for at, own in zip(where, names, strict=True)
        ]
        for process in crew:
            process.start()
        for process in crew:
            process.join(seconds + 4 * _PATIENCE_S)
        counting.stop()
    counted = sum(begin <= each < begin + seconds for each in counting.times)
    return {"labels_per_s": round(counted / seconds, 1)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=50, help="of each streamer")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rounds = []
    for _ in range(options.rounds):
        found = {kind.__name__: taken(kind, options.streams, options.seconds) for kind in (alone, in_a_fleet)}
        rounds.append(found)
        print(json.dumps(found), flush=True)
    medians = {
        kind: statistics.median(each[kind]["labels_per_s"] for each in rounds) for kind in ("alone", "in_a_fleet")
    }
    report = {
        "machine": machine(("kinestream", "ray", "pyzmq")),
        "settings": {key: getattr(options, key) for key in ("streams", "seconds", "rounds")},
        "rounds": rounds,
        "medians": medians,
        "ratio": round(medians["in_a_fleet"] / medians["alone"], 3),
    }
    print(json.dumps(medians | {"ratio": report["ratio"]}), flush=True)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "pair.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
