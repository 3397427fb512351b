"""The time line of a recording: the truth above the labels, where they are wrong, and how sure they were."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.page.colours import INK, LINE, MUTED, WRONG, ink_on
from model.page.drawing import bare, new_figure, style

_WIDTH, _ROW = 10.4, 0.86  # inches
_NUMBER = 0.16  # inches a stretch needs to bear the number of its class
_LANES = {"truth": (2.2, 0.8), "label": (1.3, 0.8), "wrong": (1.06, 0.17), "p": (0.0, 0.9)}  # bottom and height
_STRIDES = 420  # in a row, so that each is at least two pixels wide
_ROWS = 12  # of one recording
_LENGTHS = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 2700, 3600)  # seconds

Stretch = tuple[int, int, int]
"""First sample, one past the last, class."""


@dataclass(frozen=True)
class Timeline:
    """One recording as it was and as it was named.

    Parameters
    ----------
    name : str
        Whose.
    rate_hz : float
        Samples a second.
    stride : int
        Samples a label speaks for: those up to its window's last one.
    truth : ndarray of int64, shape (N,)
        Class of each sample, negative where it has none.
    last : ndarray of int64, shape (W,)
        Each window's last sample, ascending; where windows were skipped there is a gap.
    labels : ndarray of int64, shape (W,)
        What they were named.
    p : ndarray of float32, shape (W,)
        How probable that was said to be.
    """

    name: str
    rate_hz: float
    stride: int
    truth: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    p: npt.NDArray[np.float32]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.truth) / self.rate_hz

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Which windows have a class and were named otherwise, shape (W,)."""
        truth = self.truth[self.last]
        wrong: npt.NDArray[np.bool_] = (truth >= 0) & (truth != self.labels)
        return wrong

    def wrong_stretches(self) -> list[Stretch]:
        """Return where windows in a row are named wrongly."""
        return [stretch for stretch in self._of_windows(self.wrong.astype(np.int64)) if stretch[2]]

    def label_stretches(self) -> list[Stretch]:
        """Return where windows in a row bear one label."""
        return self._of_windows(self.labels)

    def truth_stretches(self) -> list[Stretch]:
        """Return where samples in a row are of one class."""
        edges = [0, *(np.flatnonzero(np.diff(self.truth)) + 1).tolist(), len(self.truth)]
        return [(a, b, int(self.truth[a])) for a, b in pairwise(edges) if b > a and self.truth[a] >= 0]

    def _of_windows(self, values: npt.NDArray[np.int64]) -> list[Stretch]:
        breaks = (np.diff(values) != 0) | (np.diff(self.last) > self.stride)
        edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(values)]
        return [
            (max(int(self.last[a]) + 1 - self.stride, 0), int(self.last[b - 1]) + 1, int(values[a]))
            for a, b in pairwise(edges)
            if b > a
        ]


def row_seconds(timelines: Sequence[Timeline]) -> int:
    """Return how long a row should be, so that all of these can be compared and every stride is seen."""
    longest = max(line.seconds for line in timelines)
    finest = max(_STRIDES * line.stride / line.rate_hz for line in timelines)
    if longest <= finest:
        return max(math.ceil(longest), 1)
    wanted = max(finest, longest / _ROWS)
    return next((length for length in _LENGTHS if length >= wanted), math.ceil(wanted / 3600) * 3600)


def draw_timeline(line: Timeline, colours: Sequence[str], row_s: float) -> Figure:
    """Draw a recording in rows, as a text is written.

    Parameters
    ----------
    line : Timeline
        What happened.
    colours : sequence of str
        Of each class.
    row_s : float
        Seconds in a row.
    """
    rows = max(math.ceil(line.seconds / row_s - 1e-9), 1)
    with style():
        figure = new_figure(_WIDTH, rows * _ROW + 0.05)
        for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
            start = row * row_s
            for lane, stretches in (("truth", line.truth_stretches()), ("label", line.label_stretches())):
                _strip(axes, lane, stretches, colours, line.rate_hz, start, row_s)
            _strip(axes, "wrong", line.wrong_stretches(), (WRONG.hex,) * 2, line.rate_hz, start, row_s, numbers=False)
            _probability(axes, line)
            _axis(axes, start, row_s, line.seconds)
    return figure


def _strip(
    axes: Axes,
    lane: str,
    stretches: Sequence[Stretch],
    colours: Sequence[str],
    rate_hz: float,
    start: float,
    row_s: float,
    numbers: bool = True,
) -> None:
    bottom, height = _LANES[lane]
    for which in sorted({stretch[2] for stretch in stretches}):
        own = [(a / rate_hz, b / rate_hz) for a, b, value in stretches if value == which]
        seen = [(max(a, start), min(b, start + row_s)) for a, b in own if b > start and a < start + row_s]
        axes.broken_barh([(a, b - a) for a, b in seen], (bottom, height), facecolor=colours[which], linewidth=0)
        for a, b in seen if numbers else ():
            if (b - a) / row_s * _WIDTH > _NUMBER * len(str(which)):
                at = (a + b) / 2, bottom + height / 2
                ink = ink_on(colours[which])
                axes.text(*at, str(which), fontsize=7.5, color=ink, ha="center", va="center_baseline")


def _probability(axes: Axes, line: Timeline) -> None:
    """Draw p as steps that last as long as the label, broken where windows were skipped."""
    bottom, height = _LANES["p"]
    axes.axhline(bottom, color=LINE.hex, linewidth=0.6)
    axes.axhline(bottom + height, color=LINE.hex, linewidth=0.6)
    for windows in _unbroken(line):
        at = np.concatenate([[line.last[windows[0]] + 1 - line.stride], line.last[windows] + 1]) / line.rate_hz
        p = bottom + height * line.p[windows]
        axes.step(at, np.concatenate([p[:1], p]), where="pre", color=MUTED.hex, linewidth=0.8)


def _unbroken(line: Timeline) -> Iterator[npt.NDArray[np.intp]]:
    breaks = np.flatnonzero(np.diff(line.last) > line.stride) + 1
    return (windows for windows in np.split(np.arange(len(line.last)), breaks) if len(windows))


def _axis(axes: Axes, start: float, row_s: float, end: float) -> None:
    step = next(length for length in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, math.inf) if row_s / length <= 12)
    ticks = np.arange(start, min(start + row_s, end) + 1e-9, step if math.isfinite(step) else row_s)
    axes.set(xlim=(start, start + row_s), ylim=(-0.05, 3.05))
    axes.set_xticks(ticks, [f"{tick:g} s" for tick in ticks])
    middles = [sum(_LANES[lane]) - _LANES[lane][1] / 2 for lane in ("truth", "label", "p")]
    axes.set_yticks(middles, ["truth", "label", "p"], color=INK.hex)
    axes.tick_params(labelsize=8)
    bare(axes)
