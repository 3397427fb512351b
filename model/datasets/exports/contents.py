"""What an export holds, whichever app or recorder wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kinestream.model.printable import printable

LONGEST_NAME = 64
"""Characters of a marker that may name a class; programs also send whole documents."""


def names_a_class(text: str) -> bool:
    """Tell whether a marker is short and plain enough to be the name of a class."""
    return 0 < len(text) <= LONGEST_NAME and printable(text) == text


@dataclass(frozen=True)
class SensorTable:
    """The readings of one sensor as they were written.

    Parameters
    ----------
    name : str
        As the export calls it.
    times : ndarray of int64, shape (M,)
        When they were taken, in nanoseconds of the export's clock, as they stand; one device's burst may share a time.
    columns : mapping of str to ndarray of float64, shape (M,)
        What was measured; NaN for no reading.
    units : mapping of str to str
        Of columns, where the export or its format tells.
    rate_hz : float or None
        Readings per second as the export states them; None where it does not.
    place : str
        Which file or stream it is, for messages.
    """

    name: str
    times: npt.NDArray[np.int64]
    columns: Mapping[str, npt.NDArray[np.float64]]
    units: Mapping[str, str] = field(default_factory=dict)
    rate_hz: float | None = None
    place: str = ""


@dataclass(frozen=True)
class Markers:
    """Texts with the times from which they hold.

    Parameters
    ----------
    name : str
        As the export calls it.
    times : ndarray of int64, shape (M,)
        In nanoseconds of the export's clock, not decreasing.
    texts : tuple of str
        M of them.
    """

    name: str
    times: npt.NDArray[np.int64]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What one export holds.

    Parameters
    ----------
    sensors : tuple of SensorTable
        Those with readings, in the order of their names.
    markers : tuple of Markers
        Those with any.
    empty : tuple of str
        What it names and holds nothing of.
    """

    sensors: tuple[SensorTable, ...]
    markers: tuple[Markers, ...] = ()
    empty: tuple[str, ...] = ()
