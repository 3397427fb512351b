"""The rows of all open sessions in one array, so that samples of many sessions are taken by a few NumPy calls.

The problem. A thousand wearers who send 50 samples a second are 50,000 messages a second. Each one's samples must get
into its own session's window. With an array for each session that is several NumPy calls a message, each of which takes
far longer than copying the few bytes it is for.

How it works. Every session has a lane: `capacity` rows of one array of shape (lanes, capacity, channels), in which its
open window lies (`kinestream.streamer.streams.buffer`). Three further arrays hold, for each lane, what is needed to
take samples without asking the session: which number must come next (`high`), which one completes the open window
(`end`), and which of all rows the next sample goes to (`at`). So a loop in C (`kinestream.streamer.ingest.taker`)
checks a message's numbers, copies its rows and moves the marks, and says whose windows are now complete. What is not
that simple goes to `StreamBuffer.push`.

What would go wrong otherwise. A session that takes samples by `push` moves its own marks (`StreamBuffer.advance`), else
the next sample would be written to the wrong row. And when the arena grows, every session must look up its rows again
(`LaneUser.move`), and the loop in C all arrays: they would go on writing into the old ones.
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
    bytes : memoryview
        Theirs.
    high, end, at : ndarray of int64, shape (lanes,)
        Of each lane: the sample after the newest one (-1 before the first); the one that completes the open window, up
        to which samples may be taken (-1 for none); and which of all rows the next one goes to.
    users : list
        Who has each lane.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        self.capacity, self.channels = capacity, channels
        self.users: list[LaneUser | None] = []
        self._free: list[int] = []
        self.rows: Rows = np.empty((0, capacity, channels), dtype=np.float32)
        self.bytes = memoryview(b"")
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
        """Free a lane for another session; nothing is left of what was in it."""
        self.rows[lane] = np.nan
        self.users[lane] = None
        self.high[lane] = self.end[lane] = -1
        self._free.append(lane)

    def _grow(self) -> None:
        count = len(self.users)
        more = max(count, _FIRST_LANES)
        rows: Rows = np.empty((count + more, self.capacity, self.channels), dtype=np.float32)
        rows[:count] = self.rows  # the rest stays untouched, and so takes no memory before it is used
        self.rows = rows
        self.bytes = rows.reshape(-1).data.cast("B")
        self.high, self.end, self.at = (
            np.concatenate([each, np.full(more, -1, dtype=np.int64)]) for each in (self.high, self.end, self.at)
        )
        self.users += [None] * more
        self._free += range(count + more - 1, count - 1, -1)
        for user in self.users:
            if user is not None:
                user.move()
