"""phyphox: a CSV for each sensor with seconds since the experiment began, which stands still while it is paused.

The user chooses what separates columns and fractions as the file is written. ``meta/time.csv`` says at which times of
the system's clock the experiment ran: what lies between a PAUSE and the next START is a gap.
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

from kinestream.model.config.column import TextSection, TimeSection
from kinestream.model.datasets.exports.contents import Contents, SensorTable
from kinestream.model.datasets.exports.tables import begins_with, header_of, read_sensor, read_texts
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.tabular.table import Ref
from kinestream.model.datasets.tabular.values import numbers, texts, times
from kinestream.model.errors import SourceError

NAME = "phyphox"

_TIME = "Time (s)"
_SEPARATORS = (",", ";", "\t")
_EVENTS = "meta/time.csv"
_EVENT, _EXPERIMENT, _SYSTEM = "event", "experiment time", "system time"

Times = npt.NDArray[np.int64]


def is_export(files: FileTree, heads: Mapping[str, bytes]) -> bool:
    """Tell whether files are such an export, by how their tables begin."""
    plain = [TextSection(separator=each) for each in _SEPARATORS]
    return any(begins_with(head, [_TIME], text) for head in heads.values() for text in plain)


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
    starts = _starts(files, label)
    sensors, empty = [], []
    for name in _tables(files):
        data, place, sensor = files.read(name), f"{label}: {name}", name.removesuffix(".csv")
        text = _layout(data, place)
        if text is None:
            continue
        found = read_sensor(data, place, text, TimeSection(column=_TIME, unit="s"))
        if found is None or not found[1]:
            empty.append(sensor)
        else:
            sensors.append(SensorTable(sensor, _on_system_clock(found[0], *starts), found[1], place=place))
    return Contents(tuple(sensors), empty=tuple(empty))


def _tables(files: FileTree) -> list[str]:
    return [name for name in files.names if "/" not in name and name.endswith(".csv")]


def _layout(data: bytes, name: str, first: str = _TIME) -> TextSection | None:
    """Return how a table is laid out whose first column is called so, or None where there is none."""
    top, _, rest = data.partition(b"\n")
    for separator in _SEPARATORS:
        plain = TextSection(separator=separator)
        if b'"' in top and header_of(top, name, plain)[:1] == [first]:
            comma = separator != "," and b"," in rest.partition(b"\n")[0]
            return TextSection(separator=separator, decimal="," if comma else ".")
    return None


def _starts(files: FileTree, label: str) -> tuple[Times, Times]:
    """Return at which times of the experiment it was started, and at which times of the system, in nanoseconds."""
    none = np.zeros(1, np.int64), np.zeros(1, np.int64)
    if _EVENTS not in files.names:
        return none
    data, place = files.read(_EVENTS), f"{label}: {_EVENTS}"
    text = _layout(data, place, first=_EVENT)
    if text is None:
        raise SourceError(f"{place}: its first column is not called {_EVENT!r}: export the experiment again")
    table = read_texts(data, place, text, _EVENT)
    if table is None:
        return none
    for column in (_EXPERIMENT, _SYSTEM):
        if (None, column) not in table.columns:
            raise SourceError(f"{place}: no column {column!r}: export the experiment again")
    started = (texts(table, (None, _EVENT)) == "START").fill_null(False).to_numpy()
    if not started.any():
        return none
    events = table.rows(started)
    experiment, system = (times(events, cast(Ref, (None, each)), "s", text.decimal) for each in (_EXPERIMENT, _SYSTEM))
    if (np.diff(experiment) < 0).any() or (np.diff(system) < np.diff(experiment)).any():
        row = int(np.argmax((np.diff(experiment) < 0) | (np.diff(system) < np.diff(experiment)))) + 1
        value = numbers(events, (None, _SYSTEM), (), text.decimal)[row]
        raise events.wrong(row, (None, _SYSTEM), f"{value:.3f} lies before what was recorded until then")
    return experiment, system


def _on_system_clock(moments: Times, experiment: Times, system: Times) -> Times:
    """Return times of the experiment by the system's clock: each counts from the start before it."""
    last = np.maximum(np.searchsorted(experiment, moments, side="right") - 1, 0)
    return moments - experiment[last] + system[last]
