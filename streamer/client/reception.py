"""What becomes of what a subscriber receives: it is read, filled where something is missing, logged or handed out."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import zmq

from kinestream.model.errors import ConfigError
from kinestream.streamer.client.filling import Filling
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire import published
from kinestream.streamer.wire.messages import Annotation, Event, Published

_HIGH_WATER = 8  # requests and answers that wait
_UNREACHED_S = 0.1  # between two looks whether the streamer has been reached

_logger = logging.getLogger("kinestream.subscriber")


class Reception:
    """What both kinds of subscriber share.

    Parameters
    ----------
    streams : sequence of str, optional
        The streams to listen to; all by default.
    events, annotations, log : bool
        As of `kinestream.streamer.client.subscriber.LabelSubscriber`.
    filling : Filling, optional
        What fills in what is missing.

    Attributes
    ----------
    topics : list of bytes
        What to subscribe to: whoever is counted gets annotations, whoever gets an event is sure to get labels.
    malformed, filled : int
        Messages that could not be read, and those handed out that came from the history.

    Raises
    ------
    ConfigError
        If `streams` is a text, whose letters would be names, or holds what no stream can be called.
    """

    def __init__(
        self, streams: Sequence[str] | None, *, events: bool, annotations: bool, log: bool, filling: Filling | None
    ) -> None:
        self.malformed = self.filled = 0
        self._events, self._annotations = events, annotations
        self._log = EventLog() if log and not events else None
        self.topics = _topics(streams, events or self._log is not None or filling is not None, annotations)
        self._filling = filling
        self._socket: zmq.Socket[bytes] | None = None
        self._control = ""
        self._connections = 0
        self._unanswered = 0
        self._update_at = 0.0

    @property
    def missed(self) -> int:
        """Windows that were given up."""
        return 0 if self._filling is None else self._filling.missed

    @property
    def is_asking(self) -> bool:
        """Whether an answer is waited for, so that `service` should be called soon again."""
        return self._filling is not None and self._filling.is_asking

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What to wait for besides the labels' socket."""
        return [] if self._socket is None else [self._socket]

    def open(self, context: zmq.Context[Any], control: str | None, keys: ClientKeys | None = None) -> None:
        """Connect to where the history is asked for, and show these keys there.

        Raises
        ------
        EndpointError
            If the address cannot be used.
        """
        if self._filling is None or control is None:
            return
        socket: zmq.Socket[bytes] = zmq.Context(context).socket(zmq.DEALER)
        socket.set_hwm(_HIGH_WATER)
        present(socket, keys, wire.MAX_BYTES)
        socket.set(zmq.LINGER, 0)
        connect(socket, control)
        self._socket, self._control = socket, control

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()

    def take(self, frames: list[bytes]) -> Published | None:
        """Read what was published; return it if it is to be handed out at once."""
        if self._log is not None and published.is_acceptance(frames):
            # Each stream has one every second or two: to read them costs as much as the labels.
            self._log.accept(frames[0].decode(errors="replace").removeprefix("event/").rstrip("/"))
            return None
        try:
            message = published.decode_published(frames)
        except wire.MalformedMessage:
            self.malformed += 1
            return None
        if self._filling is None or self._filling.take(message, frames[1]):
            return self._wanted(message)
        return self.ready()

    def ready(self) -> Published | None:
        """Return what is to be handed out before anything else is taken."""
        if self._filling is not None:
            while self._filling.ready:
                message, is_filled = self._filling.ready.popleft()
                wanted = self._wanted(message)
                if wanted is not None:
                    self.filled += is_filled
                    return wanted
        return None

    def service(self, handshakes: Handshakes) -> None:
        """Ask for what is missing and hear the answers; waits for nothing.

        Parameters
        ----------
        handshakes : Handshakes
            Of the labels' socket.
        """
        if self._filling is None or self._socket is None:
            return
        filling, now = self._filling, time.monotonic()
        if now >= self._update_at:
            self._update_at = now + _UNREACHED_S
            handshakes.update()
            if handshakes.times > self._connections:
                self._connections = handshakes.times
                filling.connected()
        if filling.is_asking:
            self._hear(filling, self._socket, handshakes, now)
        filling.look(now, is_there=handshakes.reached)
        _ask(filling, self._socket, now)
        if filling.unanswered > self._unanswered:
            if not self._unanswered:
                _logger.warning(
                    "no streamer answers at %s: labels that are missed cannot be asked for; give control=, the address "
                    "that 'kinestream serve' shows after 'control'",
                    self._control,
                )
            self._unanswered = filling.unanswered

    def empty(self, handshakes: Handshakes) -> bool:
        """Note that the labels' socket holds nothing just now; return whether anything may be ready because of that.

        Answers are heard here, too, also those that nobody waits for any more: left where they are, they would wake up
        whoever waits for something to come, again and again.
        """
        if self._filling is None or self._socket is None:
            return False
        now = time.monotonic()
        has_come = self._hear(self._filling, self._socket, handshakes, now)
        if has_come:
            _ask(self._filling, self._socket, now)
        return self._filling.empty(now) or has_come

    def _hear(self, filling: Filling, socket: zmq.Socket[bytes], handshakes: Handshakes, now: float) -> bool:
        """Hear the answers that have come, some at a time; return whether there were any."""
        # What was asked while nobody was there is answered by whoever comes next, who may have none of it yet: it is
        # asked again once his labels are heard.
        is_current = handshakes.reached and handshakes.times == self._connections
        for count in range(_HIGH_WATER):
            try:
                answer = socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return count > 0
            if is_current:
                filling.hear(answer, now)
        return True

    def _wanted(self, message: Published) -> Published | None:
        """Return a message if it is to be handed out; log an event that is not."""
        if isinstance(message, Event) and not self._events:
            if self._log is not None:
                self._log.add(message)
            return None
        return None if isinstance(message, Annotation) and not self._annotations else message


def _ask(filling: Filling, socket: zmq.Socket[bytes], now: float) -> None:
    for request in filling.requests(now):
        with suppress(zmq.Again):  # it counts as not answered
            socket.send(request, zmq.DONTWAIT)


def _topics(streams: Sequence[str] | None, events: bool, annotations: bool) -> list[bytes]:
    _check_names(streams)
    if isinstance(streams, str):
        raise ConfigError("this subscriber", [f"streams: {streams!r} is one name; give a list of them: [{streams!r}]"])
    wanted = {"annotation": annotations, "label": True, "event": events}
    kinds = [kind for kind, is_wanted in wanted.items() if is_wanted]
    if streams is None:
        return [f"{kind}/".encode() for kind in kinds]
    return [f"{kind}/{stream}/".encode() for kind in kinds for stream in streams]


def _check_names(streams: Sequence[str] | None) -> None:
    """Raise ConfigError where no stream can be called so: whoever waited for it would wait for ever."""
    wrong = [name for name in streams or () if not isinstance(name, str) or not wire.name_is_valid(name)]
    if wrong and not isinstance(streams, str):
        what = f"{wrong[0]!r} is no name; use 1 to 64 letters, digits and _ . : @ + -"
        raise ConfigError("this subscriber", [f"streams: {what}"])
