"""Maps a device's clock to the wearer's over a whole recording, where what came later may be known, too."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.clocks import BACKWARDS_NS, CLOCK, LATE_NS, SECOND, STEP_NS, Step
from kinestream.model.recordings.envelope import BIN_NS, Drift, Point, line_below

Times = npt.NDArray[np.int64]

_KNOTS_NS = 10 * SECOND


def map_recording(
    device: Times, arrivals: Times, drift: Drift = CLOCK, delay_ns: int = 0
) -> tuple[Times, tuple[Step, ...]]:
    """Say when the readings of a recording were taken on the wearer's clock.

    The least delay is found as `kinestream.model.recordings.clocks.ClockMap` finds it, but from half a minute to either
    side of every ten seconds, so that the first readings are mapped as well as the last.

    Parameters
    ----------
    device : ndarray of int64, shape (M,)
        When readings were taken by the device's clock, in nanoseconds, in the order in which they were taken. A counter
        is unwrapped first, and multiplied by the nominal period.
    arrivals : ndarray of int64, shape (M,)
        When they arrived, in nanoseconds of the wearer's clock.
    drift : Drift
        `CLOCK` or `COUNTER` of `kinestream.model.recordings.clocks`.
    delay_ns : int
        The least delay of the device's link in nanoseconds, where it is known.

    Returns
    -------
    times : ndarray of int64, shape (M,)
        When they were taken, in nanoseconds of the wearer's clock; not decreasing but at a step.
    steps : tuple of Step
        Where the device's clock stepped.
    """
    steps = _steps(device, arrivals, drift.most)
    times = np.empty(len(device), np.int64)
    bounds = [0, *(step.index for step in steps), len(device)]
    for begin, end in pairwise(bounds):
        if begin < end:
            part = slice(begin, end)
            times[part] = np.maximum.accumulate(_mapped(device[part], arrivals[part], drift) - delay_ns)
    return times, steps


def _steps(device: Times, arrivals: Times, most: float) -> tuple[Step, ...]:
    """Find where the least delay is another one before and after, for a minute to either side."""
    offsets = arrivals - device
    back = np.diff(device) < -BACKWARDS_NS
    candidates = np.flatnonzero(back | (np.abs(np.diff(offsets)) > STEP_NS)) + 1
    ends = np.append(candidates[back[candidates - 1]], len(device))
    steps: list[Step] = []
    for at in candidates.tolist():
        begin, end = steps[-1].index if steps else 0, int(ends[np.searchsorted(ends, at, side="right")])
        before = begin + np.flatnonzero(device[begin:at] > device[at - 1] - LATE_NS)
        after = at + np.flatnonzero(device[at:end] < device[at] + LATE_NS)
        left, right = before[offsets[before].argmin()], after[offsets[after].argmin()]
        amount = int(offsets[left] - offsets[right])
        drifted = most * float(device[at - 1] - device[left] + device[right] - device[at])
        if back[at - 1] or abs(amount) > STEP_NS + drifted:
            steps.append(Step(at, amount))
    return tuple(steps)


def _mapped(device: Times, arrivals: Times, drift: Drift) -> Times:
    """Map a part without a step."""
    since = (device - device[0]).astype(np.float64)
    above = arrivals - device
    offsets = (above - above[0]).astype(np.float64)
    bins = (since // BIN_NS).astype(np.int64)
    order = np.lexsort((offsets, bins))
    lowest = order[np.append(True, np.diff(bins[order]) > 0)]
    points = [Point(float(since[at]), float(offsets[at]), float(since[at])) for at in lowest]
    where, last = since[lowest], float(since.max())
    if last < drift.settling_ns:
        settled: Times = device + above.min()
        return settled
    knots = np.append(np.arange(0, last, _KNOTS_NS), last)
    heights = []
    half = drift.window_ns / 2
    for knot in knots.tolist():
        middle = max(min(knot, last - half), min(half, last / 2))
        begin, end = np.searchsorted(where, (middle - half, middle + half), side="left")
        slope, height = line_below(points[begin : end + 1], drift.most)
        heights.append(slope * knot + height)
    times: Times = device + above[0] + np.rint(np.interp(since, knots, heights)).astype(np.int64)
    return times
