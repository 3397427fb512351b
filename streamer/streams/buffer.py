"""Samples in, windows out: the open windows of one session of one stream.

The problem. Window k of a session is its samples k*stride to k*stride+T-1, whatever happens on the way: samples come
twice, late, out of order or never, in messages of any length, and the streamer may have been restarted between them.
And yet most samples simply come next; for them, anything beyond copying their bytes is too slow.

How it works. The rows from the open window on (the earliest that may still get samples) lie in consecutive rows of one
lane of the arena (`kinestream.streamer.streams.arena`); sample `seq` lies in row `seq - _origin`. When a window is
complete it is cut, the next one opens `stride` samples further on, and rows before it are free. When the lane is full,
the rows that are still open are moved to its front.

Two paths lead in:

- `push` takes anything. A flag for each row says whether its sample is absent, came, or was already part of a window:
  so duplicates are dropped, gaps are filled with NaN, and every sample is counted once.
- `kinestream.streamer.ingest.taker` takes only what continues the session and at most completes the open window. It
copies the
  bytes and moves the lane's marks in the arena; flags and counters are left as they are. What it took is made up for
  later, by `_catch_up`, once a window or whenever `push` or a counter needs it. After a window, `cut_next` returns it
  and `advance` says how far the next samples may go.

Most sessions never miss a sample. While nothing is missing from the open window on (`_in_order`), the flags would say
nothing that two numbers do not, so they are not written; `_write_flags` writes them as soon as `push` needs them.

What would go wrong otherwise. If the quick path took a sample past the end of the open window, that window would never
be cut; if flags were not written before `push`, a duplicate would overwrite what came first, and samples would be
counted twice. `tests/streamer/streams/test_buffer.py` compares both paths, on random messages, with a plain model.

Longer than other files: it is one class, and to spread its state over two would cost calls at every window.
"""

import sys

import numpy as np

from kinestream.model.windows.grid import WindowGrid
from kinestream.streamer.streams.arena import Lanes, Rows
from kinestream.streamer.streams.outcomes import DueWindow, Gap, Outcome, SampleCounts, Seam, add_empty

_ABSENT, _CAME, _USED = 0, 1, 2
_CAME_ONCE, _USED_ONCE = bytes([_CAME]), bytes([_USED])
_NOW_USED = bytes.maketrans(bytes([_CAME]), bytes([_USED]))  # on so few bytes quicker than NumPy


def lanes_for(grid: WindowGrid, channels: int) -> Lanes:
    """Return an arena for sessions with such windows."""
    # Fewer than T rows are ever open: a stride more, and they are moved to the front once a window, which costs little;
    # twice T would be a fifth more memory for every stream.
    return Lanes(grid.length + min(grid.stride, grid.length), channels)


class StreamBuffer:
    """Sliding windows over one session.

    Windows are anchored to sequence numbers. The first one is the first that lies wholly at or past the first sample
    seen, so that a streamer that joins late (or was restarted) cuts the same windows as one that was there all along.

    Parameters
    ----------
    grid : WindowGrid
        The bundle's window.
    channels : int
        C, columns of a sample.
    lanes : Lanes, optional
        The arena that its rows lie in, made by `lanes_for`; one of its own by default.
    longest_gap : int
        Samples that may be missing in a row: more of them are a `Seam`.

    Attributes
    ----------
    lane : int
        Which of them are its own.
    """

    __slots__ = (
        "_came",
        "_capacity",
        "_counts",
        "_flags",
        "_grid",
        "_high",
        "_in_order",
        "_lanes",
        "_longest_gap",
        "_next",
        "_open",
        "_origin",
        "_rows",
        "_used_end",
        "lane",
    )

    def __init__(
        self, grid: WindowGrid, channels: int, lanes: Lanes | None = None, *, longest_gap: int = sys.maxsize
    ) -> None:
        self._grid = grid
        self._longest_gap = longest_gap
        self._lanes = lanes or lanes_for(grid, channels)
        self._capacity = self._lanes.capacity
        self.lane = self._lanes.open(self)
        self.move()
        self._flags = bytearray(self._capacity)
        self._came = np.frombuffer(self._flags, dtype=np.uint8)  # the same memory
        self._origin = 0  # sequence number of row 0
        self._high = -1  # one past the newest sample seen; -1 before the first
        # Whether nothing is missing from the open window on: then samples before `_used_end` are those that were in a
        # window (open <= used_end <= high), and the flags are left to be written when something else comes.
        self._in_order = False
        self._used_end = 0
        self._next = 0  # the next window
        self._open = 0  # its first sample
        self._counts = SampleCounts()

    def move(self) -> None:
        """Note that the arena has grown, so that all rows lie elsewhere now."""
        self._rows: Rows = self._lanes.rows[self.lane]

    @property
    def counts(self) -> SampleCounts:
        """What became of the samples so far."""
        self._catch_up()
        return self._counts

    @property
    def held(self) -> int:
        """Samples that wait for their first window."""
        self._catch_up()
        return self._high - self._used_end if self._in_order else self._flags.count(_CAME)

    @property
    def next_seq(self) -> int:
        """Number of the sample after the newest one seen."""
        self._catch_up()
        return max(self._high, 0)

    @property
    def open_seq(self) -> int:
        """First sample of the open window; what lies before it comes too late."""
        return self._open

    @property
    def late(self) -> int:
        """Samples that came too late so far."""
        return self._counts.late

    def cut_next(self) -> DueWindow:
        """Return the window that the quick path has completed, its rows a view until `advance`, which must follow."""
        self._catch_up()
        if not self._in_order:
            due = self._cut(self._high)
            self._drop_flags()
            return due
        number, first, end = self._next, self._open, self._high
        self._counts.used += end - self._used_end
        self._used_end = end
        self._next = number + 1
        self._open = self._grid.start(number + 1)
        row = first - self._origin
        return DueWindow(number, first, self._rows[row : row + end - first], 0)

    def advance(self) -> None:
        """Let the quick path take samples up to the end of the open window."""
        lanes, lane = self._lanes, self.lane
        # Before the open window, where windows lie apart, samples have no row.
        inside = self._high >= self._open
        last = self._open + self._grid.length - 1
        if inside and last - self._origin >= self._capacity:
            self._move_to_front(self._high)
        lanes.high[lane] = self._high
        lanes.end[lane] = last if inside else -1
        lanes.at[lane] = lane * self._capacity + self._high - self._origin

    def push(self, seq: int, x: Rows) -> list[Outcome]:
        """Take consecutive samples and return, in order, what comes of them.

        Parameters
        ----------
        seq : int
            Sequence number of the first one.
        x : ndarray of float32, shape (n, C)
            NaN for no reading.
        """
        outcomes: list[Outcome] = []
        end = seq + len(x)
        self._catch_up()
        self._write_flags()
        self._counts.received += len(x)
        if self._high < 0:
            self._begin(seq)
        elif seq - self._high > self._longest_gap:
            outcomes.append(self._begin_behind(seq))
        if seq < self._high:
            self._fill_in(seq, x[: self._high - seq])
        fresh = max(seq, self._high)
        if fresh < end:
            self._append(fresh, x[fresh - seq :], outcomes)
        self._drop_flags()
        self.advance()
        return outcomes

    def part(self, seq: int) -> list[Outcome]:
        """Let windows begin anew at a sample, because what lies before it does not go with what comes.

        Windows that are open are given up, but for those that end before it: what they lack never comes.
        """
        self._catch_up()
        if self._high < 0:
            return []
        outcomes: list[Outcome] = []
        first = max(seq, self._high)
        self._write_flags()
        self._cut_begun(first, first, outcomes)
        outcomes.append(self._begin_behind(first))
        self.advance()
        return outcomes

    def _begin_behind(self, seq: int) -> Seam:
        """Give up the windows that are open, and begin anew at a sample."""
        last_seq, last_window = self._high - 1, self._next - 1
        self._give_up()
        self._begin(seq)
        return Seam(last_seq, seq, last_window, self._next)

    def close(self) -> None:
        """End the session: windows still open are given up."""
        self._give_up()
        if self.lane >= 0:
            self._lanes.close(self.lane)
            self.lane = -1

    def _give_up(self) -> None:
        """Let go of the windows that are open."""
        self._counts.unfinished += self.held
        self._in_order = False
        self._came[:] = _ABSENT

    def _catch_up(self) -> None:
        """Count what was taken by the quick path."""
        high = self._lanes.high.item(self.lane) if self.lane >= 0 else self._high
        fresh = high - self._high
        if fresh:
            self._counts.received += fresh
            if not self._in_order:
                row = self._high - self._origin
                self._flags[row : row + fresh] = _CAME_ONCE * fresh
            self._high = high

    def _write_flags(self) -> None:
        """Write the flags that were left out while samples came in order."""
        if self._in_order:
            flags = bytes(self._open - self._origin)
            flags += _USED_ONCE * (self._used_end - self._open) + _CAME_ONCE * (self._high - self._used_end)
            self._flags[:] = flags.ljust(self._capacity, b"\0")
            self._in_order = False

    def _drop_flags(self) -> None:
        """Leave the flags out from now on, if nothing is missing from the open window on and the next overlaps it."""
        if self._open <= self._high and self._grid.stride <= self._grid.length:
            flags = self._flags[self._open - self._origin : self._high - self._origin]
            used = flags.count(_USED)
            self._in_order = flags == _USED_ONCE * used + _CAME_ONCE * (len(flags) - used)
            self._used_end = self._open + used

    def _begin(self, seq: int) -> None:
        self._next = self._grid.first_from(seq)
        self._open = self._origin = self._grid.start(self._next)
        self._high = seq

    def _fill_in(self, seq: int, x: Rows) -> None:
        """Put samples older than the newest in their place, where a window is still open for them."""
        late = min(max(self._open - seq, 0), len(x))
        self._counts.late += late
        if late == len(x):
            return
        row = seq + late - self._origin
        place = slice(row, row + len(x) - late)
        absent = self._came[place] == _ABSENT
        self._rows[place][absent] = x[late:][absent]
        self._came[place][absent] = _CAME
        self._counts.duplicate += len(absent) - int(np.count_nonzero(absent))

    def _append(self, seq: int, x: Rows, outcomes: list[Outcome]) -> None:
        """Take samples newer than all before."""
        end = seq + len(x)
        if seq > self._high:
            outcomes.append(Gap(self._high, seq - 1))
            self._skip_to(seq, end, outcomes)
        while seq < end:
            if seq < self._open:  # in no window
                outside = min(self._open, end) - seq
                self._counts.outside += outside
                piece = outside
            else:
                piece = self._place(seq, x[len(x) - (end - seq) :])
            seq += piece
            self._high = seq
            self._cut_due(seq, end, outcomes)

    def _place(self, seq: int, x: Rows) -> int:
        """Write rows up to the end of the open window at most, and return how many."""
        piece = min(len(x), self._open + self._grid.length - seq)
        row = seq - self._origin
        if row + piece > self._capacity:
            self._move_to_front(seq)
            row = seq - self._origin
        self._rows[row : row + piece] = x[:piece]
        self._flags[row : row + piece] = _CAME_ONCE * piece
        return piece

    def _skip_to(self, seq: int, end: int, outcomes: list[Outcome]) -> None:
        """Mark the samples before `seq` as missing, and cut the windows that end before it."""
        marked = self._cut_begun(seq, end, outcomes)
        if self._open + self._grid.length <= seq:
            last = (seq - self._grid.length) // self._grid.stride
            add_empty(outcomes, self._next, last)
            self._open_at(last + 1)
        self._mark_missing(marked, seq)
        self._high = seq

    def _cut_begun(self, seq: int, end: int, outcomes: list[Outcome]) -> int:
        """Cut the windows that have begun and end before `seq`, the rest missing; return up to where that is marked."""
        marked = self._high
        while self._open < self._high and self._open + self._grid.length <= seq:
            window_end = self._open + self._grid.length
            self._mark_missing(marked, window_end)
            marked = max(marked, window_end)
            self._cut_due(window_end, end, outcomes)
        return marked

    def _mark_missing(self, first: int, end: int) -> None:
        first = max(first, self._open)
        if first >= end:
            return
        if end - self._origin > self._capacity:
            self._move_to_front(first)
        rows = slice(first - self._origin, end - self._origin)
        self._rows[rows] = np.nan
        self._came[rows] = _ABSENT

    def _cut_due(self, high: int, end: int, outcomes: list[Outcome]) -> None:
        while self._open + self._grid.length <= high:
            if self._came_too_little():
                window = self._next
                self._cut(end)
                add_empty(outcomes, window, window)
            else:
                due = self._cut(end)
                outcomes.append(due._replace(rows=due.rows.copy()))

    def _came_too_little(self) -> bool:
        """Tell whether so much of the open window never came that nobody need look at what did."""
        row = self._open - self._origin
        absent = self._flags[row : row + self._grid.length].count(0)  # a sample that did not come
        return absent / self._grid.length > self._grid.max_missing  # as `too_empty` reckons

    def _cut(self, end: int) -> DueWindow:
        """Cut the open window, all of which has come, out of a message whose samples end before `end`."""
        first, length = self._open, self._grid.length
        row = first - self._origin
        flags = self._flags[row : row + length]
        self._counts.used += flags.count(_CAME)
        self._flags[row : row + length] = flags.translate(_NOW_USED)
        due = DueWindow(self._next, first, self._rows[row : row + length], end - (first + length))
        self._open_at(self._next + 1)
        return due

    def _open_at(self, window: int) -> None:
        """Let `window` be the open one: the rows before it are free."""
        self._next = window
        released = self._open - self._origin
        self._open = self._grid.start(window)
        kept = min(self._open - self._origin, self._capacity)
        self._flags[released:kept] = bytes(max(kept - released, 0))

    def _move_to_front(self, high: int) -> None:
        """Move the open rows, up to sample `high`, to the front."""
        first, last = self._open - self._origin, high - self._origin
        open_rows = max(last - first, 0)
        if open_rows:
            self._rows[:open_rows] = self._rows[first:last]
        if not self._in_order:
            self._came[:open_rows] = self._came[first:last]
            self._came[open_rows:] = _ABSENT
        self._origin = self._open
