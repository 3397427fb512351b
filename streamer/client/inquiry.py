"""Describes streams at a streamer's control endpoint, and reads whether it accepts them."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq

from kinestream.streamer.events.undelivered import UndeliveredChannels
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import MAX_BYTES, Answer, MalformedMessage
from kinestream.streamer.wire.tracked import (
    MAX_KEYS,
    Acknowledgement,
    AcknowledgeRequest,
    decode_acknowledged,
    encode_acknowledge,
    is_acknowledged,
)

_HIGH_WATER = 1000
"""Questions and answers that wait."""
_ASK_AGAIN_S = 0.2
_MOST_FINISHED = 1000  # keys of which nothing more is sent and whose answer may still come
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
    keys : ClientKeys, optional
        What is shown there.

    Attributes
    ----------
    on_acknowledged : callable
        Called with what is said of tracked messages.
    on_answered : callable
        Called with a key that was described, and whether it is accepted.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str, keys: ClientKeys | None = None) -> None:
        self.endpoint = endpoint
        self.on_acknowledged: Callable[[list[Acknowledgement]], None] = lambda keys: None
        self.on_answered: Callable[[int, bool], None] = lambda key, accepted: None
        self._streams: dict[int, str] = {}  # by key, of those that were asked for
        self._answers: dict[int, Answer] = {}
        self._finished: dict[int, None] = {}  # in their order
        self._reported: dict[str, str] = {}  # what was logged of each stream last
        self._undelivered = UndeliveredChannels()
        self._unanswered_since: float | None = None
        self._reported_unheard = False
        self._socket = context.socket(zmq.DEALER)
        self._socket.set_hwm(_HIGH_WATER)
        present(self._socket, keys, MAX_BYTES)
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
        self.request(description)

    def request(self, message: bytes) -> None:
        """Send a request, if there is room for it."""
        with suppress(zmq.Again):
            self._socket.send(message, zmq.DONTWAIT)

    def ask_acknowledged(self, keys: list[int]) -> None:
        """Ask what has come of some keys, if there is room for it."""
        for first in range(0, len(keys), MAX_KEYS):
            self.request(encode_acknowledge(AcknowledgeRequest(tuple(keys[first : first + MAX_KEYS]))))

    def listen(self) -> None:
        """Read the answers that have come."""
        self._listen(0)

    def answer(self, key: int, timeout_s: float) -> Answer | None:
        """Return the last answer about a key, waiting for one where there is none."""
        until = time.monotonic() + timeout_s
        self._listen(0)
        while key not in self._answers and (left := until - time.monotonic()) > 0:
            self._listen(round(1000 * left))
        return self._answers.get(key)

    def wait(
        self, description: bytes, *, key: int, stream: str, timeout_s: float, check: Callable[[], object]
    ) -> Answer | None:
        """Ask until a stream is answered anew, and return the answer; None where none comes in time.

        `check` is called each time, and may raise.
        """
        self.forget(key)
        until = time.monotonic() + timeout_s
        while (left := until - time.monotonic()) > 0:
            check()
            self.ask(description, key=key, stream=stream)
            answer = self.answer(key, min(left, _ASK_AGAIN_S))
            if answer is not None:
                return answer
        return None

    def forget(self, key: int) -> None:
        """Let go of a key."""
        self._answers.pop(key, None)
        self._streams.pop(key, None)
        self._finished.pop(key, None)

    def finish(self, key: int) -> None:
        """Let go of a key of which nothing more is sent, as soon as it was answered: a refusal is still logged."""
        if key in self._answers or key not in self._streams:
            self.forget(key)
            return
        self._finished[key] = None
        if len(self._finished) > _MOST_FINISHED:
            self.forget(next(iter(self._finished)))

    def close(self) -> None:
        """Log what has been answered, and close the socket."""
        self._listen(0)
        self._socket.close()

    def _listen(self, timeout_ms: int) -> None:
        """Read the answers that have come, waiting for the first."""
        while self._socket.poll(timeout_ms):
            timeout_ms = 0
            frame = self._socket.recv()
            try:
                if is_acknowledged(frame):
                    self.on_acknowledged(decode_acknowledged(frame))
                    continue
                answer = codec.decode_answer(frame)
            except MalformedMessage:
                continue
            self._unanswered_since, self._reported_unheard = None, False
            self.on_answered(answer.key, answer.accepted)
            stream = self._streams.get(answer.key)
            if stream is None:
                continue  # not asked, or let go since
            self._answers[answer.key] = answer
            if answer.key in self._finished:
                self.forget(answer.key)
            reason = "" if answer.accepted else str(answer.details["reason"])
            if reason and reason != self._reported.get(stream):
                _logger.warning("%s: the streamer refuses it: %s", stream, reason)
            self._reported[stream] = reason
            if answer.accepted and (text := self._undelivered.news(stream, answer.details)):
                _logger.warning("%s: %s", stream, text)
