"""Collects, in a thread of its own, the labels and events of a replay as they arrive."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.streamer.client import Event, Label, LabelSubscriber

_POLL_S = 0.1
_MOST_EVENTS = 10_000


class Column(IntEnum):
    """What is kept of a label, by column; all times monotonic, ns. `FILLED`: 1 where it had to be asked for."""

    TAKE = 0
    WINDOW = 1
    CLASS = 2
    FILLED = 3
    RECEIVED = 4
    READY = 5
    INFERRED = 6
    PUBLISHED = 7
    ARRIVED = 8


class Skipped(NamedTuple):
    """Windows of a take that the streamer gave no label, and why."""

    take: int
    first: int
    last: int
    reason: str


class Arrivals:
    """What comes back from a streamer.

    Parameters
    ----------
    subscriber : LabelSubscriber
        Listens to the streams' labels and events; it belongs to this object's thread until that has finished.
    takes : mapping of (str, int) to int
        Index of each take by stream and session.
    keep : bool
        Whether to keep every class's probability and every event, as a page of the replay needs them.
    heard : callable, optional
        Called with every label and its latency in ms, in this object's thread; it must be quick.

    Attributes
    ----------
    skipped : list of Skipped
        In order of arrival.
    events : Counter of str
        Events by kind.
    strangers : int
        Labels of sessions that are none of `takes`.
    probabilities : dict of bytes by (int, int)
        Those that are kept, float32, by take and window.
    told : list of Event
        The events that are kept, but for acceptances.
    """

    def __init__(
        self,
        subscriber: LabelSubscriber,
        takes: Mapping[tuple[str, int], int],
        heard: Callable[[Label, float], None] = lambda label, latency_ms: None,
        *,
        keep: bool = False,
    ) -> None:
        self.skipped: list[Skipped] = []
        self.events: Counter[str] = Counter()
        self.strangers = 0
        self.probabilities: dict[tuple[int, int], bytes] = {}
        self.told: list[Event] = []
        self._keep = keep
        self._subscriber = subscriber
        self._takes = takes
        self._heard = heard
        self._labels = array("q")
        self._ended: set[tuple[str, int]] = set()
        self._awaited: frozenset[tuple[str, int]] | None = None
        self._patience_s = 0.0
        self._heard_at = 0
        executor = ThreadPoolExecutor(1, thread_name_prefix="arrivals")
        self._collected = executor.submit(self._collect)
        executor.shutdown(wait=False)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """One row a label, in order of arrival, shape (labels, len(Column)); ask when `finish` has returned."""
        return np.array(self._labels, dtype=np.int64).reshape(-1, len(Column))

    @property
    def unended(self) -> set[tuple[str, int]]:
        """Sessions that `finish` awaited and that have not ended."""
        return set(self._awaited or ()) - self._ended

    def finish(self, sessions: Iterable[tuple[str, int]], patience_s: float) -> bool:
        """Wait until each of these sessions has ended, or until nothing has come for `patience_s` seconds.

        That a streamer stops is no end: another one may take its place. Ctrl-C ends the waiting; then this returns
        False.
        """
        self._patience_s = patience_s
        self._heard_at = monotonic_ns()
        self._awaited = frozenset(sessions)
        try:
            self._collected.result()
        except KeyboardInterrupt:
            self._stop()
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> None:
        self._patience_s = -1.0
        self._awaited = self._awaited or frozenset()
        self._collected.result()

    def _collect(self) -> None:
        while not self._complete():
            before = self._subscriber.filled
            message = self._subscriber.receive(_POLL_S)
            arrived = monotonic_ns()
            if message is None:
                continue
            self._heard_at = arrived
            if isinstance(message, Label):
                self._add_label(message, arrived, self._subscriber.filled - before)
            elif isinstance(message, Event):
                self._add_event(message)

    def _complete(self) -> bool:
        if self._awaited is None:
            return False
        return self._awaited <= self._ended or monotonic_ns() - self._heard_at > 1e9 * self._patience_s

    def _add_label(self, label: Label, arrived: int, filled: int) -> None:
        take = self._takes.get((label.stream, label.session))
        if take is None:
            self.strangers += 1
            return
        offset = wall_clock.offset_ns()
        stamps = (label.t_received, label.t_ready, label.t_inferred, label.t_published)
        if self._keep:
            self.probabilities.setdefault((take, label.window), label.probs)
        moments = (*(stamp - offset for stamp in stamps), arrived)
        self._labels.extend((take, label.window, label.class_index, filled, *moments))
        self._heard(label, wall_clock.age_ns(label.t_source, arrived) / 1e6)

    def _add_event(self, event: Event) -> None:
        self.events[event.event] += 1
        if self._keep and event.event != "accepted" and len(self.told) < _MOST_EVENTS:
            self.told.append(event)
        take = self._takes.get((event.stream, event.session))
        if take is None:
            return
        if event.event == "end" and event.details.get("reason") != "stopped":
            self._ended.add((event.stream, event.session))
        elif event.event == "skipped":
            details = event.details
            self.skipped.append(Skipped(take, details["first_window"], details["last_window"], details["reason"]))
