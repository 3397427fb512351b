"""Who is connected to a socket, who has vanished, and whom there is no room for."""

import logging
import socket as sockets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import zmq
from zmq.utils.monitor import parse_monitor_message

from kinestream.model.system import file_limit, open_files
from kinestream.streamer.transport.sockets import KEEPALIVE

_logger = logging.getLogger(__name__)

_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
_LOGGED_EVERY_S = 60.0
_UNACKNOWLEDGED_MS = 30_000
"""What a peer has not acknowledged for as long is given up."""
_SPARE_FILES = 64  # for whoever connects before the last one was counted, and for what else a process opens


class Room:
    """How many connections there are files for, whichever socket they come to.

    Attributes
    ----------
    size : int
        So many.
    taken : int
        Of them, those that are there.
    """

    def __init__(self) -> None:
        self.size = max(file_limit() - open_files(fallback=_SPARE_FILES) - _SPARE_FILES, 1)
        self.taken = 0


class Connections:
    """Watches the connections of a bound socket.

    Parameters
    ----------
    socket : zmq.Socket
        Not bound yet.
    room : Room
        For whom there are files; further connections are turned away.
    most : int, optional
        Connections that are wanted at most, where that is fewer.
    what : str
        What they connect to, for the log.
    advice : str
        What to do where more are wanted.
    on_come, on_gone : callable, optional
        Called with the number of a connection's file when it has come, or gone.

    Attributes
    ----------
    turned_away : int
        Connections there was no room for so far.
    files : set of int
        The numbers of the files of those that are there.
    events : zmq.Socket
        What to wait for: readable when somebody has come or gone.
    """

    def __init__(
        self,
        socket: zmq.Socket[Any],
        *,
        room: Room,
        what: str,
        advice: str = "allow more of them (--max-senders)",
        most: int | None = None,
        on_come: Callable[[int], None] = lambda _: None,
        on_gone: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.turned_away = 0
        self._socket = socket
        self._room, self._most, self._what, self._advice = room, most, what, advice
        self._on_come, self._on_gone = on_come, on_gone
        self._logged = -_LOGGED_EVERY_S
        # Not ZeroMQ's own heartbeats: one that is due while a peer that had to wait has hung up ends the process
        # (libzmq 4.3.5, "Assertion failed: !_io_error").
        for option, value in KEEPALIVE.items():
            socket.set(option, value)
        socket.set(zmq.TCP_MAXRT, _UNACKNOWLEDGED_MS)
        self.files: set[int] = set()
        address = f"inproc://connections-{id(self)}"
        socket.monitor(address, _EVENTS)
        self.events: zmq.Socket[bytes] = socket.context.socket(zmq.PAIR)
        self.events.set(zmq.RCVHWM, 0)  # libzmq's thread waits where these have no room
        self.events.linger = 0
        self.events.connect(address)

    def update(self) -> None:
        """Note who has come and gone."""
        while True:
            try:
                frames = self.events.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            event = parse_monitor_message(frames)
            if event["event"] == zmq.EVENT_ACCEPTED:
                self.files.add(event["value"])
                self._room.taken += 1
                self._on_come(event["value"])
                if self._room.taken > self._room.size:
                    self._turn_away(event["value"], self._room.size, "allow more open files (ulimit -n)")
                elif self._most is not None and len(self.files) > self._most:
                    self._turn_away(event["value"], self._most, self._advice)
            else:
                self.files.discard(event["value"])
                self._room.taken -= 1
                self._on_gone(event["value"])

    def close(self) -> None:
        """Watch no more; the socket goes on."""
        with suppress(zmq.ZMQError):  # it may be closed by now
            self._socket.disable_monitor()
        self.events.close()

    @property
    def count(self) -> int:
        """Connections now."""
        return len(self.files)

    def _turn_away(self, file: int, most: int, advice: str) -> None:
        """Close a connection, and say so now and then."""
        shut(file)
        self.turned_away += 1
        now = time.monotonic()
        if now - self._logged >= _LOGGED_EVERY_S:
            self._logged = now
            _logger.warning(
                "no room for more than %d connections: %d to %s were turned away; %s",
                most,
                self.turned_away,
                self._what,
                advice,
            )


def shut(file: int) -> None:
    """Break a connection by the number of its file, which stays libzmq's to close.

    Should libzmq have closed it just now and given the number to another, that one is cut off, and connects again.
    """
    with suppress(OSError):  # it may have gone
        connection = sockets.socket(fileno=file)  # no copy of it: there may be no file left
        try:
            connection.shutdown(sockets.SHUT_RDWR)
        finally:
            connection.detach()
