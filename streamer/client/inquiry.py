"""Asks a streamer what becomes of streams, and hears the answers."""

import logging
import time
from typing import Any

import zmq

from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import MAX_BYTES, Answer, MalformedMessage

_HIGH_WATER = 1000
"""Questions and answers that wait."""
_UNHEARD_S = 5.0
"""After so long without an answer whoever asks is told."""

_logger = logging.getLogger("kinestream.sender")


class Inquiry:
    """Describes streams at a streamer's control endpoint.

    Parameters
    ----------
    context : zmq.Context
        Where its socket is made.
    endpoint : str
        The control endpoint.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str) -> None:
        self.endpoint = endpoint
        self._streams: dict[int, str] = {}  # by key, of those that were asked for
        self._answers: dict[int, Answer] = {}
        self._reported: dict[str, str] = {}  # what was logged of each stream last
        self._unanswered_since: float | None = None
        self._reported_unheard = False
        self._socket = context.socket(zmq.DEALER)
        self._socket.set_hwm(_HIGH_WATER)
        self._socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
        self._socket.set(zmq.LINGER, 0)
        connect(self._socket, endpoint)

    def ask(self, description: bytes, *, key: int, stream: str) -> None:
        """Ask about a stream; where there is no room for the question, earlier ones are not answered either."""
        self._listen(0)
        self._streams[key] = stream
        now = time.monotonic()
        if self._unanswered_since is None:
            self._unanswered_since = now
        elif now - self._unanswered_since > _UNHEARD_S and not self._reported_unheard:
            self._reported_unheard = True
            _logger.warning(
                "%s: no streamer answers at %s: whether it takes the samples is not known", stream, self.endpoint
            )
        try:
            self._socket.send(description, zmq.DONTWAIT)
        except zmq.Again:
            return

    def answer(self, key: int, timeout_s: float) -> Answer | None:
        """Return the last answer about a key, waiting for one where there is none."""
        until = time.monotonic() + timeout_s
        self._listen(0)
        while key not in self._answers and (left := until - time.monotonic()) > 0:
            self._listen(round(1000 * left))
        return self._answers.get(key)

    def forget(self, key: int) -> None:
        """Let go of a key."""
        self._answers.pop(key, None)
        self._streams.pop(key, None)

    def close(self) -> None:
        """Log what has been answered, and close the socket."""
        self._listen(0)
        self._socket.close()

    def _listen(self, timeout_ms: int) -> None:
        """Read the answers that have come, waiting for the first."""
        while self._socket.poll(timeout_ms):
            timeout_ms = 0
            try:
                answer = codec.decode_answer(self._socket.recv())
            except MalformedMessage:
                continue
            self._unanswered_since, self._reported_unheard = None, False
            stream = self._streams.get(answer.key)
            if stream is None:
                continue  # not asked, or let go since
            self._answers[answer.key] = answer
            reason = "" if answer.accepted else str(answer.details["reason"])
            if reason and reason != self._reported.get(stream):
                _logger.warning("%s: the streamer refuses it: %s", stream, reason)
            self._reported[stream] = reason
