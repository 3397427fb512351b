"""Guesses which column of a recording is the time, in which unit, and at which rate it runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.config.column import CounterBits, Unit
from kinestream.model.datasets.drafts.sniff import Column
from kinestream.model.datasets.tabular.values import date_times

TIME = re.compile(r"time|stamp|date|epoch|clock|elapsed|seconds|millis|^t$|^ts$|^t[ _(\[]|^ms$", re.IGNORECASE)
_COUNTER = re.compile(
    r"^$|index|^idx$|^row|^sample(_?(no|nr|id|number))?$|^seq|counter|unnamed|^#$|^n$|^no\.?$|^nr$", re.I
)
UNITS: dict[Unit, re.Pattern[str]] = {
    "ns": re.compile(r"(?:^|[^a-z])(ns|nanos?\w*)(?:[^a-z]|$)", re.IGNORECASE),
    "us": re.compile(r"(?:^|[^a-z])(us|µs|μs|micros?\w*)(?:[^a-z]|$)", re.IGNORECASE),
    "ms": re.compile(r"(?:^|[^a-z])(ms|millis?\w*|msec)(?:[^a-z]|$)", re.IGNORECASE),
    "s": re.compile(r"(?:^|[^a-z])(s|secs?|seconds?\w*)(?:[^a-z]|$)", re.IGNORECASE),
}
LENGTH: dict[Unit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_RATES = (
    *(10, 12.5, 16, 20, 25, 30, 31.25, 32, 40, 50, 60, 64, 75, 80, 100, 120, 125, 128, 150, 200, 250, 256),
    *(400, 500, 1000),
)
SLOWEST, FASTEST = 4.0, 1500.0  # samples a second of body-worn motion sensors
_LONG_STEPS = 0.01  # of all steps are more than lost readings: pauses between bursts
_PER_MOMENT = 1.5  # rows, from which on they come in packets
_FAR_BACK = 10.0  # usual steps: farther than rows that were sent late
_MOST_RESTARTS = 0.1  # of all steps, in a column that is called a time
_CROWDED = 0.02  # of all rows share times with rows before a step back: putting them in order does not mend it


_BITS: tuple[CounterBits, ...] = (8, 16, 32)
_FEW, _MOST_LOST, _SURE, _MOSTLY = 20, 8, 0.98, 0.6


@dataclass(frozen=True)
class Counter:
    """The column that numbers rows and starts again when it is full.

    Parameters
    ----------
    column : Column
        Which.
    bits : int
        How wide it is.
    """

    column: Column
    bits: CounterBits


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
    restarts : int
        How often it steps back to times that were there before, as where recordings follow each other.
    """

    column: Column
    unit: Unit
    rate_hz: float
    gap_s: float
    why: str
    span_s: tuple[float, float]
    burst: int = 1
    shared: bool = False
    restarts: int = 0


def guess_clock(columns: Sequence[Column], numeric: Mapping[str, npt.NDArray[np.float64]]) -> Clock | None:
    """Return the column of times, if there is one; rather one that never starts again.

    Parameters
    ----------
    columns : sequence of Column
        Those of a recording.
    numeric : mapping of str to ndarray of float64, shape (N,)
        The values of those that hold numbers.
    """
    restarting: Clock | None = None
    named = [column for column in columns if TIME.search(column.name)]
    for column in [*named, *(column for column in columns if column not in named)]:
        values = numeric.get(column.name)
        if values is None:
            clock = _date_clock(column)
        elif len(values) > 2 and np.isfinite(values).all():
            clock = _counted_clock(column, values, sure=column in named)
        else:
            clock = None
        if clock is not None and not clock.restarts:
            return clock
        restarting = restarting or clock
    return restarting


def joined_clock(clocks: Sequence[Clock | None], columns: Sequence[Column]) -> Clock | None:
    """Return the clock of several recordings that follow each other in a file, if most of them have one.

    Parameters
    ----------
    clocks : sequence of Clock or None
        That of each recording.
    columns : sequence of Column
        Those of the whole file.
    """
    found = [clock for clock in clocks if clock is not None]
    names = [clock.column.name for clock in found]
    name = max(names, key=names.count, default=None)
    same = [clock for clock in found if clock.column.name == name]
    if len(same) <= len(clocks) / 2:
        return None
    return replace(
        same[0],
        column=next(column for column in columns if column.name == name),
        rate_hz=float(np.median([clock.rate_hz for clock in same])),
        gap_s=max(clock.gap_s for clock in same),
        span_s=max((clock.span_s for clock in same), key=lambda span: span[1] - span[0]),
        restarts=sum(clock.restarts for clock in same),
    )


def round_rate(rate: float) -> float:
    """Return the usual rate within 3% of one that was measured, or the same with three digits."""
    nearest = min(_RATES, key=lambda each: abs(each - rate))
    return float(nearest) if abs(nearest - rate) <= 0.03 * rate else float(f"{rate:.3g}")


def is_counter(column: Column, values: npt.NDArray[np.float64]) -> bool:
    """Tell whether a column only counts rows."""
    steps = np.diff(values)
    return bool(len(steps) and ((steps == 1).mean() > 0.95 or (_COUNTER.search(column.name) and (steps >= 0).all())))


def guess_counter(columns: Sequence[Column], numeric: Mapping[str, npt.NDArray[np.float64]]) -> Counter | None:
    """Return the column of a counter that starts again when it is full, if there is one.

    Parameters
    ----------
    columns, numeric
        As for `guess_clock`.
    """
    for column in columns:
        values = numeric.get(column.name)
        if values is None or len(values) < _FEW or not ((values >= 0) & (values == np.floor(values))).all():
            continue
        steps = np.diff(values)
        for bits in _BITS:
            turn = 2.0**bits
            again = steps < -turn / 2
            onwards = np.where(again, steps + turn, steps)
            if values.max() < turn and again.any() and (np.abs(onwards - 1) <= _MOST_LOST).mean() > _SURE:
                if (onwards == 1).mean() > _MOSTLY and (onwards > 0).all():
                    return Counter(column, bits)
    return None


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
    jumps = _jumps(steps) if sure else np.zeros_like(steps, dtype=np.bool_)
    if ((steps < 0) & ~jumps).mean() > 0.01 or jumps.mean() > _MOST_RESTARTS:
        return None
    if not (steps > 0).mean() > (0.02 if sure else 0.3):
        return None
    if is_counter(column, values) and not sure:
        return None
    middle = float(np.median(values))
    for unit, length in LENGTH.items():  # what is counted from 1970 is told by its size: no two units share one
        if 1e9 <= middle * length < 1e10:
            clock = _measured(column, unit, values * length, "counted from 1970")
            if clock is not None and (sure or SLOWEST < clock.rate_hz < FASTEST):
                return clock
    for unit, pattern in UNITS.items():
        if sure and pattern.search(column.name):
            clock = _measured(column, unit, values * LENGTH[unit], "by its name")
            if clock is not None and SLOWEST / 10 < clock.rate_hz < FASTEST * 10:
                return clock
    for unit, length in LENGTH.items():
        clock = _measured(column, unit, values * length, "by the rate it gives")
        if clock is not None and SLOWEST < clock.rate_hz < FASTEST and not is_counter(column, values):
            return clock
    return None


def _measured(column: Column, unit: Unit, seconds: npt.NDArray[np.float64], why: str) -> Clock | None:
    span = (float(seconds.min()), float(seconds.max())) if len(seconds) else (0.0, 0.0)
    restarts = _restarts(seconds)
    if restarts:
        seconds = _one_after_another(seconds)
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
        span_s=span,
        burst=round(burst * packed),
        shared=packed > 1,
        restarts=restarts,
    )


def _jumps(steps: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which steps go far back, shape (N,) as the steps."""
    forward = steps[steps > 0]
    return steps < -_FAR_BACK * (np.median(forward) if len(forward) else np.inf)


def _restarts(seconds: npt.NDArray[np.float64]) -> int:
    """Return how often times go far back to where others were; rows that only stand in another order do not count."""
    steps = np.diff(seconds)
    jumps = int(_jumps(steps).sum())
    if not jumps:
        return 0
    short = np.median(steps[steps > 0]) / 2
    crowded = (np.diff(np.sort(seconds)) < short).sum() - ((steps >= 0) & (steps < short)).sum()
    return jumps if crowded > _CROWDED * len(seconds) else 0


def _one_after_another(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return times that go on with a usual step where they started again."""
    steps = np.diff(seconds)
    steps[_jumps(steps)] = np.median(steps[steps > 0])
    return np.concatenate([[0.0], np.cumsum(steps)])


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
