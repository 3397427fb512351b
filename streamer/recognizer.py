"""Samples of many streams in, labels and events out; no socket here.

`Recognizer` is the whole of kinestream as a library::

    recognizer = Recognizer.load("my-bundle")
    for label in recognizer.push("alice", chunk):
        print(label.label, label.p)

`streamer.loop` puts sockets around it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle, read_bundle
from model.clock import now_ns
from model.engine import BATCH, Device, Engine, load_engine
from model.errors import ChannelMismatch
from model.recording import Channel
from model.windows import too_empty
from streamer.buffer import DueWindow, EmptyWindows, StreamBuffer, lanes_for
from streamer.gather import Gatherer
from streamer.lanes import Rows
from streamer.quick import QuickWay
from streamer.session import Answers, Batch, KnownStream, PendingWindow, Session
from streamer.wire import (
    End,
    Event,
    Label,
    MalformedMessage,
    Samples,
    StreamDescription,
    is_description,
    stream_name_is_valid,
)

_FEW = 8
"""Streams up to which the next window is foreseen; with more, one is due so often that it costs more than it gains."""


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
        self, stream: str, chunk: npt.ArrayLike, *, session: int = 0, seq: int | None = None, t: int | None = None
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

        Raises
        ------
        ChannelMismatch
            Where the chunk has another number of columns than the stream.
        """
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
        return [out for out in self.infer() if isinstance(out, Label)]

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
        known = self._streams.setdefault(stream, KnownStream())
        known.match(order, len(channels))
        self._quick.note(stream, known)
        self._undeclared.discard(stream)

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
        if isinstance(message, StreamDescription):
            self._introduce(message, received, subscribers)
        elif known is None or known.refused:
            self._turn_away(message, known)
            return
        elif isinstance(message, End):
            known.heard = received
            if known.session is not None and known.session.number == message.session:
                self._close(message.stream, known, "end")
        else:
            if len(message.x) % known.row_bytes:
                raise MalformedMessage("width")
            x: Rows = np.frombuffer(message.x, dtype="<f4").reshape(-1, known.width)
            self._take(message.stream, known, message, x, received, lossy)
        self._taken += 1

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
        """Return when the next window is expected, later than `after`; Unix ns, None where nothing can be said."""
        if len(self._streams) > _FEW:
            return None
        due = [known.session.due for known in self._streams.values() if known.session is not None]
        return min((when for when in due if when > after), default=None)

    def introduce_again(self, fingerprint: int, received: int, listening: Callable[[str], int]) -> bool:
        """Answer a description that came before, byte for byte, unread: every sender repeats its own again and again.

        Parameters
        ----------
        fingerprint : int
            As `StreamDescription.fingerprint`.
        received : int
            Unix time in ns when it came.
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
        known.heard = received
        self._accept(name, known, listening(name))
        self._taken += 1
        return True

    def infer(self) -> list[Label | Event]:
        """Name all windows that wait and return labels and events in the order they came about."""
        batch = self.begin()
        return self.finish(batch, self.recognise(batch))

    def begin(self) -> Batch:
        """Return all that waits, ready to be recognised; further messages may be taken meanwhile."""
        ready = now_ns()
        parts = self._gatherer.take(self._shed())
        pending, self._pending, self.waiting, self._waiting_lossy = self._pending, [], 0, 0
        missing = self._grid.max_missing
        empty = [bool(each) for windows, count in parts for each in too_empty(windows[:count], missing)]
        return Batch(pending, parts, [self.engine.prepare(windows) for windows, _ in parts], empty, ready)

    def recognise(self, batch: Batch) -> Answers:
        """Name the windows of a batch; touches nothing else here, so that another thread may do it.

        Nothing but the engine is in it: on every call into NumPy that thread might wait for this one.
        """
        return Answers([self.engine.answer(part) for part in batch.inputs], now_ns())

    def finish(self, batch: Batch, answers: Answers) -> list[Label | Event]:
        """Return labels and events of a batch in the order they came about."""
        classes: list[int] = []
        best: list[float] = []
        for (_, count), every in zip(batch.parts, answers.probabilities, strict=True):
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
        """Close and forget the streams that have been silent for too long."""
        self._undeclared.clear()
        silent = [name for name, known in self._streams.items() if known.is_silent(now, self._forget_ns)]
        for name in silent:
            known = self._streams.pop(name)
            self._described.pop(known.described, None)
            self._close(name, known, "idle")
            if known.spare is not None:
                known.spare.close()

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        for name, known in self._streams.items():
            self._close(name, known, "stopped")

    def totals(self) -> dict[str, int]:
        """Return every counter: of samples, by what became of them, of windows, messages and sessions."""
        totals = self.counts.copy()
        totals["messages_taken"] = self._taken + self._quick.taken
        for known in self._streams.values():
            if known.session is not None:
                totals.update(_sample_counts(known.session.buffer))
                totals["samples_held"] += known.session.buffer.held
        return dict(sorted(totals.items()))

    # Inside ---------------------------------------------------------------------------------------------------------

    def _introduce(self, description: StreamDescription, received: int, subscribers: int) -> None:
        name = description.stream
        if name not in self._streams and len(self._streams) >= self._most_streams:
            why = f"{len(self._streams)} streams are served already: start another streamer or raise --max-streams"
            self._tell("refused", name, -1, {"reason": why})
            return
        known = self._streams.setdefault(name, KnownStream())
        known.heard = received
        try:
            self.describe(name, description.channels, description.rate_hz)
        except ChannelMismatch as error:
            known.refused = True
            self._described.pop(known.described, None)
            self._close(name, known, "refused")
            self._tell("refused", name, -1, {"reason": str(error)})
            return
        if known.session is None and known.spare is None:
            known.spare = self._new_buffer()
        self._described.pop(known.described, None)
        known.described = description.fingerprint
        self._described[description.fingerprint] = name
        self._accept(name, known, subscribers)

    def _accept(self, name: str, known: KnownStream, subscribers: int) -> None:
        session = known.session.number if known.session else -1
        columns = None if known.order is None else known.order.tolist()
        self._tell("accepted", name, session, self._about | {"columns": columns, "subscribers": subscribers})

    def _turn_away(self, message: Samples | End, known: KnownStream | None) -> None:
        """Count a message of a stream that has not said what its columns are, or whose columns do not fit."""
        self.counts["messages_undeclared" if known is None else "messages_refused"] += 1
        name = message.stream
        told = name in self._undeclared or len(self._undeclared) >= self._most_streams
        if known is None and not told and stream_name_is_valid(name):
            self._undeclared.add(name)
            why = f"stream {name} has not been described: send a message of kind 'stream' before its samples"
            self._tell("refused", name, -1, {"reason": why})

    def _take(self, name: str, known: KnownStream, message: Samples, x: Rows, received: int, lossy: bool) -> None:
        known.heard = received
        session = known.session
        if session is None or session.number != message.session:
            session = self._open_session(name, known, message.session)
        if session is None:
            self.counts["samples_received"] += len(x)
            self.counts["samples_closed_session"] += len(x)
            return
        for outcome in session.buffer.push(message.seq, x if known.order is None else x[:, known.order]):
            if isinstance(outcome, DueWindow):
                self._await(outcome, name, known, message.t - int(outcome.behind * self._period_ns), received, lossy)
            elif isinstance(outcome, EmptyWindows):
                self._pending.append(self._skipped(name, session, outcome.first, outcome.last, "missing"))
            else:
                self._tell("gap", name, session.number, outcome._asdict())

    def _await(self, due: DueWindow, name: str, known: KnownStream, source: int, received: int, lossy: bool) -> None:
        """Have a window of the open session wait for the next batch."""
        session = known.session
        if session is None:
            return
        known.heard, session.due = received, received + self._stride_ns
        self._gatherer.add(due.rows)
        self._pending.append(PendingWindow(name, session, due.window, due.first_seq, source, received, lossy))
        self.waiting += 1
        self._waiting_lossy += lossy

    def _open_session(self, name: str, known: KnownStream, number: int) -> Session | None:
        """Begin a session, unless a later one has begun or it was closed."""
        if number <= known.closed or (known.session is not None and number < known.session.number):
            return None
        if known.session is not None:
            self._tell("reset", name, number, {"previous": known.session.number})
            self._close(name, known, "reset")
        known.session = Session(number, known.spare or self._new_buffer())
        known.spare = None
        self.counts["sessions"] += 1
        self._quick.note(name, known)
        return known.session

    def _new_buffer(self) -> StreamBuffer:
        return StreamBuffer(self._grid, len(self.bundle.channels), self._lanes)

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


def _sample_counts(buffer: StreamBuffer) -> dict[str, int]:
    return {f"samples_{name}": count for name, count in vars(buffer.counts).items()}
