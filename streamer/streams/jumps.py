"""Which samples are not laid, because nobody delivered, and where seams lie."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.streamer.streams.device import Device
from kinestream.streamer.streams.readings import Break
from kinestream.streamer.streams.wearerclock import FAR


class Jump(NamedTuple):
    """Samples that are not laid, from `begin` up to `after`, and the seams that lie there.

    What ends later than what is laid now waits where it `is_hole`: nobody has delivered anything there yet.
    """

    begin: int
    after: int
    seams: list[Break]
    is_hole: bool


def jumps_over(
    first: int, end: int, breaks: Sequence[Break], devices: Sequence[Device], grid: SampleGrid, length: int
) -> list[Jump]:
    """Return what is not to be laid of samples from `first` up to `end`, in order.

    That is where no device delivered anything for a window or longer. What lies within a seam is laid as long as
    somebody delivered: when a seam becomes known depends on messages. Windows begin anew behind it.

    Parameters
    ----------
    first, end : int
        Numbers of samples.
    breaks : sequence of Break
        Seams that were not laid yet.
    devices : sequence of Device
        What delivered the readings.
    grid : SampleGrid
        Where samples lie.
    length : int
        Samples in a window.
    """
    jumps, left = [], list(breaks)
    for begin, after in _holes(first, end, devices, grid, length):
        seams = [seam for seam in left if begin < grid.at_or_after(seam.first) <= after]
        left = [seam for seam in left if seam not in seams]
        jumps.append(Jump(begin, after, seams, is_hole=True))
    for seam in left:
        if seam.first <= grid.time(end - 1):
            behind = max(grid.at_or_after(seam.first), first)
            jumps.append(Jump(behind, behind, [seam], is_hole=False))
    return sorted(jumps, key=lambda jump: (jump.begin, jump.after))


def _holes(first: int, end: int, devices: Sequence[Device], grid: SampleGrid, length: int) -> list[tuple[int, int]]:
    """Return where no device delivered anything for a window or longer, as first sample and the one after it."""
    begins, ends = [np.array([FAR])], [np.array([FAR])]
    for device in devices:
        times, _ = device.readings()
        if len(times):
            gaps = np.flatnonzero(np.diff(times) > device.how.longest_gap)
            begins.append(times[np.append(0, gaps + 1)])
            ends.append(times[np.append(gaps, len(times) - 1)])
    begin, last = np.concatenate(begins), np.concatenate(ends)
    order = np.argsort(begin, kind="stable")
    since = np.append(grid.time(first) - 1, last[order])
    np.maximum.accumulate(since, out=since)
    holes = []
    for at in np.flatnonzero(begin[order] - since[:-1] > length * grid.period_ns).tolist():
        hole = max(grid.at_or_after(int(since[at]) + 1), first)
        after = int(begin[order[at]])
        if hole < end:
            holes.append((hole, grid.at_or_after(after) if after < FAR else sys.maxsize))
    return holes
