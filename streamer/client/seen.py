"""Which windows of a session a subscriber has received, in bounded memory."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from kinestream.streamer.wire.messages import MAX_INT

SPANS = 16
"""Runs of windows that are remembered one by one; before those, whatever comes counts as had."""
SEAMS = 16
"""The newest that are remembered of a session."""
_SKIPPED = ""  # no model is called so
_ANY = "*"  # nor so: a model's name ends in its fingerprint
_LOST = "-"


@dataclass(slots=True)
class _Span:
    """Windows from `first` to `last`, labelled by one model."""

    first: int
    last: int
    model: str


class Seen:
    """What was had of a session.

    A label is known by its window and its model: a streamer that was started again with another bundle labels the same
    windows anew.

    Parameters
    ----------
    session : int
        Which.
    window : int
        The first window that is known of.

    Attributes
    ----------
    first : int
        The first window that is known of.
    next : int
        One past the last window that was had, skipped or given up.
    ended : bool
        Whether the session is over.
    goes_on : bool
        Whether it may go on where it was all the same: its streamer stopped, or gave the stream away.
    is_late : bool
        Whether windows before the first that is known of may have been missed, since what was before it is not kept.
    source : int or None
        When the last sample of its last window was taken, Unix ns, once it is over.
    """

    __slots__ = ("_seams", "_spans", "ended", "first", "goes_on", "is_late", "next", "session", "source")

    def __init__(self, session: int, window: int) -> None:
        self.session = session
        self.first = self.next = window
        self.ended = self.goes_on = self.is_late = False
        self.source: int | None = None
        self._seams: tuple[tuple[int, int], ...] = ()
        self._spans: list[_Span] = []  # by their first window; the newest is the last one, but for another model's

    def follows(self, window: int, model: str) -> bool:
        """Tell whether a label is the one to come next, of the model of the one before, and note it if it is."""
        if window != self.next or self.ended or not self._spans:
            return False
        newest = self._spans[-1]
        if newest.last != window - 1 or newest.model != model:
            return False
        newest.last = window
        self.next = window + 1
        return True

    def has(self, window: int, model: str) -> bool:
        """Tell whether a label was had."""
        return any(each.first <= window <= each.last and each.model in (model, _ANY) for each in self._spans)

    def knows(self, window: int) -> bool:
        """Tell whether a window was had or skipped."""
        return any(each.first <= window <= each.last for each in self._spans)

    def add(self, window: int, model: str) -> None:
        """Note a label."""
        self.ended = False
        self._add(window, window, model)

    def assume(self, first: int, last: int) -> None:
        """Note that windows were had, whichever model labelled them."""
        self._add(first, last, _ANY)

    def skip(self, first: int, last: int) -> None:
        """Note that windows got no label."""
        self._add(first, last, _SKIPPED)

    def part(self, last: int, following: int) -> None:
        """Note a seam: behind a window, another one follows that is not the next by its number."""
        if (last, following) not in self._seams:
            self._seams = (*self._seams, (last, following))[-SEAMS:]

    def up_to(self, window: int) -> list[tuple[int, int]]:
        """Return the windows that were published from the next one up to another, as runs of first and last one."""
        return [(first, min(last, window - 1)) for first, last in self._to_come() if first < window]

    def so_many(self, count: int) -> list[tuple[int, int]]:
        """Return so many windows from the next one on, as runs of first and last one."""
        runs = []
        for first, last in self._to_come():
            last = min(last, first + count - 1)
            runs.append((first, last))
            count -= last + 1 - first
            if not count:
                break
        return runs

    def _to_come(self) -> Iterator[tuple[int, int]]:
        """Yield the numbers that windows have from the next one on, as runs of first and last one."""
        first = self.next
        for last, following in chain(sorted(self._seams), [(MAX_INT, MAX_INT)]):
            if following > first:
                if last >= first:
                    yield first, last
                first = following

    def give_up(self, first: int, last: int) -> None:
        """Note that windows are lost."""
        self._add(first, last, _LOST)

    def is_lost(self, window: int) -> bool:
        """Tell whether a window was given up."""
        return any(each.first <= window <= each.last and each.model == _LOST for each in self._spans)

    def is_passed(self, window: int) -> bool:
        """Tell whether a window is lost, skipped, or was never heard of, though later ones were."""
        return window < self.next and not any(
            each.first <= window <= each.last and each.model not in (_LOST, _SKIPPED) for each in self._spans
        )

    def count(self) -> int:
        """Return how many windows were had or skipped, those among them of which that is not known for sure."""
        total, end = 0, -1
        for each in self._spans:
            total += max(each.last - max(each.first - 1, end), 0)
            end = max(end, each.last)
        return total

    def _add(self, first: int, last: int, model: str) -> None:
        self.next = max(self.next, last + 1)
        for each in self._spans:
            if each.model == model and each.last == first - 1:
                each.last = last
                return
        insort(self._spans, _Span(first, last, model), key=lambda each: each.first)
        if len(self._spans) > SPANS:
            oldest, second = self._spans[:2]
            self._spans[:2] = [_Span(oldest.first, max(oldest.last, second.last), _ANY)]
