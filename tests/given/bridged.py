"""A bridge beside a test, what devices read, and the labels that the same readings get without a bridge."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import yaml

from kinestream import Label, LabelSubscriber, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets.source import open_source
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.streamer.bridges.bridge import Bridge, Look
from kinestream.streamer.bridges.rig import read_rig
from kinestream.streamer.bridges.sources import sources_of
from kinestream.streamer.server.server import Streamer
from tests.given.streamers import PATIENCE_S, subscribed

BUNDLE_READ = read_bundle(BUNDLE)
SECOND = 1_000_000_000
STEPS = 50
"""Messages in which a device's readings are sent."""


class Worn:
    """What a device reads, interpolated from a recording that the project ships.

    Attributes
    ----------
    channels : tuple of Channel
        Those of the bundle that it delivers.
    seconds : ndarray of float, shape (M,)
        When it reads, from the recording's start.
    values : ndarray of float32, shape (M, C)
    """

    def __init__(self, device: str, rate_hz: float, seconds: float) -> None:
        recording = next(iter(open_source(RECORDINGS).recordings()))
        self.device, self.rate_hz = device, rate_hz
        self.channels = tuple(each for each in BUNDLE_READ.channels if each.name.startswith(device))
        self.seconds = np.arange(round(seconds * rate_hz)) / rate_hz
        grid_s = np.arange(len(recording.samples)) / recording.rate_hz
        columns = [recording.channels.index(each) for each in self.channels]
        self.values = np.column_stack(
            [np.interp(self.seconds, grid_s, np.nan_to_num(recording.samples[:, column])) for column in columns]
        ).astype(np.float32)

    def part(self, step: int) -> slice:
        """Return which readings a device delivers in one of so many steps."""
        return slice(step * len(self.seconds) // STEPS, (step + 1) * len(self.seconds) // STEPS)

    def times(self, begin: int) -> np.ndarray:
        """Return when it reads, Unix ns, where the recording begins at `begin`."""
        return begin + np.round(self.seconds * SECOND).astype(np.int64)


def until(holds: Callable[[], object], what: str = "it does not come about") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def write_rig(path, streamer: Streamer, devices: dict, **others: object):
    """Write a rig for a streamer and return its path."""
    about = {"stream": "anna", "ingest": streamer.ingest, "control": streamer.control, "labels": streamer.labels}
    path.write_text(yaml.safe_dump({**about, "devices": devices, **others}, sort_keys=False))
    return path


class Running:
    """A bridge in a thread."""

    def __init__(self, path) -> None:
        rig = read_rig(path)
        self.bridge = Bridge(rig, sources_of(rig))
        self.looks: list[Look] = []
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        try:
            self.bridge.run(math.inf, self.looks.append, every_s=0.05)
        except BaseException as error:
            self.failure = error

    @property
    def look(self) -> Look:
        until(lambda: self.looks)
        return self.looks[-1]


@contextmanager
def running_bridge(path) -> Iterator[Running]:
    """Run a bridge until the block ends."""
    running = Running(path)
    with running.bridge:
        running.bridge.start()
        running.thread.start()
        try:
            yield running
        finally:
            running.bridge.stop()
            running.thread.join()
            if running.failure is not None:  # rather than what a test waited for in vain
                raise running.failure


def named(subscriber: LabelSubscriber, until_time: int) -> dict[int, Label]:
    """Return the labels of windows that end before a time, by the sample they begin with."""
    labels: dict[int, Label] = {}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        message = subscriber.receive(1)
        if isinstance(message, Label):
            labels[message.first_seq] = message
            if message.t_source >= until_time:
                return labels
    raise AssertionError(f"{len(labels)} labels came, none of a window that ends so late")


def sent_without(
    streamer: Streamer, worn: list[Worn], begin: int, last: int, stream: str = "without"
) -> dict[int, Label]:
    """Return the labels of the same readings sent by `SampleSender`."""
    with (
        subscribed(streamer, stream) as subscriber,
        SampleConnection(streamer.ingest, control=streamer.control) as connection,
    ):
        senders = [
            SampleSender(
                stream,
                each.channels,
                each.rate_hz,
                device=each.device,
                timing="times",
                session=1,
                connection=connection,
            )
            for each in worn
        ]
        for sender in senders:
            sender.wait_accepted()
        for step in range(STEPS):
            for each, sender in zip(worn, senders, strict=True):
                share = each.part(step)
                sender.send(each.values[share], times=each.times(begin)[share])
        return named(subscriber, last)


def assert_same(carried: dict[int, Label], expected: dict[int, Label], fewest: int) -> None:
    """Check that windows which both have got the same labels; LSL's clock correction moves times by microseconds."""
    shared = sorted(carried.keys() & expected.keys())
    assert len(shared) >= fewest
    assert [carried[first].label for first in shared] == [expected[first].label for first in shared]
    for first in shared:
        np.testing.assert_allclose(carried[first].probabilities, expected[first].probabilities, atol=1e-3)
