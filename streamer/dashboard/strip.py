"""The last minutes of a stream in cells of a second, each a byte that says what was done in it."""

from kinestream.streamer.dashboard.classes import NOTHING

SECOND = 1_000_000_000
"""In ns."""
CELLS = 300
"""Seconds that are kept."""


class Strip:
    """Cells of one stream, by Unix second.

    Attributes
    ----------
    end : int
        The second after the newest cell.
    """

    def __init__(self) -> None:
        self.end = 0
        self._cells = bytearray(CELLS)

    def paint(self, first: int, last: int, value: int) -> None:
        """Give the seconds from `first` to `last` a value; those in between that nobody painted stay empty.

        What lies further back than is kept is passed over, and of a longer time only the end is kept.
        """
        if first == last == self.end - 1:  # most often, and quickest
            self._cells[last % CELLS] = value
            return
        first = max(first, last - CELLS + 1, self.end - CELLS)
        if last < first:
            return
        if last >= self.end:
            for second in range(max(self.end, last - CELLS + 1), last + 1):
                self._cells[second % CELLS] = NOTHING
            self.end = last + 1
        for second in range(first, last + 1):
            self._cells[second % CELLS] = value

    def since(self, first: int) -> tuple[int, bytes]:
        """Return the cells from a second on, and which second they begin with: a later one where fewer are kept."""
        first = min(max(first, self.end - CELLS), self.end)
        return first, bytes(self._cells[second % CELLS] for second in range(first, self.end))
