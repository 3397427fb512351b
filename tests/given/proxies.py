"""A TCP proxy on the loopback that does to connections what networks do: cuts, delays, and passes only part."""

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_PIECE = 65536


class Proxy:
    """Passes on what comes to its address, unless told otherwise.

    Parameters
    ----------
    target : str
        Where it passes it on to: a ``tcp://`` address.
    rng : Random
        Decides what happens when.
    delay_s : float
        Up to how long a piece may be on its way.

    Attributes
    ----------
    address : str
        Its own.
    cuts : int
        Connections that were cut so far.
    """

    def __init__(self, target: str, rng: random.Random, *, delay_s: float = 0.0) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target, self._rng, self._delay_s = (host, int(port)), rng, delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._halved = False
        self._flows = threading.Event()
        self._flows.set()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cut every connection, whatever is on its way."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.cuts += 1
            _reset(pair)

    def halve(self) -> None:
        """Pass on only the first half of the next piece of each connection, and then cut it."""
        self._halved = True

    def hold(self) -> None:
        """Pass on nothing more; connections stay, as where a network is away for a while."""
        self._flows.clear()

    def release(self) -> None:
        """Pass on again."""
        self._flows.set()

    def close(self) -> None:
        """Cut everything and listen no more."""
        self._closed = True
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            try:
                theirs = socket.create_connection(self._target, 2)
            except OSError:
                ours.close()
                continue
            theirs.settimeout(None)
            pair = (ours, theirs)
            with self._lock:
                self._pairs.append(pair)
            for source, sink in (pair, pair[::-1]):
                threading.Thread(target=self._pass_on, args=(source, sink, pair), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, pair: tuple[socket.socket, socket.socket]) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                self._flows.wait()
                if self._delay_s:
                    time.sleep(self._rng.uniform(0, self._delay_s))
                if self._halved:
                    self._halved = False
                    sink.sendall(piece[: len(piece) // 2])
                    self.cuts += 1
                    break
                sink.sendall(piece)
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        _reset(pair)


@contextmanager
def proxy(target: str, rng: random.Random, *, delay_s: float = 0.0) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    running = Proxy(target, rng, delay_s=delay_s)
    try:
        yield running
    finally:
        running.close()


def _reset(pair: tuple[socket.socket, socket.socket]) -> None:
    for each in pair:
        with suppress(OSError):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
