"""Receives what a streamer publishes.

Longer than other files: both kinds of subscriber say twice what they take, for labels and for activities.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

import zmq
import zmq.asyncio

from kinestream.model.errors import ConfigError, EndpointError
from kinestream.streamer.client.connection import usual_control
from kinestream.streamer.client.filling import Filling
from kinestream.streamer.client.fleetreception import HIGH_WATER, FleetReception
from kinestream.streamer.client.reception import Reception
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Annotation, Event, Published

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from kinestream.model.config.activity import ActivitySection
    from kinestream.streamer.client.activities import Activity

    Received = TypeVarWithDefault("Received", default=Published)
else:
    Received = TypeVar("Received")

_LOOK_EVERY_S = 1.0  # while nothing comes, whether anything can
_FILL_EVERY_S = 0.1  # while nothing comes, whether anything is missing
_FOLLOW_EVERY_S = 0.1  # while nothing comes, whether a fleet has changed
_ASK_EVERY_S = 0.005  # in asyncio, whether what was asked for has come

_Socket = TypeVar("_Socket", bound=zmq.Socket[Any])
_logger = logging.getLogger("kinestream.subscriber")


class LabelSubscriber(Generic[Received]):
    """Receives labels as a streamer publishes them, each once; iterating waits for the next one.

    What it missed, because it was held up or a connection broke, it asks for where the streamer answers: `control`.
    A streamer keeps what it has published for `serve --history`, 5 s by default. What comes of a stream meanwhile
    is held back, so that labels come in their order, but without an answer for no longer than a second, or five
    where the streamer has answered before and is merely busy; while its connection is gone, for two minutes. What
    cannot be had is told by a ``missed`` event of the stream, with `first_window`, `last_window` and the `reason`.

    Parameters
    ----------
    endpoint : str
        Where the streamer publishes.
    streams : sequence of str, optional
        The streams to listen to; all by default.
    events : bool
        Whether to receive what else is said of the streams too: refusals, gaps, skipped windows, ends.
    annotations : bool
        Whether to receive what people say of the activities, or a replay's recordings do.
    activities : bool or ActivitySection
        Whether to receive, in place of labels, what they tell of activities: started, ongoing, ended; see
        `kinestream.streamer.client.activities.Activity`. By the rules that come with the bundle, unless others are
        given.
    log : bool
        Whether to log those instead, where they are not received: as warnings of the logger ``kinestream.events``,
        which Python prints on stderr unless told otherwise; see `kinestream.streamer.events.log`.
    control : str, optional
        Where the streamer answers: by default at the usual port, 5572, if `endpoint` is at its usual one, 5571, of any
        machine. Where it is not known nothing is asked for.
    fill : bool
        Whether to ask for what was missed. If not, all is handed out as it comes, and may come twice.
    past : bool
        Whether to begin with what the streamer keeps of the time before, where that is asked for.
    keys : str, Path or ClientKeys, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.
    fleet : str, optional
        Where the directory of a fleet answers, in place of a streamer's addresses: all of its streamers are listened
        to, and its changes followed. Each label comes once, whichever of them published it; what one says of a stream
        that it lost is left out.

    Attributes
    ----------
    malformed : int
        Published messages that could not be read and were passed over.
    missed : int
        Windows whose labels were published and could not be had.
    filled : int
        Messages returned so far that came because they were asked for.
    control : str or None
        Where what was missed is asked for.

    Raises
    ------
    ConfigError
        If `streams` is a text, whose letters would be names, or holds what no stream can be called.
    EndpointError
        If an address or the keys cannot be used. That nobody publishes there is no error: somebody may yet. `receive`
        raises it where something else answers at the address, such as where samples go in, and `AccessError` where the
        streamer does not accept the keys, or no longer.
    """

    @overload
    def __init__(
        self: "LabelSubscriber[Published]",
        endpoint: str = ...,
        *,
        streams: Sequence[str] | None = ...,
        events: bool = ...,
        annotations: bool = ...,
        activities: Literal[False] = ...,
        log: bool = ...,
        control: str | None = ...,
        fill: bool = ...,
        past: bool = ...,
        keys: str | Path | ClientKeys | None = ...,
        fleet: str | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: "LabelSubscriber[Activity | Event | Annotation]",
        endpoint: str = ...,
        *,
        streams: Sequence[str] | None = ...,
        events: bool = ...,
        annotations: bool = ...,
        activities: "Literal[True] | ActivitySection",
        log: bool = ...,
        control: str | None = ...,
        fill: bool = ...,
        past: bool = ...,
        keys: str | Path | ClientKeys | None = ...,
        fleet: str | None = ...,
    ) -> None: ...

    def __init__(
        self,
        endpoint: str = wire.LABELS,
        *,
        streams: Sequence[str] | None = None,
        events: bool = False,
        annotations: bool = False,
        activities: "bool | ActivitySection" = False,
        log: bool = True,
        control: str | None = None,
        fill: bool = True,
        past: bool = True,
        keys: str | Path | ClientKeys | None = None,
        fleet: str | None = None,
    ) -> None:
        who = found_keys(keys)
        wanted = {"events": events, "annotations": annotations, "log": log}
        self._fleet = _fleet(fleet, endpoint, control, activities, streams, wanted, fill=fill, past=past, keys=who)
        if self._fleet is not None:
            self.control = None
            self._told: Any = _told(activities, self._fleet, wanted)
            return
        self.control = _control(endpoint, control, fill)
        self._reception = _reception(activities, streams, self.control, wanted, past=past)
        self._told = _told(activities, self._reception, wanted)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket, self._handshakes = _subscribed(self._context, endpoint, self._reception, self.control, who)
        self._endpoint = endpoint
        self._poller = zmq.Poller()
        for socket in (self._socket, *self._reception.sockets):
            self._poller.register(socket, zmq.POLLIN)

    @property
    def malformed(self) -> int:
        """Published messages that could not be read and were passed over."""
        return (self._fleet or self._reception).malformed

    @property
    def missed(self) -> int:
        """Windows whose labels were published and could not be had."""
        return (self._fleet or self._reception).missed

    @property
    def filled(self) -> int:
        """Messages returned so far that came because they were asked for."""
        return (self._fleet or self._reception).filled

    def receive(self, timeout_s: float | None = None) -> Received | None:
        """Return the next label, event or annotation, or None if none came within `timeout_s` seconds."""
        if self._fleet is not None:
            return self._receive_from(self._fleet, timeout_s)
        _check_open(self._socket)
        deadline = _deadline(timeout_s)
        reception, told = self._reception, self._told
        look_s = _FILL_EVERY_S if reception.sockets else _LOOK_EVERY_S
        while True:
            message: Received | None = told.ready()
            if message is not None:
                return message
            reception.service(self._handshakes)
            try:  # what is there is taken at once: to ask first takes longer than to take it
                message = told.ready() or told.take(self._socket.recv_multipart(zmq.DONTWAIT))
                if message is not None:
                    return message
            except zmq.Again:
                if not reception.empty(self._handshakes):
                    come = dict(self._poller.poll(_milliseconds_to_wait(deadline, look_s)))
                    if self._socket in come:
                        continue
                    if not come:
                        self._handshakes.check(self._endpoint)
            if time.monotonic() > deadline:  # what is not returned must not keep it from returning
                message = told.ready()
                return message

    def close(self) -> None:
        """Close the sockets."""
        if self._fleet is not None:
            self._fleet.close()
            return
        self._handshakes.close()
        self._reception.close()
        self._context.destroy(linger=0)

    def _receive_from(self, fleet: FleetReception, timeout_s: float | None) -> Received | None:
        """Return what is next of a fleet's streamers."""
        deadline = _deadline(timeout_s)
        while True:
            fleet.service()
            message: Received | None = self._told.ready()
            if message is not None:
                return message
            if time.monotonic() > deadline:
                return None
            fleet.wait(_milliseconds_to_wait(deadline, _FOLLOW_EVERY_S))

    def __iter__(self) -> Iterator[Received]:
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncLabelSubscriber(Generic[Received]):
    """`LabelSubscriber` for asyncio: the same arguments; ``async with``, ``async for``, ``await receive()``."""

    @overload
    def __init__(
        self: "AsyncLabelSubscriber[Published]",
        endpoint: str = ...,
        *,
        streams: Sequence[str] | None = ...,
        events: bool = ...,
        annotations: bool = ...,
        activities: Literal[False] = ...,
        log: bool = ...,
        control: str | None = ...,
        fill: bool = ...,
        past: bool = ...,
        keys: str | Path | ClientKeys | None = ...,
        fleet: str | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: "AsyncLabelSubscriber[Activity | Event | Annotation]",
        endpoint: str = ...,
        *,
        streams: Sequence[str] | None = ...,
        events: bool = ...,
        annotations: bool = ...,
        activities: "Literal[True] | ActivitySection",
        log: bool = ...,
        control: str | None = ...,
        fill: bool = ...,
        past: bool = ...,
        keys: str | Path | ClientKeys | None = ...,
        fleet: str | None = ...,
    ) -> None: ...

    def __init__(
        self,
        endpoint: str = wire.LABELS,
        *,
        streams: Sequence[str] | None = None,
        events: bool = False,
        annotations: bool = False,
        activities: "bool | ActivitySection" = False,
        log: bool = True,
        control: str | None = None,
        fill: bool = True,
        past: bool = True,
        keys: str | Path | ClientKeys | None = None,
        fleet: str | None = None,
    ) -> None:
        who = found_keys(keys)
        wanted = {"events": events, "annotations": annotations, "log": log}
        self._fleet = _fleet(fleet, endpoint, control, activities, streams, wanted, fill=fill, past=past, keys=who)
        if self._fleet is not None:
            self.control = None
            self._told: Any = _told(activities, self._fleet, wanted)
            return
        self.control = _control(endpoint, control, fill)
        self._reception = _reception(activities, streams, self.control, wanted, past=past)
        self._told = _told(activities, self._reception, wanted)
        self._context = zmq.asyncio.Context()
        self._socket, self._handshakes = _subscribed(self._context, endpoint, self._reception, self.control, who)
        self._endpoint = endpoint

    @property
    def malformed(self) -> int:
        """Published messages that could not be read and were passed over."""
        return (self._fleet or self._reception).malformed

    @property
    def missed(self) -> int:
        """Windows whose labels were published and could not be had."""
        return (self._fleet or self._reception).missed

    @property
    def filled(self) -> int:
        """Messages returned so far that came because they were asked for."""
        return (self._fleet or self._reception).filled

    async def receive(self, timeout_s: float | None = None) -> Received | None:
        """Return the next label, event or annotation, or None if none came within `timeout_s` seconds."""
        if self._fleet is not None:
            return await self._receive_from(self._fleet, timeout_s)
        _check_open(self._socket)
        deadline = _deadline(timeout_s)
        reception, told = self._reception, self._told
        look_s = _FILL_EVERY_S if reception.sockets else _LOOK_EVERY_S
        while True:
            reception.service(self._handshakes)
            message: Received | None = told.ready()
            if message is not None:
                return message
            ask_ms = round(1000 * _ASK_EVERY_S) if reception.is_asking else math.inf
            if await self._socket.poll(int(min(_milliseconds_to_wait(deadline, look_s), ask_ms))):
                message = told.take(await self._socket.recv_multipart())
                if message is not None:
                    return message
            elif not reception.empty(self._handshakes):
                self._handshakes.check(self._endpoint)
            if time.monotonic() > deadline:  # what is not returned must not keep it from returning
                message = told.ready()
                return message

    def close(self) -> None:
        """Close the sockets."""
        if self._fleet is not None:
            self._fleet.close()
            return
        self._handshakes.close()
        self._reception.close()
        self._context.destroy(linger=0)

    async def _receive_from(self, fleet: FleetReception, timeout_s: float | None) -> Received | None:
        """Return what is next of a fleet's streamers."""
        deadline = _deadline(timeout_s)
        while True:
            fleet.service()
            message: Received | None = self._told.ready()
            if message is not None:
                return message
            if time.monotonic() > deadline:
                return None
            await asyncio.sleep(min(max(deadline - time.monotonic(), 0.0), _ASK_EVERY_S))

    async def __aiter__(self) -> AsyncIterator[Received]:
        while True:
            message = await self.receive()
            if message is not None:
                yield message

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def _control(endpoint: str, control: str | None, fill: bool) -> str | None:
    """Return where what was missed is asked for; None where it is not."""
    if not fill:
        return None
    control = control or usual_control(endpoint, wire.LABELS)
    if control is None:
        _logger.info("%s: labels that are missed are not asked for: give control=, the streamer's address", endpoint)
    return control


def _reception(
    activities: "bool | ActivitySection",
    streams: Sequence[str] | None,
    control: str | None,
    wanted: Mapping[str, bool],
    *,
    past: bool,
) -> Reception:
    """Return what takes labels of one streamer; activities are made of them with all events."""
    filling = Filling(streams, past=past) if control is not None else None
    return Reception(streams, filling=filling, **_heard(activities, wanted))


def _fleet(
    fleet: str | None,
    endpoint: str,
    control: str | None,
    activities: "bool | ActivitySection",
    streams: Sequence[str] | None,
    wanted: Mapping[str, bool],
    *,
    fill: bool,
    past: bool,
    keys: ClientKeys | None,
) -> FleetReception | None:
    """Return what takes labels of a fleet's streamers; None where it is one streamer that is listened to."""
    if fleet is None:
        return None
    if endpoint != wire.LABELS or control is not None:
        raise ConfigError("this subscriber", ["fleet: its directory says where streamers are; give no other address"])
    return FleetReception(fleet, streams, fill=fill, past=past, keys=keys, **_heard(activities, wanted))


def _heard(activities: "bool | ActivitySection", wanted: Mapping[str, bool]) -> dict[str, bool]:
    return dict(wanted) if activities is False else {**wanted, "events": True, "log": False}


def _told(
    activities: "bool | ActivitySection", reception: Reception | FleetReception, wanted: Mapping[str, bool]
) -> Any:
    """Return what hands out labels, or activities: which, depends on the subscriber's type."""
    if activities is False:
        return reception
    # Imported here: who reads labels alone should not wait for what checks a bundle's rules.
    from kinestream.streamer.client.activityreception import ActivityReception

    settings = None if activities is True else activities
    return ActivityReception(settings, reception, events=wanted["events"], log=wanted["log"])


def _check_open(socket: zmq.Socket[Any]) -> None:
    if socket.closed:
        raise ValueError("this subscriber is closed: open another")


def _subscribed(
    context: zmq.Context[_Socket],
    endpoint: str,
    reception: Reception,
    control: str | None,
    keys: ClientKeys | None,
) -> tuple[_Socket, Handshakes]:
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, HIGH_WATER)
    socket.set(zmq.SNDHWM, 0)  # what a subscriber sends are subscriptions: past this many, libzmq forgets them silently
    socket.set(zmq.LINGER, 0)
    present(socket, keys, wire.MAX_BYTES)
    for topic in reception.topics:
        socket.set(zmq.SUBSCRIBE, topic)
    handshakes = Handshakes(socket, "labels", None if keys is None else keys.client)
    try:
        connect(socket, endpoint)
        reception.open(context, control, keys)
    except EndpointError:
        handshakes.close()
        context.destroy(linger=0)
        raise
    return socket, handshakes


def _deadline(timeout_s: float | None) -> float:
    return math.inf if timeout_s is None else time.monotonic() + timeout_s


def _milliseconds_to_wait(deadline: float, look_s: float) -> int:
    return max(0, math.ceil(1000 * min(deadline - time.monotonic(), look_s)))
