"""The time line of a recording: the truth above the labels, where they are wrong, and how sure they were."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from kinestream.model.report.colours import INK, LINE, MUTED, NULL, RIGHT, WRONG, ink_on
from kinestream.model.report.drawing import style

_WIDTH, _ROW, _LEFT, _RIGHT = 11.1, 0.84, 0.45, 0.3  # inches: the drawing, a row of it, room for letters
_NUMBER = 0.16  # inches a stretch needs to bear the number of its class
_LANES = {"truth": (2.2, 0.8), "label": (1.3, 0.8), "wrong": (1.04, 0.18), "p": (0.0, 0.9)}  # bottom and height
_SECONDS = -0.42  # where they stand
_STEP = 4.0  # from one row to the next
_SIGNAL = (3.25, 2.9)  # bottom and height of its lane, where there is one
_ABOVE = 3.15  # what a row with one is higher
_POINTS = 1600  # of a signal in a row: more than a screen shows
_STRIDES = 420  # in a row, so that each is at least two pixels wide
_ROWS = 12  # of one recording

Stretch = tuple[int, int, int]
"""First sample, one past the last, class."""


@dataclass(frozen=True)
class Signal:
    """What is drawn above a time line.

    Parameters
    ----------
    names : tuple of str
        S channels, three at most.
    unit : str
        Theirs.
    samples : ndarray of float32, shape (N, S)
        NaN where there is no reading.
    """

    names: tuple[str, ...]
    unit: str
    samples: npt.NDArray[np.float32]

    @property
    def bounds(self) -> tuple[float, float]:
        """Between what nearly all readings lie; what is beyond is cut."""
        known = self.samples[np.isfinite(self.samples)]
        if not len(known):
            return 0.0, 1.0
        low, high = np.percentile(known, [0.2, 99.8]).tolist()
        return (low, high) if high > low else (low - 0.5, low + 0.5)


@dataclass(frozen=True)
class Strips:
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
    signal : Signal or None
        What the sensors said meanwhile.
    """

    name: str
    rate_hz: float
    stride: int
    truth: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    p: npt.NDArray[np.float32]
    signal: Signal | None = None

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
        """Return where consecutive windows are classified wrongly."""
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


def row_seconds(timelines: Sequence[Strips]) -> int:
    """Return how long a row should be, so that all of these can be compared and every stride is seen."""
    longest = max(line.seconds for line in timelines)
    finest = max(_STRIDES * line.stride / line.rate_hz for line in timelines)
    rows = min(math.ceil(longest / finest), _ROWS)
    return math.ceil(longest / rows)


def draw_timeline(line: Strips, colours: Sequence[str], row_s: float) -> Figure:
    """Draw a recording in rows, as a text is written.

    Parameters
    ----------
    line : Strips
        What happened.
    colours : sequence of str
        Of each class.
    row_s : float
        Seconds in a row.
    """
    rows = max(math.ceil(line.seconds / row_s - 1e-9), 1)
    above = 0.0 if line.signal is None else _ABOVE
    step = _STEP + above
    height = rows * _ROW * step / _STEP
    with style():
        figure = Figure(figsize=(_WIDTH, height))
        # Placed by hand: to find out how much room letters need takes longer than all the rest.
        axes = figure.add_axes((_LEFT / _WIDTH, 0, (_WIDTH - _LEFT - _RIGHT) / _WIDTH, 1))
        axes.set(xlim=(0, row_s), ylim=(3.05 + above - rows * step, 3.05 + above))
        axes.set_axis_off()
        for lane, stretches in (("truth", line.truth_stretches()), ("label", line.label_stretches())):
            _strip(axes, lane, list(_pieces(stretches, line.rate_hz, row_s)), colours, row_s, step)
        _strip(axes, "wrong", list(_pieces(line.wrong_stretches(), line.rate_hz, row_s)), (WRONG.hex,) * 2, row_s, step)
        _probability(axes, line, row_s, step)
        for row in range(rows):
            _letters(axes, row, row_s, line.seconds, step)
            if line.signal is not None:
                _readings(axes, row, row_s, line.signal, line.rate_hz, step)
    return figure


def _pieces(stretches: Sequence[Stretch], rate_hz: float, row_s: float) -> Iterator[tuple[int, float, float, int]]:
    """Yield (row, from, to, class) of each stretch, cut where a row ends, in seconds since its row began."""
    for first, last, which in stretches:
        start, end = first / rate_hz, last / rate_hz
        for row in range(int(start // row_s), math.ceil(end / row_s)):
            yield row, max(start - row * row_s, 0.0), min(end - row * row_s, row_s), which


def _strip(
    axes: Axes,
    lane: str,
    pieces: Sequence[tuple[int, float, float, int]],
    colours: Sequence[str],
    row_s: float,
    step: float,
) -> None:
    bottom, height = _LANES[lane]
    corners = [
        [(a, y), (b, y), (b, y + height), (a, y + height)] for row, a, b, _ in pieces for y in (bottom - row * step,)
    ]
    axes.add_collection(PolyCollection(corners, facecolors=[colours[which] for *_, which in pieces], linewidths=0))
    for row, a, b, which in pieces:
        colour = colours[which]
        wide = (b - a) / row_s * _WIDTH > _NUMBER * len(str(which))
        if wide and colour not in (NULL.hex, WRONG.hex):
            at = (a + b) / 2, bottom + height / 2 - row * step
            axes.text(*at, str(which), fontsize=7.5, color=ink_on(colour), ha="center", va="center_baseline")


def _probability(axes: Axes, line: Strips, row_s: float, step: float) -> None:
    """Draw p as steps that last as long as the label, broken where windows were skipped and where a row ends."""
    bottom, height = _LANES["p"]
    start, end = (line.last + 1 - line.stride) / line.rate_hz, (line.last + 1) / line.rate_hz
    row = np.maximum(start // row_s, 0)
    x = np.stack([np.maximum(start - row * row_s, 0), np.minimum(end - row * row_s, row_s)], axis=1)
    y = np.repeat(bottom + height * line.p - row * step, 2)
    breaks = np.flatnonzero((np.diff(line.last) > line.stride) | (np.diff(row) > 0)) + 1
    axes.plot(
        np.insert(x.ravel(), 2 * breaks, np.nan), np.insert(y, 2 * breaks, np.nan), color=MUTED.hex, linewidth=0.8
    )


def _letters(axes: Axes, row: int, row_s: float, end: float, high: float) -> None:
    """Write what the lanes are, and the seconds below them."""
    inside = min(row_s, end - row * row_s)
    down = row * high
    for lane in ("truth", "label", "p"):
        bottom, height = _LANES[lane]
        at = -0.07 / _WIDTH * row_s, bottom + height / 2 - down
        axes.text(*at, lane, ha="right", va="center", fontsize=8, clip_on=False)
    for edge in (0.0, _LANES["p"][1]):
        axes.plot([0, inside], [edge - down] * 2, color=LINE.hex, linewidth=0.6, zorder=0)
    step = next(length for length in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, row_s) if row_s / length <= 12)
    start = row * row_s
    for second in np.arange(math.ceil(start / step) * step, start + inside + 1e-9, step):
        axes.text(
            second - start, _SECONDS - down, f"{second:g} s", ha="center", va="center", fontsize=8, color=MUTED.hex
        )


def _readings(axes: Axes, row: int, row_s: float, signal: Signal, rate_hz: float, step: float) -> None:
    """Draw what the sensors said, as far as a screen shows it: of many readings the least and the most."""
    first, end = math.ceil(row * row_s * rate_hz), math.ceil((row + 1) * row_s * rate_hz)
    rows = signal.samples[first:end]
    (bottom, height), (low, high) = _SIGNAL, signal.bounds
    bottom -= row * step
    for shade, readings in zip((MUTED, RIGHT, INK), rows.T, strict=False):
        at, values = thinned(readings, _POINTS // 2)
        y = bottom + height * (np.clip(values, low, high) - low) / (high - low)
        seconds = (first + at) / rate_hz - row * row_s
        axes.plot(seconds, y, color=shade.hex, linewidth=0.7, alpha=0.9, solid_joinstyle="round")
    if low < 0 < high and len(rows):
        zero = bottom + height * -low / (high - low)
        axes.plot([0, len(rows) / rate_hz], [zero, zero], color=LINE.hex, linewidth=0.6, zorder=0)
    for value, place in ((low, bottom), (high, bottom + height)):
        at_edge = -0.07 / _WIDTH * row_s, place
        align = "bottom" if value == low else "top"
        axes.text(*at_edge, f"{value:.2g}", ha="right", va=align, fontsize=7, color=MUTED.hex, clip_on=False)


def thinned(readings: npt.NDArray[np.float32], most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return where readings are drawn and what they are: all of them, or of so many parts the least and the most.

    Parameters
    ----------
    readings : ndarray of float32, shape (N,)
        NaN where there is none; there the line is broken.
    most : int
        Parts.

    Returns
    -------
    at : ndarray of int64
        Ascending.
    values : ndarray of float32
        As many.
    """
    count = len(readings)
    if count <= 2 * most:
        return np.arange(count), readings
    edges = np.linspace(0, count, most + 1).astype(np.int64)[:-1]
    low, high = np.fmin.reduceat(readings, edges), np.fmax.reduceat(readings, edges)
    ends = np.append(edges[1:], count) - 1
    return np.stack([edges, ends], axis=1).ravel(), np.stack([low, high], axis=1).ravel()
