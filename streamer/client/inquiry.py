"""Asks a streamer what becomes of a stream, and hears the answer."""

import logging
import time
from typing import Any

import zmq

from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import MAX_BYTES, Answer, MalformedMessage

_HIGH_WATER = 8
"""Questions and answers that wait: all are alike."""
_UNHEARD_S = 5.0
"""After so long without an answer its sender is told."""

_logger = logging.getLogger("kinestream.sender")


class Inquiry:
    """Describes a stream at a streamer's control endpoint.

    Parameters
    ----------
    context : zmq.Context
        Where its socket is made.
    endpoint : str
        The control endpoint.
    stream : str
        Whose answers are logged.

    Attributes
    ----------
    answer : Answer or None
        The last, maybe of a session before; None before the first.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str, stream: str) -> None:
        self.answer: Answer | None = None
        self.endpoint = endpoint
        self._stream = stream
        self._asked_at: float | None = None  # the first time since the last answer
        self._reported = ""
        self._socket = context.socket(zmq.DEALER)
        self._socket.set_hwm(_HIGH_WATER)
        self._socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
        self._socket.set(zmq.LINGER, 0)
        connect(self._socket, endpoint)

    def ask(self, description: bytes) -> None:
        """Ask; where earlier questions still wait, they do."""
        self.listen()
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        elif time.monotonic() - self._asked_at > _UNHEARD_S:
            self._report(f"no streamer answers at {self.endpoint}: whether it takes these samples is not known")
        try:
            self._socket.send(description, zmq.DONTWAIT)
        except zmq.Again:
            return

    def listen(self, timeout_s: float = 0.0) -> Answer | None:
        """Read the answers that have come, waiting for one if there is none; return the last."""
        until = time.monotonic() + timeout_s
        while self._socket.poll(max(round(1000 * (until - time.monotonic())), 0)):
            try:
                self.answer = codec.decode_answer(self._socket.recv())
            except MalformedMessage:
                continue
            self._asked_at = None
            until = 0.0
            if self.answer.accepted:
                self._reported = ""
            else:
                self._report(f"the streamer refuses it: {self.answer.details['reason']}")
        return self.answer

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _report(self, what: str) -> None:
        if what != self._reported:
            self._reported = what
            _logger.warning("%s: %s", self._stream, what)
