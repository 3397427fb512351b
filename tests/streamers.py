"""A real streamer on free ports of the loopback, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from model.bundle import Bundle
from model.engine import load_engine
from streamer.loop import Streamer
from streamer.recognizer import Recognizer

ANY_PORT = "tcp://127.0.0.1:*"


@contextmanager
def running_streamer(runs: Bundle | Recognizer, **options: object) -> Iterator[Streamer]:
    """Run a streamer until the block ends, then stop it as SIGTERM would."""
    recognizer = runs if isinstance(runs, Recognizer) else Recognizer(runs, load_engine(runs, "cpu"))
    streamer = Streamer(recognizer, **{"ingest": ANY_PORT, "labels": ANY_PORT, **options})
    thread = threading.Thread(target=streamer.run)
    thread.start()
    try:
        yield streamer
    finally:
        streamer.stop()
        thread.join()
        streamer.close()
