"""A real streamer on free ports of the loopback, in a thread of the test."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.load import load_engine
from kinestream.streamer.client import LabelSubscriber
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import messages as wire

ANY_PORT = "tcp://127.0.0.1:*"
PATIENCE_S = 30.0


@contextmanager
def unserved_addresses(count: int = 2) -> Iterator[list[str]]:
    """Hold ports at which nobody listens until the block ends, so that nobody else is there either."""
    held = [socket.socket() for _ in range(count)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        yield [f"tcp://127.0.0.1:{each.getsockname()[1]}" for each in held]
    finally:
        for each in held:
            each.close()


@contextmanager
def running_streamer(runs: Bundle | Recognizer, **options: object) -> Iterator[Streamer]:
    """Run a streamer until the block ends, then stop it as SIGTERM would."""
    recognizer = runs if isinstance(runs, Recognizer) else Recognizer(runs, load_engine(runs, "cpu"))
    streamer = Streamer(recognizer, **{"ingest": ANY_PORT, "labels": ANY_PORT, "control": ANY_PORT, **options})
    thread = threading.Thread(target=streamer.run)
    thread.start()
    try:
        yield streamer
    finally:
        streamer.stop()
        thread.join()
        streamer.close()


@contextmanager
def subscribed(streamer: Streamer, stream: str) -> Iterator[LabelSubscriber]:
    """Subscribe to a stream's labels, and begin once the streamer knows: what it publishes before that is lost."""
    before, deadline = streamer.ports.subscriptions.arrivals, time.monotonic() + PATIENCE_S
    with LabelSubscriber(streamer.labels, streams=[stream], log=False) as subscriber:
        while streamer.ports.subscriptions.arrivals == before:
            assert time.monotonic() < deadline, f"nobody hears of a subscription to {stream}"
            time.sleep(0.001)
        yield subscriber


def free_addresses(count: int = 2) -> list[str]:
    """Return addresses that nobody holds, for what must know them before it binds them."""
    with unserved_addresses(count) as addresses:
        return addresses


class OtherDefaults:
    """Runs what is written for the default addresses at others.

    Parameters
    ----------
    ingest, labels, control : str
        The others.
    """

    def __init__(self, ingest: str, labels: str, control: str) -> None:
        self._instead = {wire.INGEST: ingest, wire.LABELS: labels, wire.CONTROL: control}

    @property
    def prelude(self) -> str:
        """Python that has to run before anything of ours is imported."""
        others = tuple(self._instead.values())
        imported = "from kinestream.streamer.wire import messages"
        names = "messages.INGEST, messages.LABELS, messages.CONTROL, messages.WATCH"
        return f"{imported}\n{names} = {(*others, ANY_PORT)!r}\n"

    def instead(self, block: str) -> str:
        """Return Python that does the same at the other addresses."""
        for default, other in self._instead.items():
            block = block.replace(default, other)
        return self.prelude + block
