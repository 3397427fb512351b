"""Peers that speak the protocol by hand: messages that never end, or do."""

import socket as sockets
import threading
import time
from contextlib import suppress

MORE, LONG = 1, 2
_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\x00" + bytes(31)
_BLOCK = 1 << 16


def connected(address: str, kind: str) -> sockets.socket:
    """Connect and shake hands as a socket of ZeroMQ of that kind."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    peer = sockets.create_connection((host, int(port)))
    ready = b"\x05READY\x0bSocket-Type" + len(kind).to_bytes(4, "big") + kind.encode()
    peer.sendall(_GREETING + bytes([4, len(ready)]) + ready)
    answer = _read(peer, len(_GREETING) + 2)
    _read(peer, answer[-1])  # what is sent before it is ready, it takes for a command
    return peer


def _read(peer: sockets.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        some = peer.recv(size - len(read))
        if not some:
            raise ConnectionError("it has hung up")
        read += some
    return read


def frame(content: bytes, more: bool) -> bytes:
    """Return a frame as it is on the wire."""
    flags = MORE if more else 0
    if len(content) < 256:
        return bytes([flags, len(content)]) + content
    return bytes([flags | LONG]) + len(content).to_bytes(8, "big") + content


class Endless:
    """Connections that each send one message without an end, and connect again where they are ended.

    Parameters
    ----------
    address, kind : str
        Whom to, and as what kind of socket.
    size : int
        Bytes of each frame.
    count : int
        Connections.
    before : bytes
        What each sends first.

    Attributes
    ----------
    sent : int
        Bytes so far.
    ended : int
        Times that a connection was ended.
    """

    def __init__(self, address: str, kind: str, size: int, count: int = 1, before: bytes = b"") -> None:
        self.sent = self.ended = 0
        self._address, self._kind, self._before = address, kind, before
        one = frame(bytes(size), more=True)
        self._block = one * max(1, _BLOCK // len(one))
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self) -> None:
        while not self._stopping.is_set():
            with suppress(ConnectionError):  # it is too many
                self._send()
            self.ended += 1

    def _send(self) -> None:
        with connected(self._address, self._kind) as peer:
            peer.sendall(self._before)
            peer.settimeout(0.2)
            since = time.monotonic()
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    self.sent += peer.send(self._block)
                    since = time.monotonic()
                if time.monotonic() - since > 1:
                    return  # nobody reads it any more

    def __enter__(self) -> "Endless":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
