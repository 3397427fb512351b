"""A real streamer on free ports of the loopback, in a thread of the test."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.load import load_engine
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import messages as wire

ANY_PORT = "tcp://127.0.0.1:*"


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
        return f"{imported}\nmessages.INGEST, messages.LABELS, messages.CONTROL = {others!r}\n"

    def instead(self, block: str) -> str:
        """Return Python that does the same at the other addresses."""
        for default, other in self._instead.items():
            block = block.replace(default, other)
        return self.prelude + block
