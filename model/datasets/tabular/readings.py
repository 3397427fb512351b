"""When the rows of a table were taken, where a column does not simply say so, and which device's they are.

A device may send its readings in packets, whose rows share a time, or number them with a counter that starts again when
it is full. In a long table each sensor has packets and numbers of its own.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from kinestream.model.config.column import ChannelSection, TimeSection
from kinestream.model.config.tabular import TabularSection
from kinestream.model.datasets.tabular.stacked import rows_where
from kinestream.model.datasets.tabular.table import Table, ref_of
from kinestream.model.datasets.tabular.values import numbers, times
from kinestream.model.recordings.bursts import spread
from kinestream.model.recordings.clocks import COUNTER
from kinestream.model.recordings.counters import unwrap
from kinestream.model.recordings.devices import DeviceReadings, as_readings
from kinestream.model.recordings.recordedclock import map_recording
from kinestream.model.recordings.recording import Channel

Times = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_SECOND = 1_000_000_000
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
_PAUSE = 3
"""Usual steps between two readings, beyond which there is a pause."""


def moments_of(table: Table, section: TabularSection, time: TimeSection) -> tuple[Times, Times]:
    """Return when each row was taken, and the times as they stand, in nanoseconds, both of shape (N,).

    Raises
    ------
    SourceError
        Where a time or a number is none; the message says where.
    """
    stated: Times | None = None
    if time.given:
        stated = times(table, ref_of(time), time.unit, section.text.decimal, layout=time.format, zone=time.zone)
    if stated is not None and not time.packets and time.counter is None:
        return stated, stated
    period = _SECOND / (time.rate_hz or section.rate_hz)
    counted = counts_of(table, section, time)
    taken = stated.copy() if stated is not None else np.zeros(len(table), np.int64)
    for rows, _ in sensors_of(table, section):
        if counted is not None:
            own = np.rint(_unwrapped(counted[rows], time) * period).astype(np.int64)
            taken[rows] = own if stated is None else map_recording(own, stated[rows], COUNTER)[0]
        elif stated is not None:
            taken[rows] = spread(stated[rows], round(period))
    return taken, taken if stated is None or counted is not None else stated


def counts_of(table: Table, section: TabularSection, time: TimeSection) -> Times | None:
    """Return what the counter says in each row, or None where there is none; raises as `moments_of`."""
    if time.counter is None:
        return None
    ref = ref_of(time.counter)
    found = numbers(table, ref, (), section.text.decimal)
    most = 2.0 ** (time.counter.bits or 53)
    wrong = np.flatnonzero(~((found >= 0) & (found < most) & (found == np.floor(found))))
    if len(wrong):
        width = f" of {time.counter.bits} bits" if time.counter.bits else ""
        raise table.wrong(int(wrong[0]), ref, f"{found[wrong[0]]:g} is no number of a counter{width}")
    return found.astype(np.int64)


def sensors_of(table: Table, section: TabularSection) -> Iterator[tuple[Mask, list[str]]]:
    """Yield the rows of each sensor of a table, which one column may tell apart, and the names of its channels."""
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, channel in section.channels.items():
        groups.setdefault(tuple(sorted(channel.where.items())), []).append(name)
    for names in groups.values():
        yield rows_where(table, section.channels[names[0]]), names


def delivered(
    table: Table, section: TabularSection, time: TimeSection, samples: npt.NDArray[np.float64]
) -> tuple[DeviceReadings, ...]:
    """Return what each sensor of a table delivered.

    Parameters
    ----------
    table : Table
        Of N rows.
    section, time
        What is said of it.
    samples : ndarray of float64, shape (N, C)
        Its channels in their units, NaN in rows that are another sensor's.
    """
    moments, _ = moments_of(table, section, time)
    counted = counts_of(table, section, time)
    places = {name: at for at, name in enumerate(section.channels)}
    found: list[DeviceReadings] = []
    for rows, names in sensors_of(table, section):
        columns = [places[name] for name in names]
        own = rows & np.isfinite(samples[:, columns]).any(axis=1)
        order = np.argsort(moments[own], kind="stable")
        taken = moments[own][order]
        numbered = None
        if counted is not None:
            every = np.zeros(len(table), np.int64)
            every[rows] = _unwrapped(counted[rows], time)
            numbered = every[own][order]
        found.append(
            DeviceReadings(
                name=_called(section.channels[names[0]], found),
                rate_hz=time.rate_hz or _rate(taken),
                channels=tuple(Channel(name, section.channels[name].unit) for name in names),
                times=taken,
                values=as_readings(samples[own][:, columns][order]),
                numbers=numbered if numbered is not None and (np.diff(numbered) > 0).all() else None,
            )
        )
    return tuple(found)


def _unwrapped(counts: Times, time: TimeSection) -> Times:
    bits = time.counter.bits if time.counter else None
    return counts if bits is None else unwrap(counts, bits)


def _called(channel: ChannelSection, others: Sequence[DeviceReadings]) -> str:
    """Return what a sensor is called by what tells its rows, unlike the others."""
    said = _NO_NAME.sub("_", "_".join(channel.where.values())) or "sensor"
    taken = {other.name for other in others}
    return said if said not in taken else f"{said}_{len(others) + 1}"


def _rate(moments: Times) -> float:
    """Return how many readings come in a second by three digits, pauses left out; 0 where nothing tells."""
    steps = np.diff(moments) / _SECOND
    if not (steps > 0).any():
        return 0.0
    usual = steps[steps <= _PAUSE * np.median(steps[steps > 0])]
    return float(f"{len(usual) / usual.sum():.3g}")
