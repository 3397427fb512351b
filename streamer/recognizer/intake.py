"""Decoded messages, one by one: taken at once, or a piece at a time in turn with other streams."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.streamer.ingest.backlog import Backlog, Queued
from kinestream.streamer.ingest.quick import QuickPath
from kinestream.streamer.ingest.tap import Tap
from kinestream.streamer.ingest.waiting import Early, WaitingRoom
from kinestream.streamer.recognizer.annotator import Annotator
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.recognizer.samples import SampleIntake
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.readings import Outcome, StepBack
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.streams.stream import Key, turn_samples
from kinestream.streamer.wire.messages import (
    MAX_BYTES,
    MAX_INT,
    Answer,
    Description,
    End,
    MalformedMessage,
    Readings,
    Remark,
)

_logger = logging.getLogger(__name__)

_TURNS_BEFORE = 64  # pieces that are taken of what waits, before a stream's next description is admitted
_UNDECLARED_INTERVAL_NS = 60_000_000_000  # between two log lines about keys that nobody has described


class Intake:
    """Puts the samples of messages into their streams' windows, and hands on the windows that come due.

    Parameters
    ----------
    bundle : Bundle
        What is recognised.
    registry, sessions : Registry, Sessions
        Which streams there are, and their sessions.
    batcher : Batcher
        Where windows and events go.
    quick : QuickPath
        Told of streams whose messages must wait: it must not overtake them.
    counts : Counter
        Where samples and messages that could not be used are counted.
    tap : Tap
        Where readings go that somebody watches.

    Attributes
    ----------
    taken : int
        Messages taken.
    backlog : Backlog
        Those that wait for their turn.
    early : WaitingRoom
        Those that wait for the description of their key.
    samples : SampleIntake
        Where the samples in them go.
    annotator : Annotator
        Where annotations go.
    on_malformed : callable
        Called with the reason of each message that cannot be read.
    """

    def __init__(
        self,
        bundle: Bundle,
        registry: Registry,
        sessions: Sessions,
        batcher: Batcher,
        quick: QuickPath,
        counts: Counter[str],
        tap: Tap,
    ) -> None:
        self.taken = 0
        self.backlog = Backlog()
        self.early = WaitingRoom()
        self.on_malformed: Callable[[str], object] = _ignore
        self._registry, self._sessions = registry, sessions
        self._batcher, self._quick, self._counts = batcher, quick, counts
        self.annotator = Annotator(batcher, counts)
        self._tap = tap
        self.samples = SampleIntake(bundle, sessions, batcher, counts)
        self._channels = bundle.channels
        self._turn_samples = turn_samples(bundle.grid.stride)  # a message of up to so many need not wait for its turn
        self._next_undeclared_log = 0

    def take(self, message: Readings | End | Remark, received: int, lossy: bool) -> None:
        """Take a message, or let it wait for its turn or for its description; see `Recognizer.take`."""
        key = self._registry.keys.get(message.key)
        if key is None:
            self._take_unknown(message, received, lossy)
        elif isinstance(message, Remark):
            self.taken += self.annotator.take(key, message)
        elif key.known.queued:
            self._queue(Queued(key, message, received, lossy))
        elif isinstance(message, End):
            self._end(key)
        elif not lossy and message.samples > self._turn_samples:
            # What a publisher sends is taken immediately, and shed if it is too much: it would only be lost elsewhere.
            _check(message, key)
            self._queue(Queued(key, message, received, lossy))
        else:
            self._take_piece(key, message, 0, len(message.x), received, lossy)

    def introduce(self, description: Description, subscribers: int, *, quietly: bool) -> Answer:
        """Take a description, and then the samples that came before it."""
        known = self._registry.streams.get(description.stream)
        for _ in range(_TURNS_BEFORE if known is not None and description.key not in self._registry.keys else 0):
            if known is None or not known.queued:
                break
            # What was sent before a device is described anew is taken before that ends what it was.
            self.take_queued(self._batcher.waiting + 1)
        if known is not None and self._registry.returns(description):  # it begins anew, as at a streamer just started
            self._counts["messages_unfinished"] += self.backlog.drop(description.stream)
            known.queued = False
            self._registry.forget(description.stream, "moved")
        answer = self._registry.introduce(description, subscribers, quietly=quietly)
        self.taken += 1
        if self.early.messages:
            for message, received, lossy, _ in self.early.take(description.key):
                try:
                    self.take(message, received, lossy)
                except MalformedMessage as reason:
                    self.malformed(str(reason))
        return answer

    def malformed(self, reason: str) -> None:
        """Count a message that cannot be read, and tell of it."""
        self._counts[f"messages_malformed_{reason}"] += 1
        self.on_malformed(reason)

    def take_queued(self, windows: int) -> None:
        """Take of what waits in the backlog, by streams in turn, until nothing does or so many windows are due."""
        for _ in range(windows):  # a piece may complete none
            if not self.backlog.messages or self._batcher.waiting >= windows:
                return
            first = self.backlog.next
            # What will be turned away as a whole is taken as a whole, and so counted once.
            # So is what carries times: its readings are laid before any becomes part of a window.
            message = first.message
            whole = isinstance(message, Readings) and (bool(message.times) or not _fits(message, first.key))
            piece = self.backlog.take(MAX_BYTES if whole else self._turn_samples * first.key.layout.row_bytes)
            key, message, received, lossy, _ = piece.queued
            if piece.done:
                key.known.queued = False
            try:
                if isinstance(message, Readings):
                    self._take_piece(key, message, piece.first, piece.end, received, lossy)
                elif isinstance(message, End):
                    self._end(key)
                else:
                    self._lay_more(key, received, lossy)
            except MalformedMessage as reason:
                self.malformed(str(reason))
            if piece.done:
                self._quick.note(key.name, key.known)

    def look(self, key: Key, received: int, lossy: bool) -> None:
        """Look whether a window is due of devices whose readings were taken in bulk, of which these came last."""
        assert key.devices is not None
        key.known.touched = True
        self._take_outcomes(key, key.devices.look(), received, lossy)

    def take_laid(self, key: Key, outcomes: Sequence[Outcome]) -> None:
        """Take what came of the devices of a key when it was given up to wait for some."""
        assert key.devices is not None
        self._take_outcomes(key, outcomes, now_ns(), lossy=False, end=key.devices.ended)
        if key.devices.ended and not key.devices.has_more:
            self._close(key, key.devices)

    def _lay_more(self, key: Key, received: int, lossy: bool) -> None:
        if key.devices is not None:
            self._take_outcomes(key, key.devices.lay_more(), received, lossy)

    def drop_early(self, now: int) -> None:
        """Drop what has waited too long for its description by `now`, on the monotonic clock, ns."""
        if dropped := self.early.drop_outdated(now):
            self._count_undeclared(dropped)

    def _queue(self, queued: Queued) -> None:
        known = queued.key.known
        known.queued = True  # the quick path must not overtake what waits
        self._quick.note(queued.key.name, known)
        key, message = queued.key, queued.message
        if key.devices is not None and key.device is not None and isinstance(message, Readings) and message.times:
            samples = key.devices.would_lay(key.device, np.frombuffer(message.times, "<i8"))
            queued = queued._replace(laid=samples * 4 * len(self._channels))
        self.backlog.add(queued)

    def _put_back(self, key: Key, message: End | None, received: int, lossy: bool) -> None:
        """Let a stream wait for its turn before what else waits of it."""
        key.known.queued = True
        self._quick.note(key.name, key.known)
        self.backlog.put_back(Queued(key, message, received, lossy, 4 * self._turn_samples * len(self._channels)))

    def _take_unknown(self, message: Readings | End | Remark, received: int, lossy: bool) -> None:
        if message.key in self._registry.refused:
            self._counts["messages_refused"] += 1
        elif not self.early.add(Early(message, received, lossy, monotonic_ns())):
            self._count_undeclared(1)

    def _count_undeclared(self, messages: int) -> None:
        self._counts["messages_undeclared"] += messages
        now = monotonic_ns()
        if now >= self._next_undeclared_log:
            self._next_undeclared_log = now + _UNDECLARED_INTERVAL_NS
            _logger.warning(
                "%d messages so far name a key that nobody has described: describe it before its first samples",
                self._counts["messages_undeclared"],
            )

    def _end(self, key: Key) -> None:
        known, devices = key.known, key.devices
        known.touched = True
        if devices is not None and key.device is not None and known.sets.get(key.session) is devices:
            if self._is_over(key, devices):  # a clock was set back: what came behind that belongs to no session
                key.device.ended = True
            else:
                self._take_outcomes(key, devices.end(key.device), now_ns(), lossy=False, end=True)
                if devices.has_more:
                    return  # it comes again
            self.taken += 1
            if devices.ended:
                self._close(key, devices)
            return
        self.taken += 1
        if devices is None and known.session is not None and known.session.number == key.session:
            self._sessions.close(key.name, known, "end")

    def _close(self, key: Key, devices: DeviceSet) -> None:
        """End the session of devices all of which have ended."""
        known = key.known
        devices.close()
        self._sessions.count_readings(devices)
        if known.session is not None and known.session.number == key.session:
            self._sessions.close(key.name, known, "end")
        del known.sets[key.session]

    def _take_readings(self, key: Key, message: Readings, received: int, lossy: bool) -> None:
        """Take readings that carry times: what is settled by them becomes samples on the grid."""
        devices, device = key.devices, key.device
        assert devices is not None
        assert device is not None
        times = np.frombuffer(message.times, "<i8")
        if int(times.min()) < 0 or int(times.max()) >= MAX_INT:
            raise MalformedMessage("times")
        self.taken += 1
        known = key.known
        known.touched = True
        self._counts["readings_received"] += message.samples
        if self._is_over(key, devices):
            if not self._sessions.outlasts(key.name, known, key.session):
                self._counts["readings_closed_session"] += message.samples
                return
            self._sessions.begin(key.name, known, key.session)
            devices.begin_anew()
            device.ended = False
            known.keep(key.session, devices)
        x: Rows = np.frombuffer(message.x, "<f4").reshape(-1, key.layout.width)
        outcomes = devices.take(device, message.seq, times, x)
        if self._tap.is_open:
            self._tap.add(key, message.seq, message.samples, message.t, message.times, message.x)
        self._take_outcomes(key, outcomes, received, lossy)
        if devices.came_late and not any(isinstance(outcome, StepBack) for outcome in outcomes):
            last = message.seq + message.samples - 1
            self._sessions.report_late_readings(key.name, device, key.session, devices.came_late, last)

    @staticmethod
    def _is_over(key: Key, devices: DeviceSet) -> bool:
        """Tell whether a key's session has ended, or a later one has begun."""
        known = key.known
        closed = known.closed if key.session else -1  # session 0 goes on after others, too
        newest = max(closed, known.session.number if known.session is not None else -1)
        return key.session < newest or key.session == closed or known.sets.get(key.session) is not devices

    def _take_outcomes(
        self, key: Key, outcomes: Sequence[Outcome], received: int, lossy: bool, *, end: bool = False
    ) -> None:
        self.samples.take_outcomes(key, outcomes, received, lossy)
        assert key.devices is not None
        if key.devices.has_more:
            self._put_back(key, End(key.number) if end else None, received, lossy)

    def _take_piece(self, key: Key, message: Readings, first: int, end: int, received: int, lossy: bool) -> None:
        """Take some of a message's samples: those whose readings are its bytes from `first` to `end`."""
        layout = key.layout
        _check(message, key)
        if key.devices is not None:
            self._take_readings(key, message, received, lossy)
            return
        row = layout.row_bytes
        x: Rows = np.frombuffer(message.x, "<f4", (end - first) // 4, first).reshape(-1, layout.width)
        after = (len(message.x) - end) // row  # samples that follow in the message
        seq = message.seq + first // row
        self.samples.take_rows(key.name, key.known, key.session, seq, layout.feed(x), message.t, received, lossy, after)
        if self._tap.is_open and key.known.session is not None and key.known.session.number == key.session:
            t = message.t - round(after * 1e9 / key.about.rate_hz)
            self._tap.add(key, seq, len(x), max(t, 0), b"", message.x[first:end])
        self.taken += not after


def _fits(message: Readings, key: Key) -> bool:
    has_times = bool(message.times)
    return len(message.x) == message.samples * key.layout.row_bytes and has_times == (key.devices is not None)


def _check(message: Readings, key: Key) -> None:
    if not _fits(message, key):
        raise MalformedMessage("timing" if bool(message.times) != (key.devices is not None) else "width")


def _ignore(_: str) -> None: ...
