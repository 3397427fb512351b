"""Carries what a rig's devices deliver to a streamer, and says what comes of it.

Every source runs in a thread of its own and only hands over what arrived; all that is sent, counted and told happens in
the thread that calls `Bridge.run`.

Longer than other files: one class whose parts share what was heard.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from kinestream.model.clock import now_ns
from kinestream.streamer.bridges.arrivals import Arrivals
from kinestream.streamer.bridges.feed import DeviceFeed
from kinestream.streamer.bridges.rig import Rig
from kinestream.streamer.bridges.tally import Delivered, PartTally
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleConnection
from kinestream.streamer.events.undelivered import undelivered_text
from kinestream.streamer.events.words import event_text

_DESCRIBE_EVERY_S = 2.0
_MANY_STEPS, _STEPS_COUNT_S = 3, 60.0
"""A device may start anew or have its clock set now and then."""
_DESCRIBED_S = 0.5  # devices are described one after the other
_ANSWER_S = 3.0
"""After so long without an answer there is no streamer."""
_LAST_LABELS_S = 3.0
"""How long the last labels are waited for once every source has ended."""
_DESCRIBED_AGAIN_S = 1.0
_TURN_S = 0.02
"""How long readings are waited for before labels are looked at: a label is shown that late at most."""


class Source(Protocol):
    """Where readings come from; runs in threads of its own."""

    def start(self, arrivals: Arrivals) -> None:
        """Begin to hand readings over.

        Raises
        ------
        KinestreamError
            If it cannot be opened.
        """

    def hear(self, message: Label | Event) -> None:
        """Take a label or event of the stream: some show it to the wearer."""

    def state(self) -> dict[str, str]:
        """Return, by device, what is in its way; nothing where all is well."""

    def close(self) -> None:
        """Hand over no more."""


@dataclass(frozen=True)
class Look:
    """What a bridge is doing.

    Attributes
    ----------
    stream : str
        Whose readings it carries.
    devices : tuple of Delivered
        What each device, or sensor of one, delivers.
    problems : tuple of str
        What is in the way: lines that say what to do.
    accepted : bool or None
        Whether the streamer takes the stream; None where it has not answered.
    label : Label or None
        The newest one.
    label_age_s : float
        How old it is.
    labels, dropped, sessions : int
        Labels that came; readings for which there was no room here; sessions begun.
    undelivered : tuple of str
        Channels of the bundle that no device of the stream delivers.
    """

    stream: str
    devices: tuple[Delivered, ...]
    problems: tuple[str, ...] = ()
    accepted: bool | None = None
    label: Label | None = None
    label_age_s: float = 0.0
    labels: int = 0
    dropped: int = 0
    sessions: int = 1
    undelivered: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        label = None
        if self.label is not None:
            label = {"label": self.label.label, "p": round(self.label.p, 4), "age_s": round(self.label_age_s, 3)}
        return {
            "stream": self.stream,
            "accepted": self.accepted,
            "label": label,
            "labels": self.labels,
            "dropped": self.dropped,
            "sessions": self.sessions,
            "devices": {each.device: each.as_dict() for each in self.devices},
            "undelivered": list(self.undelivered),
            "problems": list(self.problems),
        }


@dataclass
class _Heard:
    """What the streamer has said."""

    label: Label | None = None
    at: float = 0.0
    labels: int = 0
    ended: bool = False
    undelivered: tuple[str, ...] = ()
    undelivered_since: float = 0.0
    accepted_at: float | None = None
    reasons: dict[tuple[str, str], str] = field(default_factory=dict)  # by kind of event and device


class Bridge:
    """Carries a rig's readings to a streamer.

    Parameters
    ----------
    rig : Rig
        What there is.
    sources : sequence of Source
        Where its devices come from.
    dry_run : bool
        Whether the devices are only looked at: they are described to the streamer, which says whether they fit, but no
        reading is sent, and no spool is opened.

    Raises
    ------
    EndpointError
        If an address of the streamer cannot be used.
    """

    def __init__(self, rig: Rig, sources: list[Source], *, dry_run: bool = False) -> None:
        self.rig = rig
        self._dry_run = dry_run
        self._sources = sources
        self._arrivals = Arrivals()
        self._heard = _Heard()
        self._sessions = 1
        self._stopping = False
        self._began = time.monotonic()
        self._session = now_ns()
        with ExitStack() as stack:
            ingest, control = (rig.ingest, rig.control) if rig.fleet is None else (None, None)
            self._connection = SampleConnection(
                ingest,
                control=control,
                timeout_s=0.0,
                reliable=not dry_run and rig.keeps,
                keys=rig.keys,
                fleet=rig.fleet,
            )
            stack.callback(self._connection.close)
            self._labels = LabelSubscriber(
                rig.labels, streams=[rig.stream], events=True, fill=False, keys=rig.keys, fleet=rig.fleet
            )
            stack.callback(self._labels.close)
            self._feeds = {
                name: DeviceFeed(
                    name,
                    device,
                    stream=rig.stream,
                    session=self._session,
                    connection=self._connection,
                    new_session=self._begin_anew,
                    dry_run=dry_run,
                )
                for name, device in rig.devices.items()
            }
            self._open = stack.pop_all()

    @property
    def tallies(self) -> list[PartTally]:
        """What came of every device, or sensor of one."""
        return [tally for feed in self._feeds.values() for tally in feed.tallies.values()]

    def start(self) -> None:
        """Open the sources.

        Raises
        ------
        KinestreamError
            If one cannot be opened.
        """
        for source in self._sources:
            source.start(self._arrivals)

    @property
    def address(self) -> str:
        """What a phone is to open; empty where none is expected."""
        return next((each for source in self._sources if (each := getattr(source, "address", ""))), "")

    def run(self, seconds: float, on_look: Callable[[Look], None], *, every_s: float = 0.5) -> None:
        """Carry readings until the time is over or every source has ended.

        Parameters
        ----------
        seconds : float
            For how long; may be infinite.
        on_look : callable
            Gets a `Look` every so often, and once at the end.
        every_s : float
            How often.

        Raises
        ------
        KinestreamError
            If a source ends in an error.
        """
        until, look_at, describe_at = time.monotonic() + seconds, 0.0, 0.0
        while (now := time.monotonic()) < until and not self._stopping and not self._arrivals.exhausted:
            self._connection.service()
            if now >= describe_at:  # a device that is silent is known all the same, and is told to be silent
                self._describe()
                describe_at = now + _DESCRIBE_EVERY_S
            if now >= look_at:
                on_look(self.look())
                look_at = now + every_s
            arrived = self._arrivals.get(min(_TURN_S, max(until - now, 0.0)))
            while arrived is not None:
                self._feeds[arrived.device].take(arrived)
                arrived = self._arrivals.get(0) if time.monotonic() < look_at else None
            self._hear()
        if self._arrivals.exhausted:
            self._hear_the_end()
        on_look(self.look())

    def stop(self) -> None:
        """Let `run` return soon; may be called from another thread."""
        self._stopping = True

    def look(self) -> Look:
        """Say how things are."""
        heard, now = self._heard, now_ns()
        answers = [answer for feed in self._feeds.values() for answer in feed.answers()]
        accepted = False if False in answers else None if None in answers else True
        return Look(
            self.rig.stream,
            tuple(tally.look(now) for tally in self.tallies),
            tuple(self._problems(accepted)),
            accepted,
            heard.label,
            time.monotonic() - heard.at if heard.label is not None else 0.0,
            heard.labels,
            sum(self._arrivals.dropped.values()),
            self._sessions,
            self._undelivered(),
        )

    def close(self) -> None:
        """End the session and close what is open."""
        for source in self._sources:
            source.close()
        for feed in self._feeds.values():
            feed.end()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hear_the_end(self) -> None:
        """Wait for what the last readings come to; in a dry run, for what the streamer says of the devices."""
        if not self._dry_run:
            for feed in self._feeds.values():
                feed.end()
        until, describe_at = time.monotonic() + _LAST_LABELS_S, time.monotonic() + _DESCRIBED_AGAIN_S
        while not self._has_heard_all() and time.monotonic() < until and not self._stopping:
            if self._dry_run and time.monotonic() >= describe_at:  # we may have listened too late the first time
                self._connection.service()
                self._describe()
                describe_at += _DESCRIBED_AGAIN_S
            self._hear()
            time.sleep(_TURN_S)

    def _has_heard_all(self) -> bool:
        if not self._dry_run:
            return self._heard.ended
        answers = [answer for feed in self._feeds.values() for answer in feed.answers()]
        if False in answers:
            return None not in answers
        accepted_at = self._heard.accepted_at
        return None not in answers and accepted_at is not None and time.monotonic() - accepted_at > _DESCRIBED_S

    def _describe(self) -> None:
        for feed in self._feeds.values():
            feed.describe()

    def _begin_anew(self) -> None:
        """Begin another session for all devices: a clock was set back."""
        self._session = max(now_ns(), self._session + 1)
        self._sessions += 1
        for feed in self._feeds.values():
            feed.begin(self._session)

    def _hear(self) -> None:
        while (message := self._labels.receive(0)) is not None:
            heard = self._heard
            if isinstance(message, Label):
                heard.label, heard.at = message, time.monotonic()
                heard.labels += 1
                heard.reasons.pop(("skipped", ""), None)
            elif not isinstance(message, Event):
                continue  # an annotation is for whoever watches
            elif message.event == "end":
                heard.ended = message.session == self._session
            elif message.event == "accepted":
                heard.reasons.pop(("refused", ""), None)
                heard.accepted_at = time.monotonic()
                self._note_undelivered(message.details.get("undelivered"))
            elif message.event in ("refused", "skipped", "device", "rate"):
                device = str(message.details.get("device", ""))
                if message.event == "device" and not device:
                    continue  # that channels are not delivered: the acceptance says it sooner
                heard.reasons.pop((message.event, device), None)
                if False not in (
                    message.details.get("silent"),
                    message.details.get("frozen"),
                ):  # one is back: no problem
                    heard.reasons[message.event, device] = event_text(message)
            for source in self._sources:
                source.hear(message)

    def _problems(self, accepted: bool | None) -> list[str]:
        now = time.monotonic()
        problems = [f"{device}: {what}" for source in self._sources for device, what in source.state().items()]
        problems += [
            f"{name}: its clock stepped {steps} times in the last minute against this machine's: if it is a recording, "
            "play it with 'kinestream replay'"
            for name, feed in self._feeds.items()
            if (steps := sum(now - at < _STEPS_COUNT_S for at in feed.steps)) >= _MANY_STEPS
        ]
        problems += dict.fromkeys(feed.unkept for feed in self._feeds.values() if feed.unkept)  # each once
        is_late = now - self._began > _ANSWER_S  # it may only just have been asked
        if accepted is None and is_late and (not self._heard.labels or now - self._heard.at > _DESCRIBE_EVERY_S * 2):
            where = self.rig.fleet or self.rig.control
            problems.append(f"no streamer has answered at {where}: start one with 'kinestream serve BUNDLE'")
        if undelivered := self._undelivered():
            problems.append(undelivered_text(undelivered))
        return problems + list(self._heard.reasons.values())

    def _note_undelivered(self, names: object) -> None:
        heard = self._heard
        if not heard.undelivered:
            heard.undelivered_since = time.monotonic()
        heard.undelivered = tuple(map(str, names)) if isinstance(names, list) else ()

    def _undelivered(self) -> tuple[str, ...]:
        """Return the channels that no device delivers; nothing until all of the rig's should be known."""
        heard = self._heard
        return heard.undelivered if time.monotonic() - heard.undelivered_since > _DESCRIBED_S else ()
