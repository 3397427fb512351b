"""Where the streams of a connection go in a fleet: a link to each streamer that has one of them, and keys for each.

A key stands for a stream at one streamer: where that changes hands, what is sent from then on goes under a new key,
whose description says as of which epoch. So whatever the old owner still says of the stream, such as that a message may
be forgotten, is of a key that means nothing to the sender any more: it needs no epoch of its own. Whoever sends knows
its stream by one key as long as a session lasts, and what it hands over is readdressed here.
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.client.following import Following
from kinestream.streamer.client.link import Link
from kinestream.streamer.directory import placement
from kinestream.streamer.directory.table import Addresses, Table
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.wire.codec import encode_description, with_key
from kinestream.streamer.wire.messages import Description
from kinestream.streamer.wire.tracked import Acknowledgement

_TOLD_S = 1.0  # how long the directory is waited for at first
_REMEMBERED = 1000  # streams of which nothing is sent

_logger = logging.getLogger("kinestream.sender")


class Moved(NamedTuple):
    """A key goes to another streamer: what `before` stood for is described so from now on."""

    before: int
    about: Description
    description: bytes


@dataclass(eq=False)
class _Stream:
    """A stream: its hash, who has it since when, and its lanes."""

    hash: int
    owner: Addresses | None = None
    epoch: int = 0
    lanes: list["_Lane"] = field(default_factory=list)


@dataclass(eq=False)
class _Lane:
    """What goes under one key of a sender.

    Attributes
    ----------
    key : int
        What the sender calls it.
    about, description : Description, bytes
        What it is described by where it goes now.
    is_old : bool
        Whether its key was used before, so that it needs another one wherever it goes.
    link : Link or None
        Where it goes; None where that is not known yet.
    """

    key: int
    about: Description
    description: bytes
    is_old: bool
    link: Link | None = None


class FleetLinks:
    """The links to a fleet's streamers.

    Parameters
    ----------
    context : zmq.Context
        Where sockets are made.
    fleet : str
        The directory's address.
    keys : ClientKeys, optional
        What is shown there, and at the streamers.

    Attributes
    ----------
    on_acknowledged, on_answered : callable
        As of an `Inquiry`; keys are what they are where they go.
    following : Following
        What tells who has which stream.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], fleet: str, keys: ClientKeys | None) -> None:
        self.on_acknowledged: Callable[[list[Acknowledgement]], None] = lambda keys: None
        self.on_answered: Callable[[int, bool], None] = lambda key, accepted: None
        self._context, self._keys = context, keys
        self._links: dict[Addresses, Link] = {}
        self._streams: dict[str, _Stream] = {}
        self._of: dict[int, _Lane] = {}  # by the sender's key
        self._by_wire: dict[int, _Lane] = {}
        self._unusable: set[Addresses] = set()
        self.following = Following(context, fleet, keys)
        self.following.wait(_TOLD_S)  # so that what is sent goes out, also where nobody sends more for long

    @property
    def links(self) -> list[Link]:
        """Those that are open."""
        return list(self._links.values())

    def open(self, about: Description, description: bytes, *, is_old: bool = False) -> Moved | None:
        """Begin with a key; return how it is described, if that is not as it was given."""
        stream = self._streams.get(about.stream)
        if stream is None:
            stream = self._streams[about.stream] = _Stream(placement.name_hash(about.stream))
        lane = _Lane(about.key, about, description, is_old)
        stream.lanes.append(lane)
        self._of[about.key] = self._by_wire[about.key] = lane
        table = self.following.table
        if stream.owner is None and table is not None and (owner := table.owner(about.stream)) is not None:
            stream.owner, stream.epoch = owner, table.epoch
        return None if stream.owner is None else self._lead(stream, lane)

    def follow(self) -> list[Moved]:
        """Hear what the directory tells, and return which keys go elsewhere by it."""
        if not self.following.update():
            return []
        table = self.following.table
        assert table is not None
        return self._follow(table)

    def forget(self, wire: int) -> None:
        """Let go of a key, by what it is where it goes, of which nothing more is sent."""
        lane = self._by_wire.pop(wire, None)
        if lane is None:
            return
        if lane.link is not None and lane.link.inquiry is not None:
            lane.link.inquiry.finish(wire)
        del self._of[lane.key]
        self._streams[lane.about.stream].lanes.remove(lane)
        # The owner of a stream is remembered: its next session is of the same epoch, where nothing has changed.
        if len(self._streams) > 2 * len(self._of) + _REMEMBERED:
            self._streams = {name: stream for name, stream in self._streams.items() if stream.lanes}

    def addressed(self, key: int, message: bytes) -> tuple[int, bytes]:
        """Return what a sender's key is where it goes, and the message under that."""
        lane = self._of.get(key)
        if lane is None or lane.about.key == key:
            return key, message
        return lane.about.key, with_key(message, lane.about.key)

    def knows(self, key: int) -> bool:
        """Tell whether a sender's key was begun with and not finished."""
        return key in self._of

    def wire_key(self, key: int) -> int:
        """Return what a sender's key is where it goes now."""
        lane = self._of.get(key)
        return key if lane is None else lane.about.key

    def description(self, key: int) -> bytes | None:
        """Return what a sender's key is described by where it goes; None where it goes nowhere."""
        lane = self._of.get(key)
        return None if lane is None or lane.link is None else lane.description

    def link(self, wire: int) -> Link | None:
        """Return where a key goes, by what it is there; None where that is not known."""
        lane = self._by_wire.get(wire)
        return None if lane is None else lane.link

    def ask_acknowledged(self, wires: list[int]) -> None:
        """Ask each streamer what has come of the keys that go there."""
        of_links: dict[int, tuple[Link, list[int]]] = {}
        for wire in wires:
            if (link := self.link(wire)) is not None:
                of_links.setdefault(id(link), (link, []))[1].append(wire)
        for link, keys in of_links.values():
            if link.inquiry is not None:
                link.inquiry.ask_acknowledged(keys)

    def listen(self) -> None:
        """Read the answers that have come."""
        for link in self._links.values():
            if link.inquiry is not None:
                link.inquiry.listen()

    def close(self) -> None:
        """Close all; what links still hold has two seconds to leave."""
        self.following.close()
        for link in self._links.values():
            link.close()
        self._links.clear()

    def _follow(self, table: Table) -> list[Moved]:
        serving = table.serving
        if not serving:
            return []  # all stay where they are, until there is somewhere to go
        self._unusable &= set(serving.values())
        slots = list(serving)
        streams = list(self._streams.values())
        owners = placement.owners(np.array([stream.hash for stream in streams], np.uint64), slots)
        moved = []
        for stream, index in zip(streams, owners.tolist(), strict=True):
            owner = serving[slots[index]]
            if owner == stream.owner or owner in self._unusable:
                continue
            stream.owner, stream.epoch = owner, table.epoch
            for lane in stream.lanes:
                if (change := self._lead(stream, lane)) is not None:
                    moved.append(change)
        self._close_unused()
        return moved

    def _lead(self, stream: _Stream, lane: _Lane) -> Moved | None:
        """Have what goes under a key go to its stream's owner."""
        assert stream.owner is not None
        link = self._linked(stream.owner)
        if link is None:
            return None
        before = lane.about.key
        if lane.link is not None and lane.link.inquiry is not None:
            lane.link.inquiry.forget(before)
        lane.about = lane.about._replace(key=secrets.randbits(64) if lane.is_old else before, epoch=stream.epoch)
        lane.description = encode_description(lane.about)
        lane.link, lane.is_old = link, True
        del self._by_wire[before]
        self._by_wire[lane.about.key] = lane
        return Moved(before, lane.about, lane.description)

    def _linked(self, owner: Addresses) -> Link | None:
        """Return the link to a streamer; None where its addresses cannot be used, which is logged."""
        link = self._links.get(owner)
        if link is None and owner not in self._unusable:
            try:
                link = self._links[owner] = Link(self._context, owner.samples, owner.control, self._keys)
            except EndpointError as error:
                self._unusable.add(owner)
                _logger.warning("the directory tells of a streamer that cannot be connected to: %s", error)
                return None
            assert link.inquiry is not None
            link.inquiry.on_acknowledged = lambda keys: self.on_acknowledged(keys)
            link.inquiry.on_answered = lambda key, accepted: self.on_answered(key, accepted)
        return link

    def _close_unused(self) -> None:
        used = {id(lane.link) for lane in self._by_wire.values()}
        for owner in [owner for owner, link in self._links.items() if id(link) not in used]:
            self._links.pop(owner).close()
