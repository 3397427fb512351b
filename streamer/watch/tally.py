"""Counts what a subscriber has seen of each stream."""

import re
from collections import Counter, deque
from functools import lru_cache
from typing import Any

from kinestream.streamer.client.activities import Activity
from kinestream.streamer.client.progress import windows_beside
from kinestream.streamer.events.words import event_text
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published

_ANNOTATIONS = 8  # of a stream, that are kept
_SMOOTHING = 0.2  # share of the newest interval in the rate that is shown


class StreamTally:
    """What was seen of one stream.

    Parameters
    ----------
    stream : str
        Its name.

    Attributes
    ----------
    label : Label or None
        The newest one.
    since_ns, until_ns : int
        When the activity of the newest label began, by the last sample of its first window, and that of its newest
        window; monotonic ns.
    latency_ms, streamer_ms : float
        Of the newest label: from its window's last sample to its arrival here, and what of that passed in the
        streamer.
    labels : Counter of str
        Labels by class.
    skipped : int
        Windows that the streamer said it gave no label.
    missed : int
        Windows whose label should have come, since later ones did, and nothing was said of them.
    activity : Activity or None
        What was told last of its activities, where they are watched.
    annotations : deque of Annotation
        What was said of it lately, in the order in which it was.
    last_event : str
        What was last said of the stream besides its labels.
    refusal : str or None
        Why it is refused, as long as it is.
    ended : bool
        Whether its session has ended, or it was refused.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.label: Label | None = None
        self.since_ns = 0
        self.until_ns = 0
        self.latency_ms = 0.0
        self.streamer_ms = 0.0
        self.labels: Counter[str] = Counter()
        self.skipped = 0
        self.missed = 0
        self.activity: Activity | None = None
        self.annotations: deque[Annotation] = deque(maxlen=_ANNOTATIONS)
        self.last_event = ""
        self.refusal: str | None = None
        self.ended = False
        self._session = -1
        self._next_window: int | None = None  # None where a session has just been joined, wherever it stands
        self._arrived = 0
        self._interval_s: float | None = None

    def rate(self, now: int) -> float:
        """Return the labels per second of late, at a monotonic time in ns; it sinks while none comes."""
        if self._interval_s is None:
            return 0.0
        return 1 / max(self._interval_s, (now - self._arrived) / 1e9, 1e-9)

    def held_s(self, now: int) -> float:
        """Return for how long the activity of the newest label has lasted, at a monotonic time in ns."""
        return ((self.until_ns if self.ended else now) - self.since_ns) / 1e9

    def add_label(self, label: Label, arrived_ns: int, latency_ns: int, *, is_filled: bool = False) -> None:
        """Note a label that arrived at `arrived_ns`, monotonic, `latency_ns` after its last sample was taken.

        One that `is_filled` came late because it was asked for.
        """
        before = self.label
        self._join(label.session)
        self.labels[label.label] += 1
        if label.session == self._session and label.window < (self._next_window or 0):
            return  # given up before, or named once more by another bundle: it is not the newest
        self.until_ns = arrived_ns - latency_ns
        if before is None or before.session != label.session or before.label != label.label:
            self.since_ns = self.until_ns
        if self._next_window is not None:
            self.missed += max(label.window - self._next_window, 0)
        self._next_window = label.window + 1
        if not is_filled:
            self._time(arrived_ns)
            self.latency_ms = latency_ns / 1e6
            self.streamer_ms = (label.t_published - label.t_received) / 1e6
        self.label = label
        self.ended = False
        self.refusal = None

    def add_event(self, event: Event) -> None:
        """Note an event."""
        details = event.details
        if event.event == "accepted":
            # A stream that has ended and is described once more has not begun again.
            self.ended = self.ended and self.refusal is None and event.session < 0
            self.refusal = None
            if details.get("undelivered") or self.last_event.startswith("accepted"):  # it says why no labels come
                self.last_event = event_text(event)
            return
        if event.event == "reset" and event.session <= self._session:  # an older session is taken all the same
            self._session = event.session - 1
        if event.event == "seam" and self._next_window is not None:
            beside = windows_beside(event)
            self.missed += 0 if beside is None else max(beside[0] + 1 - self._next_window, 0)
            self._next_window = None if beside is None else beside[1]
        if event.event == "end" and event.session < self._session:
            return  # a later session has begun
        self._join(event.session)
        if event.event == "skipped":
            first, last = details.get("first_window", 0), details.get("last_window", -1)
            self.skipped += last - first + 1
            if self._next_window is not None:
                self.missed += max(first - self._next_window, 0)
                self._next_window = max(self._next_window, last + 1)
        self.ended = event.event in ("end", "refused")
        if event.event == "refused":
            self.refusal = str(details.get("reason"))
        self.last_event = event_text(event)

    @property
    def annotated(self) -> str | None:
        """What was said of the end of the newest label's window last, if anything was."""
        moment = self.label.t_source if self.label is not None else -1
        activities = (each.activity for each in reversed(self.annotations) if each.begin <= moment < each.end)
        return next(activities, None)

    def as_dict(self) -> dict[str, Any]:
        """Return the totals as JSON takes them."""
        return {
            "labels": self.labels.total(),
            "activities": dict(self.labels.most_common()),
            "windows_skipped": self.skipped,
            "windows_missed": self.missed,
        }

    def _join(self, session: int) -> None:
        if session > self._session:
            self._session = session
            self._next_window = None

    def _time(self, arrived_ns: int) -> None:
        if self._arrived:
            interval = (arrived_ns - self._arrived) / 1e9
            before = interval if self._interval_s is None else self._interval_s
            self._interval_s = before + _SMOOTHING * (interval - before)
        self._arrived = arrived_ns


class Tally:
    """What was seen of all streams.

    Attributes
    ----------
    streams : dict of str to StreamTally
        By name.
    labels : int
        Labels of all streams.
    """

    def __init__(self) -> None:
        self.streams: dict[str, StreamTally] = {}
        self.labels = 0

    def add(self, message: Published, arrived_ns: int, latency_ns: int = 0, *, is_filled: bool = False) -> None:
        """Note a label, an event or an annotation; see `StreamTally.add_label`."""
        seen = self.streams.get(message.stream)
        if seen is None:
            seen = self.streams[message.stream] = StreamTally(message.stream)
        if isinstance(message, Label):
            self.labels += 1
            seen.add_label(message, arrived_ns, latency_ns, is_filled=is_filled)
        elif isinstance(message, Annotation):
            seen.annotations.append(message)
        else:
            seen.add_event(message)

    def add_activity(self, activity: Activity) -> None:
        """Note what is told of an activity of a stream that was seen."""
        if activity.state != "ended":
            self.streams[activity.stream].activity = activity

    def in_order(self) -> list[StreamTally]:
        """Return the streams by name, numbers in it by their value; those that have ended come last."""
        return sorted(self.streams.values(), key=lambda seen: (seen.ended, natural(seen.stream)))


@lru_cache(maxsize=1 << 15)
def natural(name: str) -> list[tuple[int, str]]:
    """Return what sorts names as people do: numbers in them by their value."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]
