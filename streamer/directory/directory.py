"""The directory of a fleet: it hears of streamers, and tells everybody else who serves which stream.

Nothing of a stream's path leads through it. Senders and subscribers ask it once and follow what it publishes; while it
is not there they go on by the last that it told. It runs in a thread or process of its own: `run` serves until it is
told to end. Where it is given a folder, it keeps plan and epoch in a file there, so that it begins with them again;
without one, and after a move to another machine, it learns them from those who register.

Whoever may connect may ask. To register and to plan takes, with keys, the right to administer; without, nobody is
asked, so it should be bound to the loopback or a network that is trusted, as a streamer.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from kinestream.model.clock import now_ns
from kinestream.model.errors import EndpointError
from kinestream.streamer.directory import messages
from kinestream.streamer.directory.messages import (
    AskFleet,
    EpochTold,
    FleetStatus,
    Gathering,
    Planned,
    Refused,
    Register,
    Registered,
    SetPlan,
    Told,
)
from kinestream.streamer.directory.record import Record
from kinestream.streamer.directory.roster import PATIENCE_S, Roster
from kinestream.streamer.keys.allowed import RIGHTS, Right
from kinestream.streamer.keys.curve import largest
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.gate import Gate
from kinestream.streamer.transport.sockets import bind
from kinestream.streamer.wire.messages import MalformedMessage

_BEACON_S = 1.0
_LOOK_MS = 100
_AT_ONCE = 200  # requests, before it is looked at what follows
_HWM = 1000  # answers that wait for each who asked
_MAX_NOTICE = 256

_logger = logging.getLogger(__name__)


class Directory:
    """Tells who serves which stream.

    Parameters
    ----------
    fleet : str
        The fleet's name, as a stream may be called.
    endpoint, updates : str
        Where it answers, and where it publishes; a ``*`` for the port takes any that is free.
    keys : KeyFolder, optional
        The fleet's keys and list of clients, where they are asked for.
    folder : Path, optional
        Where plan and epoch are kept.
    patience_s : float
        How long a streamer may not be heard of before others get its streams.

    Attributes
    ----------
    endpoint, updates : str
        As bound.
    roster : Roster
        Who has registered, and what follows.
    counts : Counter
        What came in.

    Raises
    ------
    AccessError, ConfigError, FileError
        Where keys, or what is kept in the folder, cannot be used.
    EndpointError
        Where an address cannot be used.
    """

    def __init__(
        self,
        fleet: str,
        endpoint: str = messages.DIRECTORY,
        updates: str = messages.UPDATES,
        *,
        keys: KeyFolder | None = None,
        folder: Path | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._record = None if folder is None else Record(folder, fleet)
        plan, epoch = (None, 0) if self._record is None else self._record.read()
        self._began = time.monotonic()
        self.roster = Roster(fleet, self._began, unix_ms=_unix_ms, patience_s=patience_s, plan=plan, epoch=epoch)
        self._beacon_at = 0.0
        self._context: zmq.Context[Any] = zmq.Context()
        self._gate = None if keys is None else Gate(self._context, keys)
        self._front = self._context.socket(zmq.ROUTER)
        self._published = self._context.socket(zmq.XPUB)
        try:
            self.endpoint, self.updates = self._open(endpoint, updates)
        except EndpointError:
            self.close()
            raise
        self._poller = zmq.Poller()
        for socket in (self._front, self._published, *(() if self._gate is None else (self._gate.questions,))):
            self._poller.register(socket, zmq.POLLIN)

    def run(self, is_over: Callable[[], bool]) -> None:
        """Serve until `is_over`, which is asked ten times a second; then close."""
        try:
            while not is_over():
                self.step(_LOOK_MS)
        finally:
            self.close()

    def step(self, timeout_ms: int = 0) -> None:
        """Answer what has come, waiting so long for the first, and publish what follows from it."""
        self._poller.poll(timeout_ms)
        if self._gate is not None:
            self._gate.answer()
            self._gate.look()
        self._hear_subscriptions()
        for _ in range(_AT_ONCE):
            try:
                frames = self._front.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                break
            self._take(frames)
        self._follow()

    def close(self) -> None:
        """Close the sockets."""
        self._front.close(linger=0)
        self._published.close(linger=0)
        if self._gate is not None:
            self._gate.close()
        self._context.destroy(linger=0)

    def _open(self, endpoint: str, updates: str) -> tuple[str, str]:
        encrypted = self._gate is not None
        for socket, most in ((self._front, messages.MAX_REQUEST), (self._published, _MAX_NOTICE)):
            socket.set(zmq.MAXMSGSIZE, largest(most) if encrypted else most)
            socket.set(zmq.LINGER, 0)
            socket.set_hwm(_HWM)
            if self._gate is not None:
                self._gate.guard(socket, "directory")
        # Whoever comes back under the identity that it had before takes its place.
        self._front.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._published.setsockopt(zmq.XPUB_VERBOSER, 1)
        return bind(self._front, endpoint), bind(self._published, updates)

    def _hear_subscriptions(self) -> None:
        """Read who subscribes, at most so many at a time; whoever does is told the epoch at once."""
        for _ in range(_AT_ONCE):
            try:
                notice = self._published.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            if notice[:1] == b"\x01":
                self._beacon_at = 0.0

    def _take(self, frames: list[zmq.Frame]) -> None:
        peer, *content = frames
        if len(content) != 1:
            self.counts["malformed"] += 1
            return
        try:
            request = messages.decode_request(content[0].bytes)
        except MalformedMessage as reason:
            self.counts["malformed"] += 1
            _logger.debug("a request cannot be read: %s", reason)
            return
        self.counts[type(request).__name__.lower()] += 1
        answer = self._answer(request, content[0])
        try:
            self._front.send_multipart([peer.bytes, messages.encode_answer(answer)], zmq.DONTWAIT)
        except zmq.ZMQError:  # there is no room, or nobody any more: who needs it asks again
            self.counts["unanswered"] += 1

    def _answer(self, request: messages.Request, frame: zmq.Frame) -> messages.Answer:
        now, roster = time.monotonic(), self.roster
        needs: tuple[Right, ...] = ("administer",) if isinstance(request, Register | SetPlan) else RIGHTS
        if not self._may(frame, needs):
            self.counts["not_allowed"] += 1
            return Refused("this takes the right to administer: 'kinestream keys allow NAME --administer' gives it")
        if isinstance(request, Register):
            if not roster.register(request, now):
                return Refused(f"more streamers have registered than a fleet may have, {messages.MAX_SLOTS}")
            return Registered(roster.epoch, roster.plan)
        if isinstance(request, SetPlan):
            plan = roster.set_plan(request.slots, request.draining, now)
            self._keep()
            self._follow()
            return Planned(plan.revision, roster.epoch)
        if isinstance(request, AskFleet):
            uptime, is_ready = now - self._began, roster.table is not None
            streamers, totals = roster.streamers(now), dict(self.counts)
            return FleetStatus(
                roster.fleet, roster.epoch if is_ready else 0, is_ready, uptime, roster.plan, streamers, totals
            )
        if roster.table is None:
            missing = roster.waits_for()
            if roster.plan is None:
                return Gathering(roster.fleet, "it has no plan yet: 'kinestream fleet up' gives one")
            return Gathering(roster.fleet, f"it waits for {len(missing)} streamers to register")
        return Told(roster.table, self.updates)

    def _may(self, frame: zmq.Frame, rights: tuple[Right, ...]) -> bool:
        """Tell whether who sent this has one of these rights now, whatever it was let in for."""
        return self._gate is None or self._gate.allowed.may(str(frame.get("User-Id")), rights)

    def _follow(self) -> None:
        """Publish the table where another one follows from what has come, and now and then its epoch."""
        now = time.monotonic()
        told = self.roster.plan
        if self.roster.update(now):
            self._keep()
            table = self.roster.table
            assert table is not None
            _logger.info("epoch %d: %s", table.epoch, ", ".join(f"{slot.name} {slot.state}" for slot in table.slots))
            self._publish(messages.TABLE_TOPIC, messages.encode_answer(Told(table, self.updates)))
        elif told is not None and self._record is not None and told != self._record.plan:
            self._keep()
        if now >= self._beacon_at and self.roster.table is not None:
            self._beacon_at = now + _BEACON_S
            epoch = EpochTold(self.roster.fleet, self.roster.table.epoch)
            self._publish(messages.EPOCH_TOPIC, messages.encode_epoch(epoch))

    def _publish(self, topic: bytes, message: bytes) -> None:
        self._published.send_multipart([topic, message], zmq.DONTWAIT)

    def _keep(self) -> None:
        if self._record is not None:
            self._record.write(self.roster.plan, self.roster.epoch)


def _unix_ms() -> int:
    return now_ns() // 1_000_000
