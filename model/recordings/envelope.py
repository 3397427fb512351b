"""The least delay that a device's readings arrive with, as its clock drifts: a line below all that is seen.

What is seen of a reading is the wearer's time of its arrival less the device's time at which it was taken. That is the
offset of the two clocks plus a delay, and delays are never negative: the lowest points tell of the clocks, all others
of the link. A least-squares line would follow the delays, and the first reading alone may be seconds late.

The line is the edge of the lower convex hull that spans the middle of the window, which is the line below all points
that is nearest to them: Moon, Skelly, Towsley, "Estimation and removal of clock skew from network delay measurements",
IEEE INFOCOM 1999. Its slope is held within what such a clock can drift.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

_SECOND = 1_000_000_000
BIN_NS = _SECOND // 2
"""Of the points in a bin of device time only the lowest is kept: whatever the rate, a minute is 120 points."""
SILENCE_NS = _SECOND
"""A longer silence of the link counts as this much. A stall and what it held back then outweigh nothing, and what was
known before a pause is known after it."""


@dataclass(frozen=True)
class Drift:
    """How far a kind of clock can be trusted. Times are those during which the link was alive.

    Parameters
    ----------
    most : float
        How fast it may run or lag at the utmost, as a share of time.
    settling_ns : int
        For so long its drift cannot be told from the delays, and is taken for none.
    minimum_ns : int
        How far back the least delay is then looked for.
    window_ns : int
        How far back the line is drawn afterwards.
    """

    most: float
    settling_ns: int
    minimum_ns: int
    window_ns: int = 60 * _SECOND


class Point(NamedTuple):
    """When a reading was taken by its device, arrival less that, and how long the link had been alive, in ns."""

    device: float
    offset: float
    alive: float


def line_below(points: Sequence[Point], most: float) -> tuple[float, float]:
    """Return slope and height at 0 of the line below all points that is nearest to them.

    Parameters
    ----------
    points : sequence of Point
        At least one, in order.
    most : float
        The steepest slope, up or down.
    """
    hull: list[Point] = []
    for point in points:
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    # Of the time that the link was alive: what a stall held back spans much time of the device, but says little.
    middle = (points[0].alive + points[-1].alive) / 2
    slope = 0.0
    for left, right in pairwise(hull):
        slope = (right.offset - left.offset) / (right.device - left.device)
        if right.alive >= middle:
            break
    slope = min(max(slope, -most), most)
    return slope, min(point.offset - slope * point.device for point in points)


def _turns_down(a: Point, b: Point, c: Point) -> bool:
    return (b.offset - a.offset) * (c.device - a.device) >= (c.offset - a.offset) * (b.device - a.device)


class Envelope:
    """Keeps the lowest points of the last minute, and the line below them.

    All numbers are nanoseconds, relative to whatever its owner chose.

    Parameters
    ----------
    drift : Drift
        What the clock is.
    first : Point
        The first of all points.
    """

    def __init__(self, drift: Drift, first: Point) -> None:
        self._drift = drift
        self._points = deque([first])
        self._first = first
        self._alive = first.alive
        self._line: tuple[float, float] | None = None

    @property
    def newest(self) -> float:
        """Device time of the last point that is kept."""
        return self._points[-1].device

    @property
    def alive(self) -> float:
        """How long the link was alive since the first point."""
        return self._alive - self._first.alive

    def add(self, point: Point) -> None:
        """Take a point."""
        last = self._points[-1]
        self._alive = point.alive
        if point.device // BIN_NS > last.device // BIN_NS:
            self._points.append(point)
            while self._points[0].alive < point.alive - self._drift.window_ns:
                self._points.popleft()
            self._line = None
        elif point.device >= last.device and point.offset < last.offset:
            self._points[-1] = point
        if self._line is not None:  # which the point may lie below
            slope, height = self._line
            self._line = slope, min(height, point.offset - slope * point.device)

    def line(self) -> tuple[float, float]:
        """Return slope and height at 0 of the least offset."""
        if self.alive < self._drift.settling_ns:
            # A clock that drifts unseen is worth nothing after a pause longer than the window.
            since, after = self._alive - self._drift.minimum_ns, self.newest - self._drift.window_ns
            return 0.0, min(p.offset for p in self._points if p.alive >= since and p.device >= after)
        if self._line is None:
            self._line = line_below(self._points, self._drift.most)
        return self._line
