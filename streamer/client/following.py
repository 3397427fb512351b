"""Follows what a fleet's directory tells: asked once, then heard; what it told last holds while it is away."""

import logging
import math
import time
from contextlib import suppress
from typing import Any

import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.directory import messages
from kinestream.streamer.directory.messages import Gathering, Refused, Told, Where
from kinestream.streamer.directory.table import Table
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.addresses import check_connect
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire.messages import MalformedMessage

_ASK_AGAIN_S = 0.3
"""While there is no table."""
_UNHEARD_S = 3.0
"""After so long without a word it is asked: what it publishes may not come through."""
_ASK_SILENT_S = 2.0
_CONNECT_AGAIN_S = 10.0
_HIGH_WATER = 8
_REPORT_AFTER_S = 2.0
_ANYWHERE = ("*", "0.0.0.0", "[::]")

_logger = logging.getLogger("kinestream.fleet")


class Following:
    """What a directory tells.

    Parameters
    ----------
    context : zmq.Context
        Where its sockets are made.
    fleet : str
        The directory's address.
    keys : ClientKeys, optional
        What is shown there.

    Attributes
    ----------
    table : Table or None
        What it told last; None until it has.
    heard_at : float
        When it was heard of last, on the monotonic clock, s; -inf if never.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(self, context: zmq.Context[Any], fleet: str, keys: ClientKeys | None = None) -> None:
        self.fleet = fleet
        self.table: Table | None = None
        self._context, self._keys = context, keys
        self._updates: zmq.Socket[bytes] | None = None
        self._updates_at = ""
        self._began, self.heard_at = time.monotonic(), -math.inf
        self._asked_at = -_ASK_SILENT_S
        self._is_reported = False
        self._connect()

    @property
    def is_answered(self) -> bool:
        """Whether it is heard of: it says something once a second."""
        return time.monotonic() - self.heard_at <= 2 * _UNHEARD_S

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What to wait for."""
        return [self._front] if self._updates is None else [self._front, self._updates]

    def update(self) -> bool:
        """Hear what has come, and ask where that is due; return whether there is another table. Waits for nothing."""
        now = time.monotonic()
        before = self.table
        self._hear(self._front, now)
        if self._updates is not None:
            self._hear(self._updates, now)
        if self.table is None:
            is_due = now - self._asked_at >= _ASK_AGAIN_S
            if now - self._began > _REPORT_AFTER_S:
                self._report("no directory of a fleet answers at %s yet: who serves which stream is not known")
        else:
            is_silent = now - self.heard_at > _UNHEARD_S
            is_due = is_silent and now - self._asked_at >= _ASK_SILENT_S
            if not self.is_answered:
                self._report("the directory at %s is not heard of: streams stay where it said last")
        if min(now - self.heard_at, now - self._connected_at) > _CONNECT_AGAIN_S:
            self._connect_again()
        elif is_due:
            self._ask(now)
        return self.table is not before

    def wait(self, timeout_s: float) -> None:
        """Wait for the first table, or so long."""
        until = time.monotonic() + timeout_s
        while not self.update() and self.table is None and (left := until - time.monotonic()) > 0:
            self._front.poll(round(1000 * min(left, _ASK_AGAIN_S)))

    def check(self) -> None:
        """Raise AccessError or EndpointError where what answers is no directory, or does not accept the keys."""
        self._handshakes.check_keys(self.fleet)

    def close(self) -> None:
        """Close the sockets."""
        self._handshakes.close()
        for socket in self.sockets:
            socket.close()

    def _connect(self) -> None:
        """Connect, and ask."""
        self._connected_at = time.monotonic()
        self._front = self._context.socket(zmq.DEALER)
        self._front.set_hwm(_HIGH_WATER)
        self._front.set(zmq.LINGER, 0)
        present(self._front, self._keys, messages.MAX_ANSWER)
        self._handshakes = Handshakes(self._front, "directory", None if self._keys is None else self._keys.client)
        try:
            connect(self._front, self.fleet)
        except EndpointError:
            self._handshakes.close()
            raise
        self._ask(self._connected_at)

    def _connect_again(self) -> None:
        """Connect anew: a connection to a machine that died shows by nothing but silence."""
        self._connected_at = time.monotonic()
        try:
            check_connect(self.fleet)
        except EndpointError:  # its name cannot be found now
            return
        self._handshakes.close()
        self._front.close()
        if self._updates is not None:
            self._updates.close()
            self._updates, self._updates_at = None, ""
        self._connect()

    def _ask(self, now: float) -> None:
        self._asked_at = now
        with suppress(zmq.Again):
            self._front.send(messages.encode_request(Where()), zmq.DONTWAIT)

    def _hear(self, socket: zmq.Socket[bytes], now: float) -> None:
        while True:
            try:
                *topic, frame = socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            with suppress(MalformedMessage):
                if topic == [messages.EPOCH_TOPIC]:
                    told = messages.decode_epoch(frame)
                    if self.table is None or told.fleet == self.table.fleet:
                        self._note_heard(now)
                        if self.table is None or told.epoch > self.table.epoch:
                            self._ask(now)
                    continue
                self._take(messages.decode_answer(frame), now)

    def _take(self, answer: messages.Answer, now: float) -> None:
        if isinstance(answer, Told):
            table = answer.table
            if self.table is not None and table.fleet != self.table.fleet:
                self._report(
                    f"what answers at %s is fleet {table.fleet} by now, not {self.table.fleet}: it is not heeded"
                )
                return
            self._note_heard(now)
            if self.table is None or table.epoch > self.table.epoch:
                self.table = table
            self._subscribe(answer.updates)
        elif isinstance(answer, Gathering):
            self._note_heard(now)
        elif isinstance(answer, Refused):
            self._report("the directory at %s refuses to tell who serves what: %s", answer.reason)

    def _note_heard(self, now: float) -> None:
        self.heard_at = now
        self._is_reported = False

    def _subscribe(self, updates: str) -> None:
        """Subscribe to what is published: a directory that was started anew may do so elsewhere."""
        address = _reachable(updates, self.fleet)
        if address == self._updates_at:
            return
        socket = self._context.socket(zmq.SUB)
        socket.set(zmq.LINGER, 0)
        present(socket, self._keys, messages.MAX_ANSWER)
        for topic in (messages.TABLE_TOPIC, messages.EPOCH_TOPIC):
            socket.set(zmq.SUBSCRIBE, topic)
        try:
            connect(socket, address)
        except EndpointError as error:
            self._report("what the directory at %s publishes is not heard: %s", error)
            return
        if self._updates is not None:
            self._updates.close()
        self._updates, self._updates_at = socket, address

    def _report(self, text: str, *more: object) -> None:
        if not self._is_reported:
            self._is_reported = True
            _logger.warning(text, self.fleet, *more)


def _reachable(address: str, fleet: str) -> str:
    """Return where to connect to what was bound to all addresses of the directory's machine: at that which is known."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    if not (address.startswith("tcp://") and fleet.startswith("tcp://") and host in _ANYWHERE):
        return address
    return f"{fleet.rpartition(':')[0]}:{port}"
