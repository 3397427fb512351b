"""Any zip or folder with a CSV for each sensor, all laid out alike, as its description says."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from kinestream.model.config.column import TextSection, TimeSection
from kinestream.model.config.export import ExportSection
from kinestream.model.datasets.exports.contents import Contents, SensorTable
from kinestream.model.datasets.exports.tables import header_of, read_sensor
from kinestream.model.datasets.files import FileTree
from kinestream.model.errors import SourceError


def read(files: FileTree, label: str, section: ExportSection, time: TimeSection) -> Contents:
    """Return what an export holds of the sensors that are described.

    Parameters
    ----------
    files : FileTree
        Its files.
    label : str
        What it is called, for messages.
    section : ExportSection
        Says which tables, and how they are laid out.
    time : TimeSection
        When their rows were taken.

    Raises
    ------
    SourceError
        Where one of them is damaged, or has no such column of times.
    """
    text = section.text or TextSection()
    wanted = {sensor.source or name for name, sensor in section.sensors.items()}
    sensors, empty = [], []
    for name in files.names:
        sensor = name.removesuffix(PurePosixPath(name).suffix)
        if sensor not in wanted or not name.lower().endswith(".csv"):
            continue
        data, place = files.read(name), f"{label}: {name}"
        found = read_sensor(data, place, text, _named(time, header_of(data, place, text), place))
        if found is None or not found[1]:
            empty.append(sensor)
        else:
            sensors.append(SensorTable(sensor, *found, place=place))
    return Contents(tuple(sensors), empty=tuple(empty))


def _named(time: TimeSection, header: Sequence[str], place: str) -> TimeSection:
    """Return the same with the column of times by its name."""
    at = time.column
    column = header[at - 1] if isinstance(at, int) and at <= len(header) else at
    if header and column not in header:
        raise SourceError(f"{place}: no column {column}: there are {', '.join(header)}")
    return time.model_copy(update={"column": column})
