"""Whether a window's readings lie far outside what a bundle was trained on, as those in another unit or upside down.

A network answers to anything, and often with much confidence. So training notes the bounds of what its windows looked
like, sensor by sensor, and widens them until they hold nearly all windows of the people validated on. What lies beyond
is strange: readings in g instead of m/s2 are a tenth as long, those in degrees fifty-seven times as far apart, and a
device upside down has gravity where nobody trained on had it, unless somebody did.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.config.familiar import SensorRange
from kinestream.model.recordings.recording import Channel

Windows = npt.NDArray[np.float32]
Features = npt.NDArray[np.float64]
Sensors = npt.NDArray[np.float64]

WIDER = (0.25, 0.5, 1.0, 2.0, 4.0)
"""By what share of their width bounds are widened at either end: the first that is enough."""
MOST_STRANGE = 0.001
"""Share of the windows of the people validated on that may lie beyond."""
_UNUSUAL = 0.001  # share of the training windows at either end that is no measure
_UNSEEN = 0.5  # of WIDER, where nobody is validated on


class Strange(NamedTuple):
    """What is strange of a sensor's readings.

    Attributes
    ----------
    sensor : str
        Its channels' common name.
    what : {"size", "spread", "mean"}
        Which bounds they lie beyond.
    channel : str
        The channel that does; the sensor's name where all of them together do.
    value, least, most : float
        What was found, and the bounds.
    unit : str
        Theirs.
    """

    sensor: str
    what: str
    channel: str
    value: float
    least: float
    most: float
    unit: str


class Familiar:
    """Tells strange windows by a bundle's ranges.

    Parameters
    ----------
    ranges : sequence of SensorRange
        The bundle's.
    channels : sequence of Channel
        Its C channels.
    """

    def __init__(self, ranges: Sequence[SensorRange], channels: Sequence[Channel]) -> None:
        names = [channel.name for channel in channels]
        columns = [[names.index(name) for name in each.channels] for each in ranges]
        self._names = [sensor_name(each.channels) for each in ranges]
        self._sensors = sensor_matrix(columns, len(channels))
        self._channels = channels
        self._least = np.full(len(channels) + 2 * len(ranges), -np.inf)
        self._most = -self._least
        self._sensor_of = np.zeros(len(self._least), dtype=np.intp)
        for i, (each, own) in enumerate(zip(ranges, columns, strict=True)):
            block = [*own, len(channels) + i, len(channels) + len(ranges) + i]
            self._least[block], self._most[block] = np.transpose([*each.means, each.size, each.spread])
            self._sensor_of[block] = i

    def strange(self, rows: Windows) -> list[Strange]:
        """Return what is strange of a raw window, shape (T, C): of each sensor one thing at most, its size first.

        A sensor of which a reading is missing in the window is not looked at.
        """
        found = features(rows[None], self._sensors)
        beyond = self.beyond(found)[0]
        if not beyond.any():
            return []
        worst: dict[int, Strange] = {}
        places = np.flatnonzero(beyond).tolist()
        for at in sorted(places, key=lambda at: (at < len(self._channels), at)):  # sizes and spreads, then means
            sensor = int(self._sensor_of[at])
            worst.setdefault(sensor, self._strange(at, sensor, float(found[0, at])))
        return list(worst.values())

    def beyond(self, found: Features) -> npt.NDArray[np.bool_]:
        """Return which features of windows, shape (W, C + 2 S), lie beyond their bounds."""
        outside: npt.NDArray[np.bool_] = (found < self._least) | (found > self._most)
        return outside

    def features(self, windows: Windows) -> Features:
        """Return the features of windows; see `features`."""
        return features(windows, self._sensors)

    def _strange(self, at: int, sensor: int, value: float) -> Strange:
        own = self._channels[int(np.flatnonzero(self._sensors[sensor])[0])]
        channels, sensors = len(self._channels), len(self._names)
        what = "mean" if at < channels else "size" if at < channels + sensors else "spread"
        name = self._channels[at].name if what == "mean" else self._names[sensor]
        least, most = float(self._least[at]), float(self._most[at])
        return Strange(self._names[sensor], what, name, value, least, most, own.unit)


def sensor_matrix(sensors: Sequence[Sequence[int]], channels: int) -> Sensors:
    """Return which of so many channels are of each sensor: 1 there and 0 elsewhere, shape (S, C)."""
    matrix = np.zeros((len(sensors), channels))
    for row, columns in zip(matrix, sensors, strict=True):
        row[list(columns)] = 1.0
    return matrix


def sensors_of(channels: Sequence[str]) -> list[list[int]]:
    """Return the columns of each sensor: channels that differ in the last letter alone, an x, y or z, are of one."""
    found: dict[str, list[int]] = {}
    for column, name in enumerate(channels):
        found.setdefault(name[:-1] if name[-1:] in ("x", "y", "z") else name, []).append(column)
    return list(found.values())


def sensor_name(channels: Sequence[str]) -> str:
    """Return what a sensor of these channels is called: ``phone_acc`` of ``phone_acc_x`` and so on."""
    if len(channels) == 1:
        return channels[0]
    return channels[0][:-1].rstrip("_-. ") or channels[0]


def features(windows: Windows, sensors: Sensors) -> Features:
    """Return what is looked at of windows, shape (W, C + 2 S): each channel's mean, each sensor's size and its spread.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        Raw; where a reading of a sensor is missing, NaN or infinite, all that is said of the sensor is NaN.
    sensors : ndarray of float64, shape (S, C)
        As `sensor_matrix` returns it.
    """
    first = windows[:, 0]
    with np.errstate(all="ignore"):  # what is infinite is no reading
        apart = windows - first[:, None]  # small numbers: their squares keep their digits
        mean = np.add.reduce(apart, axis=1).astype(np.float64) / windows.shape[1]
        squares = np.einsum("wtc,wtc->wc", apart, apart).astype(np.float64) / windows.shape[1]
        spread = np.maximum(squares - mean * mean, 0.0)
        mean += first
        known = np.isfinite(spread) & np.isfinite(mean)
    if not known.all():
        missing = (~known @ sensors.T.astype(bool)).astype(bool)  # (W, S)
        missed = missing @ sensors.astype(bool)
        mean[missed], spread[missed] = 0.0, 0.0
        found = _joined(mean, spread, sensors)
        found[np.concatenate([missed, missing, missing], axis=1)] = np.nan
        return found
    return _joined(mean, spread, sensors)


def _joined(mean: Features, spread: Features, sensors: Sensors) -> Features:
    sizes, spreads = np.sqrt((mean * mean) @ sensors.T), np.sqrt(spread @ sensors.T)
    return np.concatenate([mean, sizes, spreads], axis=1)


def fit_ranges(
    channels: Sequence[str], trained: Features, validated: Features, known: Sequence[SensorRange] = ()
) -> tuple[SensorRange, ...]:
    """Return the ranges of a bundle; empty where no window is whole.

    Parameters
    ----------
    channels : sequence of str
        Names of the C channels.
    trained, validated : ndarray of float64, shape (W, C + 2 S)
        `features` of the windows trained on and of those of the people validated on, of `sensors_of` the channels.
    known : sequence of SensorRange
        Those of the bundle that training started from: what it knew is not strange now.
    """
    sensors = sensors_of(channels)
    ranges = []
    for i, columns in enumerate(sensors):
        block = [*columns, len(channels) + i, len(channels) + len(sensors) + i]
        bounds = _bounds(trained[:, block], validated[:, block])
        if bounds is None:
            continue
        names = tuple(channels[column] for column in columns)
        before = next((each for each in known if each.channels == names), None)
        if before is not None:
            theirs = np.array([*before.means, before.size, before.spread])
            bounds = np.stack([np.minimum(bounds[:, 0], theirs[:, 0]), np.maximum(bounds[:, 1], theirs[:, 1])], axis=1)
        pairs = [(float(f"{low:.4g}"), float(f"{high:.4g}")) for low, high in bounds.tolist()]
        ranges.append(SensorRange(channels=names, means=tuple(pairs[:-2]), size=pairs[-2], spread=pairs[-1]))
    return tuple(ranges)


def _bounds(trained: Features, validated: Features) -> Features | None:
    """Return the bounds of one sensor's features, shape (F, 2)."""
    trained, validated = (rows[np.isfinite(rows).all(axis=1)] for rows in (trained, validated))
    if not len(trained):
        return None
    low, high = np.quantile(trained, [_UNUSUAL, 1 - _UNUSUAL], axis=0)
    width = np.maximum(high - low, 1e-6)
    for wider in WIDER if len(validated) else (_UNSEEN,):
        bounds = np.stack([low - wider * width, high + wider * width], axis=1)
        beyond = ((validated < bounds[:, 0]) | (validated > bounds[:, 1])).any(axis=1)
        if not len(validated) or beyond.mean() <= MOST_STRANGE:
            break
    bounds[-2:, 0] = np.maximum(bounds[-2:, 0], 0.0)  # neither a size nor a spread is negative
    return bounds
