"""What is known of one stream: what the wearer does now, how well that is known, and what is in the way."""

from typing import NamedTuple

from kinestream.streamer.dashboard.classes import NOTHING, SKIPPED
from kinestream.streamer.dashboard.member import Member
from kinestream.streamer.dashboard.past import FEW_LABELS, LABELS, Mark, Past
from kinestream.streamer.dashboard.strip import SECOND, Strip
from kinestream.streamer.events.lines import in_words
from kinestream.streamer.events.undelivered import undelivered_text
from kinestream.streamer.events.words import event_text
from kinestream.streamer.watch.tally import StreamTally
from kinestream.streamer.wire.messages import Annotation, Event, Label

WAITING, LIVE, SILENT, REFUSED, ENDED = "waiting", "live", "silent", "refused", "ended"
NO_LABELS, IMPAIRED, NOTABLE, FINE = 3, 2, 1, 0
"""How much is wrong with a stream: no labels come, they are not what they should be, or there is something to say."""

_SILENT_S = 3.0
_SILENT_STRIDES = 4
_SMOOTHING = 0.2  # share of the newest interval or delay in what is shown
_RECENT_S = 10.0  # for so long skipped windows, late readings and a wrong rate are told
_DESCRIBED_S = 1.0  # devices are described one after the other: a channel that lacks for longer is worth a line
_MISSING = 0.2
_SLOW = 0.8  # of the labels that should come
_LATE_MS = 2000.0
_CLOCK_MS = (-1000.0, 60_000.0)  # a delay beyond is a sensor's clock that is wrong
_MOST_DEVICES = 32
_CLOCK_NS = 60 * SECOND


class Problem(NamedTuple):
    """What is wrong with a stream, and how much."""

    severity: int
    text: str


class Seen(NamedTuple):
    """A stream as a page shows it in a line.

    Attributes
    ----------
    number, stream : int, str
        Which.
    state : str
        `WAITING`, `LIVE`, `SILENT`, `REFUSED` or `ENDED`.
    activity : int
        The number of what the newest label says; `NOTHING` before the first.
    p : int
        Its probability in hundredths.
    since : int
        The Unix second in which that activity began.
    rate, nominal : float
        Labels a second, and how many there should be; 0 where that is not known.
    missing : int
        The share of the newest window that did not come, in hundredths, of the device that missed most.
    latency_ms : float
        From a window's last sample to its label's publication, smoothed; where the sensor's clock is wrong, the
        streamer's part of it.
    devices : tuple of (str, str)
        Each with its state: empty, ``silent``, ``frozen`` or how much of it is missing.
    severity, problem : int, str
        What is wrong, if anything is.
    annotated : int
        The number of what was last said of that time; `NOTHING` where nothing was.
    streamer : str
        Of a fleet, which of its streamers has the stream; empty where there is but one.
    """

    number: int
    stream: str
    state: str
    activity: int
    p: int
    since: int
    rate: float
    nominal: float
    missing: int
    latency_ms: float
    devices: tuple[tuple[str, str], ...]
    severity: int
    problem: str
    annotated: int
    streamer: str = ""


class Row:
    """The state of one stream.

    Parameters
    ----------
    number : int
        By which a page calls it.
    stream : str
        Its name.
    few : bool
        Whether little of its past is kept, since there are many streams.

    Attributes
    ----------
    tally : StreamTally
        Its labels and events, counted.
    strip : Strip
        The last minutes, in seconds of the streamer's clock.
    past : Past
        Labels, events and annotations, on the wearer's clock.
    stride_s : float
        From one window to the next; 0 until that is known.
    activity, p : int, float
        What the newest label says.
    latency_ms : float
        Smoothed.
    moment : int
        When the newest window's last sample was taken, Unix ns on the wearer's clock; 0 before the first.
    rates : dict of (float, float) by str
        What each device delivers and what it declares, readings a second, while somebody looks at the stream; -1 where
        that is not known yet.
    heard_at : int
        When something was heard of it last, monotonic ns.
    member : Member or None
        Of a fleet, which of its streamers has the stream; None where there is but one.
    """

    def __init__(self, number: int, stream: str, few: bool = False) -> None:
        self.number, self.stream = number, stream
        self.tally = StreamTally(stream)
        self.strip = Strip()
        self.past = Past(FEW_LABELS if few else LABELS)
        self.stride_s = self.window_s = 0.0
        self.activity, self.p = NOTHING, 0.0
        self.latency_ms = 0.0
        self.moment = 0
        self.rates: dict[str, tuple[float, float]] = {}
        self._devices: dict[str, str] = {}
        self._missing: dict[str, float] = {}
        self._published = 0
        self._interval_s = 0.0
        self._since = 0
        self.heard_at = 0
        self.member: Member | None = None
        self._arrived = 0
        self._accepted: int | None = None
        self._undelivered: tuple[int, str] | None = None  # since when, and that no device delivers some channels
        self._unusual: dict[str, str] = {}
        self._notes: dict[str, tuple[int, Problem]] = {}

    def add_label(self, label: Label, number: int, now: int) -> None:
        """Note a label whose activity has this number; it arrived at `now`, monotonic ns."""
        before, published = self.tally.label, label.t_published
        delay = published - label.t_source
        self.tally.add_label(label, now, delay)
        delay_ms = delay / 1e6
        if not _CLOCK_MS[0] < delay_ms < _CLOCK_MS[1]:
            delay_ms = self.tally.streamer_ms
        if before is None:
            self.latency_ms = delay_ms
        else:
            interval_s = max((published - self._published) / SECOND, 0.0)
            if before.session == label.session:  # what lies between sessions is no rate
                self._interval_s += (_SMOOTHING if self._interval_s else 1.0) * (interval_s - self._interval_s)
            self.latency_ms += _SMOOTHING * (delay_ms - self.latency_ms)
        second = published // SECOND
        began = self._published // SECOND + 1
        if published - self._published > max(2 * self.stride_s, 2.0) * SECOND:  # a pause stays empty
            began = second
        self.strip.paint(min(began, second), second, number)
        if number != self.activity or before is None or before.session != label.session:
            self._since = second
        self.activity, self.p = number, label.p
        self.moment = label.t_source
        self._missing = label.missing
        self._published, self._arrived = published, now
        self.heard_at = now
        self.past.add(label, number)

    def add_event(self, event: Event, now: int, unix: int) -> None:
        """Note an event that arrived at `now`, monotonic ns, which is `unix` in Unix ns."""
        self.heard_at = now
        details = event.details
        self.tally.add_event(event)
        if event.event == "accepted":
            self._accept(details, now)
            return
        text = in_words(event_text(event))
        self.past.mark(Mark(self._moment_at(unix), event.event, text))
        match event.event:
            case "device" if isinstance(device := details.get("device"), str):
                known = "silent" if details.get("silent") else "frozen" if details.get("frozen") else ""
                if device in self._devices or len(self._devices) < _MOST_DEVICES:
                    self._devices[device] = known
            case "device" | "skipped":
                self._note(event.event, IMPAIRED, text, now)
                if event.event == "skipped":
                    self.strip.paint(unix // SECOND, unix // SECOND, SKIPPED)
            case "unusual":
                sensor = str(details.get("sensor"))
                self._unusual.pop(sensor, None)
                if details.get("unusual") and len(self._unusual) < _MOST_DEVICES:
                    self._unusual[sensor] = text
            case "rate" | "late" | "gap" | "seam":
                self._note(event.event, NOTABLE, text, now)
            case "reset" | "end":
                self._undelivered = None
                self._devices.clear()
                self._unusual.clear()
                self._notes.clear()

    def annotate(self, annotation: Annotation) -> None:
        """Note what a person says of it."""
        self.past.annotate(annotation)
        self.tally.annotations.append(annotation)

    def state(self, now: int) -> str:
        """Return what can be said of it at a monotonic time in ns."""
        if self.tally.refusal is not None:
            return REFUSED
        if self.tally.ended:
            return ENDED
        if self.tally.label is None:
            return WAITING
        return SILENT if (now - self._arrived) / SECOND > self._patience_s else LIVE

    def rate(self, now: int) -> float:
        """Return the labels a second; it sinks while none comes."""
        if not self._interval_s or self.tally.ended:
            return 0.0
        silent_s = (now - self._arrived) / SECOND
        return 1 / max(self._interval_s, silent_s if silent_s > 2 * self._interval_s else 0.0, 1e-4)

    def problem(self, now: int) -> Problem:
        """Return the worst that is wrong with it; `FINE` where nothing is."""
        state = self.state(now)
        if state == ENDED:
            return Problem(FINE, "")
        if state == REFUSED:
            return Problem(NO_LABELS, f"refused: {self.tally.refusal}")
        if self.member is not None and (absence := self.member.absence(now)):
            return Problem(NO_LABELS, absence)
        if self._undelivered is not None and (now - self._undelivered[0]) / SECOND > _DESCRIBED_S:
            return Problem(NO_LABELS, self._undelivered[1])
        if state == SILENT:
            return Problem(NO_LABELS, f"no label for {_seconds(now - self._arrived)}{self._why(now)}")
        waited = now - (now if self._accepted is None else self._accepted)
        if state == WAITING and waited / SECOND > max(5.0, 2 * self.window_s):
            return Problem(NO_LABELS, f"accepted {_seconds(waited)} ago, but no label yet{self._why(now)}")
        return max(self._impairments(now), key=lambda each: each.severity, default=Problem(FINE, ""))

    def look(self, now: int, annotated: int = NOTHING) -> Seen:
        """Return it as a line at a monotonic time in ns, beside the number of what was said of it."""
        problem = self.problem(now)
        return Seen(
            self.number,
            self.stream,
            self.state(now),
            self.activity,
            round(100 * self.p),
            self._since,
            round(self.rate(now), 1),
            round(1 / self.stride_s, 2) if self.stride_s else 0.0,
            round(100 * max(self._missing.values(), default=0.0)),
            round(self.latency_ms, 1) if self.latency_ms < 100 else float(round(self.latency_ms)),
            tuple((name, self._device_state(name)) for name in sorted({*self._missing, *self._devices})),
            problem.severity,
            problem.text,
            annotated,
            "" if self.member is None else self.member.name,
        )

    @property
    def _patience_s(self) -> float:
        return max(_SILENT_S, _SILENT_STRIDES * self.stride_s)

    def _accept(self, details: dict[str, object], now: int) -> None:
        if self._accepted is None:
            self._accepted = now
        names = details.get("undelivered")
        if isinstance(names, list) and names:
            self._undelivered = now if self._undelivered is None else self._undelivered[0], undelivered_text(names)
        else:
            self._undelivered = None
        window, rate = details.get("window"), details.get("rate_hz")
        if isinstance(window, dict) and isinstance(rate, int | float) and rate > 0:
            stride, length = window.get("stride"), window.get("length")
            if isinstance(stride, int) and isinstance(length, int) and stride > 0:
                self.stride_s, self.window_s = stride / rate, length / rate

    def _moment_at(self, unix: int) -> int:
        """Return where on the wearer's clock something happened of which only its arrival is known."""
        is_near = abs(self._published - self.moment) < _CLOCK_NS
        return unix if is_near or not self.moment else self.moment

    def _device_state(self, name: str) -> str:
        known = self._devices.get(name, "")
        share = self._missing.get(name, 0.0)
        return known or (f"{round(100 * share)}% missing" if share >= 0.005 else "")

    def _impairments(self, now: int) -> list[Problem]:
        found = [
            Problem(IMPAIRED, f"{device} is {state}: see that it is on and worn")
            for device, state in self._devices.items()
            if state
        ]
        found += [
            Problem(IMPAIRED, f"{share:.0%} of {device}'s samples are missing: its link may be weak")
            for device, share in self._missing.items()
            if share > _MISSING and not self._devices.get(device)
        ]
        found += [Problem(IMPAIRED, text) for text in self._unusual.values()]
        found += [problem for at, problem in self._notes.values() if (now - at) / SECOND < _RECENT_S]
        if self.stride_s and 0 < self.rate(now) < _SLOW / self.stride_s:
            found.append(Problem(NOTABLE, f"{self.rate(now):.1f} labels/s instead of {1 / self.stride_s:.1f}"))
        if self.latency_ms > _LATE_MS:
            found.append(Problem(NOTABLE, f"labels come {self.latency_ms / 1000:.1f} s after their windows' ends"))
        return found

    def _note(self, kind: str, severity: int, text: str, now: int) -> None:
        self._notes[kind] = now, Problem(severity, text)

    def _why(self, now: int) -> str:
        """Return what may be the cause that no label comes."""
        notes = [problem.text for at, problem in self._notes.values() if (now - at) / SECOND < _RECENT_S]
        return f": {notes[0]}" if notes else ": do its samples still arrive?"


def _seconds(ns: int) -> str:
    seconds = max(ns, 0) // SECOND
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"
