"""What a streamer publishes, fetched: a subscriber like any other, that asks for more only while somebody looks."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import zmq

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.watching import Watching
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import found_keys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.published import decode_published
from kinestream.streamer.wire.signals import signal_topic
from kinestream.streamer.wire.status import STATUS_TOPIC, STREAMS_TOPIC, Status, StreamsStatus
from kinestream.streamer.wire.watched import MAX_WATCHED, decode_watched

_TICK_S = 0.05
"""What has come is taken together: to be woken for each label costs several times as much."""
_TURN_NS = 20_000_000  # then pages get their turn
_HIGH_WATER = 100_000
_HOUSEKEEPING_NS = 10_000_000_000
_HEARTBEAT_MS = 5000
_STATUS_NS = 60_000_000_000  # after the last page was closed: one may be opened again


class Addresses(NamedTuple):
    """Where the streamer is, and the file of the keys to show there.

    Without `keys` they are those that `KINESTREAM_KEYS` names; where it is empty, none.
    """

    labels: str = wire.LABELS
    control: str = wire.CONTROL
    watch: str = wire.WATCH
    keys: str | None = None

    def as_options(self) -> list[str]:
        """Return the options of a command that is to find it."""
        places = "--labels", self.labels, "--control", self.control, "--watch", self.watch
        return [*places, *(("--keys", self.keys) if self.keys else ())]


class Feed:
    """Keeps a board up to date.

    Parameters
    ----------
    addresses : Addresses
        Where the streamer publishes.

    Attributes
    ----------
    addresses : Addresses
    board : Board
        What is known.
    watching : Watching
        Whose signals are had.
    malformed : int
        Messages that could not be read and were passed over.

    Raises
    ------
    EndpointError
        If an address cannot be used. That nobody is there is no error: somebody may come.
    """

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.board = Board(monotonic_ns())
        self.malformed = 0
        self.watching = Watching(self._subscribe, self._unsubscribe)
        self.board.looked_at = self.watching.has
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._handshakes: dict[str, Handshakes] = {}
        self._keys = found_keys(addresses.keys)
        try:
            self._labels = self._opened(
                "labels", addresses.labels, (b"label/", b"event/", b"annotation/"), wire.MAX_BYTES
            )
            self._watch = self._opened("watch", addresses.watch, (), MAX_WATCHED)
        except BaseException:
            self.close()
            raise
        self._kept_house = 0
        self._pages, self._left = 0, 0
        self._has_status = self._has_streams = False

    async def run(self) -> None:
        """Take what comes, for ever.

        Raises
        ------
        EndpointError
            If what answers at the labels' address is something else.
        AccessError
            If the streamer does not accept the keys, or the lack of them.
        """
        while True:
            self.take()
            await asyncio.sleep(_TICK_S)

    def take(self) -> None:
        """Take what has come."""
        now = monotonic_ns()
        self._handshakes["labels"].check(self.addresses.labels)
        self._handshakes["watch"].check_keys(self.addresses.watch)
        self.board.connect(self._handshakes["labels"].reached, now)
        if self._has_streams != self.watching.is_looking:  # to make it takes the streamer a while
            self._has_streams = not self._has_streams
            (self._watch.subscribe if self._has_streams else self._watch.unsubscribe)(STREAMS_TOPIC)
        self._drain(self._labels, self._take_label, now + _TURN_NS)
        self._drain(self._watch, self._take_watched, now + 2 * _TURN_NS)
        if now - self._kept_house >= _HOUSEKEEPING_NS:
            self._kept_house = now
            self.board.forget(now)
            self.watching.forget(now)
            if self._has_status and not self._pages and now - self._left > _STATUS_NS:
                self._has_status = False
                self._watch.unsubscribe(STATUS_TOPIC)

    def attend(self) -> None:
        """Note that a page was opened: what costs the streamer something is asked for while there is one."""
        self._pages += 1
        if not self._has_status:
            self._has_status = True
            self._watch.subscribe(STATUS_TOPIC)

    def leave(self) -> None:
        """Note that a page was closed."""
        self._pages -= 1
        self._left = monotonic_ns()

    def close(self) -> None:
        """Close the sockets."""
        for handshakes in self._handshakes.values():
            handshakes.close()
        self._context.destroy(linger=0)

    def _drain(self, socket: zmq.Socket[bytes], take: Callable[[list[bytes]], None], until: int) -> None:
        try:
            while True:
                frames = socket.recv_multipart(zmq.DONTWAIT)
                try:
                    take(frames)
                except MalformedMessage:
                    self.malformed += 1
                if monotonic_ns() > until:
                    return
        except zmq.Again:
            return

    def _take_label(self, frames: list[bytes]) -> None:
        self.board.add(decode_published(frames), monotonic_ns(), now_ns())

    def _take_watched(self, frames: list[bytes]) -> None:
        message = decode_watched(frames)
        if isinstance(message, Status):
            self.board.add_status(message)
        elif isinstance(message, StreamsStatus):
            self.board.add_rates(message)
        else:
            self.watching.add(message)

    def _subscribe(self, stream: str) -> None:
        self._watch.subscribe(signal_topic(stream))

    def _unsubscribe(self, stream: str) -> None:
        self._watch.unsubscribe(signal_topic(stream))

    def _opened(self, what: str, endpoint: str, topics: Sequence[bytes], most_bytes: int) -> Any:
        socket = self._context.socket(zmq.SUB)
        socket.set(zmq.RCVHWM, _HIGH_WATER)
        socket.set(zmq.SNDHWM, 0)  # what a subscriber sends are subscriptions: none may be forgotten
        socket.set(zmq.LINGER, 0)
        present(socket, self._keys, most_bytes)
        socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)  # a machine that vanished says nothing
        for topic in topics:
            socket.subscribe(topic)
        client = None if self._keys is None else self._keys.client
        self._handshakes[what] = Handshakes(socket, what, client)
        connect(socket, endpoint)
        return socket
