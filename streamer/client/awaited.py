"""What a subscriber has asked the history for, stream by stream, and what it holds back until the answer comes."""

from collections.abc import Iterable
from dataclasses import dataclass

from kinestream.streamer.client.progress import Progress, place_of
from kinestream.streamer.wire.messages import Published

_NOTHING = (-1, -1.0)


@dataclass(slots=True, eq=False)
class Asked:
    """What is asked for: a stream since a window, or the list of streams.

    Attributes
    ----------
    stream : str
        Which; empty for the list.
    session, window : int
        Since when; -1 for all that is kept.
    position : int
        Where the answer goes on.
    settled : bool
        Whether nothing is missing before what is yet to come, or what is has been told.
    sent : float
        When it was sent, on the monotonic clock, s.
    attempts : int
        How often no answer has come in time.
    lists : int
        Which part of the list of streams it asks for.
    newest : tuple of (int, float)
        Session and window of the newest that was answered, as `place_of` has them.
    is_waiting : bool
        Whether the streamer has said that it does not have it yet.
    waits_since : float or None
        Since when it may be made once more, also by a streamer before, on the monotonic clock, s.
    """

    stream: str
    session: int = -1
    window: int = -1
    position: int = 0
    settled: bool = False
    sent: float = 0.0
    attempts: int = 0
    lists: int = 0
    newest: tuple[int, float] = _NOTHING
    is_waiting: bool = False
    waits_since: float | None = None

    def note(self, messages: Iterable[tuple[Published, bytes]]) -> None:
        """Note what was answered."""
        self.newest = max([self.newest, *(place for each, _ in messages if (place := place_of(each)))])

    def begin_anew(self) -> None:
        """Forget what was answered: it may be another streamer that answers next, whose positions are others."""
        self.position = self.attempts = 0
        self.settled = self.is_waiting = False
        self.newest = _NOTHING


class Listened:
    """A stream that is listened to.

    Attributes
    ----------
    had : Progress
        What was handed out.
    asked : Asked or None
        What was asked for of it and is not answered yet.
    held : list of (Published, bytes)
        What has come since, in its order, each with the message it was read from.
    is_behind, is_touched : bool
        Whether the first of those shows that something is missing; whether anything has come since it was last looked
        at.
    checks : int
        How often it was asked for since it fell silent.
    """

    __slots__ = ("asked", "checks", "had", "held", "is_behind", "is_touched")

    def __init__(self) -> None:
        self.had = Progress()
        self.asked: Asked | None = None
        self.held: list[tuple[Published, bytes]] = []
        self.is_behind = False
        self.checks = 0
        self.is_touched = True

    def ask(self, name: str) -> Asked:
        """Return what asks for all that was published since the last window that is known."""
        seen = self.had.seen
        self.asked = Asked(name) if seen is None else Asked(name, seen.session, seen.next - 1)
        return self.asked
