"""Looks at what a sensor delivers before it is trusted: rate, jitter, loss, delay, units that look wrong."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.units import canonical
from kinestream.streamer.bridges.bridge import Look
from kinestream.streamer.bridges.tally import Delivered, PartTally
from kinestream.streamer.events.undelivered import undelivered_text

_RATE_OFF = 0.05
_LOST = 0.01
_JITTERED = 0.5  # of the time between readings: then their stamps say little
_DELAY_SPREAD_MS = 200.0
"""What a stream's devices may be apart before labels suffer; see docs/devices.md."""
_SILENT_S = 1.0
_FEWEST = 50
_NEVER_MOVES = 1e-9
_G = (0.6, 1.6)
_M_S2 = (6.0, 14.0)
"""The median length of what an accelerometer reads that somebody wears, in g and in m/s2: gravity, and some motion."""
_FAST_RAD_S = 40.0
"""Faster than any body turns."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a device, or with all of the stream, and what to do."""

    device: str
    text: str


def findings(look: Look, tallies: list[PartTally]) -> list[Finding]:
    """Return what is wrong with what a rig's devices deliver.

    Parameters
    ----------
    look : Look
        How things are, after some seconds.
    tallies : list of PartTally
        What came, in the order of `look`'s devices.
    """
    found: list[Finding] = []
    if look.undelivered:
        found.append(Finding(look.stream, undelivered_text(look.undelivered)))
    for seen, tally in zip(look.devices, tallies, strict=True):
        found += [Finding(seen.device, text) for text in _of_delivery(seen)]
        _, rows = tally.recent()
        if len(rows) >= _FEWEST:
            found += [Finding(seen.device, text) for text in _of_values(tally.channels, rows)]
    return found


def as_dict(look: Look, found: list[Finding]) -> dict[str, Any]:
    """Return what was looked at as JSON takes it."""
    return {**look.as_dict(), "findings": [{"device": each.device, "finding": each.text} for each in found]}


def _of_delivery(seen: Delivered) -> Iterator[str]:
    if not seen.readings:
        yield "nothing has come"
        return
    if seen.silent_s > _SILENT_S:
        yield f"it has been silent for {seen.silent_s:.1f} s"
    if seen.nominal_hz and abs(seen.rate_hz / seen.nominal_hz - 1) > _RATE_OFF:
        yield f"it delivers {seen.rate_hz:.4g} readings a second, not {seen.nominal_hz:g}: say so in rate_hz"
    if seen.lost_share > _LOST:
        yield f"{100 * seen.lost_share:.1f}% of its readings are lost: bring it closer, or send fewer at a time"
    if seen.jitter_ms * seen.rate_hz / 1000 > _JITTERED:
        yield (
            f"its times jitter by {seen.jitter_ms:.1f} ms, its readings are {1000 / seen.rate_hz:.1f} ms apart: "
            "send the board's own time or a counter"
        )
    if seen.delay_p95_ms - seen.delay_ms > _DELAY_SPREAD_MS:
        yield f"its readings come up to {seen.delay_p95_ms:.0f} ms late: labels wait for them, 300 ms at most"


def _of_values(channels: tuple[Channel, ...], rows: npt.NDArray[np.float32]) -> Iterator[str]:
    for at, channel in enumerate(channels):
        values = rows[:, at][~np.isnan(rows[:, at])]
        if not len(values):
            yield f"{channel.name} holds no number"
        elif len(values) >= _FEWEST and float(np.ptp(values)) <= _NEVER_MOVES:
            yield f"{channel.name} never moves: it is {values[0]:g} all the time"
    for name, three in _triads(channels):
        lengths = np.sqrt((rows[:, three].astype(np.float64) ** 2).sum(axis=1))
        lengths = lengths[~np.isnan(lengths)]
        if len(lengths) >= _FEWEST:
            yield from _of_unit(name, canonical(channels[three[0]].unit), lengths)


def _of_unit(name: str, unit: str | None, lengths: npt.NDArray[np.float64]) -> Iterator[str]:
    usual, fastest = float(np.median(lengths)), float(np.percentile(lengths, 99))
    if unit == "m/s2" and _G[0] <= usual <= _G[1]:
        yield f"{name} reads {usual:.2f} m/s2 where gravity is 9.8: is its unit g?"
    if unit == "g" and _M_S2[0] <= usual <= _M_S2[1]:
        yield f"{name} reads {usual:.2f} g where gravity is 1: is its unit m/s2?"
    if unit in ("m/s2", "g") and usual < (0.3 if unit == "m/s2" else 0.03):
        yield f"{name} reads {usual:.2f} {unit}: is gravity taken off? most bundles are trained with it"
    if unit == "rad/s" and fastest > _FAST_RAD_S:
        yield f"{name} turns at {fastest:.0f} rad/s: is its unit deg/s?"
    if unit is None and not math.isnan(usual):
        yield f"{name} has no unit: it is taken for the bundle's, and nobody checks it"


def _triads(channels: tuple[Channel, ...]) -> Iterator[tuple[str, list[int]]]:
    """Return the sensors of three axes among channels: those whose names differ in a last letter, x, y or z."""
    names = {channel.name: at for at, channel in enumerate(channels)}
    for name in names:
        if name[-1] in "xX":
            y, z = ("y", "z") if name[-1] == "x" else ("Y", "Z")
            if {name[:-1] + y, name[:-1] + z} <= names.keys():
                yield name[:-1].rstrip("_.- "), [names[name], names[name[:-1] + y], names[name[:-1] + z]]
