"""A batch: windows gathered in as few arrays as hold them, and what their labels will say."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kinestream.model.engine.engine import BATCH, MANY
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.stream import Session
from kinestream.streamer.wire.messages import Annotation, Event

_SPARE_ARRAYS = 3  # one is filled while another is recognised and a third waits for that


class Part(NamedTuple):
    """Windows, shape (W, T, C), of which only the first `wanted` hold anything; the rest is padding."""

    windows: Rows
    wanted: int


class PendingWindow(NamedTuple):
    """A due window that waits for the next batch, with what its label will say of its way here.

    Attributes
    ----------
    stream, device, session : str, str, Session
        Whose it is.
    window, first_seq : int
        Its number, and its first sample.
    source, received : int
        Unix time in ns of its last sample, and when that came.
    lossy : bool
        Whether its sender does not wait.
    shares : dict of float by str, optional
        What each of several devices missed of it.
    """

    stream: str
    device: str
    session: Session
    window: int
    first_seq: int
    source: int
    received: int
    lossy: bool
    shares: dict[str, float] | None = None


class Batch(NamedTuple):
    """What is recognised at once, `ready` at that Unix time in ns.

    Attributes
    ----------
    pending : list of PendingWindow, Event or Annotation
        All that waits, in order.
    parts : list of Part
        The windows among it.
    inputs : list of ndarray of float32, each of shape (W, T, D)
        What the network reads of each part; None where the engine failed on it.
    missing : list of float
        The share of each window's samples that did not come.
    """

    pending: list[PendingWindow | Event | Annotation]
    parts: list[Part]
    inputs: list[Rows | None]
    missing: list[float]
    ready: int


class Answers(NamedTuple):
    """Probabilities of each part of a batch, of shape (W, K), known at the Unix time `inferred`, ns.

    None for a part on which the engine failed.
    """

    probabilities: list[Rows | None]
    inferred: int


class Gatherer:
    """Copies each window to where its batch will be read, once; memory is used again.

    Parameters
    ----------
    length, channels : int
        T and C of a window.
    multiple : int
        Parts of `MANY` windows and more are rounded up to multiples of it:
        `kinestream.model.engine.engine.Engine.multiple`.
    """

    def __init__(self, length: int, channels: int, multiple: int = 1) -> None:
        self._shape = BATCH, length, channels
        self._multiple = multiple
        self._spare: list[Rows] = []
        self._full: list[Rows] = []
        self._filling = self._new()
        self._count = 0

    def add(self, rows: Rows) -> None:
        """Take the samples of one window, shape (T, C)."""
        if self._count == BATCH:
            self._full.append(self._filling)
            self._filling, self._count = self._new(), 0
        self._filling[self._count] = rows
        self._count += 1

    def take(self, dropped: Sequence[int] = ()) -> list[Part]:
        """Return all windows that were added since, but for some, in parts of up to `BATCH`."""
        if not self._count:
            return []
        arrays, last = [*self._full, self._filling], self._count
        self._full, self._filling, self._count = [], self._new(), 0
        if dropped:
            kept = np.delete(np.concatenate(arrays)[: BATCH * (len(arrays) - 1) + last], dropped, axis=0)
            return [Part(part, len(part)) for part in np.split(kept, range(BATCH, len(kept), BATCH)) if len(part)]
        counts = [BATCH] * (len(arrays) - 1) + [last]
        return [Part(array[: self._rounded(count)], count) for array, count in zip(arrays, counts, strict=True)]

    def give_back(self, parts: Sequence[Part]) -> None:
        """Let the memory of parts that are done with be used again."""
        whole = [windows if windows.base is None else windows.base for windows, _ in parts]
        self._spare = [*self._spare, *(each for each in whole if each.shape == self._shape)][:_SPARE_ARRAYS]

    def _new(self) -> Rows:
        return self._spare.pop() if self._spare else np.zeros(self._shape, dtype=np.float32)

    def _rounded(self, count: int) -> int:
        return count if count < MANY else -(-count // self._multiple) * self._multiple
