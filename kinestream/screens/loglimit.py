"""Keeps a log readable whatever goes wrong a thousand times a second: so many lines of a kind, and of all kinds."""

import logging
import time
from collections import OrderedDict
from threading import Lock

_OF_KIND, _OF_KIND_PER_S = 30, 2.0  # lines at once, and in the long run
_OF_ALL, _OF_ALL_PER_S = 200, 20.0
_KINDS = 1000  # that are remembered


class _Room:
    """How many lines may come."""

    __slots__ = ("_left", "_most", "_per_s", "_since", "left_out")

    def __init__(self, most: int, per_s: float, now: float) -> None:
        self.left_out = 0
        self._left, self._most, self._per_s, self._since = float(most), most, per_s, now

    def has(self, now: float) -> bool:
        self._left = min(self._left + (now - self._since) * self._per_s, self._most)
        self._since = now
        return self._left >= 1

    def take(self) -> None:
        self._left -= 1


class LogLimit(logging.Filter):
    """Lets lines through while there is room; the next of its kind says how many were left out.

    A kind is what one place in the code says, whatever it names. A record that is let through has `left_out`, an int.

    Attributes
    ----------
    left_out : int
        Lines of all kinds that were left out so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left_out = 0
        self._lock = Lock()
        self._all = _Room(_OF_ALL, _OF_ALL_PER_S, time.monotonic())
        self._kinds: OrderedDict[tuple[str, str], _Room] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether there is room for a record."""
        with self._lock:
            now = time.monotonic()
            kind = record.name, str(record.msg)
            room = self._kinds.pop(kind, None) or _Room(_OF_KIND, _OF_KIND_PER_S, now)
            self._kinds[kind] = room
            if len(self._kinds) > _KINDS:
                self._kinds.popitem(last=False)
            if not (room.has(now) and self._all.has(now)):
                room.left_out += 1
                self.left_out += 1
                return False
            room.take()
            self._all.take()
            record.__dict__["left_out"], room.left_out = room.left_out, 0
            return True


def and_others(record: logging.LogRecord) -> str:
    """Return what to say behind a record of those like it that were left out."""
    count = getattr(record, "left_out", 0)
    return f" (and {count} more like it, not shown)" if count else ""
