"""What takes samples messages in bulk: in C (take.c), or in plain Python where that was not compiled.

Both take messages of a list from an index on and return the index of the first that they leave alone: one that is
anything but the next samples of a session, which at most complete its open window. The head of take.c says what is
checked; the tests compare both on whole sequences of messages.
"""

import os
from typing import Protocol

from kinestream.streamer.streams.arena import Lanes, Rows
from kinestream.streamer.wire.codec import decode_samples, is_samples
from kinestream.streamer.wire.messages import HEAD, MAX_BYTES, MAX_INT, MalformedMessage

try:
    from kinestream.streamer.ingest import _take
except ImportError:
    is_compiled = False
else:
    is_compiled = True
    if (_take.HEAD_BYTES, _take.MAX_BYTES, _take.MAX_INT) != (HEAD.size, MAX_BYTES, MAX_INT):
        raise RuntimeError("streamer/ingest/take.c is of another version than the Python beside it: compile it again")

Due = list[tuple[int, int]]
"""Lanes whose open window is complete, each with the Unix time in ns of its last sample."""


class Taker(Protocol):
    """Takes messages of known keys to the lanes of their sessions."""

    def put(self, key: int, lane: int) -> None:
        """Let messages of a key go to a lane."""
        ...

    def drop(self, key: int) -> None:
        """Leave messages of a key alone; it need not be known."""
        ...

    def take(self, frames: list[bytes], begin: int, due: Due) -> int:
        """Take messages from `begin` on, and return the index of the first that was not taken.

        What comes due is added to `due`; until it has been cut, its lane takes nothing.
        """
        ...


class CompiledTaker:
    """The way in C."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._attached: Rows | None = None
        self._taker = _take.new(4 * lanes.channels, int.from_bytes(os.urandom(8), "little"))

    def put(self, key: int, lane: int) -> None:
        """Let messages of a key go to a lane."""
        _take.put(self._taker, key, lane)

    def drop(self, key: int) -> None:
        """Leave messages of a key alone; it need not be known."""
        _take.drop(self._taker, key)

    def take(self, frames: list[bytes], begin: int, due: Due) -> int:
        """Take messages from `begin` on, and return the index of the first that was not taken."""
        lanes = self._lanes
        if self._attached is not lanes.rows:  # the arena is new, or has grown
            self._attached = lanes.rows
            _take.attach(self._taker, lanes.rows, lanes.high, lanes.end, lanes.at)
        reached: int = _take.take(self._taker, frames, begin, due)
        return reached


class PlainTaker:
    """The way in Python."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._row_bytes = 4 * lanes.channels
        self._of: dict[int, int] = {}

    def put(self, key: int, lane: int) -> None:
        """Let messages of a key go to a lane."""
        self._of[key] = lane

    def drop(self, key: int) -> None:
        """Leave messages of a key alone; it need not be known."""
        self._of.pop(key, None)

    def take(self, frames: list[bytes], begin: int, due: Due) -> int:
        """Take messages from `begin` on, and return the index of the first that was not taken."""
        for at in range(begin, len(frames)):
            if not self._take_one(frames[at], due):
                return at
        return max(begin, len(frames))

    def _take_one(self, frame: bytes, due: Due) -> bool:
        if not is_samples(frame):
            return False
        try:
            message = decode_samples(frame)
        except MalformedMessage:
            return False
        lane = self._of.get(message.key)
        if lane is None or message.times or len(message.x) != message.samples * self._row_bytes:
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


def new_taker(lanes: Lanes) -> Taker:
    """Return the fastest there is."""
    return CompiledTaker(lanes) if is_compiled else PlainTaker(lanes)
