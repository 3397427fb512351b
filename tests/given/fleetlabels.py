"""Streams of one wearer's samples through a fleet, and whether their labels are those of an undisturbed run."""

import threading
from collections import defaultdict
from typing import Self

import numpy as np

from kinestream import Event, Label, LabelSubscriber, Recognizer, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from tests.given.fleets import until

CHANNELS = read_bundle(BUNDLE).channels
RATE_HZ = 50.0
SESSION = 1


def samples(count: int) -> np.ndarray:
    """Return so many samples, always the same."""
    return np.random.default_rng(4).normal(size=(count, len(CHANNELS))).astype(np.float32)


class Heard:
    """All that a subscriber to a fleet is told, in a thread of its own."""

    def __init__(self, fleet: str, **options: object) -> None:
        self.labels: defaultdict[str, list[Label]] = defaultdict(list)
        self.events: list[Event] = []
        self._fleet, self._options = fleet, {"events": True, **options}
        self._over, self.is_listening = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def count(self) -> int:
        """Labels so far."""
        return sum(map(len, list(self.labels.values())))

    def wait(self, count: int) -> None:
        """Wait for so many labels in all."""
        until(lambda: self.count >= count, f"{count} labels; there are {self.count}")

    def _listen(self) -> None:
        with LabelSubscriber(fleet=self._fleet, **self._options) as subscriber:
            while not self._over.is_set():
                message = subscriber.receive(0.1)
                if isinstance(message, Label):
                    self.labels[message.stream].append(message)
                elif isinstance(message, Event):
                    self.events.append(message)


def expected(x: np.ndarray) -> list[Label]:
    """Return the labels of an undisturbed run."""
    return Recognizer.load(BUNDLE).push("anna", x)


def assert_undisturbed(labels: list[Label], wanted: list[Label]) -> None:
    """Assert that a stream's labels are those, each once and in order."""
    assert [label.window for label in labels] == [label.window for label in wanted]
    for label, right in zip(labels, wanted, strict=True):
        assert (label.label, label.first_seq) == (right.label, right.first_seq)
        np.testing.assert_allclose(label.probabilities, right.probabilities, atol=1e-6)


def sender_to(fleet: str, stream: str, **options: object) -> SampleSender:
    """Return a sender of a stream."""
    return SampleSender(stream, CHANNELS, RATE_HZ, session=SESSION, fleet=fleet, **options)
