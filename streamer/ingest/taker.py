"""What takes samples messages in bulk: in C (take.c), or in plain Python where that was not compiled.

Both take messages of a list from an index on and return the index of the first that they leave alone: one that is
anything but the next samples of a session, which at most complete its open window, or the next readings of a device
with times. The head of take.c says what is checked; the tests compare both on whole sequences of messages.
"""

import os
from array import array
from typing import Protocol

import numpy as np

from kinestream.model.recordings.seams import DOUBT_NS, RATE_KNOWN_NS
from kinestream.streamer.streams.arena import Lanes, Rows
from kinestream.streamer.streams.readinglog import (
    DUE,
    LONGEST_BATCH_NS,
    MARKS,
    NEWEST,
    RATE_TOLERANCE,
    SHARED,
    WAITING,
    ReadingLog,
)
from kinestream.streamer.wire.codec import decode_samples, is_samples
from kinestream.streamer.wire.messages import (
    HEAD,
    MAX_BYTES,
    MAX_INT,
    ON_GRID,
    TRACKED_HEAD,
    WITH_TIMES,
    MalformedMessage,
    Readings,
)
from kinestream.streamer.wire.tracked import TRACKED, decode_tracked, is_tracked

try:
    from kinestream.streamer.ingest import _take
except ImportError:
    is_compiled = False
else:
    is_compiled = True
    _there = (
        _take.KINDS,
        _take.TRACKED,
        _take.HEAD_BYTES,
        _take.MAX_BYTES,
        _take.MAX_INT,
        _take.MARKS,
        _take.SHARED,
        _take.LIMITS,
    )
    _limits = RATE_TOLERANCE, RATE_KNOWN_NS, LONGEST_BATCH_NS, DOUBT_NS
    if _there != (
        (ON_GRID, WITH_TIMES),
        (TRACKED, TRACKED_HEAD.size),
        HEAD.size,
        MAX_BYTES,
        MAX_INT,
        MARKS,
        SHARED,
        _limits,
    ):
        raise RuntimeError("streamer/ingest/take.c is of another version than the Python beside it: compile it again")

Due = list[tuple[int, int]]
"""Lanes whose open window is complete, each with the Unix time in ns of its last sample."""


class Taker(Protocol):
    """Takes messages of known keys to the lanes of their sessions, or to the logs of their devices."""

    @property
    def readings(self) -> int:
        """How many readings with times it has taken."""
        ...

    def put(self, key: int, lane: int) -> None:
        """Let messages of a key go to a lane."""
        ...

    def put_log(self, key: int, log: ReadingLog, width: int, most_samples: int) -> None:
        """Let messages of a key, of so many columns and up to so many readings, go to a log."""
        ...

    def track(self, key: int, expected: "array[int]") -> None:
        """Take tracked messages of a key that goes to a lane or a log, too.

        `expected` holds the number of the next, and is counted up; it must not be resized.
        """
        ...

    def drop(self, key: int) -> None:
        """Leave messages of a key alone; it need not be known."""
        ...

    def take(self, frames: list[bytes], begin: int, due: Due, look: list[int]) -> int:
        """Take messages from `begin` on, and return the index of the first that was not taken.

        What comes due is added to `due`; until it has been cut, its lane takes nothing. Where readings with times reach
        so far that a window may be due, their key is added to `look`, and ``waiting`` is set: until it is cleared, the
        logs of that session take nothing.
        """
        ...


class CompiledTaker:
    """The way in C."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._attached: Rows | None = None
        self._taker = _take.new(4 * lanes.channels, int.from_bytes(os.urandom(8), "little"))

    @property
    def readings(self) -> int:
        """How many readings with times it has taken."""
        return _take.readings(self._taker)

    def put(self, key: int, lane: int) -> None:
        """Let messages of a key go to a lane."""
        _take.put(self._taker, key, lane)

    def put_log(self, key: int, log: ReadingLog, width: int, most_samples: int) -> None:
        """Let messages of a key, of so many columns and up to so many readings, go to a log."""
        where = log.storage, log.marks, log.shared, log.order, log.factors
        _take.put_log(self._taker, key, *where, width, most_samples, log.most_held, log.stride_ns, log.rate_hz)

    def track(self, key: int, expected: "array[int]") -> None:
        """Take tracked messages of a key, too."""
        _take.track(self._taker, key, expected)

    def drop(self, key: int) -> None:
        """Leave messages of a key alone; it need not be known."""
        _take.drop(self._taker, key)

    def take(self, frames: list[bytes], begin: int, due: Due, look: list[int]) -> int:
        """Take messages from `begin` on, and return the index of the first that was not taken."""
        lanes = self._lanes
        if self._attached is not lanes.rows:  # the arena is new, or has grown
            self._attached = lanes.rows
            _take.attach(self._taker, lanes.rows, lanes.high, lanes.end, lanes.at)
        reached: int = _take.take(self._taker, frames, begin, due, look)
        return reached


class PlainTaker:
    """The way in Python."""

    def __init__(self, lanes: Lanes) -> None:
        self.readings = 0
        self._lanes = lanes
        self._row_bytes = 4 * lanes.channels
        self._of: dict[int, int] = {}
        self._logs: dict[int, tuple[ReadingLog, int, int]] = {}
        self._tracked: dict[int, array[int]] = {}

    def put(self, key: int, lane: int) -> None:
        """Let messages of a key go to a lane."""
        self.drop(key)
        self._of[key] = lane

    def put_log(self, key: int, log: ReadingLog, width: int, most_samples: int) -> None:
        """Let messages of a key, of so many columns and up to so many readings, go to a log."""
        self.drop(key)
        self._logs[key] = log, width, most_samples

    def track(self, key: int, expected: "array[int]") -> None:
        """Take tracked messages of a key, too."""
        if key in self._of or key in self._logs:
            self._tracked[key] = expected

    def drop(self, key: int) -> None:
        """Leave messages of a key alone; it need not be known."""
        self._tracked.pop(key, None)
        self._of.pop(key, None)
        self._logs.pop(key, None)

    def take(self, frames: list[bytes], begin: int, due: Due, look: list[int]) -> int:
        """Take messages from `begin` on, and return the index of the first that was not taken."""
        for at in range(begin, len(frames)):
            if not self._take_any(frames[at], due, look):
                return at
        return max(begin, len(frames))

    def _take_any(self, frame: bytes, due: Due, look: list[int]) -> bool:
        if not is_tracked(frame):
            return self._take_one(frame, due, look)
        try:
            key, number, _, message, after = decode_tracked(frame)
        except MalformedMessage:
            return False
        expected = self._tracked.get(key)
        if (
            after
            or expected is None
            or expected[0] != number
            or not is_samples(message)
            or message[8:16] != frame[8:16]
        ):
            return False
        if not self._take_one(message, due, look):
            return False
        expected[0] = number + 1
        return True

    def _take_one(self, frame: bytes, due: Due, look: list[int]) -> bool:
        if not is_samples(frame):
            return False
        try:
            message = decode_samples(frame)
        except MalformedMessage:
            return False
        if message.times:
            return self._log(message, look)
        lane = self._of.get(message.key)
        if lane is None or len(message.x) != message.samples * self._row_bytes:
            return False
        lanes = self._lanes
        last = message.seq + message.samples - 1
        if message.seq != lanes.high.item(lane) or last > lanes.end.item(lane):
            return False
        begin = lanes.at.item(lane) * self._row_bytes
        lanes.bytes[begin : begin + len(message.x)] = message.x
        lanes.high[lane] = last + 1
        lanes.at[lane] += message.samples
        if last == lanes.end.item(lane):
            due.append((lane, message.t))
        return True

    def _log(self, message: Readings, look: list[int]) -> bool:
        log, width, most_samples = self._logs.get(message.key, (None, 0, 0))
        if log is None or message.samples > most_samples or len(message.x) != message.samples * 4 * width:
            return False
        times, x = np.frombuffer(message.times, "<i8"), np.frombuffer(message.x, "<f4").reshape(-1, width)
        if int(times.max()) >= MAX_INT or not log.take_in_order(message.seq, times, x):
            return False
        self.readings += message.samples
        if log.marks[NEWEST] >= log.shared[DUE]:
            log.shared[WAITING] = 1
            look.append(message.key)
        return True


def new_taker(lanes: Lanes) -> Taker:
    """Return the fastest there is."""
    return CompiledTaker(lanes) if is_compiled else PlainTaker(lanes)
