"""What sources hand to the bridge: readings as they arrive, in a queue that is bounded in bytes."""

from collections import Counter, deque
from threading import Condition
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MOST_BYTES = 32 << 20
"""What may wait for the bridge: minutes of any sensor."""

Rows = npt.NDArray[np.float32]
Times = npt.NDArray[np.int64]


class Part(NamedTuple):
    """Readings of one sensor of a device: which of the stamps are theirs, and their values, shape (m, C)."""

    name: str
    which: npt.NDArray[np.int64]
    rows: Rows


class Arrived(NamedTuple):
    """Readings of a device that arrived together.

    Attributes
    ----------
    device : str
        As the rig calls it.
    stamps : ndarray of int64, shape (M,), or None
        When they were taken, in ns, or their numbers, in that order; what they mean the device's clock says. None
        where nothing tells.
    parts : tuple of Part
        What its sensors read; one that is called "" where they share every stamp.
    arrival : int
        When they arrived, Unix ns.
    """

    device: str
    stamps: Times | None
    parts: tuple[Part, ...]
    arrival: int


def whole(device: str, stamps: Times | None, rows: Rows, arrival: int) -> Arrived:
    """Return readings of a device all of whose channels are read at once."""
    return Arrived(device, stamps, (Part("", np.arange(len(rows)), rows),), arrival)


class Arrivals:
    """Hands readings from the threads of sources to the bridge.

    Attributes
    ----------
    dropped : Counter of str
        Readings for which there was no room, by device.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.dropped: Counter[str] = Counter()
        self._most, self._bytes, self._open = most_bytes, 0, 0
        self._queue: deque[Arrived] = deque()
        self._changed = Condition()
        self._failure: BaseException | None = None

    def put(self, arrived: Arrived, *, wait: bool = False) -> None:
        """Hand readings over; where there is no room, wait for it or drop them."""
        size = _bytes_of(arrived)
        with self._changed:
            while wait and self._queue and self._bytes + size > self._most:
                self._changed.wait()
            if self._queue and self._bytes + size > self._most:
                self.dropped[arrived.device] += sum(len(part.rows) for part in arrived.parts)
                return
            self._queue.append(arrived)
            self._bytes += size
            self._changed.notify_all()

    def get(self, timeout_s: float) -> Arrived | None:
        """Return the next readings, waiting for them; None if none came. Raises what ended a source."""
        with self._changed:
            if not self._queue and self._failure is None:
                self._changed.wait(timeout_s)
            if self._queue:
                arrived = self._queue.popleft()
                self._bytes -= _bytes_of(arrived)
                self._changed.notify_all()
                return arrived
            if self._failure is not None:
                raise self._failure
            return None

    def fail(self, error: BaseException) -> None:
        """Let the bridge end with an error, once all that came before it is taken."""
        with self._changed:
            self._failure = self._failure or error
            self._changed.notify_all()

    def opened(self) -> None:
        """Note that a source begins."""
        with self._changed:
            self._open += 1

    def closed(self) -> None:
        """Note that a source has ended by itself, as a file does."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    @property
    def exhausted(self) -> bool:
        """Whether every source has ended and all of it is taken."""
        with self._changed:
            return not self._open and not self._queue


def _bytes_of(arrived: Arrived) -> int:
    return 256 + sum(8 * len(part.which) + part.rows.nbytes for part in arrived.parts)
