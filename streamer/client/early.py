"""Answers that came before what waits in the subscriber's own queue was taken; no socket here.

A streamer that keeps something no more may have published it all the same: a subscriber that was held up has it in its
queue, behind what it is asking about. So an answer that begins later than what was asked for is put aside until

- what comes of the stream has reached where it begins; or
- what comes of any stream was published after what it holds, since all comes in the order in which it was published; or
- the queue has been empty for a moment; or, where nobody can tell, for `AT_MOST_S`.
"""

from typing import NamedTuple

from kinestream.streamer.client.awaited import Asked, Listened
from kinestream.streamer.client.progress import place_of
from kinestream.streamer.wire.history import HistoryAnswer
from kinestream.streamer.wire.messages import Label, Published

EMPTY_S = 0.05
"""For how long the queue is to be empty: what a connection holds back comes into it by and by."""
_HELD_UP_S = 0.5  # between two looks at the queue: libzmq may have been held up as well, and not filled it
MOST = 200
"""Answers that are put aside: past that, all are taken."""
AT_MOST_S = 10.0
"""How long an answer is put aside where the queue is never empty, and no label in it says when it was published."""


class Early(NamedTuple):
    """An answer that is put aside.

    Attributes
    ----------
    stream : Listened
        Of which.
    asked : Asked
        What it answers.
    answer : HistoryAnswer
    begins : tuple of (int, float)
        Session and window of the first that it holds.
    published : int or None
        When the newest label that it holds was, Unix ns on the streamer's clock; None where it holds none.
    heard_at : float
        When it came, on the monotonic clock, s.
    """

    stream: Listened
    asked: Asked
    answer: HistoryAnswer
    begins: tuple[int, float]
    published: int | None
    heard_at: float


class EarlyAnswers:
    """What is put aside.

    Attributes
    ----------
    waiting : list of Early
    """

    def __init__(self) -> None:
        self.waiting: list[Early] = []
        self._empty_since: float | None = None
        self._empty_at = 0.0  # when that was seen last

    def took(self, message: Published) -> list[Early]:
        """Note what the queue held; return the answers that need not wait for anything else in it any more."""
        self._empty_since = None
        if not isinstance(message, Label):
            return []
        return self._take(
            [each for each in self.waiting if each.published is not None and each.published < message.t_published]
        )

    def reached(self, stream: Listened, message: Published) -> list[Early]:
        """Return the answers for which enough has come of a stream with a message, which are put aside no more."""
        place = place_of(message)
        if place is None:
            return []
        return self._take([each for each in self.waiting if each.stream is stream and each.begins <= place])

    def after_empty(self, now: float) -> list[Early]:
        """Return all, if the queue, which is empty on the monotonic clock, s, has been so for a moment."""
        if self._empty_since is None or now - self._empty_at > _HELD_UP_S:
            self._empty_since = now
        self._empty_at = now
        return self.all() if now - self._empty_since >= EMPTY_S else []

    def overdue(self, now: float) -> list[Early]:
        """Return those that have been put aside for too long, on the monotonic clock, s."""
        return self._take([each for each in self.waiting if now - each.heard_at > AT_MOST_S])

    def all(self) -> list[Early]:
        """Return all; they are put aside no more."""
        return self._take(self.waiting)

    def _take(self, ready: list[Early]) -> list[Early]:
        if ready:
            self.waiting = [each for each in self.waiting if each not in ready]
            self._empty_since = None
        return ready


def begins_ahead(stream: Listened, answer: HistoryAnswer, first: Published | None, *, joins: bool) -> bool:
    """Tell whether an answer leaves out what the queue may yet hold: this is the first in it that has a place."""
    if answer.complete or first is None or not stream.had.is_behind(first, joins=joins):
        return False
    begins = place_of(first)
    assert begins is not None
    return not any((place := place_of(message)) is not None and place >= begins for message, _ in stream.held)
