"""A recording as its devices delivered it: laid on one grid, by the rules by which a live stream is.

Sample 0 lies where the recording's first one does, and the grid has the rate of whoever reads it, so that a window ends
where it would end in the recording as published, and has its label.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from kinestream.model.errors import SourceError
from kinestream.model.recordings.devices import DeviceReadings, lay
from kinestream.model.recordings.recording import UNLABELLED, Recording
from kinestream.model.recordings.resample import nearest
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.model.recordings.seams import sift

_BEFORE_NS = 1_000_000_000
"""How long before sample 0 readings are kept: longer than the first samples depend on, whatever the rate."""


def on_its_devices_clock(recording: Recording, devices: Sequence[DeviceReadings]) -> Recording:
    """Return a recording whose timestamps are of the same clock as the readings of its devices.

    That is the recording itself; but where its samples were published without a time, so that nothing tells when in the
    readings they lie, one without labels, of the time that all devices recorded.

    Raises
    ------
    SourceError
        If there is no such time.
    """
    first, last = max(int(each.times[0]) for each in devices), min(int(each.times[-1]) for each in devices)
    if first > last:
        raise SourceError(f"recording {recording.id}: its devices recorded at no time together")
    if recording.timestamps[0] <= last and recording.timestamps[-1] >= first:
        return recording
    grid = SampleGrid(first, exact_rate(recording.rate_hz))
    count = grid.at_or_after(last + 1)
    return replace(
        recording,
        samples=np.full((count, len(recording.channels)), np.nan, np.float32),
        timestamps=grid.times(0, count),
        labels=np.full(count, UNLABELLED, recording.labels.dtype),
    )


def during(recording: Recording, devices: Sequence[DeviceReadings]) -> tuple[DeviceReadings, ...]:
    """Return what the devices of a recording delivered while it, or this part of it, lasts.

    A second before it belongs to that, since the first samples depend on readings before them; what comes from where
    the sample after its last would lie does not, since it would be part of further samples.
    """
    grid = SampleGrid(int(recording.timestamps[0]), exact_rate(recording.rate_hz))
    bounds = grid.origin - _BEFORE_NS, grid.time(len(recording.timestamps))
    parts = []
    for device in devices:
        first, end = np.searchsorted(device.times, bounds)
        parts.append(chosen(device, slice(int(first), int(end))))
    return tuple(parts)


def chosen(device: DeviceReadings, which: slice | npt.NDArray[np.bool_]) -> DeviceReadings:
    """Return some of a device's readings."""
    numbers = None if device.numbers is None else device.numbers[which]
    return replace(device, times=device.times[which], values=device.values[which], numbers=numbers)


def laid(recording: Recording, devices: Sequence[DeviceReadings], rate_hz: float, stride: int) -> Recording:
    """Return a recording whose samples are what its devices delivered, laid on a grid.

    Parameters
    ----------
    recording : Recording
        Whose timestamps and labels; as `on_its_devices_clock` returns it.
    devices : sequence of DeviceReadings
        What is laid, all of it; see `during`.
    rate_hz : float
        Samples a second.
    stride : int
        Of the windows it is cut into: by how many samples times may differ from what numbers say.

    Raises
    ------
    SourceError
        If there is no sample.
    """
    grid = SampleGrid(int(recording.timestamps[0]), exact_rate(rate_hz))
    sifted = [sift(each, stride * grid.period_ns) for each in devices]
    devices = [
        each if found.kept.all() else chosen(each, found.kept) for each, found in zip(devices, sifted, strict=True)
    ]
    count = grid.at_or_after(max((int(each.times[-1]) for each in devices if len(each.times)), default=-1) + 1)
    if count <= 0:
        raise SourceError(f"recording {recording.id}: its devices delivered nothing while it lasts")
    moments = grid.times(0, count)
    begins = min(int(each.times[0]) for each in devices if len(each.times))
    ends = np.cumsum([0, *(len(each.channels) for each in devices)]).tolist()
    return replace(
        recording,
        rate_hz=rate_hz,
        channels=tuple(channel for each in devices for channel in each.channels),
        samples=lay(devices, grid, 0, count),
        timestamps=moments,
        labels=recording.labels[nearest(recording.timestamps, moments)],
        devices=tuple(tuple(range(first, end)) for first, end in itertools.pairwise(ends)),
        device_names=tuple(each.name for each in devices),
        begins=max(grid.at_or_after(begins), 0),
        seams=tuple(max(grid.at_or_after(behind), 0) for found in sifted for behind in found.behind),
    )
