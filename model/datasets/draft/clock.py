"""Guesses which column of a recording is the time, in which unit, and at which rate it runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from model.columnconfig import Unit
from model.datasets.draft.sniff import Column
from model.datasets.tabular.values import date_times

TIME = re.compile(r"time|stamp|date|epoch|clock|elapsed|seconds|millis|^t$|^ts$|^t[ _(\[]|^ms$", re.IGNORECASE)
_COUNTER = re.compile(
    r"^$|index|^idx$|^row|^sample(_?(no|nr|id|number))?$|^seq|counter|unnamed|^#$|^n$|^no\.?$|^nr$", re.I
)
_UNITS: dict[Unit, re.Pattern[str]] = {
    "ns": re.compile(r"(?:^|[^a-z])(ns|nanos?\w*)(?:[^a-z]|$)", re.IGNORECASE),
    "us": re.compile(r"(?:^|[^a-z])(us|µs|μs|micros?\w*)(?:[^a-z]|$)", re.IGNORECASE),
    "ms": re.compile(r"(?:^|[^a-z])(ms|millis?\w*|msec)(?:[^a-z]|$)", re.IGNORECASE),
    "s": re.compile(r"(?:^|[^a-z])(s|secs?|seconds?\w*)(?:[^a-z]|$)", re.IGNORECASE),
}
_LENGTH: dict[Unit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_RATES = (
    *(10, 12.5, 16, 20, 25, 30, 31.25, 32, 40, 50, 60, 64, 75, 80, 100, 120, 125, 128, 150, 200, 250, 256),
    *(400, 500, 1000),
)
_SLOWEST, _FASTEST = 4.0, 1500.0  # samples a second of body-worn motion sensors
_LONG_STEPS = 0.01  # of all steps are more than lost readings: pauses between bursts
_PER_MOMENT = 1.5  # rows, from which on they come in packets


@dataclass(frozen=True)
class Clock:
    """The column of times.

    Parameters
    ----------
    column : Column
        Which.
    unit : str
        Its unit.
    rate_hz : float
        Readings per second.
    gap_s : float
        Twice what 99 of 100 readings are apart at most.
    why : str
        What told the unit.
    span_s : (float, float)
        The first and the last time, in seconds.
    burst : int
        Readings that come at a time, where they come in bursts, else 1.
    shared : bool
        Whether those of a burst have one time, which then cannot tell them apart.
    """

    column: Column
    unit: Unit
    rate_hz: float
    gap_s: float
    why: str
    span_s: tuple[float, float]
    burst: int = 1
    shared: bool = False


def guess_clock(columns: Sequence[Column], numeric: Mapping[str, npt.NDArray[np.float64]]) -> Clock | None:
    """Return the column of times, if there is one.

    Parameters
    ----------
    columns : sequence of Column
        Those of a recording.
    numeric : mapping of str to ndarray of float64, shape (N,)
        The values of those that hold numbers.
    """
    named = [column for column in columns if TIME.search(column.name)]
    for column in [*named, *(column for column in columns if column not in named)]:
        values = numeric.get(column.name)
        if values is None:
            clock = _date_clock(column)
        elif len(values) > 2 and np.isfinite(values).all():
            clock = _counted_clock(column, values, sure=column in named)
        else:
            clock = None
        if clock is not None:
            return clock
    return None


def round_rate(rate: float) -> float:
    """Return the usual rate within 3% of one that was measured, or the same with three digits."""
    nearest = min(_RATES, key=lambda each: abs(each - rate))
    return float(nearest) if abs(nearest - rate) <= 0.03 * rate else float(f"{rate:.3g}")


def is_counter(column: Column, values: npt.NDArray[np.float64]) -> bool:
    """Tell whether a column only counts rows."""
    steps = np.diff(values)
    return bool(len(steps) and ((steps == 1).mean() > 0.95 or (_COUNTER.search(column.name) and (steps >= 0).all())))


def _date_clock(column: Column) -> Clock | None:
    values = column.values
    if values.dtype == pl.String:
        if values.has_nulls():
            return None
        values = date_times(values)
    if values.dtype not in (pl.Datetime, pl.Date) or values.has_nulls():
        return None
    seconds = values.cast(pl.Datetime("ns")).cast(pl.Int64).to_numpy() / 1e9
    return _measured(column, "iso", seconds, "date-times")


def _counted_clock(column: Column, values: npt.NDArray[np.float64], sure: bool) -> Clock | None:
    steps = np.diff(values)
    if (steps < 0).mean() > 0.01 or not (steps > 0).mean() > (0.02 if sure else 0.3):
        return None
    if is_counter(column, values) and not sure:
        return None
    middle = float(np.median(values))
    for unit, length in _LENGTH.items():  # what is counted from 1970 is told by its size: no two units share one
        if 1e9 <= middle * length < 1e10:
            clock = _measured(column, unit, values * length, "counted from 1970")
            if clock is not None and (sure or _SLOWEST < clock.rate_hz < _FASTEST):
                return clock
    for unit, pattern in _UNITS.items():
        if sure and pattern.search(column.name):
            clock = _measured(column, unit, values * _LENGTH[unit], "by its name")
            if clock is not None and _SLOWEST / 10 < clock.rate_hz < _FASTEST * 10:
                return clock
    for unit, length in _LENGTH.items():
        clock = _measured(column, unit, values * length, "by the rate it gives")
        if clock is not None and _SLOWEST < clock.rate_hz < _FASTEST and not is_counter(column, values):
            return clock
    return None


def _measured(column: Column, unit: Unit, seconds: npt.NDArray[np.float64], why: str) -> Clock | None:
    moments = np.unique(seconds)
    steps = np.diff(moments)
    if not len(steps):
        return None
    rate, burst = _rate(moments, steps)
    together = len(seconds) / len(moments)
    packed = together if together > _PER_MOMENT else 1.0
    return Clock(
        column=column,
        unit=unit,
        rate_hz=packed * rate,
        gap_s=2 * float(np.quantile(steps, 0.99)),
        why=why,
        span_s=(float(moments[0]), float(moments[-1])),
        burst=round(burst * packed),
        shared=packed > 1,
    )


def _rate(moments: npt.NDArray[np.float64], steps: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return how many moments a second has, and how many of them come in a burst, 1 where they do not."""
    long = steps > 3 * np.median(steps)
    usual = steps[~long]
    last = np.flatnonzero(long)  # of each burst
    if len(last) > max(_LONG_STEPS * len(steps), 2) and usual.sum() < 0.5 * steps.sum():
        readings, periods = np.diff(last), np.diff(moments[last])
        regular = periods <= 3 * np.median(periods)
        return float(readings[regular].sum() / periods[regular].sum()), float(np.median(readings))
    return len(usual) / float(usual.sum()), 1.0
