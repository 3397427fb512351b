"""The quick way for messages of one sample each: taken by their bytes, and many streams' at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from streamer.buffer import DueWindow, StreamBuffer
from streamer.lanes import Lanes
from streamer.session import KnownStream
from streamer.single import SingleLayout, head_of, single_form

_MANY = 16
"""Messages that are worth the dozen calls that taking them at once costs."""


class _Entry(NamedTuple):
    """Whose the messages with some head are."""

    layouts: dict[int, SingleLayout]
    buffer: StreamBuffer
    name: str
    known: KnownStream


class _Run(NamedTuple):
    """Messages of one layout, no two of a stream."""

    lanes: list[int]
    entries: list[_Entry]
    frames: list[bytes]


OnDue = Callable[[DueWindow, str, KnownStream, int, int, bool], None]


class QuickWay:
    """Takes what comes next in the sessions it was told of.

    Parameters
    ----------
    lanes : Lanes
        Where the sessions' rows lie.
    on_due : callable
        Called with each window that comes due, whose rows are valid until it returns: the window, its stream's name and
        what is known of it, the time of its last sample, when that came, and whether its sender does not wait.

    Attributes
    ----------
    taken : int
        Messages taken.
    """

    def __init__(self, lanes: Lanes, on_due: OnDue) -> None:
        self._lanes, self._on_due = lanes, on_due
        self._entries: dict[bytes, _Entry] = {}
        self.taken = 0

    def note(self, name: str, known: KnownStream) -> None:
        """Learn that a stream has another session than before, or none, or other columns."""
        if known.single is not None:
            self._entries.pop(known.single, None)
            known.single = None
        if known.session is not None and known.as_they_come:
            form = single_form(name, known.session.number, known.row_bytes)
            if form is not None:
                known.single = form.head
                self._entries[form.head] = _Entry(form.layouts, known.session.buffer, name, known)

    def take(self, frame: bytes, received: int, lossy: bool) -> bool:
        """Take a message if it holds the one sample that comes after its session's newest; tell whether it did."""
        try:
            entry = self._entries[head_of(frame)]
        except (KeyError, IndexError):
            return False
        layout = entry.layouts.get(len(frame))
        read = layout.read(frame) if layout else None
        if read is None or not entry.buffer.push_next(read[0], read[2]):
            return False
        if entry.buffer.is_due:
            self._tell(entry, read[1], received, lossy)
        self.taken += 1
        return True

    def take_all(
        self,
        frames: Sequence[bytes],
        received: int,
        lossy: bool,
        commutes: Callable[[bytes], bool],
        otherwise: Callable[[bytes], None],
    ) -> None:
        """Take messages, those of a stream in their order.

        Parameters
        ----------
        frames : sequence of bytes
            What has come.
        received, lossy
            As for `take`.
        commutes : callable
            Tells of a message that is none of these whether it may be taken before samples that came before it: a
            description that is known already, of which there are many.
        otherwise : callable
            Takes a message that cannot be taken the quick way.
        """
        entries, seen = self._entries, set[int]()
        runs: dict[SingleLayout, _Run] = {}
        for frame in frames:
            try:
                entry = entries[head_of(frame)]
                layout = entry.layouts[len(frame)]
            except (KeyError, IndexError):
                if not commutes(frame):
                    self._take_runs(runs, received, lossy, otherwise)
                    seen.clear()
                otherwise(frame)
                continue
            lane = entry.buffer.lane
            if lane in seen:
                self._take_runs(runs, received, lossy, otherwise)
                seen.clear()
            seen.add(lane)
            run = runs.get(layout)
            if run is None:
                run = runs[layout] = _Run([], [], [])
            run.lanes.append(lane)
            run.entries.append(entry)
            run.frames.append(frame)
        self._take_runs(runs, received, lossy, otherwise)

    def _take_runs(
        self,
        runs: dict[SingleLayout, _Run],
        received: int,
        lossy: bool,
        otherwise: Callable[[bytes], None],
    ) -> None:
        for layout, run in runs.items():
            if len(run.frames) < _MANY:
                rest = [frame for frame in run.frames if not self.take(frame, received, lossy)]
            else:
                rest = self._take_run(layout, run, received, lossy)
            for frame in rest:
                otherwise(frame)
        runs.clear()

    def _take_run(self, layout: SingleLayout, run: _Run, received: int, lossy: bool) -> list[bytes]:
        singles = layout.read_all(run.frames)
        taken, due = self._lanes.put(np.array(run.lanes), singles.seq, singles.rows)
        for k in due.tolist():
            self._tell(run.entries[k], int(singles.t[k]), received, lossy)
        rest = [run.frames[k] for k in np.flatnonzero(~taken).tolist()]
        self.taken += len(run.frames) - len(rest)
        return rest

    def _tell(self, entry: _Entry, t: int, received: int, lossy: bool) -> None:
        self._on_due(entry.buffer.cut_next(), entry.name, entry.known, t, received, lossy)
        entry.buffer.go_on()
