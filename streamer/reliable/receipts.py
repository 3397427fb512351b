"""What a streamer has received of one key, and what it may tell the sender to forget.

The problem. A label that was published is not received: a subscriber that was cut off may ask the history for it. So a
sender must keep what a label was made of until the history has passed, or a streamer that is killed in between could
not make the label again.

How it works. Messages are taken in the order of their numbers, each once: what comes before its turn is left (the
sender is told, and sends it again), what comes twice is dropped. Where nothing is known of a key, as after a start, the
first that is taken is the oldest that the sender still keeps, which each message tells; so nothing that is only on its
way by chance can begin the count too late. Every so often it is noted how far the messages have come and what is needed
of them from then on (`note`); once the windows cut till then were published, and the history has passed since that was
seen, the sender is told (`acknowledgement`).
"""

from array import array
from collections import deque
from enum import Enum
from typing import NamedTuple

from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement


class Verdict(Enum):
    """What becomes of a message: it is taken, or it came before, or others must come before it.

    One that is taken `ANEW` does not follow what was taken before it: the sender keeps nothing from in between, since
    that was acknowledged (by whoever was here before, when part of it was taken again already) or was given up for lack
    of room. No window may hold what came before it together with what comes from it on.
    """

    TAKEN = "taken"
    ANEW = "anew"
    REPEATED = "repeated"
    EARLY = "early"


class Note(NamedTuple):
    """How far a key had come.

    Attributes
    ----------
    batch : int
        The batch with which the windows that had been cut are published.
    received, needed : int
        Messages before it had come; samples, or times, from which on they were needed.
    due : int or None
        When the history of what came of it will have passed, on the monotonic clock, ns; None before it is published.
    """

    batch: int
    received: int
    needed: int
    due: int | None = None


class Receipts:
    """The messages of one key.

    Attributes
    ----------
    expected : array of int64
        One number: that of the next message. The loop in C counts it up.
    again : bool
        Whether a message was left that came before its turn, and the sender was not told yet.
    """

    __slots__ = ("_forgettable", "_notes", "again", "expected")

    def __init__(self) -> None:
        self.expected = array("q", [UNKNOWN])
        self.again = False
        self._notes: deque[Note] = deque()
        self._forgettable = (0, 0)

    def take(self, number: int, oldest: int) -> Verdict:
        """Decide about a message; where it is taken, it is counted."""
        expected = self.expected[0]
        if number == expected or (number == oldest and expected == UNKNOWN):
            self.expected[0] = number + 1
            return Verdict.TAKEN
        if number == oldest > expected:
            self.expected[0] = number + 1
            return Verdict.ANEW
        if 0 <= number < expected:
            return Verdict.REPEATED
        self.again = True
        return Verdict.EARLY

    def put_back(self, expected: int) -> None:
        """Leave a message after all that was taken just now, when another was expected: there is no room for it yet."""
        self.expected[0] = expected
        self.again = True

    def note(self, batch: int, needed: int) -> None:
        """Note how far the key has come; see `Note`."""
        received = self.expected[0]
        if received != UNKNOWN and (not self._notes or self._notes[-1][1:3] != (received, needed)):
            self._notes.append(Note(batch, received, needed))

    def settle(self, now: int, published: int, history: int) -> None:
        """Learn the time, on the monotonic clock, ns, how many batches were published, and how long they are kept."""
        for at, note in enumerate(self._notes):
            if note.batch > published:
                break
            if note.due is None:
                self._notes[at] = note._replace(due=now + history)
        while self._notes and (due := self._notes[0].due) is not None and due <= now:
            self._forgettable = self._notes.popleft()[1:3]

    @property
    def has_begun(self) -> bool:
        """Whether any message was taken."""
        return self.expected[0] != UNKNOWN

    @property
    def is_settled(self) -> bool:
        """Whether all that was noted may be forgotten."""
        return not self._notes

    def acknowledgement(self, key: int) -> Acknowledgement:
        """Return what the sender is told."""
        again, self.again = self.again, False
        return Acknowledgement(key, self.expected[0], *self._forgettable, again)
