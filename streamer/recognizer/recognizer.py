"""Samples of many streams in, labels and events out; no socket here.

`Recognizer` is the whole of kinestream as a library::

    recognizer = Recognizer.load("my-bundle")
    for label in recognizer.push("alice", chunk):
        print(label.label, label.p)

`streamer.server.server` puts sockets around it.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.engine.engine import BATCH, Device, Engine, load_engine
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.recording import Channel
from kinestream.model.windows.grid import too_empty
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.ingest.backlog import Backlog, Queued
from kinestream.streamer.ingest.quick import QuickWay
from kinestream.streamer.recognizer.batch import Gatherer
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.buffer import DueWindow, EmptyWindows, Seam, StreamBuffer, lanes_for
from kinestream.streamer.streams.session import Answers, Batch, KnownStream, Outdated, PendingWindow, Session
from kinestream.streamer.wire.codec import is_description
from kinestream.streamer.wire.messages import (
    MAX_BYTES,
    MAX_INT,
    End,
    Event,
    Label,
    MalformedMessage,
    Samples,
    StreamDescription,
    stream_name_is_valid,
)

_FEW = 8
"""Streams up to which the next window is foreseen; with more, one is due so often that it costs more than it gains."""


_OUTLIVES_NS = 10_000_000_000
"""For how long nothing but samples of an outdated session has come when it is taken for a new one."""
_TOLD_EVERY_NS = 1_000_000_000  # how often it is said of a stream that its samples come too late
_REASON = 500  # characters of a refusal
_FAILURE_EVERY_NS = 60_000_000_000
_FAILED = -1  # class of a window that the engine could not name

_logger = logging.getLogger(__name__)


class Recognizer:
    """A bundle, its engine, and the open windows of every stream.

    Parameters
    ----------
    bundle : Bundle
        What to recognise.
    engine : Engine
        What runs it.
    forget_after : float
        Seconds after which a silent stream is forgotten.
    most_streams : int
        Streams known at a time; further ones are refused.

    Attributes
    ----------
    waiting : int
        Windows that wait for the next batch.
    longest_gap : int
        Samples that may be missing in a row. As many come in `forget_after`, and a stream that is silent for longer is
        forgotten: so no gap explains a greater jump of the numbers.
    """

    def __init__(
        self, bundle: Bundle, engine: Engine, *, forget_after: float = 300.0, most_streams: int = 10_000
    ) -> None:
        self.bundle = bundle
        self.engine = engine
        self.counts: Counter[str] = Counter()
        self._grid = bundle.grid
        self._classes = bundle.description.classes
        self._model = bundle.id
        self._period_ns = 1e9 / bundle.description.rate_hz
        self._forget_ns = int(forget_after * 1e9)
        self._most_streams = most_streams
        self._streams: dict[str, KnownStream] = {}
        self._lanes = lanes_for(self._grid, len(bundle.channels))
        self._quick = QuickWay(self._lanes, self._await)
        self._taken = 0
        self._described: dict[int, str] = {}  # streams by the fingerprint of their description
        self._undeclared: set[str] = set()  # streams that were told to describe themselves
        self._refused: OrderedDict[str, None] = OrderedDict()  # streams that never fitted, those of late
        self._backlog = Backlog()
        self._log = EventLog()
        self._failures, self._failure_due = 0, 0
        self._at_once = max(2 * self._grid.stride, 8)  # samples of a message that need no turn
        self.longest_gap = max(round(forget_after * bundle.description.rate_hz), self._grid.length)
        self._pending: list[PendingWindow | Event] = []
        self._gatherer = Gatherer(self._grid.length, len(bundle.channels), engine.multiple)
        self.waiting = 0
        self._waiting_lossy = 0
        about = bundle.description
        self._about = {
            "bundle": self._model,
            "rate_hz": about.rate_hz,
            "window": about.window.model_dump(),
            "classes": list(about.classes),
            "null_class": about.null_class,
        }
        self._stride_ns = int(self._grid.stride * self._period_ns)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: Device = "auto",
        threads: int = 1,
        forget_after: float = 300.0,
        most_streams: int = 10_000,
    ) -> Self:
        """Read a bundle and make its engine ready; the parameters are those of `load_engine` and of the class.

        Raises
        ------
        BundleError
            Where the bundle cannot be read.
        MissingExtra
            Where the device cannot be used.
        """
        bundle = read_bundle(folder)
        engine = load_engine(bundle, device, threads)
        return cls(bundle, engine, forget_after=forget_after, most_streams=most_streams)

    @property
    def streams(self) -> int:
        """Streams known now."""
        return len(self._streams)

    # As a library ---------------------------------------------------------------------------------------------------

    def push(
        self,
        stream: str,
        chunk: npt.ArrayLike,
        *,
        session: int = 0,
        seq: int | None = None,
        t: int | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> list[Label]:
        """Take consecutive samples and return the labels of the windows they complete.

        Parameters
        ----------
        stream : str
            Whose samples; a new name begins a new stream, its columns in the bundle's order unless `describe` said
            otherwise.
        chunk : array_like of float, shape (n, C) or (C,)
            NaN for no reading.
        session : int
            A greater number begins a new session.
        seq : int, optional
            Number of the first sample in its session; by default they follow one another.
        t : int, optional
            Unix time of the last sample in ns; now by default.
        on_event : callable, optional
            Called with what else there is to say of the stream: gaps, skipped windows, samples that came too late. By
            default that is logged.

        Raises
        ------
        ChannelMismatch
            Where the chunk has another number of columns than the stream.
        """
        if not 0 <= session < MAX_INT or (seq is not None and not 0 <= seq < MAX_INT):
            raise ValueError(f"session {session}, seq {seq}: give numbers from 0 to 2**62")
        if stream not in self._streams:
            self.describe(stream, self.bundle.channels)
        known = self._streams[stream]
        x = np.atleast_2d(np.asarray(chunk, dtype=np.float32))
        if x.ndim != 2 or x.shape[1] != known.width:
            raise ChannelMismatch(f"stream {stream} has {known.width} channels, this chunk has shape {x.shape}")
        if seq is None:
            seq = known.session.buffer.next_seq if known.session and known.session.number == session else 0
        now = now_ns()
        self._take(stream, known, Samples(stream, session, seq, now if t is None else t, b""), x, now, lossy=False)
        labels = []
        for outcome in self.infer():
            if isinstance(outcome, Label):
                labels.append(outcome)
            else:
                (on_event or self._log.add)(outcome)
        return labels

    def describe(self, stream: str, channels: Sequence[Channel], rate_hz: float | None = None) -> None:
        """Say what the columns of a stream are; more than the bundle needs may be among them.

        Raises
        ------
        ChannelMismatch
            Where channels are missing or in another unit, or the rate is another.
        """
        expected = self.bundle.description.rate_hz
        if rate_hz is not None and not self.bundle.accepts_rate(rate_hz):
            raise ChannelMismatch(
                f"stream {stream} has {rate_hz:g} samples a second, bundle {self.bundle.description.name} "
                f"was trained at {expected:g}: resample it or take a bundle of its rate"
            )
        order = self.bundle.column_order(channels)
        known = self._streams.get(stream)
        if known is None:
            known = self._streams[stream] = KnownStream()
        known.match(order, len(channels))
        self._quick.note(stream, known)
        self._undeclared.discard(stream)
        self._refused.pop(stream, None)

    # Message by message ---------------------------------------------------------------------------------------------

    def take(
        self,
        message: Samples | StreamDescription | End,
        received: int,
        *,
        subscribers: int = 0,
        lossy: bool = False,
    ) -> None:
        """Take a message; what comes of it waits for `infer`.

        Parameters
        ----------
        message : Samples, StreamDescription or End
            As decoded.
        received : int
            Unix time in ns when it came.
        subscribers : int
            How many listen to the labels of a stream that is described.
        lossy : bool
            Whether the sender does not wait when this is too slow: then its windows may be skipped.

        Raises
        ------
        MalformedMessage
            Where the samples do not fit the stream's channels.
        """
        known = self._streams.get(message.stream)
        if isinstance(message, Samples) and known is not None and not known.queued and not known.refused:
            _check_width(message, known)
        long = isinstance(message, Samples) and known is not None and len(message.x) > self._at_once * known.row_bytes
        # What a publisher sends is taken at once, and shed where it is too much: else it would be lost elsewhere.
        if known is not None and (known.queued or (long and not lossy and not known.refused)):
            self._queue(known, Queued(message, received, lossy, subscribers))
        else:
            self._take_now(message, known, received, subscribers, lossy)

    def take_queued(self, windows: int) -> None:
        """Take of what waits in the backlog, by streams in turn, until nothing does or so many windows are due."""
        for _ in range(windows):  # a piece may complete none
            if not self._backlog.messages or self.waiting >= windows:
                return
            first = self._backlog.next.message
            known = self._streams[first.stream]
            # What will be turned away as a whole is taken as a whole, and so counted once.
            whole = known.refused or (isinstance(first, Samples) and len(first.x) % known.row_bytes)
            piece = self._backlog.take(MAX_BYTES if whole else self._at_once * known.row_bytes)
            if piece.done:
                known.queued = False
            message, received, lossy, subscribers = piece.queued
            try:
                if isinstance(message, Samples) and not known.refused:
                    self._take_piece(known, message, piece.first, piece.end, received, lossy)
                else:
                    self._take_now(message, known, received, subscribers, lossy)
            except MalformedMessage as reason:
                self.counts[f"messages_malformed_{reason}"] += 1
            if piece.done:
                self._quick.note(message.stream, known)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the messages that wait for their turn."""
        return self._backlog.bytes

    def _queue(self, known: KnownStream, queued: Queued) -> None:
        known.queued = True  # the quick way must not overtake what waits
        self._quick.note(queued.message.stream, known)
        self._backlog.add(queued)

    def _take_now(
        self,
        message: Samples | StreamDescription | End,
        known: KnownStream | None,
        received: int,
        subscribers: int,
        lossy: bool,
    ) -> None:
        if isinstance(message, StreamDescription):
            self._introduce(message, received, subscribers)
        elif known is None or known.refused:
            self._turn_away(message, known)
            return
        elif isinstance(message, End):
            known.touched = True
            if known.session is not None and known.session.number == message.session:
                self._close(message.stream, known, "end")
        else:
            self._take_piece(known, message, 0, len(message.x), received, lossy)
            return
        self._taken += 1

    def _take_piece(
        self, known: KnownStream, message: Samples, first: int, end: int, received: int, lossy: bool
    ) -> None:
        """Take some of a message's samples: those whose readings are its bytes from `first` to `end`."""
        _check_width(message, known)
        row = known.row_bytes
        x: Rows = np.frombuffer(message.x, "<f4", (end - first) // 4, first).reshape(-1, known.width)
        after = (len(message.x) - end) // row  # samples that follow in the message
        part = message if not first else message._replace(seq=message.seq + first // row)
        self._take(message.stream, known, part, x, received, lossy, after)
        self._taken += not after

    def take_frames(
        self, frames: Sequence[bytes], received: int, otherwise: Callable[[bytes], None], *, lossy: bool = False
    ) -> None:
        """Take messages as they come: samples that come next undecoded, those of many streams at once.

        Parameters
        ----------
        frames : sequence of bytes
            Senders' messages.
        received : int
            Unix time in ns when they came.
        otherwise : callable
            Called with each that must be decoded; those of a stream keep their order.
        lossy : bool
            As for `take`.
        """
        self._quick.take_all(frames, received, lossy, self._is_known_description, otherwise)

    def _is_known_description(self, frame: bytes) -> bool:
        return is_description(frame) and hash(frame) in self._described

    def next_due(self, after: int) -> int | None:
        """Return when the next window is expected, later than `after`; None where nothing can be said.

        Both on the monotonic clock, ns.
        """
        if len(self._streams) > _FEW:
            return None
        due = [known.session.due for known in self._streams.values() if known.session is not None]
        return min((when for when in due if when > after), default=None)

    def introduce_again(self, fingerprint: int, listening: Callable[[str], int]) -> bool:
        """Answer a description that came before, byte for byte, unread: every sender repeats its own again and again.

        Parameters
        ----------
        fingerprint : int
            As `StreamDescription.fingerprint`.
        listening : callable
            Returns how many listen to the labels of a stream.

        Returns
        -------
        bool
            Whether it was such a one.
        """
        name = self._described.get(fingerprint)
        if name is None:
            return False
        known = self._streams[name]
        if known.queued:
            return False  # another may wait before it
        known.touched = True
        self._accept(name, known, listening(name))
        self._taken += 1
        return True

    def infer(self) -> list[Label | Event]:
        """Take all that is queued and name all windows that wait; return labels and events in their order."""
        outcomes = self.infer_due()
        while self._backlog.messages:
            self.take_queued(BATCH)
            outcomes += self.infer_due()
        return outcomes

    def infer_due(self) -> list[Label | Event]:
        """Name all windows that wait, and leave what is queued to its turn."""
        batch = self.begin()
        return self.finish(batch, self.recognise(batch))

    def begin(self) -> Batch:
        """Return all that waits, ready to be recognised; further messages may be taken meanwhile."""
        ready = now_ns()
        parts = self._gatherer.take(self._shed())
        pending, self._pending, self.waiting, self._waiting_lossy = self._pending, [], 0, 0
        empty: list[bool] = []
        for windows, count in parts:
            which = too_empty(windows[:count], self._grid.max_missing)
            if which.any():
                windows[:count][which] = 0  # they get no label: to fill their gaps takes longer than to name them
            empty += which.tolist()
        return Batch(pending, parts, [self._prepare(windows) for windows, _ in parts], empty, ready)

    def _prepare(self, windows: Rows) -> Rows | None:
        try:
            return self.engine.prepare(windows)
        except Exception:  # whatever an engine may raise: these windows get no label, all others do
            self._log_failure()
            return None

    def recognise(self, batch: Batch) -> Answers:
        """Name the windows of a batch; touches nothing else here, so that another thread may do it.

        Nothing but the engine is in it: on every call into NumPy that thread might wait for this one.
        """
        return Answers([self._answer(part) for part in batch.inputs], now_ns())

    def _answer(self, part: Rows | None) -> Rows | None:
        try:
            return None if part is None else self.engine.answer(part)
        except Exception:  # as above
            self._log_failure()
            return None

    def _log_failure(self) -> None:
        """Log what the engine raised just now; an engine that is broken for good, once a minute."""
        self._failures += 1
        now = monotonic_ns()
        if now >= self._failure_due:
            self._failure_due = now + _FAILURE_EVERY_NS
            _logger.exception("the engine failed on %d batches so far, whose windows are skipped", self._failures)

    def finish(self, batch: Batch, answers: Answers) -> list[Label | Event]:
        """Return labels and events of a batch in the order they came about."""
        classes: list[int] = []
        best: list[float] = []
        for (_, count), every in zip(batch.parts, answers.probabilities, strict=True):
            if every is None:
                classes += [_FAILED] * count
                best += [0.0] * count
                continue
            probabilities = every[:count]
            classes += probabilities.argmax(axis=1).tolist()
            best += probabilities.max(axis=1).tolist()
        of_windows = zip(batch.empty, classes, best, strict=True)
        outcomes: list[Label | Event] = []
        for entry in batch.pending:
            if isinstance(entry, Event):
                outcomes.append(entry)
                continue
            skipped, index, p = next(of_windows)
            if skipped:
                outcomes.append(self._skip(entry, "missing"))
            elif index == _FAILED or p != p:  # not a number: readings so large that the network's sums are infinite
                outcomes.append(self._skip(entry, "engine"))
            else:
                outcomes.append(self._label(entry, index, p, batch.ready, answers.inferred))
        self._gatherer.give_back(batch.parts)
        return outcomes

    def _label(self, entry: PendingWindow, index: int, p: float, ready: int, inferred: int) -> Label:
        entry.session.windows["labelled"] += 1
        self.counts["windows_labelled"] += 1
        first = entry.first_seq
        return Label(
            entry.stream,
            entry.session.number,
            entry.window,
            first,
            first + self._grid.length - 1,
            self._classes[index],
            index,
            p,
            self._model,
            entry.source,
            entry.received,
            ready,
            inferred,
            now_ns(),
        )

    def _skip(self, entry: PendingWindow, reason: str) -> Event:
        return self._skipped(entry.stream, entry.session, entry.window, entry.window, reason)

    def _skipped(self, name: str, session: Session, first: int, last: int, reason: str) -> Event:
        session.windows["skipped"] += last - first + 1
        self.counts[f"windows_skipped_{reason}"] += last - first + 1
        return Event("skipped", name, session.number, {"first_window": first, "last_window": last, "reason": reason})

    def _shed(self) -> list[int]:
        """Skip the oldest windows of senders that do not wait, down to one batch: the freshest are worth more.

        Returns
        -------
        list of int
            Which of the windows that wait they are.
        """
        excess, number = self._waiting_lossy - BATCH, -1
        dropped: list[int] = []
        for i, entry in enumerate(self._pending):
            if len(dropped) >= excess:
                break
            if isinstance(entry, PendingWindow):
                number += 1
                if entry.lossy:
                    self._pending[i] = self._skip(entry, "overload")
                    dropped.append(number)
        return dropped

    def forget_silent(self, now: int) -> None:
        """Close and forget the streams that have been silent for too long by `now`, on the monotonic clock, ns."""
        self._undeclared.clear()
        silent = [
            name for name, known in self._streams.items() if known.is_silent(now, self._forget_ns) and not known.queued
        ]
        for name in silent:
            known = self._streams.pop(name)
            self._described.pop(known.described, None)
            self._close(name, known, "idle")
            if known.spare is not None:
                known.spare.close()

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        if self._backlog.messages:
            self.counts["messages_unfinished"] += self._backlog.clear()
        for name, known in self._streams.items():
            self._close(name, known, "stopped")

    def totals(self) -> dict[str, int]:
        """Return every counter: of samples, by what became of them, of windows, messages and sessions."""
        totals = self.counts.copy()
        totals["messages_taken"] = self._taken + self._quick.taken
        totals["messages_waiting"] = self._backlog.messages
        for known in self._streams.values():
            if known.session is not None:
                totals.update(_sample_counts(known.session.buffer))
                totals["samples_held"] += known.session.buffer.held
        return dict(sorted(totals.items()))

    # Inside ---------------------------------------------------------------------------------------------------------

    def _introduce(self, description: StreamDescription, received: int, subscribers: int) -> None:
        name = description.stream
        known = self._streams.get(name)
        if known is None and len(self._streams) >= self._most_streams:
            why = f"{len(self._streams)} streams are served already: start another streamer or raise --max-streams"
            self._refuse(name, None, why)
            return
        if known is not None:
            known.touched = True
        try:
            self.describe(name, description.channels, description.rate_hz)
        except ChannelMismatch as error:
            self._refuse(name, known, str(error))
            return
        known = self._streams[name]
        if known.session is None and known.spare is None:
            known.spare = self._new_buffer()
        self._described.pop(known.described, None)
        known.described = description.fingerprint
        self._described[description.fingerprint] = name
        self._accept(name, known, subscribers)

    def _refuse(self, name: str, known: KnownStream | None, why: str) -> None:
        """Say why a stream is not served; one that never was takes no room but that of its name."""
        if known is not None:
            known.refused = True
            self._described.pop(known.described, None)
            self._close(name, known, "refused")
        else:
            self._refused[name] = None
            self._refused.move_to_end(name)
            while len(self._refused) > self._most_streams:
                self._refused.popitem(last=False)
        self._tell("refused", name, -1, {"reason": why[:_REASON]})

    def _accept(self, name: str, known: KnownStream, subscribers: int) -> None:
        session = known.session.number if known.session else -1
        columns = None if known.order is None else known.order.tolist()
        self._tell("accepted", name, session, self._about | {"columns": columns, "subscribers": subscribers})

    def _turn_away(self, message: Samples | End, known: KnownStream | None) -> None:
        """Count a message of a stream that has not said what its columns are, or whose columns do not fit."""
        name = message.stream
        undeclared = known is None and name not in self._refused
        self.counts["messages_undeclared" if undeclared else "messages_refused"] += 1
        told = name in self._undeclared or len(self._undeclared) >= self._most_streams
        if undeclared and not told and stream_name_is_valid(name):
            self._undeclared.add(name)
            why = f"stream {name} has not been described: send a message of kind 'stream' before its samples"
            self._tell("refused", name, -1, {"reason": why})

    def _take(
        self,
        name: str,
        known: KnownStream,
        message: Samples,
        x: Rows,
        received: int,
        lossy: bool,
        after: int = 0,
    ) -> None:
        """Take samples, whose message goes on with `after` more."""
        known.touched = True
        session = known.session
        if session is None or session.number != message.session:
            session = self._open_session(name, known, message.session)
        elif message.seq + len(x) <= session.buffer.open_seq and self._outlives(name, known, message.session):
            session = self._begin_again(name, known, message.session)
        if session is None:
            self.counts["samples_received"] += len(x)
            self.counts["samples_closed_session"] += len(x)
            return
        late = session.buffer.late
        for outcome in session.buffer.push(message.seq, x if known.order is None else x[:, known.order]):
            if isinstance(outcome, DueWindow):
                source = max(message.t - int((outcome.behind + after) * self._period_ns), 0)
                self._await(outcome, name, known, source, received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._pending.append(self._skipped(name, session, outcome.first, outcome.last, "missing"))
            else:
                self._tell("seam" if isinstance(outcome, Seam) else "gap", name, session.number, outcome._asdict())
        if session.buffer.late > late:
            self._tell_late(name, known, session, session.buffer.late - late)

    def _tell_late(self, name: str, known: KnownStream, session: Session, count: int) -> None:
        """Say that samples came after their last window had gone; of a stream once a second."""
        session.late += count
        now = monotonic_ns()
        if now - known.told_ns >= _TOLD_EVERY_NS:
            known.told_ns = now
            self._tell("late", name, session.number, {"count": session.late, "next_seq": session.buffer.next_seq})
            session.late = 0

    def _await(self, due: DueWindow, name: str, known: KnownStream, source: int, received: int, lossy: bool) -> None:
        """Have a window of the open session wait for the next batch."""
        session = known.session
        if session is None:
            return
        session.due = monotonic_ns() + self._stride_ns
        self._gatherer.add(due.rows)
        self._pending.append(PendingWindow(name, session, due.window, due.first_seq, source, received, lossy))
        self.waiting += 1
        self._waiting_lossy += lossy

    def _open_session(self, name: str, known: KnownStream, number: int) -> Session | None:
        """Begin a session, unless a later one has begun or it was closed, and this one is no more than a stray."""
        newest = max(known.closed, known.session.number if known.session else -1)
        if number <= newest and not self._outlives(name, known, number):
            return None
        return self._begin_again(name, known, number)

    def _begin_again(self, name: str, known: KnownStream, number: int) -> Session:
        """Begin a session, whichever was before."""
        if known.session is not None:
            self._tell("reset", name, number, {"previous": known.session.number})
            self._close(name, known, "reset")
        known.closed = min(known.closed, number - 1)
        known.outdated = None
        known.session = Session(number, known.spare or self._new_buffer())
        known.spare = None
        self.counts["sessions"] += 1
        self._quick.note(name, known)
        return known.session

    def _outlives(self, name: str, known: KnownStream, number: int) -> bool:
        """Tell whether outdated samples are all that has come of a stream for so long that they must be meant.

        Until then their sender is refused, with the reason.
        """
        now = monotonic_ns()
        newest = known.session.buffer.next_seq if known.session else -1
        before = known.outdated
        if before is None or before.session != number or now - before.heard > _OUTLIVES_NS:
            before = Outdated(number, newest, now, now, now)
        elif before.newest != newest:  # the newest session goes on, too
            before = before._replace(newest=newest, since=now)
        known.outdated = before._replace(heard=now)
        # Where a session is open, the first of them may well be strays.
        lasting = known.session is None or now - before.began >= _TOLD_EVERY_NS
        if lasting and now - known.told_ns >= _TOLD_EVERY_NS:
            known.told_ns = now
            self._tell("refused", name, number, {"reason": _outdated_reason(known, number)})
        return now - before.since >= _OUTLIVES_NS

    def _new_buffer(self) -> StreamBuffer:
        return StreamBuffer(self._grid, len(self.bundle.channels), self._lanes, longest_gap=self.longest_gap)

    def _close(self, name: str, known: KnownStream, reason: str) -> None:
        """End a session, if one is open; its `end` event leaves after its last label."""
        session = known.session
        if session is None:
            return
        session.buffer.close()
        samples = _sample_counts(session.buffer)
        self.counts.update(samples)
        # The windows' counts go on until the labels before this event have been made: it is sent after them.
        self._tell("end", name, session.number, {"reason": reason, **samples, "windows": session.windows})
        known.session = None
        self._quick.note(name, known)
        if reason != "refused":  # the right description may yet come, and the session go on
            known.closed = max(known.closed, session.number)

    def _tell(self, event: str, stream: str, session: int, details: dict[str, Any]) -> None:
        self._pending.append(Event(event, stream, session, details))


def _check_width(message: Samples, known: KnownStream) -> None:
    if len(message.x) % known.row_bytes:
        raise MalformedMessage("width")
    if message.seq + len(message.x) // known.row_bytes > MAX_INT:
        raise MalformedMessage("samples")


def _outdated_reason(known: KnownStream, number: int) -> str:
    if known.session is not None and known.session.number == number:
        which = f"its samples have gone on to {known.session.buffer.next_seq}, and now begin anew"
    elif known.session is not None:
        which = f"session {known.session.number} has begun since, maybe of another sender that uses the same name"
    else:
        which = f"session {known.closed} has ended"
    wait_s = _OUTLIVES_NS // 1_000_000_000
    return (
        f"session {number} is outdated: {which}. Give sessions rising numbers, such as the time; "
        f"if nothing else comes for {wait_s} s, it will be taken all the same"
    )


def _sample_counts(buffer: StreamBuffer) -> dict[str, int]:
    return {f"samples_{name}": count for name, count in vars(buffer.counts).items()}
