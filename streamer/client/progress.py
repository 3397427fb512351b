"""What a subscriber has received of a stream: what is new, what is a repetition, what must have been missed."""

import math
from typing import Any

from kinestream.streamer.client.seen import Seen
from kinestream.streamer.wire.messages import MAX_INT, Event, Label, Published

_SESSIONS = 16  # that are remembered: what a streamer that was killed is sent again may be of several
_SESSIONS_IN_BRIEF = 128  # before those: of each how far it was had
_ANEW_NS = 9_000_000_000  # a streamer takes a session that begins anew under its number once that has lasted for 10 s
_MAY_GO_ON = "stopped", "moved"  # why a session ends that may go on where it was: the streamer no longer has it
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

    __slots__ = ("_in_brief", "_newest", "_recent", "_sessions", "seen")

    def __init__(self) -> None:
        self.seen: Seen | None = None
        self._sessions: dict[int, Seen] = {}
        self._in_brief: dict[int, tuple[int, int]] = {}  # the first window that is known of, and one past the last
        self._newest: Label | None = None
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
            self._newest = message
            return True
        return False

    def has_reached(self, session: int, window: float) -> bool:
        """Tell whether a window of a session was had or given up."""
        seen = self._sessions.get(session)
        return window < (seen.next if seen is not None else self._in_brief.get(session, (0, 0))[1])

    def has_had(self, message: Published) -> bool:
        """Tell whether a message is a label that was had, whatever is yet to come before it."""
        if not isinstance(message, Label):
            return False
        seen = self._sessions.get(message.session)
        if seen is None or message.window >= seen.next or not seen.has(message.window, message.model):
            return False
        until = self._latest(seen)
        # What is much later is of a session that began again.
        return until is not None and message.t_source <= until + _ANEW_NS

    def begin_again(self, message: Published, *, is_lost: bool = False) -> None:
        """Take a label for the first of its session if that has ended and begins anew under the same number.

        So does one of a device that was restarted and has no clock. What is made again of an ended session has the
        times of its windows; what begins anew is later than those. A session that goes on further ahead, as of a device
        that was silent for long, begins anew if what would be between `is_lost`: nobody can tell whether it ever was.
        """
        if not isinstance(message, Label):
            return
        seen = self._sessions.get(message.session)
        if seen is not None and (is_lost or message.window < seen.next) and self._begins_again(seen, message):
            # Nothing is asked for that may have been before it: it could not be told from what was had before the end.
            self.seen = self._sessions[message.session] = Seen(message.session, message.window)
            self.seen.is_late = 0 < message.window < seen.next

    def _latest(self, seen: Seen) -> int | None:
        """Return when the latest window of a session was taken, Unix ns, as far as that is known."""
        newest = self._newest
        if newest is None or newest.session != seen.session:
            return seen.source
        # Another bundle may have labelled windows once more after the last one.
        return newest.t_source if seen.source is None else max(newest.t_source, seen.source)

    @staticmethod
    def _begins_again(seen: Seen, label: Label) -> bool:
        if not seen.ended or seen.goes_on or seen.source is None or label.window == seen.next:
            return False
        if seen.first <= label.window and seen.is_passed(label.window):
            return False  # it comes late
        # Where samples come faster than they were taken, those of a message that came later may seem to be older.
        return label.t_source > seen.source + _ANEW_NS

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
                if known is None:  # nothing came of its session
                    return seen is not None and message.session > seen.session and (beside[0] >= 0 or not seen.ended)
                return bool(known.up_to(beside[0] + 1))
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
        self,
        message: Published,
        frame: bytes,
        *,
        lost: str | None,
        knows_again: bool = False,
        in_order: bool = True,
        takes_lost: bool = False,
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
            Whether windows are old that lie before others that were had, and were never heard of themselves.
        takes_lost : bool
            Whether those are not that were told as missed.

        Returns
        -------
        bool, list of Event
            Whether it is new, and the ``missed`` events of what is lost before it.
        """
        missed: list[Event] = []
        if isinstance(message, Label):
            seen, window = self._of(message.session, message.window, lost), message.window
            if window < seen.next:
                is_passed = seen.is_passed(window) if in_order else seen.is_lost(window) and not takes_lost
                if is_passed or seen.has(window, message.model):
                    return False, missed
            self.seen = seen
            missed = self._missed(message, seen, window, lost)
            seen.add(window, message.model)
            self._newest = message
        elif isinstance(message, Event) and message.event == "skipped":
            first, last = message.details["first_window"], message.details["last_window"]
            seen = self._of(message.session, first, lost)
            if last < seen.next and (seen.knows(first) or in_order):
                return False, missed
            self.seen = seen
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
                seen.ended, seen.goes_on = True, message.details.get("reason") in _MAY_GO_ON
                seen.source = self._latest(seen)
            elif seen is not None and (beside := windows_beside(message)) is not None:
                seen.part(*beside)
                seen.source = self._latest(seen)  # behind it a clock may have been set back
        mark = hash(frame)
        if knows_again and mark in self._recent:
            return False
        if len(self._recent) >= _RECENT:
            self._recent.clear()
        self._recent.add(mark)
        return True

    def _of(self, session: int, window: int, lost: str | None) -> Seen:
        """Return what was had of a session, which is the newest from now on if none is later."""
        seen = self._sessions.get(session)
        if seen is None:
            seen = self._sessions[session] = self._begun(session, window)
            # Of the session before, something was had: we listened when this one began.
            seen.is_late = lost is not None and window > 0 and self.seen is not None and session >= self.seen.session
            if len(self._sessions) > _SESSIONS:
                oldest = self._sessions.pop(next(iter(self._sessions)))
                self._in_brief[oldest.session] = oldest.first, oldest.next
                if len(self._in_brief) > _SESSIONS_IN_BRIEF:
                    del self._in_brief[next(iter(self._in_brief))]
        if self.seen is None or session >= self.seen.session:
            self.seen = seen
        return seen

    def _begun(self, session: int, window: int) -> Seen:
        first, end = self._in_brief.pop(session, (window, window))
        seen = Seen(session, first)
        if end > first:
            seen.assume(first, end - 1)
        return seen

    def _missed(self, message: Label | Event, seen: Seen, window: int, lost: str | None) -> list[Event]:
        """Return what tells of the windows before one that have not come."""
        return [] if lost is None else [_given_up(message, seen, *run, lost) for run in seen.up_to(window)]

    def _missed_before(self, event: Event, lost: str | None) -> list[Event]:
        """Return what tells of the windows before an event that have not come."""
        if event.event == "end":
            return self._missed_before_end(event, lost)
        seen, beside = self._sessions.get(event.session), windows_beside(event)
        if beside is None:
            return []
        return [] if seen is None else self._missed(event, seen, beside[0] + 1, lost)

    def _missed_before_end(self, end: Event, lost: str | None) -> list[Event]:
        """Return what tells of the windows that a session had besides those that came.

        They were its last ones, as far as those before the first that came do not make up for them; and its first ones,
        where we listened when it began.
        """
        windows, seen = _count(end.details), self._sessions.get(end.session)
        if not windows or self.seen is None:
            return []
        if seen is None and lost is not None and end.session > self.seen.session:
            seen = self._of(end.session, 0, None)
        if seen is None or seen.ended:
            return []
        missed = []
        left = windows - seen.count()
        last_ones = left - seen.first if lost is not None else 0
        if last_ones > 0:
            missed += [_given_up(end, seen, *run, lost or "") for run in seen.so_many(last_ones)]
        first_ones = min(left - max(last_ones, 0), seen.first) if seen.is_late else 0
        if first_ones > 0:
            missed.append(_given_up(end, seen, seen.first - first_ones, seen.first - 1, lost or GONE))
        return missed


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
