"""What a dashboard shows: recordings that are played for as long as a test looks, pages in a browser."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from kinestream.replay.demo import RECORDINGS
from kinestream.streamer.client import Label, LabelSubscriber
from kinestream.streamer.dashboard.process import OwnDashboard

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
WEARERS = ("s04_01", "s08_01", "s12_01", "s16_01", "s20_01")


@contextmanager
def played(ingest: str, labels: str, recordings: Sequence[str] = WEARERS, *options: str) -> Iterator[None]:
    """Play recordings of the demo again and again, each as a stream, until the block ends."""
    chosen = [part for each in recordings for part in ("--recording", each)]
    command = [sys.executable, "-m", "kinestream", "replay", str(RECORDINGS), *chosen, "--loop", "1000", *options]
    with subprocess.Popen([*command, "--ingest", ingest, "--labels", labels], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


class Listener:
    """Hears the labels of a streamer, in a thread of the test.

    Parameters
    ----------
    endpoint : str
        Where they are published.
    """

    def __init__(self, endpoint: str) -> None:
        self.labels: deque[Label] = deque(maxlen=10_000)
        self._subscriber = LabelSubscriber(endpoint, log=False)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._subscriber.close()

    def lately(self, stream: str, since_ns: int) -> set[str]:
        """Return the activities of a stream's labels that were published since then, and of the one before."""
        own = [label for label in list(self.labels) if label.stream == stream]
        late = [label.label for label in own if label.t_published >= since_ns]
        before = [label.label for label in own if label.t_published < since_ns]
        return {*late, *before[-1:]}

    def _hear(self) -> None:
        while not self._stopping.is_set():
            message = self._subscriber.receive(0.1)
            if isinstance(message, Label):
                self.labels.append(message)


@contextmanager
def listening(endpoint: str) -> Iterator[Listener]:
    """Hear the labels of a streamer until the block ends."""
    listener = Listener(endpoint)
    try:
        yield listener
    finally:
        listener.close()


@contextmanager
def page_of(dashboard: OwnDashboard, *asked: dict[str, object], origin: str | None = None) -> Iterator[Any]:
    """Open the websocket that a page opens, and ask for something."""
    from websockets.sync.client import connect

    address = urlsplit(dashboard.address)
    with connect(f"ws://{address.netloc}/live/now", origin=origin or f"http://{address.netloc}") as socket:
        for each in asked:
            socket.send(json.dumps(each))
        yield socket


def awaited(socket: Any, is_it: Callable[[dict[str, Any]], object], timeout_s: float = 10.0) -> dict[str, Any]:
    """Return the first message to a page that is the one."""
    until = time.monotonic() + timeout_s
    while True:
        message = json.loads(socket.recv(timeout=max(until - time.monotonic(), 0.01)))
        if is_it(message):
            return message
