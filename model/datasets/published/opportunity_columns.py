"""The 250 columns of an Opportunity file, and the 113 that the challenge uses, found by their names.

Chavarriaga et al., "The Opportunity challenge", Pattern Recognition Letters 34(15), 2013, uses the body-worn sensors:
12 accelerometers, 5 inertial units without their quaternions, and 2 shoes. Names and units are those of the
dataset's column_names.txt, which is followed where a source holds it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Channel

WIDTH = 250
MILLISECONDS = "MILLISEC"
LABELS = {"gestures": "ML_Both_Arms", "locomotion": "Locomotion"}

_ACCELEROMETERS = "RKN^ HIP LUA^ RUA_ LH BACK RKN_ RWR RUA^ LUA_ LWR RH".split()
_UNITS = "BACK RUA RLA LUA LLA".split()
_SHOES = "L-SHOE R-SHOE".split()
_QUATERNION = 4

_LINE = re.compile(r"Column:\s*(\d+)\s+([^;]+?)\s*(?:;.*unit\s*=\s*(.+?))?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Columns:
    """Where in a row the wanted columns stand, counted from 0.

    Parameters
    ----------
    channels : tuple of Channel
        The 113 channels, in the order of their columns.
    positions : tuple of int
        Their columns, ascending.
    milliseconds : int
        The column of the time.
    label : int
        The column of the task's label codes.
    """

    channels: tuple[Channel, ...]
    positions: tuple[int, ...]
    milliseconds: int
    label: int


def find_columns(task: str, column_names: str | None) -> Columns:
    """Find the challenge's columns.

    Parameters
    ----------
    task : str
        ``gestures`` or ``locomotion``.
    column_names : str or None
        The text of column_names.txt; the published order is taken where there is none.

    Raises
    ------
    SourceError
        If a column is not named there.
    """
    named = published_columns() if column_names is None else _parsed(column_names)
    wanted = [channel.name for channel in challenge_channels()]
    missing = [name for name in (MILLISECONDS, *wanted, LABELS[task]) if name not in named]
    if missing:
        raise SourceError(f"column_names.txt: names no column {missing[0]!r} ({len(missing)} are missing)")
    channels = sorted((named[name][0], Channel(name, named[name][1])) for name in wanted)
    return Columns(
        channels=tuple(channel for _, channel in channels),
        positions=tuple(position for position, _ in channels),
        milliseconds=named[MILLISECONDS][0],
        label=named[LABELS[task]][0],
    )


def challenge_channels() -> tuple[Channel, ...]:
    """Return the 113 channels in the published order."""
    return tuple(channel for channel in _body_worn() if "Quaternion" not in channel.name)


def published_columns() -> dict[str, tuple[int, str]]:
    """Return position and unit by name of the columns this reader knows, as published."""
    named = {channel.name: (position, channel.unit) for position, channel in enumerate(_body_worn(), start=1)}
    return {MILLISECONDS: (0, ""), **named, LABELS["locomotion"]: (243, ""), LABELS["gestures"]: (249, "")}


def _parsed(column_names: str) -> dict[str, tuple[int, str]]:
    """Return position and unit by name; of a name that is given twice (some object sensors' are), the first."""
    named: dict[str, tuple[int, str]] = {}
    for number, name, unit in _LINE.findall(column_names):
        named.setdefault(name, (int(number) - 1, "" if unit in ("unknown", "none") else unit))
    return named


def _body_worn() -> Iterator[Channel]:
    """Yield columns 2 to 134: what is worn on the body."""
    for place in _ACCELEROMETERS:
        yield from (Channel(f"Accelerometer {place} acc{axis}", "milli g") for axis in "XYZ")
    for place in _UNITS:
        for signal, unit in (("acc", "milli g"), ("gyro", ""), ("magnetic", "")):
            yield from (Channel(f"InertialMeasurementUnit {place} {signal}{axis}", unit) for axis in "XYZ")
        for part in range(1, _QUATERNION + 1):
            yield Channel(f"InertialMeasurementUnit {place} Quaternion{part}")
    for place in _SHOES:
        yield from (Channel(f"InertialMeasurementUnit {place} {signal}", unit) for signal, unit in _shoe())


def _shoe() -> Iterator[tuple[str, str]]:
    yield from ((f"Eu{axis}", "degrees") for axis in "XYZ")
    yield from ((f"{frame}_A{axis}", "milli g") for frame in ("Nav", "Body") for axis in "xyz")
    yield from ((f"AngVel{frame}Frame{axis}", "mm/s") for frame in ("Body", "Nav") for axis in "XYZ")
    yield "Compass", "degrees"
