"""The quick path: messages whose samples simply come next are taken undecoded, those of many streams together.

The problem. Nearly every message is the same: the next sample of a session that is open. To decode it and to give it
to `StreamBuffer.push`, which is ready for anything, takes many times as long as copying its few bytes to their place.

How it works. `take_all` gets all messages that were received in one go.

1. Each one's head finds its session in a dictionary (`streamer.ingest.undecoded`), whose entry knows the session's lane
   in the arena (`streamer.streams.arena`). Messages without an entry are for the `fallback`, which decodes them.
2. If no two messages are of the same stream, their order does not matter: they are sorted by layout, and each layout's
   messages are read and put into the arena together (few of them, one by one). What the arena does not take (after a
   gap, a repeat, more samples than complete a window) goes to the fallback.
3. If some stream has several messages, the batch is halved until that is no longer so or few are left; these are taken
   one by one, in order.

What would go wrong otherwise. Labels depend on the order of a stream's messages, so step 2 may only be done when that
order cannot change. A message without an entry may be of any stream, even one that has samples in the same batch: other
columns, an `end`. Unless it is `reorderable`, a description that is known already and so changes nothing, the batch is
halved, too. And an entry must go as soon as its stream has another session, other columns or messages in the backlog:
whoever changes one of these calls `note`.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from kinestream.streamer.ingest.undecoded import BEFORE_STREAM, REST_OF_HEAD, Layout, Layouts, form_of, head_of
from kinestream.streamer.streams.arena import Lanes
from kinestream.streamer.streams.buffer import StreamBuffer
from kinestream.streamer.streams.outcomes import DueWindow
from kinestream.streamer.streams.stream import KnownStream

_BULK_MESSAGES = 16
"""From so many messages on, the dozen NumPy calls that taking them together costs are worth it."""


class _Entry(NamedTuple):
    """The session whose messages begin with some head."""

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


class QuickPath:
    """Takes messages whose samples come next in a session it knows.

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
        if known.session is not None and known.copies_directly and not known.queued:
            buffer = known.session.buffer
            form = form_of(name, known.session.number, known.row_bytes, self._lanes.capacity)
            if form is not None:
                known.head = form.head
                self._entries[form.head] = _Entry(form.layouts, buffer.lane, buffer, name, known)

    def take(self, frame: bytes, received: int, lossy: bool) -> bool:
        """Take a message if its samples come next and at most complete a window; return whether it was taken."""
        try:
            entry = self._entries[head_of(frame)]
            read = entry.layouts[len(frame)].read(frame)
        except KeyError:
            return False
        if read is None or not entry.buffer.push_next(read[0], read[2]):
            return False
        if entry.buffer.is_due:
            self._cut(entry, read[1], received, lossy)
        self.taken += 1
        return True

    def take_all(
        self,
        frames: Sequence[bytes],
        received: int,
        lossy: bool,
        reorderable: Callable[[bytes], bool],
        fallback: Callable[[bytes], None],
    ) -> None:
        """Take messages, those of a stream in their order.

        Parameters
        ----------
        frames : sequence of bytes
            What has come.
        received, lossy
            As for `take`.
        reorderable : callable
            Tells whether a message that is of no session known here may change places with samples of the batch: a
            description that is known already, of which there are many.
        fallback : callable
            Takes a message that cannot be taken by the quick path.
        """
        if len(frames) >= _BULK_MESSAGES:
            entries = self._entries_of(frames)
            lanes = {entry.lane for entry in entries if entry}
            others = [frame for frame, entry in zip(frames, entries, strict=True) if not entry]
            if len(lanes) + len(others) == len(frames) and all(map(reorderable, others)):
                others += self._take_each(frames, entries, received, lossy)
                for frame in others:
                    fallback(frame)
                return
            if len(lanes) >= _BULK_MESSAGES:
                half = len(frames) // 2
                self.take_all(frames[:half], received, lossy, reorderable, fallback)
                self.take_all(frames[half:], received, lossy, reorderable, fallback)
                return
        for frame in frames:
            if not self.take(frame, received, lossy):
                fallback(frame)

    def _entries_of(self, frames: Sequence[bytes]) -> list[_Entry | None]:
        """Return the entry of each message, None where there is none; written out, since it runs for every message."""
        find = self._entries.get
        try:
            return [find(frame[: frame[BEFORE_STREAM] + REST_OF_HEAD]) for frame in frames]
        except IndexError:
            return [find(head_of(frame)) for frame in frames]

    def _take_each(
        self, frames: Sequence[bytes], entries: Sequence[_Entry | None], received: int, lossy: bool
    ) -> list[bytes]:
        """Take messages of which no two are of a stream, and return those that are for the fallback."""
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
            if len(run.frames) < _BULK_MESSAGES:
                rest += [frame for frame in run.frames if not self.take(frame, received, lossy)]
            else:
                rest += self._take_run(layout, run, received, lossy)
        return rest

    def _take_run(self, layout: Layout, run: _Run, received: int, lossy: bool) -> list[bytes]:
        columns = layout.read_all(run.frames)
        taken, due = self._lanes.put(np.array([entry.lane for entry in run.entries]), columns.seq, columns.rows)
        for k in due.tolist():
            self._cut(run.entries[k], int(columns.t[k]), received, lossy)
        rest = [run.frames[k] for k in np.flatnonzero(~taken).tolist()]
        self.taken += len(run.frames) - len(rest)
        return rest

    def _cut(self, entry: _Entry, t: int, received: int, lossy: bool) -> None:
        self._on_due(entry.buffer.cut_next(), entry.name, entry.known, t, received, lossy)
        entry.buffer.advance()
