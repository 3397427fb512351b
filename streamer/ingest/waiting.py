"""Holds samples that came before the description of their key, as they may over another connection."""

from collections import OrderedDict, deque
from typing import NamedTuple

from kinestream.streamer.wire.messages import End, Readings, Remark

_MAX_BYTES, _MAX_BYTES_OF_KEY = 1 << 20, 1 << 16
_OVERHEAD = 512  # bytes a message takes here besides its readings
_LONGEST_NS = 5_000_000_000


class Early(NamedTuple):
    """A message whose key is not known yet; received at that Unix time and monotonic time, ns."""

    message: Readings | End | Remark
    received: int
    lossy: bool
    since: int


class WaitingRoom:
    """Messages by their key; what is too much, or waits too long, is dropped.

    Attributes
    ----------
    messages : int
        How many wait.
    """

    def __init__(self) -> None:
        self.messages = 0
        self._bytes = 0
        self._of: OrderedDict[int, tuple[deque[Early], int]] = OrderedDict()

    def add(self, early: Early) -> bool:
        """Let a message wait; return whether there is room for it."""
        key, size = early.message.key, _size(early)
        queue, held = self._of.get(key, (deque(), 0))
        if self._bytes + size > _MAX_BYTES or held + size > _MAX_BYTES_OF_KEY:
            return False
        queue.append(early)
        self._of[key] = (queue, held + size)
        self._bytes += size
        self.messages += 1
        return True

    def take(self, key: int) -> deque[Early]:
        """Return what has waited for a key, in order."""
        queue, held = self._of.pop(key, (deque(), 0))
        self._bytes -= held
        self.messages -= len(queue)
        return queue

    def drop_outdated(self, now: int) -> int:
        """Drop what has waited too long by `now`, on the monotonic clock, ns; return how many messages that were."""
        before = self.messages
        while self._of:
            key, (queue, _) = next(iter(self._of.items()))
            if now - queue[0].since <= _LONGEST_NS:
                break
            self.take(key)
        return before - self.messages


def _size(early: Early) -> int:
    message = early.message
    if isinstance(message, Remark):
        return _OVERHEAD + 4 * len(message.activity)
    return _OVERHEAD + (len(message.times) + len(message.x) if isinstance(message, Readings) else 0)
