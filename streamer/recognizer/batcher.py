"""Windows that came due wait here and are recognised together; events keep their place among their labels."""

import logging
from collections import Counter
from typing import Any

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.engine.engine import BATCH, Engine
from kinestream.model.windows.grid import missing_shares
from kinestream.streamer.recognizer.batch import Answers, Batch, Gatherer, PendingWindow
from kinestream.streamer.recognizer.lookout import Lookout
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.outcomes import DueWindow
from kinestream.streamer.streams.stream import KnownStream, Session
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published

_FAILED = -1  # class of a window on which the engine failed
_FAILURE_INTERVAL_NS = 60_000_000_000  # between two log lines about the engine

_bytes_of = np.ndarray.tobytes
_logger = logging.getLogger(__name__)


class Batcher:
    """Gathers windows and events, has an engine name the windows, and returns labels and events in their order.

    Parameters
    ----------
    bundle, engine : Bundle, Engine
        What to recognise, and what runs it.
    counts : Counter
        Where windows are counted by what became of them.

    Attributes
    ----------
    waiting : int
        Windows that wait for the next batch.
    batches_begun, batches_finished : int
        So far; a window that waits now is of the next one.
    epochs : dict of int by str
        In a fleet, as of when this streamer has a stream; the registry's.
    """

    def __init__(self, bundle: Bundle, engine: Engine, counts: Counter[str]) -> None:
        self.waiting = 0
        self.batches_begun = self.batches_finished = 0
        self.epochs: dict[str, int] = {}
        self._engine = engine
        self._counts = counts
        self._classes = bundle.description.classes
        self._model = bundle.id
        self._lookout = Lookout(bundle, self.emit) if bundle.description.familiar else None
        self._length, self._max_missing = bundle.grid.length, bundle.grid.max_missing
        self._stride_ns = int(bundle.grid.stride * (1e9 / bundle.description.rate_hz))
        self._pending: list[PendingWindow | Event | Annotation] = []
        self._gatherer = Gatherer(bundle.grid.length, len(bundle.channels), engine.multiple)
        self._waiting_lossy = 0
        self._failures, self._next_failure_log = 0, 0

    def change_bundle(self, bundle: Bundle, engine: Engine) -> None:
        """Have another bundle name all further windows, of the same channels, rate and window; none may wait."""
        assert not self._pending
        self._engine, self._classes, self._model = engine, bundle.description.classes, bundle.id
        self._lookout = Lookout(bundle, self.emit) if bundle.description.familiar else None
        self._gatherer = Gatherer(bundle.grid.length, len(bundle.channels), engine.multiple)

    def add(
        self,
        due: DueWindow,
        name: str,
        known: KnownStream,
        source: int,
        received: int,
        lossy: bool,
        shares: dict[str, float] | None = None,
    ) -> None:
        """Have a window of a stream's open session wait for the next batch; its rows are copied.

        Parameters
        ----------
        due : DueWindow
            The window.
        name, known : str, KnownStream
            Whose it is.
        source, received : int
            Unix time in ns of its last sample, and when that came.
        lossy : bool
            Whether its sender does not wait: then it may be skipped.
        shares : dict of float by str, optional
            What each of several devices missed of it.
        """
        session = known.session
        if session is None:
            return
        session.due = monotonic_ns() + self._stride_ns
        self._gatherer.add(due.rows)
        self._pending.append(
            PendingWindow(name, known.device, session, due.window, due.first_seq, source, received, lossy, shares)
        )
        if self._lookout is not None and due.window >= session.look_at:
            self._lookout.look(due, name, session)
        self.waiting += 1
        self._waiting_lossy += lossy

    def emit(self, event: str, stream: str, session: int, details: dict[str, Any]) -> None:
        """Have an event wait behind the windows that wait now."""
        self._pending.append(self._event(event, stream, session, details))

    def annotate(self, annotation: Annotation) -> None:
        """Have an annotation wait behind the windows that wait now."""
        self._pending.append(annotation)

    def skip(self, name: str, session: Session, first: int, last: int, reason: str) -> None:
        """Have windows of a session get no label."""
        self._pending.append(self._skipped(name, session, first, last, reason))

    @property
    def batch_of_all(self) -> int:
        """The number of the batch with which all is published that was added so far."""
        return self.batches_begun + bool(self._pending)

    def begin(self) -> Batch:
        """Return all that waits, ready to be recognised; more may be added meanwhile."""
        ready = now_ns()
        self.batches_begun += 1
        parts = self._gatherer.take(self._shed())
        pending, self._pending, self.waiting, self._waiting_lossy = self._pending, [], 0, 0
        missing: list[float] = []
        for windows, count in parts:
            shares = missing_shares(windows[:count])
            which = shares > self._max_missing
            if which.any():
                windows[:count][which] = 0  # they get no label: to fill their gaps takes longer than to name them
            missing += shares.tolist()
        return Batch(pending, parts, [self._prepare(windows) for windows, _ in parts], missing, ready)

    def recognise(self, batch: Batch) -> Answers:
        """Name the windows of a batch; touches nothing else here, so that another thread may do it.

        It only calls the engine: on every call into NumPy that thread might have to wait for this one.
        """
        return Answers([self._answer(part) for part in batch.inputs], now_ns())

    def finish(self, batch: Batch, answers: Answers) -> list[Published]:
        """Return labels, events and annotations of a batch in the order they came about."""
        classes: list[int] = []
        best: list[float] = []
        every_class: list[bytes] = []
        for (_, count), every in zip(batch.parts, answers.probabilities, strict=True):
            if every is None:
                classes += [_FAILED] * count
                best += [0.0] * count
                every_class += [b""] * count
                continue
            probabilities = every[:count]
            classes += probabilities.argmax(axis=1).tolist()
            best += probabilities.max(axis=1).tolist()
            every_class += map(_bytes_of, probabilities.astype("<f4", copy=False))
        of_windows = zip(batch.missing, classes, best, every_class, strict=True)
        outcomes: list[Published] = []
        for entry in batch.pending:
            if not isinstance(entry, PendingWindow):
                outcomes.append(entry)
                continue
            missing, index, p, probs = next(of_windows)
            if missing > self._max_missing:
                outcomes.append(self._skip(entry, "missing"))
            elif index == _FAILED or p != p:  # not a number: readings so large that the network's sums are infinite
                outcomes.append(self._skip(entry, "engine"))
            else:
                outcomes.append(self._label(entry, index, p, probs, missing, batch.ready, answers.inferred))
        self._gatherer.give_back(batch.parts)
        self.batches_finished += 1
        return outcomes

    def _prepare(self, windows: Rows) -> Rows | None:
        try:
            return self._engine.prepare(windows)
        except Exception:  # whatever an engine may raise: these windows get no label, all others do
            self._log_failure()
            return None

    def _answer(self, part: Rows | None) -> Rows | None:
        try:
            return None if part is None else self._engine.answer(part)
        except Exception:  # as above
            self._log_failure()
            return None

    def _log_failure(self) -> None:
        """Log what the engine raised just now; an engine that is broken for good, once a minute."""
        self._failures += 1
        now = monotonic_ns()
        if now >= self._next_failure_log:
            self._next_failure_log = now + _FAILURE_INTERVAL_NS
            _logger.exception("the engine failed on %d batches so far, whose windows are skipped", self._failures)

    def _label(
        self, entry: PendingWindow, index: int, p: float, probs: bytes, missing: float, ready: int, inferred: int
    ) -> Label:
        entry.session.windows["labelled"] += 1
        self._counts["windows_labelled"] += 1
        first = entry.first_seq
        return Label(
            entry.stream,
            entry.session.number,
            entry.window,
            first,
            first + self._length - 1,
            self._classes[index],
            index,
            p,
            probs,
            {entry.device: missing} if entry.shares is None else entry.shares,
            self._model,
            entry.source,
            entry.received,
            ready,
            inferred,
            now_ns(),
            self.epochs.get(entry.stream, 0) if self.epochs else 0,
        )

    def _skip(self, entry: PendingWindow, reason: str) -> Event:
        return self._skipped(entry.stream, entry.session, entry.window, entry.window, reason)

    def _skipped(self, name: str, session: Session, first: int, last: int, reason: str) -> Event:
        session.windows["skipped"] += last - first + 1
        self._counts[f"windows_skipped_{reason}"] += last - first + 1
        about = {"first_window": first, "last_window": last, "reason": reason}
        return self._event("skipped", name, session.number, about)

    def _event(self, event: str, stream: str, session: int, details: dict[str, Any]) -> Event:
        epoch = self.epochs.get(stream, 0) if self.epochs else 0
        return Event(event, stream, session, {**details, "epoch": epoch} if epoch else details)

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
