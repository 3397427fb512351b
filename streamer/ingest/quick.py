"""The quick way for messages of the samples that come next: taken by their bytes, and many streams' at once."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kinestream.streamer.ingest.undecoded import BEFORE_STREAM, REST_OF_HEAD, Layout, Layouts, form_of, head_of
from kinestream.streamer.streams.arena import Lanes
from kinestream.streamer.streams.buffer import DueWindow, StreamBuffer
from kinestream.streamer.streams.session import KnownStream

_MANY = 16
"""Messages that are worth the dozen calls that taking them at once costs."""


class _Entry(NamedTuple):
    """Whose the messages with some head are."""

    layouts: Layouts
    lane: int
    buffer: StreamBuffer
    name: str
    known: KnownStream


class _Run(NamedTuple):
    """Messages of one layout, no two of a stream."""

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
        if known.head is not None:
            self._entries.pop(known.head, None)
            known.head = None
        if known.session is not None and known.as_they_come and not known.queued:
            buffer = known.session.buffer
            form = form_of(name, known.session.number, known.row_bytes, self._lanes.capacity)
            if form is not None:
                known.head = form.head
                self._entries[form.head] = _Entry(form.layouts, buffer.lane, buffer, name, known)

    def take(self, frame: bytes, received: int, lossy: bool) -> bool:
        """Take a message if its samples come after its session's newest and at most complete a window; tell whether."""
        try:
            entry = self._entries[head_of(frame)]
            read = entry.layouts[len(frame)].read(frame)
        except KeyError:
            return False
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
        if len(frames) >= _MANY:
            entries = self._entries_of(frames)
            lanes = {entry.lane for entry in entries if entry}
            others = [frame for frame, entry in zip(frames, entries, strict=True) if not entry]
            if len(lanes) + len(others) == len(frames) and all(map(commutes, others)):
                others += self._take_each(frames, entries, received, lossy)
                for frame in others:
                    otherwise(frame)
                return
            if len(lanes) >= _MANY:  # fewer of them, one after the other, may be such
                half = len(frames) // 2
                self.take_all(frames[:half], received, lossy, commutes, otherwise)
                self.take_all(frames[half:], received, lossy, commutes, otherwise)
                return
        for frame in frames:
            if not self.take(frame, received, lossy):
                otherwise(frame)

    def _entries_of(self, frames: Sequence[bytes]) -> list[_Entry | None]:
        """Return whose messages are, None where that is not known; written out, since it runs for every message."""
        find = self._entries.get
        try:
            return [find(frame[: frame[BEFORE_STREAM] + REST_OF_HEAD]) for frame in frames]
        except IndexError:
            return [find(head_of(frame)) for frame in frames]

    def _take_each(
        self, frames: Sequence[bytes], entries: Sequence[_Entry | None], received: int, lossy: bool
    ) -> list[bytes]:
        """Take messages of which no two are of a stream, and return those that must be taken otherwise."""
        rest: list[bytes] = []
        runs: dict[Layout, _Run] = {}
        for frame, entry in zip(frames, entries, strict=True):
            if entry is None:
                continue
            try:
                layout = entry.layouts[len(frame)]
            except KeyError:
                rest.append(frame)
                continue
            run = runs.get(layout)
            if run is None:
                run = runs[layout] = _Run([], [])
            run.entries.append(entry)
            run.frames.append(frame)
        for layout, run in runs.items():
            if len(run.frames) < _MANY:
                rest += [frame for frame in run.frames if not self.take(frame, received, lossy)]
            else:
                rest += self._take_run(layout, run, received, lossy)
        return rest

    def _take_run(self, layout: Layout, run: _Run, received: int, lossy: bool) -> list[bytes]:
        columns = layout.read_all(run.frames)
        taken, due = self._lanes.put(np.array([entry.lane for entry in run.entries]), columns.seq, columns.rows)
        for k in due.tolist():
            self._tell(run.entries[k], int(columns.t[k]), received, lossy)
        rest = [run.frames[k] for k in np.flatnonzero(~taken).tolist()]
        self.taken += len(run.frames) - len(rest)
        return rest

    def _tell(self, entry: _Entry, t: int, received: int, lossy: bool) -> None:
        self._on_due(entry.buffer.cut_next(), entry.name, entry.known, t, received, lossy)
        entry.buffer.go_on()
