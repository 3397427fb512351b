"""Which streamers are heard: one at known addresses, or those that a fleet's directory tells of, as that changes.

Longer than other files: it holds both ways to hear, which do the same things.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import zmq

from kinestream.model.clock import thread_ns
from kinestream.model.errors import EndpointError
from kinestream.streamer.client.fleetreception import FleetReception
from kinestream.streamer.dashboard.board import Board
from kinestream.streamer.dashboard.member import Member
from kinestream.streamer.dashboard.subscription import Subscription
from kinestream.streamer.directory.table import Addresses as Place
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.gathered import PUBLISHED_TOPIC, Gathered
from kinestream.streamer.wire.messages import MalformedMessage, Published
from kinestream.streamer.wire.published import decode_published
from kinestream.streamer.wire.watched import MAX_WATCHED, decode_watched

_SAID = b"label/", b"event/", b"annotation/"
_ALONE_NS = 1_000_000_000  # for so long who publishes labels may yet be told at its watch endpoint


class Addresses(NamedTuple):
    """Where the streamer is, and the file of the keys to show there; or with `fleet`, where a fleet's directory is.

    Without `keys` they are those that `KINESTREAM_KEYS` names; where it is empty, none.
    """

    labels: str = wire.LABELS
    control: str = wire.CONTROL
    watch: str = wire.WATCH
    keys: str | None = None
    fleet: str | None = None

    def as_options(self, *, with_control: bool = True) -> list[str]:
        """Return the options of a command that is to find it; one that listens only has none for `control`."""
        if self.fleet is None:
            places = ["--labels", self.labels, "--watch", self.watch]
            places += ["--control", self.control] if with_control else []
        else:
            places = ["--fleet", self.fleet]
        return [*places, *(("--keys", self.keys) if self.keys else ())]


class Streamers(Protocol):
    """Who is heard."""

    def update(self, now: int) -> None:
        """Note at a monotonic time in ns who is there; raises where the keys are not accepted."""

    def said(self, until: int) -> Iterator[Published]:
        """Yield the labels, events and annotations that have come, until this time of `thread_ns`."""

    def watched(self, until: int) -> Iterator[tuple[Member, list[bytes]]]:
        """Yield the frames of what is watched, and whose they are, until this time of `thread_ns`."""

    def watch(self, topic: bytes) -> None:
        """Begin to watch something, of each streamer: who has no such stream sends nothing of it."""

    def unwatch(self, topic: bytes) -> None:
        """Watch it no more."""

    def control(self, stream: str) -> str:
        """Return where to ask about a stream; raises EndpointError where that is not known."""

    def directory(self) -> dict[str, Any] | None:
        """Return what pages are told of the directory; None where there is none."""

    def close(self) -> None:
        """Close the sockets."""

    @property
    def malformed(self) -> int:
        """Messages of `said` that could not be read and were passed over."""

    @property
    def was_cut(self) -> bool:
        """Whether there may be more than `said` and `watched` yielded the last time."""


class OneStreamer:
    """One streamer at known addresses.

    What it publishes is taken gathered, from its watch endpoint, since each label costs a tenth then; where nothing is
    there, one by one from where subscribers take them.

    Parameters
    ----------
    addresses : Addresses
        Where it is.
    board : Board
        What is shown.
    keys : ClientKeys, optional
        What is shown there.

    Raises
    ------
    EndpointError
        If an address cannot be used.
    """

    def __init__(self, addresses: Addresses, board: Board, keys: ClientKeys | None) -> None:
        self.malformed = 0
        self._member = board.members[""]
        self._control = addresses.control
        self._alone_since: int | None = None  # labels' endpoint is there, and the other is not
        self._takes_each = False
        self._watched: deque[list[bytes]] = deque()  # what came beside what was gathered
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._labels = Subscription(self._context, "labels", addresses.labels, (), wire.MAX_BYTES, keys)
            try:
                self._watch = Subscription(
                    self._context, "watch", addresses.watch, (PUBLISHED_TOPIC,), MAX_WATCHED, keys
                )
            except BaseException:
                self._labels.close()
                raise
        except BaseException:
            self._context.destroy(linger=0)
            raise

    def update(self, now: int) -> None:
        """Note whether it is there.

        Raises
        ------
        EndpointError
            If what answers at the labels' address is something else.
        AccessError
            If it does not accept the keys, or the lack of them.
        """
        self._labels.handshakes.check(self._labels.endpoint)
        self._watch.handshakes.check_keys(self._watch.endpoint)
        is_there, is_watched = self._labels.handshakes.reached, self._watch.handshakes.reached
        self._member.connect(is_there, now)
        if is_watched or not is_there:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        takes_each = self._alone_since is not None and now - self._alone_since > _ALONE_NS
        if takes_each != self._takes_each:
            self._takes_each = takes_each
            for topic in _SAID:
                (self._labels.subscribe if takes_each else self._labels.unsubscribe)(topic)

    def said(self, until: int) -> Iterator[Published]:
        """Yield the labels, events and annotations that have come, until this time of `thread_ns`."""
        for frames in self._labels.messages(until):
            yield from self._decoded([frames])
        if self._watched:
            return  # whose turn it is
        for frames in self._watch.messages(until, at_once=1):
            if frames[0] != PUBLISHED_TOPIC:
                self._watched.append(frames)
                continue
            try:
                gathered = decode_watched(frames)
            except MalformedMessage:
                self.malformed += 1
                continue
            if isinstance(gathered, Gathered):
                yield from self._decoded([b"", frame] for frame in gathered.frames)

    def watched(self, until: int) -> Iterator[tuple[Member, list[bytes]]]:
        """Yield the frames of what is watched, until this time of `thread_ns`."""
        while self._watched:
            yield self._member, self._watched.popleft()
            if thread_ns() > until:
                return

    @property
    def was_cut(self) -> bool:
        """Whether there may be more than `said` and `watched` yielded the last time."""
        return self._labels.was_cut or self._watch.was_cut or bool(self._watched)

    def watch(self, topic: bytes) -> None:
        """Begin to watch something."""
        self._watch.subscribe(topic)

    def unwatch(self, topic: bytes) -> None:
        """Watch it no more."""
        self._watch.unsubscribe(topic)

    def control(self, stream: str) -> str:
        """Return where it answers."""
        return self._control

    def directory(self) -> None:
        """Return nothing: there is none."""
        return

    def close(self) -> None:
        """Close the sockets."""
        self._labels.close()
        self._watch.close()
        self._context.destroy(linger=0)

    def _decoded(self, messages: Iterable[list[bytes]]) -> Iterator[Published]:
        for frames in messages:
            try:
                yield decode_published(frames)
            except MalformedMessage:
                self.malformed += 1


class FleetStreamers:
    """The streamers of a fleet, as its directory tells of them.

    Labels come as to any subscriber to a fleet: each once, whoever published it, and nothing that a streamer says of a
    stream that it has lost. Who joins is asked for what it published before it was heard.

    Parameters
    ----------
    fleet : str
        Where the directory answers.
    board : Board
        What is shown.
    keys : ClientKeys, optional
        What is shown to directory and streamers.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(self, fleet: str, board: Board, keys: ClientKeys | None) -> None:
        self._fleet, self._board, self._keys = fleet, board, keys
        self._began = time.monotonic()
        self._topics: set[bytes] = set()
        self._watched: dict[Place, Subscription] = {}
        self._members: dict[Place, Member] = {}
        self._epoch = 0
        self._said_was_cut = False
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            self._reception = FleetReception(
                fleet, None, events=True, annotations=True, log=False, fill=True, past=True, keys=keys
            )
        except BaseException:
            self._context.destroy(linger=0)
            raise
        board.members.clear()

    @property
    def malformed(self) -> int:
        """Messages of `said` that could not be read and were passed over."""
        return self._reception.malformed

    def update(self, now: int) -> None:
        """Go along with what the directory tells, and note who is there.

        Raises
        ------
        AccessError
            If the directory does not accept the keys, or the lack of them.
        """
        self._reception.service()
        table = self._reception.following.table
        if table is not None and table.epoch != self._epoch:
            self._epoch = table.epoch
            self._follow(now)
        for place, member in self._members.items():
            reached, member.trouble = self._reception.reached(place)
            member.connect(reached, now)

    def said(self, until: int) -> Iterator[Published]:
        """Yield the labels, events and annotations that have come, until this time of `thread_ns`."""
        self._said_was_cut = True
        while thread_ns() <= until:
            message = self._reception.ready()
            if message is None:
                self._said_was_cut = False
                return
            yield message

    def watched(self, until: int) -> Iterator[tuple[Member, list[bytes]]]:
        """Yield the frames of what is watched, and whose they are, until this time of `thread_ns`."""
        left = len(self._watched)
        for place, subscription in list(self._watched.items()):
            now = thread_ns()
            for frames in subscription.messages(now + max(until - now, 0) // left):
                yield self._members[place], frames
            left -= 1

    @property
    def was_cut(self) -> bool:
        """Whether there may be more than `said` and `watched` yielded the last time."""
        return self._said_was_cut or any(each.was_cut for each in self._watched.values())

    def watch(self, topic: bytes) -> None:
        """Begin to watch something, of each streamer; of those that join later, too."""
        self._topics.add(topic)
        for subscription in self._watched.values():
            subscription.subscribe(topic)

    def unwatch(self, topic: bytes) -> None:
        """Watch it no more."""
        self._topics.discard(topic)
        for subscription in self._watched.values():
            subscription.unsubscribe(topic)

    def control(self, stream: str) -> str:
        """Return where the streamer answers that has a stream.

        Raises
        ------
        EndpointError
            If the directory has not said who that is.
        """
        table = self._reception.following.table
        owner = None if table is None else table.owner(stream)
        if owner is None:
            raise EndpointError(f"the directory at {self._fleet} has not said which streamer has {stream}")
        return owner.control

    def directory(self) -> dict[str, Any]:
        """Return what pages are told of the directory."""
        following = self._reception.following
        return {
            "address": self._fleet,
            "answers": following.is_answered,
            "since_s": round(time.monotonic() - max(following.heard_at, self._began)),
            "epoch": self._epoch,
        }

    def close(self) -> None:
        """Close the sockets."""
        for subscription in self._watched.values():
            subscription.close()
        self._reception.close()
        self._context.destroy(linger=0)

    def _follow(self, now: int) -> None:
        """Watch the streamers that the directory tells of."""
        table = self._reception.following.table
        assert table is not None
        members = self._board.follow(table, now)
        self._members = {
            slot.addresses: members[name] for name, slot in table.named.items() if slot.addresses is not None
        }
        for place in self._watched.keys() - self._members.keys():
            self._watched.pop(place).close()
        for place, member in self._members.items():
            if place in self._watched:
                continue
            try:
                self._watched[place] = Subscription(
                    self._context, "watch", place.watch, self._topics, MAX_WATCHED, self._keys
                )
            except EndpointError as error:
                member.trouble = str(error)
