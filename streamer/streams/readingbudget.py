"""What the readings of all devices may take in memory while they wait for others: one bound for all wearers.

Each device is bounded on its own. But wearers may be many, and so may be the devices of each; whoever means harm has
them all wait. So all sets of devices share a budget. Where it is used up, those that take most drop their oldest
readings, down to one level for all: whoever takes less loses nothing. What was acknowledged is not dropped, as nobody
sends it again: such devices are put off instead, and drop only where that did not help.
"""

from typing import Protocol

READING_BYTES = 128 << 20
_KEPT_SHARE = 0.75
"""How much of the budget is still taken when room has been made: so that it need not be made at every message."""


class Holder(Protocol):
    """A set of devices."""

    @property
    def bytes(self) -> int:
        """Memory that readings take."""

    def keep_bytes(self, most: int, *, even_received: bool) -> None:
        """Drop the oldest readings where all take more than so many bytes; `even_received` ones that are tracked."""


class ReadingBudget:
    """Bounds what sets of devices hold together.

    Parameters
    ----------
    most : int
        Bytes.

    Attributes
    ----------
    bytes : int
        What they hold.
    """

    def __init__(self, most: int = READING_BYTES) -> None:
        self.bytes = 0
        self._most = most
        self._makes_room_at = most
        self._of: dict[Holder, int] = {}

    def note(self, holder: Holder) -> None:
        """Note what a set holds now; make room where all hold too much."""
        self._count(holder)
        if self.bytes > self._makes_room_at:
            self._make_room(even_received=False)
            if self.bytes > 2 * self._most:
                self._make_room(even_received=True)
            self._makes_room_at = self.bytes + self._most // 16
        if self.bytes <= self._most:
            self._makes_room_at = self._most

    @property
    def is_used_up(self) -> bool:
        """Whether there is room only for what others wait for."""
        return self.bytes > _KEPT_SHARE * self._most

    def forget(self, holder: Holder) -> None:
        """Note that a set holds nothing any more."""
        self.bytes -= self._of.pop(holder, 0)

    def _count(self, holder: Holder) -> None:
        now = holder.bytes
        self.bytes += now - self._of.get(holder, 0)
        self._of[holder] = now

    def _make_room(self, *, even_received: bool) -> None:
        for holder in list(self._of):  # some may hold less than when they were last looked at
            self._count(holder)
        left, level = int(_KEPT_SHARE * self._most), 0
        sizes = sorted(self._of.values())
        for at, size in enumerate(sizes):
            level = left // (len(sizes) - at)
            if size > level:
                break
            left -= size
        for holder, size in list(self._of.items()):
            if size > level:
                holder.keep_bytes(level, even_received=even_received)
                self._count(holder)
