"""Devices that are made of recorded ones: of another rate, on a link that delays, shaken, or dead."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from kinestream.model.recordings.clocks import ClockMap
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.laid import chosen
from kinestream.model.recordings.resample import resample, resampling
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate

SHAKEN_HZ, SHAKEN_BY = 47.0, 3.0
"""A vibration above half of the grid's rate, and how strong it is in m/s2."""
LEAST_DELAY_NS, MOST_DELAY_NS = 20_000_000, 50_000_000
"""How long readings are under way where their clocks must be mapped from when they arrive."""


def at_rate(device: DeviceReadings, rate_hz: float, rng: np.random.Generator) -> DeviceReadings:
    """Return what a device of another rate would have delivered, its first reading at a phase of its own.

    What is slower than the recording is averaged, as sensors do themselves; what is faster lies on straight lines.
    """
    rate = exact_rate(rate_hz)
    grid = SampleGrid(int(device.times[0]) + int(rng.integers(round(1e9 / rate_hz))), rate)
    count = grid.at_or_after(int(device.times[-1]) + 1)
    values = resample(device.times, device.values, grid, 0, count, resampling(device.rate_hz, grid))
    there = np.isfinite(values).all(axis=1)  # readings in a hole of the recording are lost ones
    made = replace(device, rate_hz=rate_hz, times=grid.times(0, count), values=values, numbers=np.arange(count))
    return chosen(made, there)


def shaken(device: DeviceReadings, rng: np.random.Generator) -> DeviceReadings:
    """Return the device with a vibration on every axis of its accelerometer."""
    since = (device.times - device.times[0]) / 1e9
    values = device.values.copy()
    for column, channel in enumerate(device.channels):
        if channel.unit == "m/s2":
            phase = rng.uniform(0, 2 * np.pi)
            values[:, column] += (SHAKEN_BY * np.sin(2 * np.pi * SHAKEN_HZ * since + phase)).astype(np.float32)
    return replace(device, values=values)


def mapped(device: DeviceReadings, ppm: float, rng: np.random.Generator) -> DeviceReadings:
    """Return the device with a clock of its own that runs fast, mapped to the wearer's by when readings arrive."""
    first = int(device.times[0])
    own = np.rint((device.times - first) * (1 + ppm / 1e6)).astype(np.int64) + int(rng.integers(1 << 40))
    delays = rng.integers(LEAST_DELAY_NS, MOST_DELAY_NS, len(own), endpoint=True)
    clock, times = ClockMap(), np.empty(len(own), np.int64)
    for index, arrival in enumerate(np.maximum.accumulate(device.times + delays).tolist()):
        found, steps = clock.take(own[index : index + 1], arrival)
        assert not steps
        times[index : index + 1] = found
    return replace(device, times=times)


def dead(devices: Sequence[DeviceReadings], name: str) -> tuple[DeviceReadings, ...]:
    """Return the devices, one of which has delivered nothing."""
    return tuple(chosen(each, slice(0, 0)) if each.name == name else each for each in devices)
