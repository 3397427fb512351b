"""What a sender keeps of one key until nobody can need it any more, and what of it is to be sent, once or again.

The problem. A message that was sent may have been lost: with the connection, in a streamer that was killed, between a
label that was published and a subscriber that had not received it yet. The sender cannot know. But a streamer makes the
same labels of the same messages, whenever it gets them; so it is enough that the sender keeps each message until the
streamer says that nobody can ask any more for what came of it, and sends all that it keeps again where they part.

How it works. Messages are numbered from 0. `sent` is the number of the next to be posted; it goes back to what the
streamer has received, or to the oldest that is kept where the streamer knows nothing of the key (it was started anew).
What is sent again unnecessarily does no harm: the streamer takes each number once.

Nothing here knows of time or sockets: so every order in which messages, acknowledgements and crashes may come can be
gone through (`tests/streamer/reliable/explore.py`).
"""

from collections import deque
from typing import NamedTuple

from kinestream.streamer.wire.codec import with_key
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement, encode_tracked

_OVERHEAD = 200  # bytes that keeping a message takes besides its own


class Kept(NamedTuple):
    """A message that is kept.

    Attributes
    ----------
    message : bytes
        What was sent, without its number.
    end : int
        Past its last sample's number on the grid, or past its last reading's time: needed from there on, it is not.
    """

    message: bytes
    end: int


class Outbox:
    """The messages of one key.

    Parameters
    ----------
    key : int
        The key.
    first : int
        The number of the first message, of one that goes on where another left off.
    is_left_over : bool
        Whether it is what a sender before this one kept: a power cut may have taken its latest messages, so that the
        streamer has received more than it knows of.

    Attributes
    ----------
    oldest, sent, next : int
        Numbers of the first message that is kept, of the next to be posted, and of the next to be added.
    received : int
        Messages before it have come to the streamer, as far as is known.
    bytes : int
        What is kept.
    lost : int
        Messages that were given up unacknowledged.
    """

    def __init__(self, key: int, first: int = 0, *, is_left_over: bool = False) -> None:
        self.key, self._is_left_over = key, is_left_over
        self.oldest = self.sent = self.next = self.received = first
        self.bytes = self.lost = 0
        self._kept: deque[Kept] = deque()

    def add(self, message: bytes, end: int) -> None:
        """Keep a message, which ends there; see `Kept`."""
        self._kept.append(Kept(message, end))
        self.bytes += len(message) + _OVERHEAD
        self.next += 1

    def frame(self, after: int = 0) -> bytes | None:
        """Return the next message to be posted, None where all are; `posted` says that it was.

        `after` is as of `kinestream.streamer.wire.tracked.Tracked`.
        """
        if self.sent >= self.next:
            return None
        return encode_tracked(self.key, self.sent, self.oldest, self._kept[self.sent - self.oldest].message, after)

    def posted(self) -> None:
        """Note that what `frame` returned is on its way."""
        self.sent += 1

    def send_again(self) -> None:
        """Send again all that is not known to have come: nothing has been heard of it for long."""
        self.sent = min(max(self.received, self.oldest), self.sent)

    def doubt(self) -> None:
        """Take nothing for received until the streamer says so again: it may be another one."""
        self.received = self.oldest

    def acknowledge(self, acknowledgement: Acknowledgement) -> bool:
        """Take what the streamer says of the key; return whether anything is to be sent again.

        What says more than was ever sent is of another sender, or made up, and is passed over; but see `is_left_over`.
        """
        _, received, number, needed, again = acknowledgement
        if self._is_left_over:
            received, number = min(received, self.next), min(number, self.next)
        if received > self.next or number > self.next:
            return False
        if received == UNKNOWN:
            self.received = self.oldest
            return self._go_back(self.oldest)
        self.received = max(received, self.oldest)
        while self._kept and self.oldest < min(number, received) and self._kept[0].end <= needed:
            self._forget_oldest()
        self.sent = max(self.sent, self.oldest)
        return again and self._go_back(self.received)

    def move(self, key: int) -> None:
        """Send all that is kept again, under another key: whoever takes it from now on has had nothing of it."""
        self.key = key
        self._kept = deque(Kept(with_key(message, key), end) for message, end in self._kept)
        self.bytes = sum(len(message) + _OVERHEAD for message, _ in self._kept)
        self.sent = self.received = self.oldest

    def drop_oldest(self) -> bool:
        """Give up the oldest message, to make room; return whether there was one."""
        if not self._kept:
            return False
        self._forget_oldest()
        self.sent = max(self.sent, self.oldest)
        self.received = max(self.received, self.oldest)
        self.lost += 1
        return True

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._kept

    @property
    def is_received(self) -> bool:
        """Whether all that was added has come to the streamer, as far as is known."""
        return self.received >= self.next

    @property
    def kept(self) -> list[Kept]:
        """What is kept, the oldest first."""
        return list(self._kept)

    def _go_back(self, number: int) -> bool:
        goes_back = number < self.sent
        self.sent = min(self.sent, number)
        return goes_back

    def _forget_oldest(self) -> None:
        self.bytes -= len(self._kept.popleft().message) + _OVERHEAD
        self.oldest += 1


def size_of(message: bytes) -> int:
    """Return what keeping a message takes."""
    return len(message) + _OVERHEAD
