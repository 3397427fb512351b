"""Windows that wait to be recognised, in as few arrays as hold them."""

from collections.abc import Sequence

import numpy as np

from streamer.lanes import Rows

BATCH = 256
"""Windows in one call of the engine; larger batches take as long per window."""

_SPARE = 2  # arrays kept for windows to come: one is filled while another is recognised


class Gatherer:
    """Copies each window to where its batch will be read, once; memory is used again.

    Parameters
    ----------
    length, channels : int
        T and C of a window.
    """

    def __init__(self, length: int, channels: int) -> None:
        self._shape = BATCH, length, channels
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

    def take(self, dropped: Sequence[int] = ()) -> list[Rows]:
        """Return all windows added since, without those dropped, in parts of shape (up to `BATCH`, T, C)."""
        if not self._count:
            return []
        parts = [*self._full, self._filling[: self._count]]
        self._full, self._filling, self._count = [], self._new(), 0
        if dropped:
            kept = np.delete(np.concatenate(parts), dropped, axis=0)
            parts = [kept[first : first + BATCH] for first in range(0, len(kept), BATCH)]
        return parts

    def give_back(self, parts: Sequence[Rows]) -> None:
        """Let the memory of parts that are done with be used again."""
        whole = [part if part.base is None else part.base for part in parts]
        self._spare = [*self._spare, *(each for each in whole if each.shape == self._shape)][:_SPARE]

    def _new(self) -> Rows:
        return self._spare.pop() if self._spare else np.empty(self._shape, dtype=np.float32)
