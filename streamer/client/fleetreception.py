"""What a subscriber to a fleet receives: what each of its streamers publishes, made one."""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.client.filling import Filling
from kinestream.streamer.client.following import Following
from kinestream.streamer.client.merging import Merging
from kinestream.streamer.client.reception import Reception
from kinestream.streamer.directory.table import Addresses
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Annotation, Event, Published

HIGH_WATER = 100_000
"""Labels and events that wait in a subscriber before the streamer drops them: some 30 MB."""
_SERVICE_EVERY_S, _FOLLOW_EVERY_S, _CHECK_EVERY_S = 0.002, 0.05, 1.0
_AT_A_TIME = 200  # messages of a streamer, before it is another's turn
_ALL = 2 * HIGH_WATER  # messages of a streamer that may wait, and be ready
_STAYS_S = 10.0
"""How long a streamer is listened to that the directory tells of no more: what it published may still be on its way."""

_logger = logging.getLogger("kinestream.subscriber")


class _Source:
    """One of the streamers: its labels, and what fills in those that were missed.

    Attributes
    ----------
    number : int
        By which it is known.
    gone_at : float or None
        Since when the directory has not told of it.
    trouble : str
        What keeps it from us, where that is known.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        number: int,
        addresses: Addresses,
        reception: Reception,
        keys: ClientKeys | None,
        *,
        asks: bool,
    ) -> None:
        self.number, self.addresses, self.reception = number, addresses, reception
        self.gone_at: float | None = None
        self.trouble = ""
        self.socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self.socket.set(zmq.RCVHWM, HIGH_WATER)
        self.socket.set(zmq.SNDHWM, 0)
        self.socket.set(zmq.LINGER, 0)
        present(self.socket, keys, wire.MAX_BYTES)
        for topic in reception.topics:
            self.socket.set(zmq.SUBSCRIBE, topic)
        self.handshakes = Handshakes(self.socket, "labels", None if keys is None else keys.client)
        try:
            connect(self.socket, addresses.labels)
            reception.open(context, addresses.control if asks else None, keys)
        except EndpointError:
            self.handshakes.close()
            raise

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What to wait for."""
        return [self.socket, *self.reception.sockets]

    def take(self, most: int = _AT_A_TIME) -> list[Published]:
        """Return what has come, some of it at a time."""
        messages, reception = [], self.reception
        for _ in range(most):
            message = reception.ready()
            if message is None:
                try:
                    message = reception.take(self.socket.recv_multipart(zmq.DONTWAIT))
                except zmq.Again:
                    if reception.empty(self.handshakes):
                        continue
                    break
            if message is not None:
                messages.append(message)
        return messages

    def close(self) -> None:
        """Close the sockets."""
        self.handshakes.close()
        self.socket.close()
        self.reception.close()


class FleetReception:
    """What comes of a fleet; see `kinestream.streamer.client.reception.Reception` for what has no word here.

    Parameters
    ----------
    fleet : str
        Where its directory answers.
    streams, events, annotations, log
        As of `Reception`.
    fill, past : bool
        As of `kinestream.streamer.client.subscriber.LabelSubscriber`.
    keys : ClientKeys, optional
        What is shown to directory and streamers.

    Attributes
    ----------
    following : Following
        What the directory tells.

    Raises
    ------
    ConfigError
        As by `Reception`.
    EndpointError
        If the address cannot be used.
    """

    def __init__(
        self,
        fleet: str,
        streams: Sequence[str] | None,
        *,
        events: bool,
        annotations: bool,
        log: bool,
        fill: bool,
        past: bool,
        keys: ClientKeys | None,
    ) -> None:
        self._streams, self._events, self._annotations = streams, events, annotations
        self._fill, self._past, self._keys = fill, past, keys
        self._log = EventLog() if log and not events else None
        self._merging = Merging()
        self._sources: dict[Addresses, _Source] = {}
        self._closed_malformed = self._closed_filled = self._next = 0
        self._followed_at = self._serviced_at = 0.0
        self._checked_at = time.monotonic()
        self.topics = self._reception().topics
        self._context: zmq.Context[Any] = zmq.Context()
        self._poller = zmq.Poller()
        try:
            self.following = Following(self._context, fleet, keys)
        except EndpointError:
            self._context.destroy(linger=0)
            raise
        self._watched: list[zmq.Socket[bytes]] = []
        self._watch()

    @property
    def malformed(self) -> int:
        """Messages that could not be read."""
        return self._closed_malformed + sum(source.reception.malformed for source in self._sources.values())

    @property
    def filled(self) -> int:
        """Messages that came because they were asked for, of each streamer."""
        return self._closed_filled + sum(source.reception.filled for source in self._sources.values())

    @property
    def missed(self) -> int:
        """Windows that were given up."""
        return self._merging.missed

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What to wait for."""
        of_sources = [socket for source in self._sources.values() for socket in source.sockets]
        return [*self.following.sockets, *of_sources]

    def reached(self, addresses: Addresses) -> tuple[bool, str]:
        """Return whether a streamer is connected, and what keeps it from us, where that is known."""
        source = self._sources.get(addresses)
        return (False, "") if source is None else (source.handshakes.reached, source.trouble)

    def wait(self, timeout_ms: int) -> None:
        """Wait until something may have come, or so long."""
        self._poller.poll(timeout_ms)

    def _check(self) -> None:
        """Raise AccessError where the directory does not accept the keys; log what keeps a streamer from us."""
        self.following.check()
        for source in self._sources.values():
            try:
                source.handshakes.check(source.addresses.labels)
                source.trouble = ""
            except EndpointError as error:
                if not source.trouble:
                    _logger.warning("%s", error)
                source.trouble = str(error)

    def service(self) -> None:
        """Follow the fleet's changes, ask each streamer for what is missing; waits for nothing.

        Raises
        ------
        AccessError
            Where the directory does not accept the keys.
        ValueError
            Where this is closed.
        """
        if self._context.closed:
            raise ValueError("this subscriber is closed: open another")
        now = time.monotonic()
        if now - self._serviced_at < _SERVICE_EVERY_S:
            return
        self._serviced_at = now
        if now - self._checked_at >= _CHECK_EVERY_S:
            self._checked_at = now
            self._check()
        if now - self._followed_at >= _FOLLOW_EVERY_S:
            self._followed_at = now
            if self.following.update():
                self._follow(now)
            self._leave(now)
        for source in self._sources.values():
            source.reception.service(source.handshakes)
        self._merging.look()

    def ready(self) -> Published | None:
        """Return the next message that is to be handed out; None where nothing has come."""
        while True:
            while self._merging.ready:
                if (wanted := self._wanted(self._merging.ready.popleft())) is not None:
                    return wanted
            if not self._take():
                return None

    def close(self) -> None:
        """Close the sockets."""
        for source in self._sources.values():
            source.close()
        self.following.close()
        self._context.destroy(linger=0)

    def _take(self) -> bool:
        """Take what has come of each streamer; return whether anything has."""
        has_come = False
        for source in self._sources.values():
            for message in source.take():
                has_come = True
                self._merging.take(message, source.number)
        return has_come

    def _follow(self, now: float) -> None:
        """Listen to the streamers that the directory tells of."""
        table = self.following.table
        assert table is not None
        told = set(table.streamers)
        for source in [each for each in self._sources.values() if each.gone_at is not None and each.addresses in told]:
            self._close(source)  # who comes back is another one, which a connection that broke unnoticed does not reach
        for addresses in told - self._sources.keys():
            with suppress(EndpointError):
                reception = self._reception()
                self._next += 1
                self._sources[addresses] = _Source(
                    self._context, self._next, addresses, reception, self._keys, asks=self._fill
                )
        # What a streamer published that joined later, before we heard of it, is no past.
        self._past = True
        for addresses, source in self._sources.items():
            source.gone_at = None if addresses in told else source.gone_at or now
        self._watch()

    def _leave(self, now: float) -> None:
        """Listen no more to those that were not told of for long."""
        gone = [each for each in self._sources.values() if each.gone_at is not None and now - each.gone_at > _STAYS_S]
        for source in gone:
            self._close(source)
        if gone or set(self.sockets) != set(self._watched):
            self._watch()

    def _close(self, source: _Source) -> None:
        """Take what has come of a streamer, and listen to it no more."""
        for message in source.take(_ALL):
            self._merging.take(message, source.number)
        self._closed_malformed += source.reception.malformed
        self._closed_filled += source.reception.filled
        del self._sources[source.addresses]
        source.close()

    def _watch(self) -> None:
        for socket in self._watched:
            self._poller.unregister(socket)
        self._watched = self.sockets
        for socket in self._watched:
            self._poller.register(socket, zmq.POLLIN)

    def _reception(self) -> Reception:
        filling = Filling(self._streams, past=self._past) if self._fill else None
        return Reception(self._streams, events=True, annotations=self._annotations, log=False, filling=filling)

    def _wanted(self, message: Published) -> Published | None:
        """Return a message if it is to be handed out; log an event that is not."""
        if isinstance(message, Event) and not self._events:
            if self._log is not None:
                self._log.add(message)
            return None
        return None if isinstance(message, Annotation) and not self._annotations else message
