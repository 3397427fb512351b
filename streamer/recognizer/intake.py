"""Decoded messages, one by one: taken at once, or a piece at a time in turn with other streams."""

import logging
from collections import Counter
from collections.abc import Sequence

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.streamer.ingest.backlog import Backlog, Queued
from kinestream.streamer.ingest.quick import QuickPath
from kinestream.streamer.ingest.waiting import Early, WaitingRoom
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.device import Break, Laid, Lost, Outcome, StepBack, Undelivered, WrongRate
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.outcomes import DueWindow, EmptyWindows, Seam
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.streams.stream import Key, KnownStream
from kinestream.streamer.wire.messages import MAX_BYTES, MAX_INT, Answer, Description, End, MalformedMessage, Readings

_logger = logging.getLogger(__name__)

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

    Attributes
    ----------
    taken : int
        Messages taken.
    backlog : Backlog
        Those that wait for their turn.
    early : WaitingRoom
        Those that wait for the description of their key.
    """

    def __init__(
        self,
        bundle: Bundle,
        registry: Registry,
        sessions: Sessions,
        batcher: Batcher,
        quick: QuickPath,
        counts: Counter[str],
    ) -> None:
        self.taken = 0
        self.backlog = Backlog()
        self.early = WaitingRoom()
        self._registry, self._sessions = registry, sessions
        self._batcher, self._quick, self._counts = batcher, quick, counts
        self._channels = bundle.channels
        self._period_ns = 1e9 / bundle.description.rate_hz
        self._length = bundle.grid.length
        self._turn_samples = max(2 * bundle.grid.stride, 8)  # a message of up to so many need not wait for its turn
        self._next_undeclared_log = 0

    def take(self, message: Readings | End, received: int, lossy: bool) -> None:
        """Take a message, or let it wait for its turn or for its description; see `Recognizer.take`."""
        key = self._registry.keys.get(message.key)
        if key is None:
            self._take_unknown(message, received, lossy)
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
        answer = self._registry.introduce(description, subscribers, quietly=quietly)
        self.taken += 1
        if self.early.messages:
            for message, received, lossy, _ in self.early.take(description.key):
                try:
                    self.take(message, received, lossy)
                except MalformedMessage as reason:
                    self._counts[f"messages_malformed_{reason}"] += 1
        return answer

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
            key, message, received, lossy = piece.queued
            if piece.done:
                key.known.queued = False
            try:
                if isinstance(message, Readings):
                    self._take_piece(key, message, piece.first, piece.end, received, lossy)
                else:
                    self._end(key)
            except MalformedMessage as reason:
                self._counts[f"messages_malformed_{reason}"] += 1
            if piece.done:
                self._quick.note(key.name, key.known)

    def take_rows(
        self,
        name: str,
        known: KnownStream,
        number: int,
        seq: int,
        x: Rows,
        source: int,
        received: int,
        lossy: bool,
        after: int = 0,
        devices: DeviceSet | None = None,
    ) -> None:
        """Take samples of a stream.

        Parameters
        ----------
        name, known : str, KnownStream
            Whose they are.
        number, seq : int
            Session, and number of the first sample.
        x : ndarray of float32, shape (n, C)
            The readings that feed the network, in its order.
        source : int
            Unix time of the message's last one, ns.
        received, lossy
            As for `Recognizer.take`.
        after : int
            Samples of the message that follow these.
        devices : DeviceSet, optional
            What laid them, where they come of several devices.
        """
        known.touched = True
        session = known.session
        if session is None or session.number != number:
            session = self._sessions.open(name, known, number, is_shared=devices is not None and not number)
        elif seq + len(x) <= session.buffer.open_seq and self._sessions.outlasts(name, known, number):
            session = self._sessions.begin(name, known, number)
        if session is None:
            self._counts["samples_received"] += len(x)
            self._counts["samples_closed_session"] += len(x)
            return
        late = session.buffer.late
        for outcome in session.buffer.push(seq, x):
            if isinstance(outcome, DueWindow):
                taken = max(source - int((outcome.behind + after) * self._period_ns), 0)
                if devices is not None:
                    taken = devices.grid.time(outcome.first_seq + self._length - 1)
                    self._add_of_devices(outcome, name, known, devices, taken, received, lossy)
                    continue
                self._batcher.add(outcome, name, known, taken, received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._batcher.skip(name, session, outcome.first, outcome.last, "missing")
            else:
                kind = "seam" if isinstance(outcome, Seam) else "gap"
                self._batcher.emit(kind, name, session.number, outcome._asdict())
        if session.buffer.late > late:
            self._sessions.report_late(name, known, session, session.buffer.late - late)

    def _add_of_devices(
        self,
        due: DueWindow,
        name: str,
        known: KnownStream,
        devices: DeviceSet,
        source: int,
        received: int,
        lossy: bool,
    ) -> None:
        """Have a window wait that several devices fill: one that is silent at its end counts as absent in all of it."""
        missing, changes = devices.look_at(due.rows)
        for device, is_silent in changes:
            about = {"device": device, "silent": is_silent, "since": source}
            self._batcher.emit("device", name, known.session.number if known.session else -1, about)
        self._batcher.add(due, name, known, source, received, lossy, missing)

    def drop_early(self, now: int) -> None:
        """Drop what has waited too long for its description by `now`, on the monotonic clock, ns."""
        if dropped := self.early.drop_outdated(now):
            self._count_undeclared(dropped)

    def _queue(self, queued: Queued) -> None:
        known = queued.key.known
        known.queued = True  # the quick path must not overtake what waits
        self._quick.note(queued.key.name, known)
        self.backlog.add(queued)

    def _take_unknown(self, message: Readings | End, received: int, lossy: bool) -> None:
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
        known = key.known
        known.touched = True
        self.taken += 1
        if key.devices is not None and key.device is not None and key.session != known.closed:
            self._take_outcomes(key, key.devices.end(key.device), now_ns(), lossy=False)
            if not key.devices.ended:
                return
            known.sets.pop(key.session, None)
        if known.session is not None and known.session.number == key.session:
            self._sessions.close(key.name, known, "end")

    def _take_readings(self, key: Key, message: Readings, received: int, lossy: bool) -> None:
        """Take readings that carry times: what is settled by them becomes samples on the grid."""
        devices, device = key.devices, key.device
        assert devices is not None
        assert device is not None
        self.taken += 1
        known = key.known
        known.touched = True
        closed = known.closed if key.session else -1  # session 0 goes on after others, too
        newest = max(closed, known.session.number if known.session is not None else -1)
        if key.session < newest or key.session == closed:
            self._counts["readings_received"] += message.samples
            self._counts["readings_closed_session"] += message.samples
            self._sessions.outlasts(key.name, known, key.session)
            return
        times = np.frombuffer(message.times, "<i8")
        if int(times.min()) < 0 or int(times.max()) >= MAX_INT:
            raise MalformedMessage("times")
        x: Rows = np.frombuffer(message.x, "<f4").reshape(-1, key.layout.width)
        late, duplicate = devices.counts.late, devices.counts.duplicate
        outcomes = devices.take(device, message.seq, times, x)
        self._counts["readings_received"] += message.samples
        self._counts["readings_late"] += devices.counts.late - late
        self._counts["readings_duplicate"] += devices.counts.duplicate - duplicate
        self._take_outcomes(key, outcomes, received, lossy)

    def _take_outcomes(self, key: Key, outcomes: Sequence[Outcome], received: int, lossy: bool) -> None:
        devices, name, known = key.devices, key.name, key.known
        assert devices is not None
        for outcome in outcomes:
            match outcome:
                case Laid(first, rows):
                    source = devices.grid.time(first + len(rows) - 1)
                    self.take_rows(name, known, key.session, first, rows, source, received, lossy, devices=devices)
                case Break(device, last, first):
                    if known.session is not None and known.session.number == key.session:
                        known.session.buffer.part(first)
                        about = {"device": device, "last_seq": last, "first_seq": first}
                        self._batcher.emit("seam", name, key.session, about)
                case StepBack(device, before, after):
                    about = {"device": device, "before": before, "after": after}
                    self._batcher.emit("seam", name, key.session, about)
                    self._sessions.close(name, known, "clock")
                case Lost(device, first, last):
                    about = {"device": device, "first_seq": first, "last_seq": last}
                    self._batcher.emit("gap", name, key.session, about)
                case WrongRate(device, declared, measured):
                    about = {"device": device, "declared_hz": declared, "measured_hz": measured}
                    self._batcher.emit("rate", name, key.session, about)
                case Undelivered(columns):
                    self._batcher.emit("device", name, key.session, {"reason": self._undelivered(columns)})

    def _undelivered(self, columns: Sequence[int]) -> str:
        names = [self._channels[column].name for column in columns]
        listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return f"no device delivers {listed}: describe the one that does"

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
        self.take_rows(key.name, key.known, key.session, seq, layout.feed(x), message.t, received, lossy, after)
        self.taken += not after


def _fits(message: Readings, key: Key) -> bool:
    has_times = bool(message.times)
    return len(message.x) == message.samples * key.layout.row_bytes and has_times == (key.devices is not None)


def _check(message: Readings, key: Key) -> None:
    if not _fits(message, key):
        raise MalformedMessage("timing" if bool(message.times) != (key.devices is not None) else "width")
