"""Finds where the times given to a sender step back: the device's clock was set, and another session must begin."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Part(NamedTuple):
    """Readings that are sent one after the other in one session.

    Attributes
    ----------
    rows : ndarray of float32, shape (n, C)
        The readings.
    moments : ndarray of int64, shape (n,)
        When they were taken, Unix ns.
    first : int
        Number of the first among those given; -1 is the one given last before these.
    stepped_from : int or None
        Unix time in ns that the clock was set back from, before the first of them: they belong to another session.
    """

    rows: npt.NDArray[np.float32]
    moments: npt.NDArray[np.int64]
    first: int
    stepped_from: int | None


class StepBacks:
    """Finds where a device's clock was set back, as the streamer does: once a second reading says so.

    One reading alone might have a wrong time. So both are sent in the session that they step back in, where the
    streamer sees the step and tells of it, and once more in the next.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget what was sent: a session begins."""
        self._newest = -1
        self._stepped: tuple[npt.NDArray[np.float32], int] | None = None  # a reading from before the newest one

    def parts(self, rows: npt.NDArray[np.float32], moments: npt.NDArray[np.int64]) -> Iterator[Part]:
        """Yield readings in the parts to be sent; each is taken for sent when the next is asked for.

        Where a part steps back, `forget` is to be called before the next is asked for: its session has begun.
        """
        first = 0
        while len(rows):
            stepped_from, newest = None, self._newest
            if self._stepped is not None and self._stepped[1] <= moments[0] < newest:
                yield Part(rows[:1], moments[:1], first, None)
                row, moment = self._stepped
                stepped_from, newest = newest, -1
                rows = np.concatenate([row, rows])
                moments = np.concatenate([np.array([moment], np.int64), moments])
                first -= 1
            else:
                self._stepped = None
            before = np.concatenate([[newest], moments[:-1]])
            steps = np.flatnonzero(moments < before)
            end = int(steps[0]) if len(steps) else len(rows)
            if end:
                yield Part(rows[:end], moments[:end], first, stepped_from)
                self._newest = int(moments[end - 1])
            if end < len(rows):
                yield Part(rows[end : end + 1], moments[end : end + 1], first + end, None)
                self._stepped = rows[end : end + 1].copy(), int(moments[end])
                end += 1
            first += end
            rows, moments = rows[end:], moments[end:]
