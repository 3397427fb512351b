"""Samples of many streams in, labels and events out; no socket here.

`Recognizer` is the whole of kinestream as a library::

    recognizer = Recognizer.load("my-bundle")
    for label in recognizer.push("alice", chunk):
        print(label.label, label.p)

`streamer.server.server` puts sockets around it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import now_ns
from kinestream.model.engine.engine import BATCH, Device, Engine
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.events.log import EventLog
from kinestream.streamer.ingest.quick import QuickPath
from kinestream.streamer.recognizer.batch import Answers, Batch
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.recognizer.intake import Intake
from kinestream.streamer.streams.buffer import StreamBuffer, lanes_for
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.wire.messages import MAX_INT, Answer, Description, End, Event, Label, Readings

_MAX_PREDICTED = 8
"""Streams up to which the next window is predicted; with more, one is due so often that it costs more than it gains."""


class Recognizer:
    """A bundle, its engine, and the open windows of every stream.

    Your own code needs `load`, `push` and, for streams whose columns differ from the bundle's, `describe`; `streams`
    and `totals` say how it goes, `forget_silent` and `close_all` tidy up. All other methods are what the streamer calls
    to take messages and to run batches in a thread of their own, and may change with it: `take`, `take_frames`,
    `take_queued`, `introduce`, `introduce_again`, `infer`, `infer_due`, `begin`, `recognise`, `finish`, `next_due`,
    `waiting`, `backlog_bytes`.

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
    counts : Counter
        Of samples, windows and messages, by what became of them; `totals` adds what is still open.
    batcher : Batcher
        The windows that wait for the next batch, and what names them.
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
        grid, channels = bundle.grid, len(bundle.channels)
        self.longest_gap = max(round(forget_after * bundle.description.rate_hz), grid.length)
        self._log = EventLog()
        lanes = lanes_for(grid, channels)

        def new_buffer() -> StreamBuffer:
            return StreamBuffer(grid, channels, lanes, longest_gap=self.longest_gap)

        self.batcher = batcher = Batcher(bundle, engine, self.counts)
        self._quick = QuickPath(lanes, batcher.add)
        sessions = Sessions(new_buffer, self.counts, batcher.emit, self._quick.note)
        self._registry = Registry(
            bundle,
            sessions,
            batcher.emit,
            self._quick.note,
            self._quick.forget,
            forget_ns=int(forget_after * 1e9),
            most_streams=most_streams,
        )
        self._intake = Intake(bundle, self._registry, sessions, batcher, self._quick, self.counts)
        self._streams = self._registry.streams

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

    @property
    def waiting(self) -> int:
        """Windows that wait for the next batch."""
        return self.batcher.waiting

    # For your own code ----------------------------------------------------------------------------------------------

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
            Whose samples; a new name begins a new stream, its columns in the bundle's order unless `describe` was
            called for it.
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
        layout = known.layout
        if x.ndim != 2 or x.shape[1] != layout.width:
            raise ChannelMismatch(f"stream {stream} has {layout.width} channels, this chunk has shape {x.shape}")
        x = layout.feed(x)
        if seq is None:
            seq = known.session.buffer.next_seq if known.session and known.session.number == session else 0
        now = now_ns()
        self._intake.take_rows(stream, known, session, seq, x, now if t is None else t, now, lossy=False)
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
        self._registry.describe(stream, channels, rate_hz)

    # For the streamer: message by message ---------------------------------------------------------------------------

    def take(self, message: Readings | End, received: int, *, lossy: bool = False) -> None:
        """Take a message; what comes of it waits for `infer`.

        Parameters
        ----------
        message : Readings or End
            As decoded.
        received : int
            Unix time in ns when it came.
        lossy : bool
            Whether the sender does not wait when this is too slow: then its windows may be skipped.

        Raises
        ------
        MalformedMessage
            Where the samples do not fit the stream's channels.
        """
        self._intake.take(message, received, lossy)

    def introduce(self, description: Description, *, subscribers: int = 0, quietly: bool = False) -> Answer:
        """Admit a stream by its description or refuse it; return what its sender is answered.

        Parameters
        ----------
        description : Description
            As decoded.
        subscribers : int
            How many listen to its labels.
        quietly : bool
            Whether an event tells only what is new, because the sender is answered otherwise.
        """
        return self._intake.introduce(description, subscribers, quietly=quietly)

    def take_queued(self, windows: int) -> None:
        """Take of what waits in the backlog, by streams in turn, until nothing does or so many windows are due."""
        self._intake.take_queued(windows)

    @property
    def backlog_bytes(self) -> int:
        """Bytes of the messages that wait for their turn."""
        return self._intake.backlog.bytes

    def take_frames(
        self, frames: list[bytes], received: int, fallback: Callable[[bytes], None], *, lossy: bool = False
    ) -> None:
        """Take messages in bulk: those of samples that continue their session by the quick path, undecoded.

        Parameters
        ----------
        frames : list of bytes
            Senders' messages.
        received : int
            Unix time in ns when they came.
        fallback : callable
            Called with each that must be decoded; those of a stream keep their order.
        lossy : bool
            As for `take`.
        """
        self._quick.take_all(frames, received, lossy, fallback)

    def next_due(self, after: int) -> int | None:
        """Return when the next window is expected, later than `after`; None where nothing can be said.

        Both on the monotonic clock, ns.
        """
        if len(self._streams) > _MAX_PREDICTED:
            return None
        due = [known.session.due for known in self._streams.values() if known.session is not None]
        return min((when for when in due if when > after), default=None)

    def introduce_again(
        self, fingerprint: int, listening: Callable[[str], int], *, quietly: bool = False
    ) -> Answer | None:
        """Answer a description that came before, byte for byte, unread: every sender repeats its own again and again.

        Parameters
        ----------
        fingerprint : int
            As `Description.fingerprint`.
        listening : callable
            Returns how many listen to the labels of a stream.
        quietly : bool
            As for `introduce`.

        Returns
        -------
        Answer or None
            None where it was no such one.
        """
        answer = self._registry.introduce_again(fingerprint, listening, quietly=quietly)
        self._intake.taken += answer is not None
        return answer

    def infer(self) -> list[Label | Event]:
        """Take all that is queued and name all windows that wait; return labels and events in their order."""
        outcomes = self.infer_due()
        while self._intake.backlog.messages:
            self.take_queued(BATCH)
            outcomes += self.infer_due()
        return outcomes

    def infer_due(self) -> list[Label | Event]:
        """Name all windows that wait, and leave what is queued to its turn."""
        batch = self.batcher.begin()
        return self.batcher.finish(batch, self.batcher.recognise(batch))

    def begin(self) -> Batch:
        """Return all that waits, ready to be recognised; further messages may be taken meanwhile."""
        return self.batcher.begin()

    def recognise(self, batch: Batch) -> Answers:
        """Name the windows of a batch; touches nothing else here, so that another thread may do it."""
        return self.batcher.recognise(batch)

    def finish(self, batch: Batch, answers: Answers) -> list[Label | Event]:
        """Return labels and events of a batch in the order they came about."""
        return self.batcher.finish(batch, answers)

    def forget_silent(self, now: int) -> None:
        """Close and forget the streams that have been silent for too long by `now`, on the monotonic clock, ns."""
        self._registry.forget_silent(now)
        self._intake.drop_early(now)

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        if self._intake.backlog.messages:
            self.counts["messages_unfinished"] += self._intake.backlog.clear()
        self._registry.close_all()

    def totals(self) -> dict[str, int]:
        """Return every counter: of samples, by what became of them, of windows, messages and sessions."""
        totals = self.counts.copy()
        totals["messages_taken"] = self._intake.taken + self._quick.taken
        totals["messages_waiting"] = self._intake.backlog.messages + self._intake.early.messages
        for known in self._streams.values():
            if known.session is not None:
                totals.update(known.session.buffer.counts.by_name())
                totals["samples_held"] += known.session.buffer.held
        return dict(sorted(totals.items()))
