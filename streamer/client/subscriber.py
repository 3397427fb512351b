"""Receives what a streamer publishes."""

import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Self, TypeVar

import zmq
import zmq.asyncio

from kinestream.model.errors import ConfigError, EndpointError
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire import published
from kinestream.streamer.wire.messages import Event, Label, MalformedMessage

HIGH_WATER = 100_000
"""Labels and events that wait in a subscriber before the streamer drops them: some 30 MB."""

_LONGEST_S = 2_000_000  # about as long as a poll can wait; past that it waits for ever

_Socket = TypeVar("_Socket", bound=zmq.Socket[Any])


class LabelSubscriber:
    """Receives labels as a streamer publishes them; iterating waits for the next one.

    Parameters
    ----------
    endpoint : str
        Where the streamer publishes.
    streams : sequence of str, optional
        The streams to listen to; all by default.
    events : bool
        Whether to receive what else is said of the streams too: refusals, gaps, skipped windows, ends.
    log : bool
        Whether to log those instead, where they are not received: as warnings of the logger ``kinestream.events``,
        which Python prints on stderr unless told otherwise; see `streamer.events.log`.

    Attributes
    ----------
    malformed : int
        Published messages that could not be read and were passed over.

    Raises
    ------
    ConfigError
        If `streams` is a text, whose letters would be names.
    EndpointError
        If the address cannot be used. That nobody publishes there is no error: somebody may yet.
    """

    def __init__(
        self,
        endpoint: str = wire.LABELS,
        *,
        streams: Sequence[str] | None = None,
        events: bool = False,
        log: bool = True,
    ) -> None:
        self.malformed = 0
        self._log = EventLog() if log and not events else None
        topics = _topics(streams, events or self._log is not None)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = _subscribed(self._context, endpoint, topics)

    def receive(self, timeout_s: float | None = None) -> Label | Event | None:
        """Return the next label or event, or None if none came within `timeout_s` seconds."""
        _check_open(self._socket)
        deadline = _deadline(timeout_s)
        while True:
            try:  # what is there is taken at once: to ask first takes longer than to take it
                message = _received(self._socket.recv_multipart(zmq.DONTWAIT), self._log)
                if message is not None:
                    return message
            except zmq.Again:
                if not self._socket.poll(_milliseconds_until(deadline)):
                    return None
                continue
            except MalformedMessage:
                self.malformed += 1
            if time.monotonic() > deadline:  # what is not returned must not keep it from returning
                return None

    def close(self) -> None:
        """Close the socket."""
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[Label | Event]:
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncLabelSubscriber:
    """`LabelSubscriber` for asyncio: the same arguments; ``async with``, ``async for``, ``await receive()``."""

    def __init__(
        self,
        endpoint: str = wire.LABELS,
        *,
        streams: Sequence[str] | None = None,
        events: bool = False,
        log: bool = True,
    ) -> None:
        self.malformed = 0
        self._log = EventLog() if log and not events else None
        topics = _topics(streams, events or self._log is not None)
        self._context = zmq.asyncio.Context()
        self._socket = _subscribed(self._context, endpoint, topics)

    async def receive(self, timeout_s: float | None = None) -> Label | Event | None:
        """Return the next label or event, or None if none came within `timeout_s` seconds."""
        _check_open(self._socket)
        deadline = _deadline(timeout_s)
        while await self._socket.poll(_milliseconds_until(deadline)):
            try:
                message = _received(await self._socket.recv_multipart(), self._log)
                if message is not None:
                    return message
            except MalformedMessage:
                self.malformed += 1
            if time.monotonic() > deadline:  # what is not returned must not keep it from returning
                return None
        return None

    def close(self) -> None:
        """Close the socket."""
        self._context.destroy(linger=0)

    async def __aiter__(self) -> AsyncIterator[Label | Event]:
        while True:
            message = await self.receive()
            if message is not None:
                yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def _check_open(socket: zmq.Socket[Any]) -> None:
    if socket.closed:
        raise ValueError("this subscriber is closed: open another")


def _received(frames: list[bytes], log: EventLog | None) -> Label | Event | None:
    """Read a published message; None where it is an event that is logged instead."""
    if log is None:
        return published.decode_published(frames)
    if published.is_acceptance(
        frames
    ):  # each stream has one every second or two: to read them costs as much as the labels
        log.accept(frames[0].decode(errors="replace").removeprefix("event/").rstrip("/"))
        return None
    message = published.decode_published(frames)
    if isinstance(message, Label):
        return message
    log.add(message)
    return None


def _topics(streams: Sequence[str] | None, events: bool) -> list[bytes]:
    """Return what to subscribe to; labels first, so that whoever gets an event is sure to get labels."""
    if isinstance(streams, str):
        raise ConfigError("this subscriber", [f"streams: {streams!r} is one name; give a list of them: [{streams!r}]"])
    if streams is None:
        return [b"label/", b"event/"] if events else [b"label/"]
    labels = [wire.label_topic(stream) for stream in streams]
    return labels + [wire.event_topic(stream) for stream in streams] if events else labels


def _subscribed(context: zmq.Context[_Socket], endpoint: str, topics: Sequence[bytes]) -> _Socket:
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, HIGH_WATER)
    socket.set(zmq.SNDHWM, 0)  # what a subscriber sends are subscriptions: past this many, libzmq forgets them silently
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.MAXMSGSIZE, wire.MAX_BYTES)
    for topic in topics:
        socket.set(zmq.SUBSCRIBE, topic)
    try:
        connect(socket, endpoint)
    except EndpointError:
        context.term()
        raise
    return socket


def _deadline(timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else time.monotonic() + timeout_s


def _milliseconds_until(deadline: float) -> int | None:
    left_s = deadline - time.monotonic()
    return None if left_s > _LONGEST_S else max(0, math.ceil(1000 * left_s))
