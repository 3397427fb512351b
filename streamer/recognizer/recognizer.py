"""Samples of many streams in, labels and events out; no socket here.

`Recognizer` is the whole of kinestream as a library::

    recognizer = Recognizer.load("my-bundle")
    for label in recognizer.push("alice", chunk):
        print(label.label, label.p)

`kinestream.streamer.server.server` puts sockets around it.

Longer than other files: it is one class, the door to all below it, whose methods mostly say what they hand on.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

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
from kinestream.streamer.ingest.tap import Tap
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.recognizer.forgetting import forget
from kinestream.streamer.recognizer.intake import Intake
from kinestream.streamer.recognizer.tracking import Tracking
from kinestream.streamer.streams.buffer import StreamBuffer, lanes_for
from kinestream.streamer.streams.devices import PATIENCE_S, patience_ns
from kinestream.streamer.streams.outcomes import SampleCounts
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.sessions import Sessions
from kinestream.streamer.streams.stream import KnownStream
from kinestream.streamer.wire.messages import (
    MAX_INT,
    Answer,
    Description,
    End,
    Event,
    Label,
    Published,
    Readings,
    Remark,
)

_MAX_PREDICTED = 8
"""Streams up to which the next window is predicted; with more, one is due so often that it costs more than it gains."""


class Recognizer:
    """A bundle, its engine, and the open windows of every stream.

    Your own code needs `load`, `push` and, for streams whose columns differ from the bundle's, `describe`; `streams`
    and `totals` say how it goes, `forget_silent` and `close_all` tidy up. All other methods are what the streamer calls
    to take messages and to run batches in a thread of their own, and may change with it: `take`, `take_frames`,
    `take_queued`, `annotate`, `introduce`, `introduce_again`, `admit_no_more`, `forget`, `infer`, `infer_due`,
    `change_bundle`, `tell_of_bundle`, `next_due`, `known`, `backlog_messages`, `backlog_bytes`, `malformed`,
    `tell_malformed`, `knows`, `stream_of`, `tell`, `retire`.

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
    patience : float
        See `kinestream.streamer.streams.devices.patience_ns`, which raises ConfigError where it is out of range.

    Attributes
    ----------
    counts : Counter
        Of samples, windows and messages, by what became of them; `totals` adds what is still open.
    batcher : Batcher
        The windows that wait for the next batch, and what names them.
    tap : Tap
        Where readings go that somebody watches.
    tracking : Tracking
        Takes messages that are acknowledged.
    longest_gap : int
        Samples that may be missing in a row. As many come in `forget_after`, and a stream that is silent for longer is
        forgotten: so no gap explains a greater jump of the numbers.
    """

    def __init__(
        self,
        bundle: Bundle,
        engine: Engine,
        *,
        forget_after: float = 300.0,
        most_streams: int = 10_000,
        patience: float = PATIENCE_S,
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
        self.tap = tap = Tap(lambda number: self._registry.keys.get(number))
        self._quick = QuickPath(lanes, batcher.add, lambda *what: self._intake.look(*what), grid.stride, tap)
        self._sessions = sessions = Sessions(new_buffer, self.counts, batcher.emit, self._quick.note)
        self._registry = Registry(
            bundle,
            sessions,
            batcher.emit,
            self._quick.note,
            lambda key: self.tracking.forget(key),
            forget_ns=int(forget_after * 1e9),
            most_streams=most_streams,
            patience_ns=patience_ns(patience),
            epochs=batcher.epochs,
        )
        self._intake = Intake(bundle, self._registry, sessions, batcher, self._quick, self.counts, tap)
        self.tracking = Tracking(self._registry, self._intake, self._quick, batcher, self.counts)
        self._streams = self._registry.streams
        self._untold: list[str] = []  # streams that do not know yet that the bundle is another
        self._before = ""  # the one that it took the place of

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: Device = "auto",
        threads: int = 1,
        forget_after: float = 300.0,
        most_streams: int = 10_000,
        patience: float = PATIENCE_S,
    ) -> Self:
        """Read a bundle and make its engine ready; the parameters are those of `load_engine` and of the class.

        Raises BundleError where the bundle cannot be read, and MissingExtra where the device cannot be used.
        """
        bundle = read_bundle(folder)
        engine = load_engine(bundle, device, threads)
        return cls(bundle, engine, forget_after=forget_after, most_streams=most_streams, patience=patience)

    @property
    def streams(self) -> int:
        """Streams known now."""
        return len(self._streams)

    @property
    def known(self) -> Mapping[str, KnownStream]:
        """Those, by name."""
        return self._streams

    @property
    def backlog_messages(self) -> int:
        """Messages that wait for their turn."""
        return self._intake.backlog.messages

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
        self._intake.samples.take_rows(stream, known, session, seq, x, now if t is None else t, now, lossy=False)
        labels = []
        for outcome in self.infer():
            if isinstance(outcome, Label):
                labels.append(outcome)
            elif isinstance(outcome, Event):
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

    def take(self, message: Readings | End | Remark, received: int, *, lossy: bool = False) -> None:
        """Take a message; what comes of it waits for `infer`.

        Parameters
        ----------
        message : Readings, End or Remark
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

    def annotate(self, stream: str, activity: str, begin: int, end: int) -> int | str:
        """Have published what somebody says of a stream, from `begin` to `end`, Unix ns; return of which session it is.

        Where it is not published, a text says why.
        """
        known = self._streams.get(stream)
        if known is None:
            return f"no stream called {stream} is known here: see which there are with 'kinestream watch'"
        return self._intake.annotator.take_of_others(stream, known, activity, begin, end)

    def take_queued(self, windows: int) -> None:
        """Take of what waits in the backlog, by streams in turn, until nothing does or so many windows are due."""
        self._intake.take_queued(windows)

    def malformed(self, reason: str) -> None:
        """Count a message that cannot be read, and tell whoever `tell_malformed` named."""
        self._intake.malformed(reason)

    def tell_malformed(self, tell: Callable[[str], object]) -> None:
        """Have the reason of each message told that cannot be read, whether it has just come or has waited."""
        self._intake.on_malformed = tell

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

    def infer(self) -> list[Published]:
        """Take all that is queued and name all windows that wait; return labels and events in their order."""
        outcomes = self.infer_due()
        while self._intake.backlog.messages:
            self.take_queued(BATCH)
            outcomes += self.infer_due()
        return outcomes

    def infer_due(self) -> list[Published]:
        """Name all windows that wait, and leave what is queued to its turn."""
        batch = self.batcher.begin()
        return self.batcher.finish(batch, self.batcher.recognise(batch))

    def change_bundle(self, bundle: Bundle, engine: Engine) -> None:
        """Have another bundle name all further windows; see `check_replacement`. None may wait, nor be recognised."""
        self._before, self.bundle, self.engine = self.bundle.id, bundle, engine
        self.batcher.change_bundle(bundle, engine)
        self._registry.change_bundle(bundle)
        self._untold = list(self._streams)

    def tell_of_bundle(self, most: int) -> None:
        """Tell some of the streams that the bundle is another: all at once would be more than subscribers hold."""
        told, self._untold = self._untold[:most], self._untold[most:]
        description = self.bundle.description
        about: dict[str, Any] = {"old": self._before, "new": self.bundle.id, "classes": list(description.classes)}
        if description.activities is not None:
            about["activities"] = description.activities.model_dump(mode="json")
        for name in told:
            known = self._streams.get(name)
            if known is not None:
                self.batcher.emit("model", name, known.session.number if known.session else -1, about)

    def forget(self, stream: str) -> dict[str, int]:
        """Remove all that is known of a stream; return how much of what that was. None of its windows may wait."""
        self._log.forget(stream)
        return forget(stream, self._registry, self._intake.backlog, self.counts)

    def admit_no_more(self, reason: str) -> None:
        """Refuse streams that are not known yet, for this reason."""
        self._registry.closed = reason

    def forget_silent(self, now: int) -> None:
        """Close and forget the streams that have been silent for too long by `now`, on the monotonic clock, ns."""
        self._registry.forget_silent(now)
        self._intake.drop_early(now)

    def knows(self, stream: str) -> bool:
        """Tell whether a stream is known now."""
        return stream in self._streams

    def stream_of(self, key: int) -> str | None:
        """Return the stream that a description's key stands for; None where it stands for none."""
        found = self._registry.keys.get(key)
        return None if found is None else found.name

    def tell(self, key: int, event: str, details: dict[str, Any]) -> None:
        """Have an event of the stream told that a description's key stands for, if it does for one."""
        found = self._registry.keys.get(key)
        if found is not None:
            session = found.known.session
            self.batcher.emit(event, found.name, session.number if session else -1, details)

    def retire(self, may_still: Callable[[str, str], bool]) -> int:
        """Forget the keys of those that may not send a stream any more; return how many streams nobody else sends.

        `may_still` is called with the sender and the stream of a key.
        """
        ended = self._registry.retire(may_still)
        for name in ended:
            self.counts["messages_unfinished"] += self._intake.backlog.drop(name)
            self._streams[name].queued = False
        return len(ended)

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        if self._intake.backlog.messages:
            self.counts["messages_unfinished"] += self._intake.backlog.clear()
        self._registry.close_all()

    def totals(self) -> dict[str, int]:
        """Return every counter: of samples, by what became of them, of windows, messages and sessions."""
        sets = [devices for known in self._streams.values() for devices in known.sets.values()]
        for devices in sets:
            self._sessions.count_readings(devices)
        totals = self.counts.copy()
        if sets:
            totals["readings_waiting"] = sum(devices.waiting for devices in sets)
        totals["messages_taken"] = self._intake.taken + self._quick.taken
        totals["messages_waiting"] = self._intake.backlog.messages + self._intake.early.messages
        buffers = [known.session.buffer for known in self._streams.values() if known.session is not None]
        if buffers:
            samples = SampleCounts()
            for buffer in buffers:
                samples.add(buffer.counts)
            totals.update(samples.by_name())
            totals["samples_held"] += sum(buffer.held for buffer in buffers)
        if self._quick.readings:
            totals["readings_received"] += self._quick.readings
        return dict(sorted(totals.items()))
