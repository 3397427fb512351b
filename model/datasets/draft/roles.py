"""Guesses what the columns of a recording are: times, labels, people, channels and their units."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from model.columnconfig import Unit
from model.datasets.draft.sniff import Column
from model.datasets.tabular.values import date_times

_TIME = re.compile(r"time|stamp|date|epoch|clock|elapsed|seconds|millis|^t$|^ts$|^t[ _(\[]|^ms$", re.IGNORECASE)
_LABEL = re.compile(
    r"label|activit|class|gesture|action|annotation|target|behaviou?r|posture|movement|^y$|^state$|^task$",
    re.IGNORECASE,
)
_PERSON = re.compile(r"subject|person|participant|^user|volunteer|wearer|^p?s?u?id$", re.IGNORECASE)
_RECORDING = re.compile(r"recording|session|trial|^run|experiment|sequence|repetition|execution|^file", re.IGNORECASE)
_COUNTER = re.compile(
    r"^$|index|^idx$|^row|^sample(_?(no|nr|id|number))?$|^seq|counter|unnamed|^#$|^n$|^no\.?$|^nr$", re.I
)

_IN_NAME = re.compile(r"^(?P<name>.*?)[ _]*[(\[](?P<unit>[^()\[\]]+)[)\]]\s*$")
_UNITS = {
    "m/s2": ("m/s2", "m/s^2", "m/s²", "m/s/s", "ms2", "ms-2", "mps2", "m s-2"),
    "g": ("g", "g's", "gs"),
    "mg": ("mg",),
    "rad/s": ("rad/s", "rads", "rad s-1", "radps"),
    "deg/s": ("deg/s", "°/s", "dps", "degs", "deg/sec"),
    "uT": ("ut", "µt", "μt"),
}
_TIME_UNITS: dict[Unit, re.Pattern[str]] = {
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

_ACC = re.compile(r"acc", re.IGNORECASE)
_MOST_CLASSES = 60
_MOST_PEOPLE = 500


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
    """

    column: Column
    unit: Unit
    rate_hz: float
    gap_s: float
    why: str


@dataclass(frozen=True)
class Roles:
    """What the columns of a recording are; those of no use are in none.

    Parameters
    ----------
    time : Clock or None
        When rows were taken.
    label, person, recording : Column or None
        What they say of each row.
    channels : tuple of Column
        What was measured.
    missing : tuple of str
        What stands among numbers and is none.
    """

    time: Clock | None
    label: Column | None
    person: Column | None
    recording: Column | None
    channels: tuple[Column, ...]
    missing: tuple[str, ...]


def guess_roles(columns: Sequence[Column], decimal: str) -> Roles:
    """Return what the columns of one file are.

    Parameters
    ----------
    columns : sequence of Column
        All of them.
    decimal : str
        What stands in numbers before the fraction.
    """
    numeric = {column.name: values for column in columns if (values := _numbers(column, decimal)) is not None}
    time = _time(columns, numeric)
    rest = [column for column in columns if time is None or column is not time.column]
    label = _label(rest, numeric)
    rest = [column for column in rest if column is not label]
    person = next((each for each in rest if _PERSON.search(each.name) and _divides(each, numeric)), None)
    recording = next((each for each in rest if _RECORDING.search(each.name) and _divides(each, numeric)), None)
    taken = [person, recording]
    channels = [
        column
        for column in rest
        if column.name in numeric and column not in taken and not _is_counter(column, numeric[column.name])
        and not (_LABEL.search(column.name) and _is_coded(numeric[column.name]))
        and not _TIME.search(column.name)
    ]  # fmt: skip
    markers = {text for column in channels for text in _not_numbers(column, decimal)}
    return Roles(time, label, person, recording, tuple(channels), tuple(sorted(markers)))


def name_and_unit(column: Column) -> tuple[str, str]:
    """Return what to call a channel, and its unit where the name tells it."""
    match = _IN_NAME.match(column.name)
    name, written = (match["name"], match["unit"]) if match else (column.name, "")
    unit = next((unit for unit, ways in _UNITS.items() if written.strip().lower() in ways), written.strip())
    return re.sub(r"\s+", "_", name.strip()) or column.name, unit


def acceleration_unit(columns: Sequence[Column], decimal: str) -> str:
    """Return the unit of acceleration that three channels are in if they see gravity, or nothing."""
    values = [_numbers(column, decimal) for column in columns]
    if len(values) != 3 or any(each is None for each in values):
        return ""
    size = float(np.nanmedian(np.sqrt(sum(each**2 for each in values if each is not None))))
    return next((unit for unit, one in (("m/s2", 9.81), ("g", 1.0), ("mg", 1000.0)) if 0.8 < size / one < 1.25), "")


def is_acceleration(name: str) -> bool:
    """Tell whether a channel seems to be an accelerometer's."""
    return _ACC.search(name) is not None


def _numbers(column: Column, decimal: str) -> npt.NDArray[np.float64] | None:
    """Return the values of a column that is nearly all numbers, NaN for the others, or None."""
    values = column.values
    if values.dtype.is_temporal() or values.dtype == pl.Boolean:
        return None
    if values.dtype == pl.String and decimal == ",":
        values = values.str.replace(",", ".", literal=True)
    found = values.cast(pl.Float64, strict=False)
    given, read = values.count(), found.count()
    if not given or read < 0.2 * given or (read < 0.95 * given and len(_not_numbers(column, decimal)) > 3):
        return None
    return found.fill_null(float("nan")).to_numpy()


def _not_numbers(column: Column, decimal: str) -> list[str]:
    if column.values.dtype != pl.String:
        return []
    values = column.values.drop_nulls()
    read = (values.str.replace(",", ".", literal=True) if decimal == "," else values).cast(pl.Float64, strict=False)
    return values.filter(read.is_null()).unique().head(10).to_list()


def _time(columns: Sequence[Column], numeric: dict[str, npt.NDArray[np.float64]]) -> Clock | None:
    named = [column for column in columns if _TIME.search(column.name)]
    for column in [*named, *(column for column in columns if column not in named)]:
        values = numeric.get(column.name)
        if values is None:
            clock = _date_clock(column)
        elif len(values) > 2 and np.isfinite(values).all():
            clock = _clock(column, values, sure=column in named)
        else:
            clock = None
        if clock is not None:
            return clock
    return None


def _date_clock(column: Column) -> Clock | None:
    values = column.values
    if values.dtype == pl.String:
        if values.has_nulls():
            return None
        values = date_times(values)
    if not values.dtype.is_temporal() or values.has_nulls():
        return None
    seconds = values.cast(pl.Datetime("ns")).cast(pl.Int64).to_numpy() / 1e9
    return _measured(column, "iso", seconds, "date-times")


def _clock(column: Column, values: npt.NDArray[np.float64], sure: bool) -> Clock | None:
    steps = np.diff(values)
    if (steps < 0).mean() > 0.01 or not (steps > 0).mean() > 0.3 or (_is_counter(column, values) and not sure):
        return None
    step, middle = float(np.median(steps[steps > 0])), float(np.median(values))
    for unit, length in _LENGTH.items():
        if 1e9 <= middle * length < 1e10 and _SLOWEST < 1 / (step * length) < _FASTEST:
            return _measured(column, unit, values * length, "counted from 1970")
    for unit, pattern in _TIME_UNITS.items():
        if sure and pattern.search(column.name) and _SLOWEST / 10 < 1 / (step * _LENGTH[unit]) < _FASTEST * 10:
            return _measured(column, unit, values * _LENGTH[unit], "by its name")
    for unit, length in _LENGTH.items():
        if _SLOWEST < 1 / (step * length) < _FASTEST and not _is_counter(column, values):
            return _measured(column, unit, values * length, "by the rate it gives")
    return None


def _measured(column: Column, unit: Unit, seconds: npt.NDArray[np.float64], why: str) -> Clock | None:
    steps = np.diff(np.sort(seconds))
    steps = steps[steps > 0]
    if not len(steps):
        return None
    usual = steps[steps <= 3 * np.median(steps)]
    return Clock(column, unit, 1 / float(usual.mean()), 2 * float(np.quantile(steps, 0.99)), why)


def round_rate(rate: float) -> float:
    """Return the usual rate within 3% of one that was measured, or the same with three digits."""
    nearest = min(_RATES, key=lambda each: abs(each - rate))
    return float(nearest) if abs(nearest - rate) <= 0.03 * rate else float(f"{rate:.3g}")


def _label(columns: Sequence[Column], numeric: dict[str, npt.NDArray[np.float64]]) -> Column | None:
    coded = [column for column in columns if _few(column, numeric, _MOST_CLASSES)]
    named = [column for column in coded if _LABEL.search(column.name)]
    texts = [column for column in coded if column.name not in numeric and not _PERSON.search(column.name)]
    texts = [column for column in texts if not _RECORDING.search(column.name)]
    by_name = sorted(named, key=lambda column: column.name in numeric)  # names rather than codes
    if by_name or texts:
        return (by_name or texts)[0]
    last = columns[-1:] if (columns and columns[-1].name == f"c{len(columns)}") or len(columns) > 3 else []
    return next((column for column in last if column in coded and column.values.n_unique() <= 30), None)


def _few(column: Column, numeric: dict[str, npt.NDArray[np.float64]], most: int) -> bool:
    """Tell whether a column has few different values that stay the same for many rows."""
    values = numeric.get(column.name)
    distinct = column.values.drop_nulls().n_unique()
    return 0 < distinct <= min(most, max(len(column.values) // 10, 2)) and (values is None or _is_coded(values))


def _is_coded(values: npt.NDArray[np.float64]) -> bool:
    given = values[np.isfinite(values)]
    return bool((given == np.round(given)).all() and (np.diff(given) != 0).mean() < 0.1) if len(given) > 1 else False


def _divides(column: Column, numeric: dict[str, npt.NDArray[np.float64]]) -> bool:
    return not column.values.has_nulls() and _few(column, numeric, _MOST_PEOPLE)


def _is_counter(column: Column, values: npt.NDArray[np.float64]) -> bool:
    steps = np.diff(values)
    return bool(len(steps) and ((steps == 1).mean() > 0.95 or (_COUNTER.search(column.name) and (steps >= 0).all())))
