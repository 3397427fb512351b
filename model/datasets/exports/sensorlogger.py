"""Sensor Logger: a CSV for each sensor, with Unix times in nanoseconds, and one of what the user noted meanwhile.

Files and units are those of the app's own reference (UNITS.md of github.com/tszheichoi/awesome-sensor-logger). Their
columns are told by name: which of x, y and z stands first differs between versions.
"""

from collections.abc import Mapping

import numpy as np

from kinestream.model.config.column import TextSection, TimeSection
from kinestream.model.datasets.exports.contents import Contents, Markers, SensorTable
from kinestream.model.datasets.exports.tables import Columns, begins_with, header_of, read_sensor, read_texts
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.tabular.values import texts, times

NAME = "sensor_logger"

_METADATA, _NOTES = "Metadata.csv", "Annotation.csv"
_TIMES = ["time", "seconds_elapsed"]
_TEXT = TextSection()
_TIME = TimeSection(column="time", unit="ns")
_ALWAYS = {"Gravity": "m/s2", "Gyroscope": "rad/s", "GyroscopeUncalibrated": "rad/s"}
_ALWAYS |= {"Accelerometer": "m/s2", "TotalAcceleration": "m/s2"}
_ALWAYS |= dict.fromkeys(("Magnetometer", "MagnetometerUncalibrated", "WatchMagnetometer"), "uT")
_PLAIN = {f"quaternion{axis}": "1" for axis in "WXYZ"} | {f"q{axis}": "1" for axis in "wxyz"}
_PLAIN |= dict.fromkeys(("pitch", "roll", "yaw"), "rad")
_STANDARDISED = ("AccelerometerUncalibrated", "WristMotion", "Headphone")
"""Sensors that iOS gives in g where the app was not told to standardise units, and Android in m/s2."""
_ONE_G = (0.8, 1.25)
"""What gravity comes to in g, as a phone or watch measures it."""


def is_export(files: FileTree, heads: Mapping[str, bytes]) -> bool:
    """Tell whether files are such an export, by how their tables begin."""
    return any(begins_with(head, _TIMES, _TEXT) for head in heads.values())


def read(files: FileTree, label: str) -> Contents:
    """Return what an export holds.

    Parameters
    ----------
    files : FileTree
        Its files.
    label : str
        What it is called, for messages.

    Raises
    ------
    SourceError
        Where one of its tables is damaged.
    """
    about = _metadata(files, label)
    sensors, empty = [], []
    for name in _tables(files):
        data, place, sensor = files.read(name), f"{label}: {name}", name.removesuffix(".csv")
        header = header_of(data, place, _TEXT)
        if header and header[:2] != _TIMES:
            continue  # somebody else's
        found = read_sensor(data, place, _TEXT, _TIME, left_out=_TIMES[1:])
        if found is None or not found[1]:
            empty.append(sensor)
            continue
        moments, columns = found
        sensors.append(SensorTable(sensor, moments, columns, _units(sensor, columns, about), place=place))
    return Contents(tuple(sensors), _notes(files, label), tuple(empty))


def _tables(files: FileTree) -> list[str]:
    known = (_METADATA, _NOTES)
    return [name for name in files.names if "/" not in name and name.endswith(".csv") and name not in known]


def _metadata(files: FileTree, label: str) -> Mapping[str, str]:
    if _METADATA not in files.names:
        return {}
    table = read_texts(files.read(_METADATA), f"{label}: {_METADATA}", _TEXT, "platform")
    return {} if table is None else {str(ref[1]): str(values[0] or "") for ref, values in table.columns.items()}


def _notes(files: FileTree, label: str) -> tuple[Markers, ...]:
    """Return what the user noted, and when; most note nothing."""
    if _NOTES not in files.names:
        return ()
    table = read_texts(files.read(_NOTES), f"{label}: {_NOTES}", _TEXT, "text")
    if table is None:
        return ()
    moments = times(table, (None, "time"), "ns")
    said = texts(table, (None, "text"))
    order = [at for at in np.argsort(moments, kind="stable").tolist() if said[at] is not None]
    name = _NOTES.removesuffix(".csv")
    return (Markers(name, moments[order], tuple(said[at] for at in order)),) if order else ()


def _units(sensor: str, columns: Columns, about: Mapping[str, str]) -> dict[str, str]:
    if sensor in _ALWAYS:
        return dict.fromkeys((axis for axis in "xyz" if axis in columns), _ALWAYS[sensor])
    plain = {column: unit for column, unit in _PLAIN.items() if column in columns}
    if sensor not in _STANDARDISED:
        return plain if sensor == "Orientation" else {}
    acceleration = _acceleration_unit(sensor, columns, about)
    units = plain | {axis: acceleration for axis in "xyz" if axis in columns}
    for part, unit in (("acceleration", acceleration), ("gravity", acceleration), ("rotationRate", "rad/s")):
        units |= {f"{part}{axis}": unit for axis in "XYZ" if f"{part}{axis}" in columns}
    if sensor == "Headphone":
        units |= {f"gravity{axis}": "m/s2" for axis in "XYZ" if f"gravity{axis}" in columns}
    return {column: unit for column, unit in units.items() if unit}


def _acceleration_unit(sensor: str, columns: Columns, about: Mapping[str, str]) -> str:
    """Return the unit by what the export says of its phone, or by the size of gravity, or nothing."""
    platform, standardised = about.get("platform", "").lower(), about.get("standardisation", "").lower()
    if platform == "android" or standardised == "true":
        return "m/s2"
    if platform == "ios":
        return "g"
    axes = "xyz" if sensor == "AccelerometerUncalibrated" else ("gravityX", "gravityY", "gravityZ")
    if sensor == "Headphone" or not all(axis in columns for axis in axes):
        return ""
    size = float(np.nanmedian(np.sqrt(sum(columns[axis] ** 2 for axis in axes))))
    return next((unit for unit, one in (("g", 1.0), ("m/s2", 9.80665)) if _ONE_G[0] < size / one < _ONE_G[1]), "")
