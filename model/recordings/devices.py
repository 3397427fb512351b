"""What the devices of a recording delivered, each at its own times: what a live stream would have brought."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.resample import resample, resampling
from kinestream.model.recordings.samplegrid import SampleGrid


@dataclass(frozen=True)
class DeviceReadings:
    """All readings of one device in a recording.

    Parameters
    ----------
    name : str
        As in ``watch``; unique within the recording.
    rate_hz : float
        Readings per second, nominally; 0 where they are irregular.
    channels : tuple of Channel
        C channels, in the order of the columns of `values`; no two devices have one of the same name.
    times : ndarray of int64, shape (M,)
        When the readings were taken, in nanoseconds of the clock of the recording's timestamps; not decreasing.
    values : ndarray of float32, shape (M, C)
        NaN for no reading.
    numbers : ndarray of int64, shape (M,), optional
        What the device numbered them with, increasing: a number that is not there is that of a reading that was lost.
        None where nothing tells of losses.
    """

    name: str
    rate_hz: float
    channels: tuple[Channel, ...]
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float32]
    numbers: npt.NDArray[np.int64] | None = None


def as_readings(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return values as readings are kept; what is too large for that becomes infinite, which is no reading."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def lay(
    devices: Sequence[DeviceReadings],
    grid: SampleGrid,
    first: int,
    count: int,
    *,
    average: bool | None = None,
    longest_gap: int | None = None,
) -> npt.NDArray[np.float32]:
    """Lay the readings of all devices on one grid.

    Parameters
    ----------
    devices : sequence of DeviceReadings
        At least one.
    grid : SampleGrid
        Where samples lie.
    first, count : int
        Which samples are wanted.
    average, longest_gap
        See `kinestream.model.recordings.resample.resampling`.

    Returns
    -------
    ndarray of float32, shape (`count`, channels of all devices)
        The devices' channels one after the other; NaN where a device is silent.
    """
    columns = []
    for device in devices:
        how = resampling(device.rate_hz, grid, average=average, longest_gap=longest_gap)
        columns.append(resample(device.times, device.values, grid, first, count, how))
    return np.hstack(columns)
