"""Ends connections that send a message without an end: libzmq would keep what comes, and nobody would ever see it.

libzmq gives out whole messages. The frames of one that is not complete stay with it, and its high-water marks count
messages: an endless one is not even the first. Nor are empty frames small: each takes 64 bytes of memory for 2 on the
wire. So what libzmq holds of a connection is worked out here. It is what was read of it, which the kernel knows
(`kinestream.streamer.transport.tcp`), less what was taken of it, which we know (`kinestream.streamer.transport.inlet`),
less what never was a message: greetings, heartbeats, subscriptions sent as commands.

A connection that holds more than one of our messages may be, and what libzmq reads at a time, is suspected. It may only
be that its messages wait for their turn. So what it held then is looked at again after its turn has come:

- the socket was found empty since, so all that was complete has been taken, or
- so many messages of others were taken since that its own would have been among them, for libzmq takes one of each
  connection in turn.

What is still not taken then is of a message without an end. A connection whose messages do wait may hold `mark` of the
largest; where its messages have been seen to be of many small frames, that is counted as the memory that they take.

All connections are looked at when the process has grown by a few megabytes, as it does when somebody floods it; else
one after the other, each about once a second.
"""

import logging
import mmap
import os
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from kinestream.streamer.transport.connections import shut
from kinestream.streamer.transport.inlet import Inlet, Taken
from kinestream.streamer.transport.tcp import is_told, transferred

_logger = logging.getLogger(__name__)

READ_BYTES = 2 * 8192
"""What libzmq reads at a time, twice: what it has not looked at yet, and what it has not handed on yet."""
_GROWTH_PAGES = (4 << 20) // mmap.PAGESIZE
_INTERVAL_S = 1.0
_AT_A_TIME = 64  # connections, some tenths of a millisecond, where nothing is wrong
_SUSPECTED_MS, _WATCHED_MS, _UNWATCHED_MS = 1, 20, 200
_LOGGED_EVERY_S = 60.0
_PING_PER_PONG = 9 / 7  # bytes of ZMTP: a heartbeat of a peer, and our answer to it
_SUBSCRIBE_BYTES = 10  # by which the command is longer than the message that it becomes
_TURNS, _TURNS_MORE = 2, 128  # how often each connection's turn must have come, and what libzmq takes before it looks


@dataclass
class Port:
    """A bound socket.

    Parameters
    ----------
    what : str
        What it is called in the log.
    inlet : Inlet
        What comes in by it.
    mark, largest : int
        Messages that libzmq holds for us of each connection, and bytes that a frame may have.
    heartbeats : float
        Bytes a second that a connection's heartbeats take at most: where more is sent than answers to them, what was
        acknowledged does not tell how many there were.
    commands : bool
        Whether its messages may come as commands, as subscriptions do.
    """

    what: str
    inlet: Inlet
    mark: int
    largest: int
    heartbeats: float = float("inf")
    commands: bool = False

    @property
    def one(self) -> int:
        """Bytes that a connection may hold of which nothing can be taken yet."""
        return self.largest + 9 + READ_BYTES

    @property
    def most(self) -> int:
        """Bytes that it may hold in all."""
        return self.mark * (self.largest + 9) + self.one


class _SoFar(NamedTuple):
    """Bytes that were read of a connection, messages that were taken of all, and times that none was left."""

    read: int
    messages: int
    emptied: int


class _Held:
    """What libzmq holds of a connection."""

    def __init__(self, now: float) -> None:
        self.suspicion: _SoFar | None = None  # how far all was when it held too much
        self.other = 0.0  # bytes that were no messages, or were counted as another connection's
        self._generation, self._messages, self._acknowledged, self._at = -1, 0, 0, now

    def update(self, port: Port, taken: Taken, read: int, acknowledged: int, now: float) -> float:
        """Return how many bytes it is."""
        if taken.generation != self._generation:
            self._generation, self._messages, self.other = taken.generation, 0, 0.0
        held = read - taken.bytes - self.other
        allowed = min(
            (acknowledged - self._acknowledged) * _PING_PER_PONG,
            (now - self._at) * port.heartbeats,
        )
        if port.commands:
            allowed += max(taken.messages - self._messages, 0) * _SUBSCRIBE_BYTES
        self._messages, self._acknowledged, self._at = taken.messages, acknowledged, now
        settled = min(held, max(allowed, 0.0))  # what is less than nothing is settled at once: it gives no credit
        self.other = max(self.other + settled, 0.0)
        return held - settled

    def is_endless(self, port: Port, taken: Taken, size: float, so_far: _SoFar, connections: int) -> bool:
        """Return whether so many bytes are of a message without an end, or too much to wait."""
        suspicion = self.suspicion
        if size <= port.one:
            self.suspicion = None
            return False
        if suspicion is None:
            self.suspicion = so_far
            return False
        if size * taken.spread > port.most:
            return True
        if suspicion.read - taken.bytes - self.other <= port.one:  # of what it held then: its messages do leave
            self.suspicion = so_far
            return False
        turns = so_far.messages - max(suspicion.messages, taken.last)
        return so_far.emptied > suspicion.emptied or turns > _TURNS * connections + _TURNS_MORE


class _Watched(NamedTuple):
    """A port, its connections, and what is held of those that were looked at."""

    port: Port
    files: Collection[int]
    held: dict[int, _Held]


class Unfinished:
    """Watches what libzmq holds.

    Attributes
    ----------
    ended : int
        Connections that were ended.
    """

    def __init__(self) -> None:
        self.ended = 0
        self._ports: list[_Watched] = []
        self._quiet = 0  # times that every port was found empty
        self._suspects: list[tuple[_Watched, int]] = []
        self._queue: list[tuple[_Watched, int]] = []  # who is looked at next
        self._filled = self._log_due = 0.0
        self._memory = _Memory()

    def watch(self, port: Port, files: Collection[int]) -> None:
        """Watch a port.

        Parameters
        ----------
        port : Port
            The port.
        files : collection of int
            The numbers of its connections' files: kept up to date by whoever owns it.
        """
        if is_told:
            self._ports.append(_Watched(port, files, {}))

    def forget(self, file: int) -> None:
        """Note that a number is not the connection's any more that it was: it has come, or gone."""
        for watched in self._ports:
            watched.held.pop(file, None)

    @property
    def patience_ms(self) -> int:
        """How soon to call `update` again."""
        if self._suspects:
            return _SUSPECTED_MS
        return _WATCHED_MS if any(watched.files for watched in self._ports) else _UNWATCHED_MS

    def update(self, is_quiet: bool = False) -> None:
        """Look whether libzmq holds too much of anybody; who has come and gone must be known.

        Parameters
        ----------
        is_quiet : bool
            Whether every port was found empty just now.
        """
        now = time.monotonic()
        self._quiet += is_quiet
        if self._memory.has_grown():
            turn = [(watched, file) for watched in self._ports for file in watched.files]
        else:
            if not self._queue and now - self._filled >= _INTERVAL_S:
                self._filled = now
                self._queue = [(watched, file) for watched in self._ports for file in watched.files]
            turn = self._suspects + self._queue[-_AT_A_TIME:]
            del self._queue[-_AT_A_TIME:]
        self._suspects = []
        for watched, file in turn:
            self._look(watched, file, now)

    def _look(self, watched: _Watched, file: int, now: float) -> None:
        port = watched.port
        if file not in watched.files or (counters := transferred(file)) is None:
            return  # it has gone, or is none of TCP
        held = watched.held.get(file)
        if held is None:
            held = watched.held[file] = _Held(now)
        taken = port.inlet.taken(file)
        size = held.update(port, taken, *counters, now)
        messages, emptied = port.inlet.totals()
        so_far = _SoFar(counters[0], messages, emptied + self._quiet)
        if held.is_endless(port, taken, size, so_far, len(watched.files)):
            self._end(port, file, size)
            del watched.held[file]
        elif held.suspicion is not None:
            self._suspects.append((watched, file))

    def _end(self, port: Port, file: int, size: float) -> None:
        shut(file)
        self.ended += 1
        now = time.monotonic()
        if now >= self._log_due:
            self._log_due = now + _LOGGED_EVERY_S
            _logger.warning(
                "a connection to %s was ended: it had sent %d kB of a message without an end; send each message as one "
                "frame (%d such so far; all are counted)",
                port.what,
                size / 1000,
                self.ended,
            )


class _Memory:
    """Of this process."""

    def __init__(self) -> None:
        self._file = -1
        self._least = 0
        with suppress(OSError):
            self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)

    def has_grown(self) -> bool:
        """Return whether it has grown by much since it had, or was at its least."""
        if self._file < 0:
            return False
        pages = int(os.pread(self._file, 64, 0).split()[1])
        grown = pages - self._least > _GROWTH_PAGES
        self._least = pages if grown else min(pages, self._least)
        return grown

    def __del__(self) -> None:
        if self._file >= 0:
            os.close(self._file)
