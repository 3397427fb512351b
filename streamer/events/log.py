"""Logs events of streams, so that a program that only reads labels learns why none come."""

import logging
import time
from collections import Counter

from kinestream.model.printable import printable
from kinestream.streamer.events.words import event_text
from kinestream.streamer.wire.messages import Event

log = logging.getLogger("kinestream.events")

_AGAIN_S = 60.0  # how soon the same of the same stream is worth another line
_LINES, _PER_S = 20, 10.0  # so many lines at most in so many seconds: thousands of streams may all say the same
_REMEMBERED = 10_000
_SILENT = ("end",)  # what happens to every session


class EventLog:
    """Logs events as warnings: a refusal once per stream and reason, anything else once a minute per stream and kind.

    Sessions that end are logged as information, descriptions that are accepted not at all. Where more comes than a
    person reads, the rest is counted.
    """

    def __init__(self) -> None:
        self._logged: dict[tuple[str, str], tuple[str, float]] = {}  # what was said of it last, and when
        self._unsaid: Counter[tuple[str, str]] = Counter()
        self._left, self._began, self._dropped = _LINES, 0.0, 0

    def add(self, event: Event) -> None:
        """Log an event, unless it is old news."""
        if event.event == "accepted":
            self.accept(event.stream)
        elif event.event in _SILENT:
            log.info("stream %s: %s", event.stream, event_text(event))
        elif self._is_news(event):
            self._warn(event)

    def accept(self, stream: str) -> None:
        """Note that a stream is accepted: should it be refused again, that is news."""
        self._logged.pop((stream, "refused"), None)

    def forget(self, stream: str) -> None:
        """Forget what was said of a stream."""
        for of in [of for of in self._logged if of[0] == stream]:
            self._logged.pop(of)
            self._unsaid.pop(of, None)

    def _is_news(self, event: Event) -> bool:
        of, said, now = (event.stream, event.event), event_text(event), time.monotonic()
        before, when = self._logged.get(of, ("", 0.0))
        if event.event == "refused":
            if said == before:
                return False
        elif before and now - when < _AGAIN_S:
            self._unsaid[of] += 1
            return False
        if len(self._logged) >= _REMEMBERED:
            self._logged.clear()
            self._unsaid.clear()
        self._logged[of] = (said, now)
        return True

    def _warn(self, event: Event) -> None:
        now = time.monotonic()
        if now - self._began >= _PER_S:
            if self._dropped:
                log.warning("%d more events of streams were not logged: receive them with events=True", self._dropped)
            self._left, self._began, self._dropped = _LINES, now, 0
        if not self._left:
            self._dropped += 1
            return
        self._left -= 1
        more = self._unsaid.pop((event.stream, event.event), 0)
        since = f" (and {more} more since the last such line)" if more else ""
        log.warning("stream %s: %s%s", event.stream, printable(event_text(event)), since)
