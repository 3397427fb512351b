"""What a subscriber has received of a stream: what is new, what is a repetition, what must have been missed."""

import math
from typing import Any

from kinestream.streamer.client.seen import Seen
from kinestream.streamer.wire.messages import MAX_INT, Event, Label, Published

_SESSIONS = 16  # that are remembered: what a streamer that was killed is sent again may be of several
_RECENT = 1000  # events since the last window, that are known again

GONE = "the streamer keeps them no more"
UNANSWERED = "no streamer has answered where they are asked for"
"""Why windows are missed."""


class Progress:
    """What was had of a stream.

    Attributes
    ----------
    seen : Seen or None
        Of the session whose label came last.
    """

    __slots__ = ("_recent", "_sessions", "seen")

    def __init__(self) -> None:
        self.seen: Seen | None = None
        self._sessions: dict[int, Seen] = {}
        self._recent: set[int] = set()  # hashes of the events that were handed out since the last window

    def follows(self, message: Published) -> bool:
        """Tell whether a message is the label that comes next, and note it if it is: as most do, and quickly."""
        seen = self.seen
        if (
            type(message) is Label
            and seen is not None
            and seen.session == message.session
            and seen.follows(message.window, message.model)
        ):
            if self._recent:
                self._recent.clear()
            return True
        return False

    def has_reached(self, session: int, window: float) -> bool:
        """Tell whether a window of a session was had or given up."""
        seen = self._sessions.get(session)
        return seen is not None and window < seen.next

    def begins(self, message: Published) -> bool:
        """Tell whether a message is the first label of a session behind one that has ended."""
        seen = self.seen
        return isinstance(message, Label) and seen is not None and seen.ended and message.session not in self._sessions

    def is_behind(self, message: Published, *, joins: bool) -> bool:
        """Tell whether a message shows that something before it has not come.

        Parameters
        ----------
        message : Published
            It.
        joins : bool
            Whether what was before the first label that came is missing, too.
        """
        seen = self.seen
        windows = windows_of(message)
        if windows is None:
            if not isinstance(message, Event):
                return False
            known = self._sessions.get(message.session)
            if (beside := windows_beside(message)) is not None:
                return known is not None and bool(known.up_to(beside[0] + 1))
            if message.event != "end":
                return False
            if known is None:  # nothing came of it
                is_next = joins if seen is None else message.session > seen.session
                return is_next and _count(message.details) not in (None, 0)
            return known is seen and not seen.ended and _count(message.details) not in (None, seen.count())
        if seen is None:
            return joins and windows[0] > 0
        known = self._sessions.get(message.session)
        if known is not None:
            return bool(known.up_to(windows[0]))
        return windows[0] > 0 or not seen.ended

    def admit(
        self, message: Published, frame: bytes, *, lost: str | None, knows_again: bool = False, in_order: bool = True
    ) -> tuple[bool, list[Event]]:
        """Note a message.

        Parameters
        ----------
        message, frame : Published, bytes
            The message, and as it came.
        lost : str, optional
            Why windows before it are lost that have not come; None where there are none, whatever their numbers say.
        knows_again : bool
            Whether events may have come before.
        in_order : bool
            Whether windows are old that lie behind later ones and were told as missed, or never heard of.

        Returns
        -------
        bool, list of Event
            Whether it is new, and the ``missed`` events of what is lost before it.
        """
        missed: list[Event] = []
        if isinstance(message, Label):
            seen = self._of(message.session, message.window)
            is_passed = in_order and seen.is_passed(message.window)
            if message.window < seen.next and (is_passed or seen.has(message.window, message.model)):
                return False, missed
            missed = self._missed(message, seen, message.window, lost)
            seen.add(message.window, message.model)
        elif isinstance(message, Event) and message.event == "skipped":
            first, last = message.details["first_window"], message.details["last_window"]
            seen = self._of(message.session, first)
            if last < seen.next and (seen.knows(first) or in_order):
                return False, missed
            missed = self._missed(message, seen, first, lost)
            seen.skip(first, last)
        else:
            if isinstance(message, Event):
                missed = self._missed_before(message, lost)
            return self._is_new(message, frame, knows_again), missed
        if not knows_again:
            self._recent.clear()
        return True, missed

    def _is_new(self, message: Published, frame: bytes, knows_again: bool) -> bool:
        if isinstance(message, Event):
            seen = self._sessions.get(message.session)
            if seen is not None and message.event == "end":
                seen.ended = True
            elif seen is not None and (beside := windows_beside(message)) is not None:
                seen.part(*beside)
        mark = hash(frame)
        if knows_again and mark in self._recent:
            return False
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent.add(mark)
        return True

    def _of(self, session: int, window: int) -> Seen:
        """Return what was had of a session, which is the newest from now on."""
        seen = self._sessions.get(session)
        if seen is None:
            seen = self._sessions[session] = Seen(session, window)
            if len(self._sessions) > _SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        self.seen = seen
        return seen

    def _missed(self, message: Label | Event, seen: Seen, window: int, lost: str | None) -> list[Event]:
        """Return what tells of the windows before one that have not come."""
        return [] if lost is None else [_given_up(message, seen, *run, lost) for run in seen.up_to(window)]

    def _missed_before(self, event: Event, lost: str | None) -> list[Event]:
        """Return what tells of the windows before an event that have not come."""
        if event.event == "end":
            return self._missed_before_end(event, lost)
        seen, beside = self._sessions.get(event.session), windows_beside(event)
        return [] if seen is None or beside is None else self._missed(event, seen, beside[0] + 1, lost)

    def _missed_before_end(self, end: Event, lost: str | None) -> list[Event]:
        """Return what tells of the windows that a session had besides those that came: they were its last ones."""
        windows, seen = _count(end.details), self._sessions.get(end.session)
        if lost is None or windows is None or self.seen is None:
            return []
        if seen is None and end.session > self.seen.session:
            seen = self._of(end.session, 0)
        left = 0 if seen is None or seen.ended else windows - seen.first - seen.count()
        if seen is None or left <= 0:
            return []
        return [_given_up(end, seen, *run, lost) for run in seen.so_many(left)]


def windows_of(message: Published) -> tuple[int, int] | None:
    """Return the first and last window that a label or a ``skipped`` event tells of; None of others."""
    if isinstance(message, Label):
        return message.window, message.window
    if isinstance(message, Event) and message.event == "skipped":
        return message.details["first_window"], message.details["last_window"]
    return None


def windows_beside(event: Event) -> tuple[int, int] | None:
    """Return the windows before and behind a ``seam``; None of other events, and where it does not say."""
    if event.event != "seam":
        return None
    last, following = event.details.get("last_window"), event.details.get("next_window")
    if type(last) is int and type(following) is int and -1 <= last < following < MAX_INT:
        return last, following
    return None


def place_of(message: Published) -> tuple[int, float] | None:
    """Return the session of a message and the first window that it tells of: past all where it is the session's end.

    A ``seam`` lies behind the window before it.
    """
    if isinstance(message, Event):
        if message.event == "end":
            return message.session, math.inf
        if (beside := windows_beside(message)) is not None:
            return message.session, beside[0] + 0.5
    windows = windows_of(message)
    return None if windows is None else (message.session, windows[0])


def _given_up(message: Published, seen: Seen, first: int, last: int, lost: str) -> Event:
    """Give windows up; return what tells of them before a message."""
    about = {"first_window": first, "last_window": last, "reason": lost}
    seen.give_up(first, last)
    return Event("missed", message.stream, message.session, about)


def _count(details: dict[str, Any]) -> int | None:
    """Return how many windows an ``end`` says that its session had; None where it does not."""
    counts = details.get("windows")
    if not isinstance(counts, dict) or not all(type(each) is int and 0 <= each < MAX_INT for each in counts.values()):
        return None
    return sum(counts.values())
