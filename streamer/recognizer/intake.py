"""Decoded messages, one by one: taken at once, or a piece at a time in turn with other streams."""

import logging
from collections import Counter

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns
from kinestream.streamer.ingest.backlog import Backlog, Queued
from kinestream.streamer.ingest.quick import QuickPath
from kinestream.streamer.ingest.waiting import Early, WaitingRoom
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.outcomes import DueWindow, EmptyWindows, Seam
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.streams.stream import Key, KnownStream, Layout
from kinestream.streamer.wire.messages import MAX_BYTES, Answer, Description, End, MalformedMessage, Readings

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
        self._period_ns = 1e9 / bundle.description.rate_hz
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
            _check(message, key.layout)
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
            whole = isinstance(first.message, Readings) and not _fits(first.message, first.key.layout)
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
        """
        known.touched = True
        session = known.session
        if session is None or session.number != number:
            session = self._sessions.open(name, known, number)
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
                self._batcher.add(outcome, name, known, taken, received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._batcher.skip(name, session, outcome.first, outcome.last, "missing")
            else:
                kind = "seam" if isinstance(outcome, Seam) else "gap"
                self._batcher.emit(kind, name, session.number, outcome._asdict())
        if session.buffer.late > late:
            self._sessions.report_late(name, known, session, session.buffer.late - late)

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
        if known.session is not None and known.session.number == key.session:
            self._sessions.close(key.name, known, "end")
        self.taken += 1

    def _take_piece(self, key: Key, message: Readings, first: int, end: int, received: int, lossy: bool) -> None:
        """Take some of a message's samples: those whose readings are its bytes from `first` to `end`."""
        layout = key.layout
        _check(message, layout)
        row = layout.row_bytes
        x: Rows = np.frombuffer(message.x, "<f4", (end - first) // 4, first).reshape(-1, layout.width)
        after = (len(message.x) - end) // row  # samples that follow in the message
        if layout.order is not None:
            x = x[:, layout.order]
        seq = message.seq + first // row
        self.take_rows(key.name, key.known, key.session, seq, x, message.t, received, lossy, after)
        self.taken += not after


def _fits(message: Readings, layout: Layout) -> bool:
    return len(message.x) == message.samples * layout.row_bytes and not message.times


def _check(message: Readings, layout: Layout) -> None:
    if not _fits(message, layout):
        raise MalformedMessage("timing" if message.times else "width")
