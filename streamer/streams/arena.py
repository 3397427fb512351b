"""The rows of all open sessions in one array, so that samples of many sessions are taken by a few NumPy calls.

The problem. A thousand wearers who send 50 samples a second are 50,000 messages a second. Each one's samples must get
into its own session's window. With an array for each session that is several NumPy calls a message, each of which takes
far longer than copying the few bytes it is for.

How it works. Every session has a lane: `capacity` rows of one array of shape (lanes, capacity, channels), in which its
open window lies (`streamer.streams.buffer`). Three further arrays hold, for each lane, what is needed to take samples
without asking the session: which number must come next (`high`), which one completes the open window (`end`), and which
of all rows the next sample goes to (`at`). So `put` checks the numbers of many messages at once, copies all their rows
by one indexed assignment and moves the marks. It says whose windows are now complete, and which messages it did not
take because they are not that simple; those go to `StreamBuffer.push` one by one.

What would go wrong otherwise. Within a call of `put` each lane may appear once only: of two messages of a session, both
would be compared with the same `high`, and NumPy writes only one of two values to the same place. `QuickPath` sees to
that. A session that takes samples by `push` moves its own marks (`StreamBuffer.advance`), else the next `put` would
write to the wrong row. And when the arena grows, every session must look up its rows again (`LaneUser.move`): it would
go on writing into the old array.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int64]

_FIRST_LANES = 16  # to begin with; when all are in use, their number is doubled


class LaneUser(Protocol):
    """What has a lane."""

    def move(self) -> None:
        """Note that the arena has grown, so that all rows lie elsewhere now."""
        ...


class Lanes:
    """Room for sessions: each has a lane of `capacity` rows.

    Parameters
    ----------
    capacity, channels : int
        Rows of a lane and values of a row.

    Attributes
    ----------
    rows : ndarray of float32, shape (lanes, capacity, channels)
        The readings.
    high, end, at : ndarray of int64, shape (lanes,)
        Of each lane: the sample after the newest one (-1 before the first); the one that completes the open window, up
        to which `put` may take samples (-1 for none); and which of all rows the next one goes to.
    users : list
        Who has each lane.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        self.capacity, self.channels = capacity, channels
        self.users: list[LaneUser | None] = []
        self._free: list[int] = []
        self.rows: Rows = np.empty((0, capacity, channels), dtype=np.float32)
        self.high: Numbers = np.empty(0, dtype=np.int64)
        self.end, self.at = self.high, self.high

    def open(self, user: LaneUser) -> int:
        """Return a lane, empty."""
        if not self._free:
            self._grow()
        lane = self._free.pop()
        self.users[lane] = user
        self.rows[lane] = np.nan  # its memory is there before the first sample comes
        self.high[lane] = self.end[lane] = -1
        self.at[lane] = lane * self.capacity
        return lane

    def close(self, lane: int) -> None:
        """Free a lane for another session."""
        self.users[lane] = None
        self.high[lane] = self.end[lane] = -1
        self._free.append(lane)

    def put(self, lanes: Numbers, seq: Numbers, rows: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.bool_], Numbers]:
        """Take as many samples of each of several lanes, if they come after its newest and at most complete a window.

        Parameters
        ----------
        lanes : ndarray of int64, shape (m,)
            Each at most once.
        seq : ndarray of int64, shape (m,)
            The numbers of each one's first sample; -1 for none.
        rows : ndarray of void, shape (m, n)
            The readings of each sample, as bytes.

        Returns
        -------
        taken : ndarray of bool, shape (m,)
            Whose were taken.
        due : ndarray of int64
            Whose last one completes a window.
        """
        end, count = self.end[lanes], rows.shape[1]
        last = seq + (count - 1)
        taken = (seq == self.high[lanes]) & (seq >= 0) & (last <= end)
        due = np.flatnonzero(taken & (last == end))
        if not taken.all():
            lanes, last, rows = lanes[taken], last[taken], rows[taken]
        at = self.at[lanes]
        self.rows.reshape(-1).view(rows.dtype)[at[:, None] + np.arange(count)] = rows
        self.high[lanes] = last + 1
        self.at[lanes] = at + count
        return taken, due

    def _grow(self) -> None:
        count = len(self.users)
        more = max(count, _FIRST_LANES)
        rows: Rows = np.empty((count + more, self.capacity, self.channels), dtype=np.float32)
        rows[:count] = self.rows  # the rest stays untouched, and so takes no memory before it is used
        self.rows = rows
        self.high, self.end, self.at = (
            np.concatenate([each, np.full(more, -1, dtype=np.int64)]) for each in (self.high, self.end, self.at)
        )
        self.users += [None] * more
        self._free += range(count + more - 1, count - 1, -1)
        for user in self.users:
            if user is not None:
                user.move()
