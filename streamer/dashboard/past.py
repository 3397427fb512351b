"""What was said of a stream in the last minutes: labels with every class's probability, events, annotations."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.streamer.wire.messages import Annotation, Label

LABELS = 2400
"""Labels of a stream that are kept: ten minutes at four a second, some 50 KB where there are five classes."""
FEW_LABELS = 300
"""The same of streams that come when there are thousands already."""
_BEGIN = 64  # labels there is room for at first: most streams of a test last for seconds
_TOGETHER = 16  # labels that are laid into the arrays at once: one by one takes ten times as long
EVENTS, ANNOTATIONS, ACTIVITIES = 100, 300, 300
_FULL = 255


class Mark(NamedTuple):
    """An event of a stream: when, Unix ns on the wearer's clock, of what kind, and in words."""

    at: int
    kind: str
    text: str


class Stretch(NamedTuple):
    """An activity, smoothed: from when to when it lasted, Unix ns on the wearer's clock, and its number."""

    begin: int
    end: int
    number: int


@dataclass(frozen=True)
class Span:
    """Labels of some time, the oldest first.

    Parameters
    ----------
    at : ndarray of int64, shape (n,)
        When each window's last sample was taken, Unix ns on the wearer's clock.
    number : ndarray of uint8, shape (n,)
        Which activity.
    probs : ndarray of float32, shape (n, K)
        Every class's probability, to one part in 255.
    """

    at: npt.NDArray[np.int64]
    number: npt.NDArray[np.uint8]
    probs: npt.NDArray[np.float32]


class Past:
    """The past of one stream, in bounded memory.

    Parameters
    ----------
    most : int
        Labels that are kept.

    Attributes
    ----------
    marks : deque of Mark
    annotations : deque of Annotation
    activities : deque of Stretch
    added : int
        Labels so far.
    """

    def __init__(self, most: int = LABELS) -> None:
        self.marks: deque[Mark] = deque(maxlen=EVENTS)
        self.annotations: deque[Annotation] = deque(maxlen=ANNOTATIONS)
        self.activities: deque[Stretch] = deque(maxlen=ACTIVITIES)
        self.marked = 0
        self.annotated = 0
        self.added = 0
        self._most = most
        self._new: list[tuple[int, int, bytes]] = []  # the newest labels, which are not in the arrays yet
        self._classes = 0
        self._count = 0
        self._at: npt.NDArray[np.int64]
        self._number: npt.NDArray[np.uint8]
        self._probs: npt.NDArray[np.uint8]
        self._make(_BEGIN)

    def add(self, label: Label, number: int) -> None:
        """Note a label, and the number of its activity."""
        probs = label.probs
        if len(probs) != 4 * self._classes:  # another bundle: what was before has other columns
            self._new.clear()
            self._classes = len(probs) // 4
            self._make(_BEGIN)
        self._new.append((label.t_source, number, probs))
        if len(self._new) >= _TOGETHER:
            self._lay()
        self.added += 1

    def mark(self, mark: Mark) -> None:
        """Note an event."""
        self.marks.append(mark)
        self.marked += 1

    def annotate(self, annotation: Annotation) -> None:
        """Note what a person says of it."""
        self.annotations.append(annotation)
        self.annotated += 1

    def between(self, begin: int, end: int) -> Span:
        """Return the labels of windows that ended in [begin, end), Unix ns."""
        self._lay()
        at = self._at[: self._count]
        return self._span(np.flatnonzero((at >= begin) & (at < end)))

    def newest(self, count: int) -> Span:
        """Return the newest labels."""
        self._lay()
        return self._span(np.arange(max(self._count - count, 0), self._count))

    def lasts(self, stretch: Stretch) -> None:
        """Note an activity, or that the newest one goes on."""
        if self.activities and self.activities[-1][::2] == stretch[::2]:
            self.activities[-1] = stretch
        else:
            self.activities.append(stretch)

    @property
    def begins(self) -> int | None:
        """The moment of the oldest label that is kept."""
        if self._count:
            return int(self._at[0])
        return self._new[0][0] if self._new else None

    def _span(self, places: npt.NDArray[np.intp]) -> Span:
        return Span(self._at[places], self._number[places], self._probs[places].astype(np.float32) / np.float32(_FULL))

    def _lay(self) -> None:
        """Lay the newest labels into the arrays."""
        if not self._new:
            return
        while self._count + len(self._new) > len(self._at):
            self._grow()
        begin, end = self._count, self._count + len(self._new)
        at, number, probs = zip(*self._new, strict=True)
        self._at[begin:end], self._number[begin:end] = at, number
        self._probs[begin:end] = np.frombuffer(b"".join(probs), "<f4").reshape(len(probs), -1) * _FULL
        self._count = end
        self._new.clear()

    def _grow(self) -> None:
        """Make room: for twice as many, or where there are as many as shall be, by letting go of the older half."""
        size = len(self._at)
        keep = self._count if size < self._most else self._count // 2
        at, number, probs = (each[self._count - keep : self._count] for each in (self._at, self._number, self._probs))
        self._make(min(2 * size, self._most))
        self._at[:keep], self._number[:keep], self._probs[:keep] = at, number, probs
        self._count = keep

    def _make(self, size: int) -> None:
        self._count = 0
        self._at = np.empty(size, np.int64)
        self._number = np.empty(size, np.uint8)
        self._probs = np.empty((size, self._classes), np.uint8)
