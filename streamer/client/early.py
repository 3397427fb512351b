"""Answers that came before what waits in the subscriber's own queue was taken; no socket here.

A streamer that keeps something no more may have published it all the same: a subscriber that was held up has it in its
queue, behind what it is asking about. So an answer that begins later than what was asked for is put aside until what
comes of the stream has reached where it begins, or until the queue has been empty for a moment.
"""

from typing import NamedTuple

from kinestream.streamer.client.awaited import Asked, Listened
from kinestream.streamer.client.progress import place_of
from kinestream.streamer.wire.history import HistoryAnswer
from kinestream.streamer.wire.messages import Published

EMPTY_S = 0.05
"""For how long the queue is to be empty: what a connection holds back comes into it by and by."""


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
    heard_at : float
        When it came, on the monotonic clock, s.
    """

    stream: Listened
    asked: Asked
    answer: HistoryAnswer
    begins: tuple[int, float]
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

    def took(self) -> None:
        """Note that the queue held something."""
        self._empty_since = None

    def reached(self, stream: Listened, message: Published) -> list[Early]:
        """Return the answers for which enough has come of a stream with a message, which are put aside no more."""
        place = place_of(message)
        if place is None:
            return []
        ready = [each for each in self.waiting if each.stream is stream and each.begins <= place]
        self.waiting = [each for each in self.waiting if each not in ready]
        return ready

    def after_empty(self, now: float) -> list[Early]:
        """Return all, if the queue, which is empty on the monotonic clock, s, has been so for a moment."""
        if self._empty_since is None:
            self._empty_since = now
        return self.all() if now - self._empty_since >= EMPTY_S else []

    def all(self) -> list[Early]:
        """Return all; they are put aside no more."""
        waiting, self.waiting, self._empty_since = self.waiting, [], None
        return waiting


def begins_ahead(stream: Listened, answer: HistoryAnswer, first: Published | None, *, joins: bool) -> bool:
    """Tell whether an answer leaves out what the queue may yet hold: this is the first in it that has a place."""
    if answer.complete or first is None or not stream.had.is_behind(first, joins=joins):
        return False
    begins = place_of(first)
    assert begins is not None
    return not any((place := place_of(message)) is not None and place >= begins for message, _ in stream.held)
