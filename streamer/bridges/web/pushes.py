"""What phones send: readings of several sensors in one message, checked before anything is made of them.

Two say the same. The app Sensor Logger posts JSON objects whose ``payload`` lists ``{name, time, values}``, time in
Unix ns (its page on pushing: https://github.com/tszheichoi/awesome-sensor-logger, PUSHING.md); the bridge's own page
sends such objects over a websocket.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kinestream.model.plaindata import parse_json
from kinestream.streamer.bridges.arrivals import Arrived, Part
from kinestream.streamer.bridges.rig import RigDevice
from kinestream.streamer.wire.messages import MAX_INT

MOST_BYTES = 1 << 20
"""Of a message: some 5,000 readings, 10 s of four sensors at 100 Hz."""


class BadPush(ValueError):
    """A message that cannot be used; its text says why, in a line."""


class PushReader:
    """Makes readings of the messages of one device.

    Parameters
    ----------
    device : str
        What the rig calls it.
    about : RigDevice
        What it says of it.

    Attributes
    ----------
    unknown : dict of int by str
        Readings of sensors that the rig does not name, by sensor.
    seen : set of str
        Sensors and axes that came, as the rig may name them.
    """

    def __init__(self, device: str, about: RigDevice) -> None:
        self._device = device
        self.unknown: dict[str, int] = {}
        self.seen: set[str] = set()
        self._sensors: dict[str, list[tuple[str, float, float]]] = {}
        for channel in about.channels.values():
            sensor, _, axis = str(channel.source).partition(".")
            self._sensors.setdefault(sensor, []).append((axis, channel.factor, channel.offset))

    def read(self, body: bytes, arrival: int) -> Arrived | None:
        """Return the readings in a message; None where it holds none that are wanted.

        Raises
        ------
        BadPush
            If it is none.
        """
        stamps: list[int] = []
        sensors: list[str] = []
        rows: dict[str, list[list[float]]] = {}
        which: dict[str, list[int]] = {}
        readings = sorted(_readings(body), key=lambda each: each[1])  # one clock, several sensors: in its order
        for sensor, time, values in readings:
            columns = self._sensors.get(sensor)
            if columns is None:
                if sensor in self.unknown or len(self.unknown) < 64:
                    self.unknown[sensor] = self.unknown.get(sensor, 0) + 1
                continue
            if len(self.seen) < 64:
                self.seen |= {f"{sensor}.{axis}"[:64] for axis in values}
            rows.setdefault(sensor, []).append([_value(values.get(axis)) * by + plus for axis, by, plus in columns])
            which.setdefault(sensor, []).append(len(stamps))
            stamps.append(time)
            sensors.append(sensor)
        if not stamps:
            return None
        parts = tuple(Part(sensor, np.array(which[sensor]), np.array(rows[sensor], np.float32)) for sensor in which)
        return Arrived(self._device, np.array(stamps, np.int64), parts, arrival)

    def missing(self) -> list[str]:
        """Return the sensors and axes that the rig names and that have not come."""
        wanted = [f"{sensor}.{axis}" for sensor, columns in self._sensors.items() for axis, _, _ in columns]
        return [each for each in wanted if each not in self.seen]


def _readings(body: bytes) -> list[tuple[str, int, Mapping[str, Any]]]:
    try:
        content = parse_json(body)
    except ValueError as error:
        raise BadPush(f"the body is no JSON: {str(error)[:100]}") from None
    payload = content.get("payload") if isinstance(content, dict) else None
    if not isinstance(payload, list):
        raise BadPush('the body is no object with a list "payload", as Sensor Logger pushes it')
    readings: list[tuple[str, int, Mapping[str, Any]]] = []
    for entry in payload:
        match entry:
            case {"name": str(name), "time": int(time), "values": dict(values)} if 0 <= time < MAX_INT:
                readings.append((name[:64], time, values))
            case {"name": str(name), "time": str(text), "values": dict(values)} if (
                text.isascii() and text.isdigit() and len(text) < 19
            ):
                readings.append((name[:64], int(text), values))
            case _:
                raise BadPush('an entry of "payload" is no {name, time, values} with the time in ns')
    return readings


def _value(value: Any) -> float:
    """Return a number, NaN for what is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return math.nan
    try:
        number = float(value)
    except OverflowError:  # JSON knows no largest number
        return math.nan
    return number if abs(number) < 1e30 else math.nan
