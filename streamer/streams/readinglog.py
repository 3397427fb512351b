"""The readings of one device that grid points may still need, where the loop in C and Python both add to them.

Nearly every message of a device holds just the readings that come next. `kinestream.streamer.ingest.taker` adds those
in bulk, in C (log.h) or in plain Python; `kinestream.streamer.streams.device` does all else. Both keep no state of
their own: it stands in the log's marks, an array of 64-bit numbers, and in those that all devices of a session share.
So nothing has to be made up for, whoever looks.

What would go wrong otherwise. A message that the loop may not take as it is (readings are missing before it, the clock
stepped back, its rate is not what was declared) would be added without anybody being told: so `in_order` says when the
loop may, and it leaves alone whatever is not simply next. And once a window may be due, somebody must look before more
is added, else what is laid would depend on how many messages had come meanwhile: so `waiting` stops it.
"""

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.recordings.seams import DOUBT_NS, RATE_KNOWN_NS
from kinestream.streamer.streams.arena import Rows

Times = npt.NDArray[np.int64]

MARKS = (
    "next",
    "begin",
    "end",
    "last",
    "newest",
    "longest",
    "taken",
    "in_order",
    "rate_seq",
    "rate_time",
    "rate_told",
    "needed",
)
"""A log's marks: the number that comes next; the first and the end of its rows in `storage`; the time of the reading
before the next (also once it was dropped) and of the newest, holes or not (both -1 before the first), and what the
longest message spanned; how many readings the loop has added; whether it may; number (-1: none) and time since which
the rate is reckoned, and whether a wrong one has been told; and since when readings are needed: those before that come
too late."""
NEXT, BEGIN, END, LAST, NEWEST, LONGEST, TAKEN, IN_ORDER, RATE_SEQ, RATE_TIME, RATE_TOLD, NEEDED = range(len(MARKS))
SHARED = ("due", "waiting")
"""What devices of a session share: when the last sample of the next window lies, and whether somebody must look."""
DUE, WAITING = range(len(SHARED))

RATE_TOLERANCE = 0.05
"""By which share the rate of what comes may differ from what was declared before that is told."""
LONGEST_BATCH_NS = 5_000_000_000
"""Up to which length a batch of readings makes whoever waits for them more patient."""
_MOST_HELD_BYTES = 1 << 18
"""What readings of a device may take that wait for others: past that they are laid as they are, and then dropped."""
_FIRST_ROWS = 64
_LARGE_BYTES = 1 << 16
"""Past that, memory that is hardly used is given back."""


def new_shared() -> "array[int]":
    """Return the marks that the devices of a session share."""
    return array("q", [0] * len(SHARED))


class ReadingLog:
    """Readings of a device without a hole, in the order of their numbers.

    Parameters
    ----------
    rate_hz : float
        What the device declares; 0 where its readings are irregular.
    delivered : DeviceColumns
        Which of its columns are kept, and how.
    stride_ns : int
        By how much its times may differ from what its numbers say.
    shared : array of int64
        See `SHARED`.

    Attributes
    ----------
    marks : array of int64
        See `MARKS`.
    storage : list of ndarray
        Times, int64, and values, float32, a row for each: those from ``begin`` to ``end`` count.
    most_held : int
        Readings that may wait for other devices; twice as many are kept at most.
    """

    __slots__ = ("factors", "marks", "most_held", "order", "rate_hz", "shared", "storage", "stride_ns")

    def __init__(self, rate_hz: float, delivered: DeviceColumns, stride_ns: int, shared: "array[int]") -> None:
        self.rate_hz, self.stride_ns, self.shared = rate_hz, stride_ns, shared
        self.order = np.ascontiguousarray(delivered.order, np.int64)
        self.factors = delivered.factors
        self.marks = array("q", [0] * len(MARKS))
        self.marks[LAST] = self.marks[NEWEST] = self.marks[RATE_SEQ] = -1
        self.most_held = max(_MOST_HELD_BYTES // (8 + 4 * len(self.order)), 64)
        self.storage: list[npt.NDArray[Any]] = [np.empty(0, np.int64), np.empty((0, len(self.order)), np.float32)]

    @property
    def held(self) -> int:
        """Readings that it holds."""
        return self.marks[END] - self.marks[BEGIN]

    @property
    def bytes(self) -> int:
        """What they take, and the room there is for more."""
        return self.storage[0].nbytes + self.storage[1].nbytes

    @property
    def times(self) -> Times:
        """When they were taken, ns, shape (n,)."""
        return self.storage[0][self.marks[BEGIN] : self.marks[END]]

    @property
    def values(self) -> Rows:
        """Their values, shape (n, C)."""
        return self.storage[1][self.marks[BEGIN] : self.marks[END]]

    @property
    def last(self) -> int | None:
        """When the last was taken, ns, be it dropped or not; None where none has come."""
        last = self.marks[LAST]
        return last if last >= 0 else None

    def choose(self, values: Rows) -> Rows:
        """Return what is kept of readings as the device sends them, shape (n, width)."""
        chosen = values[:, self.order]
        return chosen if self.factors is None else chosen * self.factors

    def heard(self, times: Times) -> None:
        """Note how long a message is."""
        spanned = min(int(times[-1] - times[0]), LONGEST_BATCH_NS)
        self.marks[LONGEST] = max(self.marks[LONGEST], spanned)

    def add(self, times: Times, values: Rows) -> None:
        """Add readings behind those that there are."""
        count, marks = len(times), self.marks
        if marks[END] + count > len(self.storage[0]):
            self._make_room(count)
        end = marks[END] + count
        self.storage[0][marks[END] : end] = times
        self.storage[1][marks[END] : end] = values
        marks[END], marks[LAST] = end, int(times[-1])
        marks[NEWEST] = max(marks[NEWEST], marks[LAST])

    def drop(self, count: int) -> None:
        """Drop the first so many."""
        marks = self.marks
        marks[BEGIN] += count
        if self.bytes > _LARGE_BYTES and 16 * self.held < len(self.storage[0]):
            self.fit(4 * self.held)
        elif marks[BEGIN] > len(self.storage[0]) // 2:
            self._move_to_front()

    def clear(self) -> None:
        """Forget everything, but how many readings were taken and whether a wrong rate has been told."""
        taken, told = self.marks[TAKEN], self.marks[RATE_TOLD]
        self.marks[:] = array("q", [0] * len(MARKS))
        self.marks[LAST] = self.marks[NEWEST] = self.marks[RATE_SEQ] = -1
        self.marks[TAKEN], self.marks[RATE_TOLD] = taken, told
        self.fit(0)

    def fit(self, room: int) -> None:
        """Take no more memory than so many readings need, and those that there are."""
        times, values = self.times, self.values
        room = max(room, len(times))
        self.storage[0], self.storage[1] = np.empty(room, np.int64), np.empty((room, values.shape[1]), np.float32)
        self.storage[0][: len(times)], self.storage[1][: len(times)] = times, values
        self.marks[BEGIN], self.marks[END] = 0, len(times)

    def take_in_order(self, seq: int, times: Times, values: Rows) -> bool:
        """Add readings as the device sends them, if they are simply the next; log.h says the same in C.

        Returns
        -------
        bool
            Whether they were: else nothing has changed.
        """
        marks, last, rate = self.marks, self.last, self.rate_hz
        if not marks[IN_ORDER] or self.shared[WAITING] or seq != marks[NEXT] or last is None:
            return False
        if self.held + len(times) > 2 * self.most_held or marks[END] + len(times) > len(self.storage[0]):
            return False
        steps = np.diff(times, prepend=last)
        if steps.min() < 0 or steps.max() > (self.stride_ns if rate else DOUBT_NS) or times[0] < marks[NEEDED]:
            return False
        if rate and not marks[RATE_TOLD] and marks[RATE_SEQ] >= 0:
            passed = int(times[-1]) - marks[RATE_TIME]
            come = seq + len(times) - 1 - marks[RATE_SEQ]
            if come > 0 and passed >= RATE_KNOWN_NS and abs(come * 1e9 / passed / rate - 1) > RATE_TOLERANCE:
                return False
        self.heard(times)
        self.add(times, self.choose(values))
        marks[NEXT] += len(times)
        marks[TAKEN] += len(times)
        return True

    def _make_room(self, count: int) -> None:
        rows = self.held + count
        if 2 * rows > len(self.storage[0]):
            self.fit(max(4 * rows, _FIRST_ROWS))
        else:
            self._move_to_front()

    def _move_to_front(self) -> None:
        held = self.held
        self.storage[0][:held], self.storage[1][:held] = self.times, self.values
        self.marks[BEGIN], self.marks[END] = 0, held
