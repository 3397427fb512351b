"""Drafts a rig for a bundle: all of its channels, in its units, by the devices and sensors that their names tell of."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.bundle.description import ChannelEntry
from kinestream.model.datasets.drafts.spelled import count, inline, one_line, scalar
from kinestream.model.recordings.units import convertible, factor
from kinestream.streamer.bridges.rig import MOST_DEVICES
from kinestream.streamer.wire.messages import name_is_valid

Kind = Literal["web", "lsl", "csv"]

_ACCELERATION, _WITH_GRAVITY, _WITHOUT = "acceleration", "totalacceleration", "accelerometer"
_SENSORS = {
    _WITH_GRAVITY: "total acceleration|total acc|total accel|acceleration total",
    _WITHOUT: "linear acceleration|linear acc|lin acc|linacc|user acceleration|body acc",
    _ACCELERATION: "acc|accel|acceleration|accelerometer",
    "gyroscope": "gyr|gyro|gyroscope|rotation rate|angular velocity",
    "magnetometer": "mag|magnetometer|magnetic field",
    "gravity": "gravity|grav",
    "orientation": "orientation",
}
"""By what a phone calls them, sensors and what channels call them; the first are told apart by gravity."""
_CALLED = {tuple(words.split()): sensor for sensor, names in _SENSORS.items() for words in names.split("|")}
_CALLED |= {(sensor,): sensor for sensor in _SENSORS if sensor != _WITHOUT}  # most call so what has gravity in it
_APP_ONLY = ("magnetometer", "gravity", "orientation")
_BROKEN = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_AXES = ("x", "y", "z")
_GRAVITY_M_S2 = 6.0
"""What an accelerometer reads on average has at least this length if gravity is in it, whatever the wearer does."""
_UNSAID = "WRITE_ME"


class _Part(NamedTuple):
    """A channel, and what its name says: whose device, which sensor, which axis; empty where it does not."""

    entry: ChannelEntry
    device: str
    sensor: str
    axis: str
    label: str  # the name without the device


def draft_rig(bundle: Bundle, kind: Kind | None = None) -> str:
    """Return a rig as YAML that has every channel of a bundle, to be looked through.

    Parameters
    ----------
    bundle : Bundle
        What the wearer's activities will be named by.
    kind : {"web", "lsl", "csv"}, optional
        Where the devices come from. By default a phone if every channel is an axis of a sensor that phones have, else
        lines of text.
    """
    parts = [_part(entry) for entry in bundle.description.channels]
    if kind is None:
        kind = "web" if all(part.sensor and part.axis for part in parts) else "csv"
    return "\n".join(_lines(bundle, parts, kind)) + "\n"


def _lines(bundle: Bundle, parts: Sequence[_Part], kind: Kind) -> Iterator[str]:
    yield f"# A draft of a rig for {one_line(bundle.id)}: {count(len(parts), 'channel')}, in the units of its training."
    yield "# Devices and sources are guessed from the channels' names: look at each line. Then see what comes, and go:"
    yield "#   kinestream bridge rig.yaml --check"
    yield "#   kinestream bridge rig.yaml"
    yield "stream: anna  # the wearer"
    yield "devices:"
    devices = _by_device(parts, "phone" if kind == "web" else "sensor")
    for name, own in devices.items():
        first = 1
        yield f"  {scalar(name)}:"
        match kind:
            case "web":
                yield "    web: {}  # a phone's browser, or the app Sensor Logger"
            case "lsl":
                yield f"    lsl: {{name: {scalar(name)}}}  # what its outlet calls itself"
            case "csv" if len(devices) > 1:
                first = 3
                which = f"{{where: {{1: {scalar(name)}}}, time: 2, time_unit: ms}}"
                yield f"    csv: {which}  # column 1 says whose the line is, 2 the board's own time"
            case "csv":
                first = 2
                yield "    csv: {time: 1, time_unit: ms}  # column 1 is the board's own time"
        if kind == "csv":
            yield f"    rate_hz: {bundle.description.rate_hz:g}  # lines a second"
        yield "    channels:"
        yield from _channels(own, kind, first)


def _channels(parts: Sequence[_Part], kind: Kind, first: int) -> Iterator[str]:
    remarked = set()
    for place, part in enumerate(parts):
        source: str | int = first + place
        if kind == "lsl":
            source = part.label
        elif kind == "web":
            sensor, remark = _of_phone(part, parts)
            if remark and sensor not in remarked:
                remarked.add(sensor)
                yield f"      # {remark}"
            source = f"{sensor}.{part.axis or 'x'}"
        said: dict[str, object] = {"source": source}
        if part.entry.unit:
            said["unit"] = part.entry.unit
        yield f"      {scalar(part.entry.name)}: {inline(said)}"


def _of_phone(part: _Part, parts: Sequence[_Part]) -> tuple[str, str]:
    """Return what a phone calls a channel's sensor, and what there is to remark."""
    if not part.sensor or not part.axis:
        return _UNSAID, "please write: which sensor and axis of the phone this is"
    if part.sensor in _APP_ONLY:
        return part.sensor, f"{part.sensor}: the app has it, a phone's browser does not"
    if part.sensor != _ACCELERATION:
        return part.sensor, ""
    length = _length_m_s2([each.entry for each in parts if each[1:3] == part[1:3]])
    if length is None:
        return _WITH_GRAVITY, f"guessed: with gravity; {_WITHOUT} is without"
    if length < _GRAVITY_M_S2:
        return _WITHOUT, f"without gravity: in training it read {length:.1f} m/s2 on average"
    return _WITH_GRAVITY, f"with gravity: in training it read {length:.1f} m/s2 on average"


def _length_m_s2(entries: Sequence[ChannelEntry]) -> float | None:
    """Return the root mean square length of what three axes read in training; None where their unit is not known."""
    if len(entries) != 3 or not all(entry.unit and convertible(entry.unit, "m/s2") for entry in entries):
        return None
    return math.sqrt(sum((e.mean**2 + e.deviation**2) * factor(e.unit, "m/s2") ** 2 for e in entries))


def _by_device(parts: Sequence[_Part], only: str) -> dict[str, list[_Part]]:
    """Return the channels of each device; all of them as one's, called `only`, where names tell of none or too many."""
    devices: dict[str, list[_Part]] = {}
    for part in parts:
        devices.setdefault(part.device or only, []).append(part)
    if len(devices) > MOST_DEVICES or not all(map(name_is_valid, devices)):
        return {only: list(parts)}
    return devices


def _part(entry: ChannelEntry) -> _Part:
    words = [word for word in _BROKEN.split(entry.name) if word]
    axis = words.pop().lower() if len(words) > 1 and words[-1].lower() in _AXES else ""
    for length in (2, 1):
        sensor = _CALLED.get(tuple(word.lower() for word in words[-length:])) if len(words) >= length else None
        if sensor is not None:
            device, rest = words[:-length], words[-length:]
            return _Part(entry, "_".join(device).lower(), sensor, axis, "_".join([*rest, axis] if axis else rest))
    return _Part(entry, "_".join(words).lower() if axis else "", "", axis, axis or entry.name)
