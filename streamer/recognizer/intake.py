"""Decoded messages, one by one: taken at once, or a piece at a time in turn with other streams."""

from collections import Counter

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.streamer.ingest.backlog import Backlog, Queued
from kinestream.streamer.ingest.quick import QuickPath
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.outcomes import DueWindow, EmptyWindows, Seam
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.streams.stream import KnownStream
from kinestream.streamer.wire.messages import MAX_BYTES, MAX_INT, End, MalformedMessage, Samples, StreamDescription


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
        self._registry, self._sessions = registry, sessions
        self._batcher, self._quick, self._counts = batcher, quick, counts
        self._streams = registry.streams
        self._period_ns = 1e9 / bundle.description.rate_hz
        self._turn_samples = max(2 * bundle.grid.stride, 8)  # a message of up to so many need not wait for its turn

    def take(self, message: Samples | StreamDescription | End, received: int, subscribers: int, lossy: bool) -> None:
        """Take a message, or let it wait for its turn; see `Recognizer.take`."""
        known = self._streams.get(message.stream)
        if known is not None and known.queued:
            self._queue(known, Queued(message, received, lossy, subscribers))
        elif known is None or known.refused or not isinstance(message, Samples):
            self._take_other(message, known, subscribers)
        elif not lossy and len(message.x) > self._turn_samples * known.row_bytes:
            # What a publisher sends is taken immediately, and shed if it is too much: it would only be lost elsewhere.
            _check_width(message, known)
            self._queue(known, Queued(message, received, lossy, subscribers))
        else:
            self._take_piece(known, message, 0, len(message.x), received, lossy)

    def take_queued(self, windows: int) -> None:
        """Take of what waits in the backlog, by streams in turn, until nothing does or so many windows are due."""
        for _ in range(windows):  # a piece may complete none
            if not self.backlog.messages or self._batcher.waiting >= windows:
                return
            first = self.backlog.next.message
            known = self._streams[first.stream]
            # What will be turned away as a whole is taken as a whole, and so counted once.
            whole = known.refused or (isinstance(first, Samples) and len(first.x) % known.row_bytes)
            piece = self.backlog.take(MAX_BYTES if whole else self._turn_samples * known.row_bytes)
            if piece.done:
                known.queued = False
            message, received, lossy, subscribers = piece.queued
            try:
                if isinstance(message, Samples) and not known.refused:
                    self._take_piece(known, message, piece.first, piece.end, received, lossy)
                else:
                    self._take_other(message, known, subscribers)
            except MalformedMessage as reason:
                self._counts[f"messages_malformed_{reason}"] += 1
            if piece.done:
                self._quick.note(message.stream, known)

    def take_rows(
        self,
        name: str,
        known: KnownStream,
        message: Samples,
        x: Rows,
        received: int,
        lossy: bool,
        after: int = 0,
    ) -> None:
        """Take samples of a stream.

        Parameters
        ----------
        name, known : str, KnownStream
            Whose they are.
        message : Samples
            Session, number of the first sample, and time of the message's last one; its readings are not looked at.
        x : ndarray of float32, shape (n, C)
            The readings.
        received, lossy
            As for `Recognizer.take`.
        after : int
            Samples of the message that follow these.
        """
        known.touched = True
        session = known.session
        if session is None or session.number != message.session:
            session = self._sessions.open(name, known, message.session)
        elif message.seq + len(x) <= session.buffer.open_seq and self._sessions.outlasts(name, known, message.session):
            session = self._sessions.begin(name, known, message.session)
        if session is None:
            self._counts["samples_received"] += len(x)
            self._counts["samples_closed_session"] += len(x)
            return
        late = session.buffer.late
        for outcome in session.buffer.push(message.seq, x if known.order is None else x[:, known.order]):
            if isinstance(outcome, DueWindow):
                source = max(message.t - int((outcome.behind + after) * self._period_ns), 0)
                self._batcher.add(outcome, name, known, source, received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._batcher.skip(name, session, outcome.first, outcome.last, "missing")
            else:
                kind = "seam" if isinstance(outcome, Seam) else "gap"
                self._batcher.emit(kind, name, session.number, outcome._asdict())
        if session.buffer.late > late:
            self._sessions.report_late(name, known, session, session.buffer.late - late)

    def _queue(self, known: KnownStream, queued: Queued) -> None:
        known.queued = True  # the quick path must not overtake what waits
        self._quick.note(queued.message.stream, known)
        self.backlog.add(queued)

    def _take_other(
        self, message: Samples | StreamDescription | End, known: KnownStream | None, subscribers: int
    ) -> None:
        """Take a description, an end, or samples of a stream that is not served."""
        if isinstance(message, StreamDescription):
            self._registry.introduce(message, subscribers)
        elif known is None or known.refused:
            self._registry.turn_away(message, known)
            return
        elif isinstance(message, End):
            known.touched = True
            if known.session is not None and known.session.number == message.session:
                self._sessions.close(message.stream, known, "end")
        self.taken += 1

    def _take_piece(
        self, known: KnownStream, message: Samples, first: int, end: int, received: int, lossy: bool
    ) -> None:
        """Take some of a message's samples: those whose readings are its bytes from `first` to `end`."""
        _check_width(message, known)
        row = known.row_bytes
        x: Rows = np.frombuffer(message.x, "<f4", (end - first) // 4, first).reshape(-1, known.width)
        after = (len(message.x) - end) // row  # samples that follow in the message
        part = message if not first else message._replace(seq=message.seq + first // row)
        self.take_rows(message.stream, known, part, x, received, lossy, after)
        self.taken += not after


def _check_width(message: Samples, known: KnownStream) -> None:
    if len(message.x) % known.row_bytes:
        raise MalformedMessage("width")
    if message.seq + len(message.x) // known.row_bytes > MAX_INT:
        raise MalformedMessage("samples")
