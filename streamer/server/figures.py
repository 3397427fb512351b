"""The status of a streamer and of its streams: counters, rates and latencies, kept while somebody listens."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.system import own_version, resident_bytes
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.streams.stream import KnownStream
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published
from kinestream.streamer.wire.status import (
    LATENCY_BOUNDS_NS,
    STAGES,
    DeviceStatus,
    Latencies,
    Status,
    StreamsStatus,
    StreamStatus,
)

PIECE_STREAMS = 10
"""Streams in a piece; it takes a fifth of a millisecond to make one, and labels wait meanwhile."""
_RATE_NS = 5_000_000_000  # over how long a rate is measured, or up to twice that
_TOTALS_SHARE = 1000
"""To add up every counter takes longer the more streams there are, two milliseconds for a thousand, and labels wait
meanwhile; it may take one part in so many of the time."""
_TIMES_AT_ONCE = 256  # labels whose latencies are counted together: a tenth of a millisecond's work
_BOUNDS = np.array(LATENCY_BOUNDS_NS)


class _Rate:
    """How many a second, from how far something has come."""

    __slots__ = ("_later", "_now", "_since")

    def __init__(self) -> None:
        self._since = self._later = self._now = (0, -1)

    def update(self, at: int, reached: int) -> None:
        """Note how far it has come at that time, ns."""
        if reached < self._now[1] or self._now[1] < 0:
            self._since = self._later = at, reached
        self._now = at, reached
        if at - self._later[0] >= _RATE_NS:
            self._since, self._later = self._later, self._now

    @property
    def per_s(self) -> float:
        """So many, -1 where it is not known yet."""
        (began, first), (ended, last) = self._since, self._now
        return (last - first) * 1e9 / (ended - began) if ended > began else -1.0


class _Heard:
    """What was counted of a stream."""

    __slots__ = ("devices", "events", "label", "published", "rate", "turn")

    def __init__(self) -> None:
        self.label: Label | None = None
        self.published = 0
        self.events: Counter[str] = Counter()
        self.rate = _Rate()
        self.devices: dict[str, _Rate] = {}
        self.turn = 0


class Connected(NamedTuple):
    """How many connections there are."""

    senders: int
    subscribers: int
    watchers: int
    control: int


class Figures:
    """Counts what is published, and makes the status of the streamer and its streams of it.

    Parameters
    ----------
    recognizer : Recognizer
        What is asked.
    totals : callable
        Returns every counter.
    connected : callable
        Returns how many are connected.

    Attributes
    ----------
    of_all, of_each : bool
        Whether anybody listens to how the streamer fares, and to how each stream does: else that is not counted.
    """

    def __init__(
        self, recognizer: Recognizer, totals: Callable[[], dict[str, int]], connected: Callable[[], Connected]
    ) -> None:
        self.of_all = self.of_each = False
        self._recognizer, self._make_totals, self._connected = recognizer, totals, connected
        self._began = monotonic_ns()
        self._events: Counter[str] = Counter()
        self._streams: dict[str, _Heard] = {}
        self._times: list[tuple[int, int, int, int, int]] = []
        self._counts = np.zeros((len(STAGES), len(_BOUNDS) + 1), np.int64)
        self._sums_ns = [0] * len(STAGES)
        self._totals: dict[str, int] = {}
        self._totals_due = 0
        self._turn = 0

    def note(self, outcome: Published, leaves: int) -> None:
        """Count what leaves at that Unix time in ns."""
        if isinstance(outcome, Annotation):
            return
        heard = self._heard(outcome.stream) if self.of_each else None
        if isinstance(outcome, Event):
            self._events[outcome.event] += 1
            if heard is not None:
                heard.events[outcome.event] += 1
            return
        if heard is not None:
            heard.label, heard.published = outcome, leaves
        if self.of_all:
            if len(self._times) >= _TIMES_AT_ONCE:
                self._count_latencies()
            self._times.append((outcome.t_source, outcome.t_received, outcome.t_ready, outcome.t_inferred, leaves))

    def listen(self, *, of_all: bool, of_each: bool) -> None:
        """Count for those who listen now; for whoever comes when nobody did, begin anew."""
        self.of_all, self.of_each = of_all, of_each
        if not of_all:
            self._times.clear()
        if not of_each:
            self._streams.clear()

    def _heard(self, stream: str) -> _Heard | None:
        """Return what is counted of a stream; None of one that was refused, or has been forgotten."""
        if stream not in self._recognizer.known:
            return None
        return self._streams.setdefault(stream, _Heard())

    def status(self, batches: int) -> Status:
        """Say how the streamer fares; so many batches are being named."""
        recognizer, now = self._recognizer, monotonic_ns()
        bundle = recognizer.bundle.description
        self._count_latencies()
        if now >= self._totals_due:
            self._totals = self._make_totals()
            self._totals_due = now + _TOTALS_SHARE * (monotonic_ns() - now)
        latency = {stage: Latencies(self._counts[i].tolist(), self._sums_ns[i] / 1e9) for i, stage in enumerate(STAGES)}
        queue = {
            "windows": recognizer.batcher.waiting,
            "batches": batches,
            "backlog_bytes": recognizer.backlog_bytes,
            "backlog_messages": recognizer.backlog_messages,
        }
        return Status(
            t=now_ns(),
            version=own_version(),
            bundle=recognizer.bundle.id,
            engine=recognizer.engine.name,
            rate_hz=float(bundle.rate_hz),
            length=bundle.window.length,
            stride=bundle.window.stride,
            classes=tuple(bundle.classes),
            null_class=bundle.null_class or "",
            uptime_s=(now - self._began) / 1e9,
            streams=recognizer.streams,
            totals=self._totals,
            queue=queue,
            connections=self._connected()._asdict(),
            cpu_s=time.process_time(),
            memory_bytes=resident_bytes(),
            events=dict(self._events),
            latency=latency,
        )

    def streams(self) -> Iterator[StreamsStatus]:
        """Say in pieces how each stream fares; streams that come or go meanwhile may be missing."""
        names = list(self._recognizer.known)
        self._turn += 1
        turn, pieces = self._turn, max(-(-len(names) // PIECE_STREAMS), 1)
        left = iter(names)
        for piece in range(pieces):
            rows = []
            for name in islice(left, PIECE_STREAMS):
                known = self._recognizer.known.get(name)
                if known is not None:
                    rows.append(self._row(name, known, turn))
            yield StreamsStatus(now_ns(), turn, piece, pieces, tuple(rows))
        for name in [name for name, heard in self._streams.items() if heard.turn < turn]:  # what was forgotten
            del self._streams[name]

    def _row(self, name: str, known: KnownStream, turn: int) -> StreamStatus:
        heard = self._streams.setdefault(name, _Heard())
        heard.turn = turn
        session, label, now = known.session, heard.label, monotonic_ns()
        rate_hz = self._recognizer.bundle.description.rate_hz
        heard.rate.update(now, session.buffer.next_seq if session is not None else 0)
        missing = label.missing if label is not None else {}
        return StreamStatus(
            name,
            session.number if session is not None else -1,
            rate_hz,
            heard.rate.per_s,
            max(missing.values(), default=0.0),
            label.label if label is not None else "",
            label.p if label is not None else 0.0,
            label.t_source if label is not None else 0,
            heard.published,
            dict(heard.events),
            tuple(self._devices(known, heard, missing, now, rate_hz)),
        )

    @staticmethod
    def _devices(
        known: KnownStream, heard: _Heard, missing: dict[str, float], now: int, rate_hz: float
    ) -> Iterator[DeviceStatus]:
        number = known.session.number if known.session is not None else next(reversed(known.sets), -1)
        devices = known.sets.get(number)
        if devices is None:
            share = missing.get(known.device, 0.0)
            yield DeviceStatus(known.device, rate_hz, heard.rate.per_s, share, silent=False, frozen=False)
            return
        absent = devices.absent
        for device in devices.devices:
            if device.ended:
                continue
            name = device.name
            rate = heard.devices.setdefault(name, _Rate())
            rate.update(now, device.reached)
            share = missing.get(name, 0.0)
            silent, frozen = ((name, what) in absent for what in ("silent", "frozen"))
            yield DeviceStatus(name, device.rate_hz, rate.per_s, share, silent=silent, frozen=frozen)

    def _count_latencies(self) -> None:
        if not self._times:
            return
        source, received, ready, inferred, left = np.array(self._times, np.int64).T
        self._times.clear()
        took = (ready - received, inferred - ready, left - inferred, left - source)
        for i, each in enumerate(took):
            self._counts[i] += np.bincount(_BOUNDS.searchsorted(each), minlength=len(_BOUNDS) + 1)
            self._sums_ns[i] += int(each.sum())
