"""Hundreds of senders that know nothing but ZeroMQ, while their fleet grows from 2 to 4 streamers and shrinks to 3.

``python -m tests.soak.rescale --senders 500 --out results/fleet``: each sender has a connection of its own, sends a
reliable stream at its true rate, and finds its streamer by the directory alone. One subscriber listens to all. Every
label must be that of an undisturbed run, each once and in the stream's order.
"""

import argparse
import json
import multiprocessing
import sys
import threading
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.machine import machine
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.client import Label, LabelSubscriber, SampleSender
from kinestream.streamer.directory.table import moved, slot_names
from kinestream.streamer.recognizer.recognizer import Recognizer
from tests.given.fleets import Fleet, addresses_of, children

RATE_HZ = 50.0
SESSION = 1
STEPS = (2, 4, 3)
_PROCESSES = 4
_CHUNK = 25
_WAIT_S = 120.0


def samples(count: int) -> np.ndarray:
    """Return so many samples, always the same."""
    return np.random.default_rng(4).normal(size=(count, len(read_bundle(BUNDLE).channels))).astype(np.float32)


def send(fleet: str, names: list[str], count: int, begin_at: float) -> None:
    """Send streams at their true rate, each over a connection of its own; a process's whole work."""
    channels, x = read_bundle(BUNDLE).channels, samples(count)
    senders = [
        SampleSender(name, channels, RATE_HZ, session=SESSION, fleet=fleet, reliable=True, timeout_s=_WAIT_S)
        for name in names
    ]
    for first in range(0, count, _CHUNK):
        time.sleep(max(begin_at + (first + _CHUNK) / RATE_HZ - time.time(), 0.0))
        for sender in senders:
            sender.send(x[first : first + _CHUNK], seq=first)
    for sender in senders:
        sender.end()
    for sender in senders:
        sender.close()


class _Heard:
    """All labels, when they came and how late."""

    def __init__(self, fleet: str) -> None:
        self.labels: defaultdict[str, list[Label]] = defaultdict(list)
        self.moments: list[float] = []
        self.waits_ms: list[float] = []
        self.missed = 0
        self.over = threading.Event()
        self._fleet = fleet
        self.thread = threading.Thread(target=self._listen)
        self.thread.start()

    def _listen(self) -> None:
        with LabelSubscriber(fleet=self._fleet, log=False) as subscriber:
            while not self.over.is_set():
                message = subscriber.receive(0.1)
                if isinstance(message, Label):
                    self.labels[message.stream].append(message)
                    self.moments.append(time.time())
                    self.waits_ms.append((time.time_ns() - message.t_source) / 1e6)
            self.missed = subscriber.missed


def rescaled(senders: int = 500, seconds: float = 90.0) -> dict[str, Any]:
    """Run it, and return what came of it."""
    count = int(seconds * RATE_HZ) // _CHUNK * _CHUNK
    wanted = Recognizer.load(BUNDLE).push("anna", samples(count))
    names = [f"wearer-{index}" for index in range(senders)]
    parts = [names[index::_PROCESSES] for index in range(_PROCESSES)]
    with children(BUNDLE, max(STEPS)) as streamers, Fleet() as fleet:
        for slot, streamer in zip(slot_names(max(STEPS)), streamers, strict=True):
            fleet.register(slot, addresses_of(streamer))
        fleet.plan(STEPS[0])
        heard = _Heard(fleet.address)
        begin_at = time.time() + 5.0 + senders / 100
        spawn = multiprocessing.get_context("spawn")
        crew = [spawn.Process(target=send, args=(fleet.address, part, count, begin_at)) for part in parts]
        steps = []
        try:
            for process in crew:
                process.start()
            for number, slots in enumerate(STEPS[1:], 1):
                time.sleep(max(begin_at + number * seconds / len(STEPS) - time.time(), 0.0))
                epoch, began = fleet.table.epoch, time.time()
                fleet.plan(slots)
                gone = moved(names, slot_names(STEPS[number - 1]), slot_names(slots))
                steps.append({"streamers": slots, "streams_moved": len(gone), "at": began, "after_epoch": epoch})
            for process in crew:
                process.join(seconds + _WAIT_S)
            until = time.time() + _WAIT_S
            while sum(map(len, heard.labels.values())) < senders * len(wanted) and time.time() < until:
                time.sleep(0.1)
        finally:
            for process in crew:
                process.kill()
            heard.over.set()
            heard.thread.join()
    return _report(heard, names, wanted, steps, seconds, begin_at)


def _report(
    heard: _Heard, names: list[str], wanted: list[Label], steps: list[dict[str, Any]], seconds: float, begin_at: float
) -> dict[str, Any]:
    windows = [label.window for label in wanted]
    moments, waits = np.array(heard.moments), np.array(heard.waits_ms)
    for step in steps:
        epoch = step.pop("after_epoch")
        gone = [label for name in names for label in heard.labels[name] if label.epoch > epoch]
        step["first_label_of_the_new_epoch_s"] = round(min(each.t_published for each in gone) / 1e9 - step["at"], 3)
    bounds = [begin_at, *(step.pop("at") for step in steps), float("inf")]
    latency = {}
    for index, (first, last) in enumerate(pairwise(bounds)):
        own = waits[(moments >= first) & (moments < last)]
        latency[f"{STEPS[index]} streamers"] = {
            f"p{percent}_ms": round(float(np.percentile(own, percent)), 1) for percent in (50, 99, 100) if len(own)
        }
    report: dict[str, Any] = {
        "machine": machine(("pyzmq", "numpy")),
        "senders": len(names),
        "seconds": seconds,
        "steps": steps,
        "labels_expected": len(names) * len(wanted),
        "labels": sum(map(len, heard.labels.values())),
        "labels_lost": sum(len(set(windows) - {each.window for each in heard.labels[name]}) for name in names),
        "streams_out_of_order_or_twice": sum(
            [each.window for each in heard.labels[name]] != sorted({each.window for each in heard.labels[name]})
            for name in names
        ),
        "labels_that_differ": sum(_differing(heard.labels[name], wanted) for name in names),
        "told_as_missed": heard.missed,
        "latency": latency,
    }
    promises = ("labels_lost", "streams_out_of_order_or_twice", "labels_that_differ", "told_as_missed")
    return report | {"broken": [name for name in promises if report[name]]}


def _differing(labels: list[Label], wanted: list[Label]) -> int:
    right = {label.window: label for label in wanted}
    return sum(
        each.label != right[each.window].label
        or bool(np.abs(each.probabilities - right[each.window].probabilities).max() > 1e-6)
        for each in labels
    )


def main() -> None:
    """Run it and say whether it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--senders", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    report = rescaled(given.senders, given.seconds)
    text = json.dumps(report, indent=2)
    print(text)
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "rescale.json").write_text(text + "\n")
    if report["broken"]:
        sys.exit(f"does not hold: {', '.join(report['broken'])}")


if __name__ == "__main__":
    main()
