"""Asks what has come of a load's messages, as senders do that keep them until they are acknowledged."""

import time
from collections.abc import Sequence
from contextlib import suppress

import zmq

from kinestream.streamer.wire.tracked import MAX_KEYS, AcknowledgeRequest, encode_acknowledge

_EVERY_S = 1.0


class Asking:
    """Sockets to the control endpoint, one beside each that carries samples.

    Parameters
    ----------
    context : zmq.Context
        Where they are made.
    control : str
        The endpoint.
    keys : sequence of int
        Of all messages; key i goes by socket ``i % connections``.
    connections : int
        Sockets.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], control: str, keys: Sequence[int], connections: int):
        self._requests: list[tuple[zmq.Socket[bytes], list[bytes]]] = []
        for number in range(connections):
            socket = context.socket(zmq.DEALER)
            socket.set(zmq.LINGER, 0)
            socket.connect(control)
            own = list(keys[number::connections])
            parts = [tuple(own[first : first + MAX_KEYS]) for first in range(0, len(own), MAX_KEYS)]
            self._requests.append((socket, [encode_acknowledge(AcknowledgeRequest(part)) for part in parts]))
        self._next = 0
        self._due = time.monotonic()

    def go_on(self) -> None:
        """Read answers and ask, a socket at a time, so that each asks once a second."""
        now = time.monotonic()
        while self._due <= now:
            self._due += _EVERY_S / len(self._requests)
            socket, requests = self._requests[self._next]
            self._next = (self._next + 1) % len(self._requests)
            with suppress(zmq.Again):
                while True:
                    socket.recv(zmq.DONTWAIT)
            with suppress(zmq.Again):
                for request in requests:
                    socket.send(request, zmq.DONTWAIT)

    def close(self) -> None:
        """Close the sockets."""
        for socket, _ in self._requests:
            socket.close()
