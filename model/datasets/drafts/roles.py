"""Guesses what the columns of a recording are: times, labels, people, channels and their units."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.datasets.drafts.clock import (
    TIME,
    Clock,
    Counter,
    guess_clock,
    guess_counter,
    is_counter,
    joined_clock,
)
from kinestream.model.datasets.drafts.sniff import Column
from kinestream.model.datasets.drafts.stacks import find_stacks, slowest_gap
from kinestream.model.datasets.drafts.values import as_text, changes, not_numbers, numbers_by_name, numbers_of
from kinestream.model.recordings.units import canonical

_LABEL = re.compile(
    r"label|activit|class|gesture|action|annotation|target|behaviou?r|posture|movement|^y$|^state$|^task$",
    re.IGNORECASE,
)
_PERSON = re.compile(r"subject|person|participant|^user|volunteer|wearer|^p?s?u?id$", re.IGNORECASE)
_RECORDING = re.compile(r"recording|session|trial|^run|experiment|sequence|repetition|execution|^file", re.IGNORECASE)
_IN_NAME = re.compile(r"^(?P<name>.*?)[ _]*[(\[](?P<unit>[^()\[\]]+)[)\]]\s*$")
_ACC = re.compile(r"acc", re.IGNORECASE)
_MOST_CLASSES = 60
_MOST_PEOPLE = 500
_RESTLESS = 0.3  # of rows after which another value stands: no label
_DIVISIONS = 8  # recordings within a file whose clocks are looked at, the longest ones


@dataclass(frozen=True)
class Roles:
    """What the columns of a recording are; those of no use are in none.

    Parameters
    ----------
    time : Clock or None
        When rows were taken.
    counter : Counter or None
        What numbers rows and starts again when it is full.
    label, person, recording : Column or None
        What they say of each row.
    channels : tuple of Column
        What was measured.
    missing : tuple of str
        What stands among numbers and is none.
    answers : tuple of str
        Columns of numbers that say of each row what the label says, too.
    apart : tuple of str
        Sensors whose rows are left out, for no times join them to the others'.
    rows : int
        Of the longest recording.
    lasts_s : float or None
        How long that lasts, in seconds, where there are times.
    """

    time: Clock | None
    label: Column | None
    person: Column | None
    recording: Column | None
    channels: tuple[Column, ...]
    missing: tuple[str, ...]
    answers: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    rows: int = 0
    lasts_s: float | None = None
    counter: Counter | None = None


def guess_roles(columns: Sequence[Column], decimal: str, *, by_recording: bool = True) -> Roles:
    """Return what the columns of one file are.

    Parameters
    ----------
    columns : sequence of Column
        All of them.
    decimal : str
        What stands in numbers before the fraction.
    by_recording : bool
        Whether a column may tell recordings apart.
    """
    stacks = find_stacks(columns, decimal)
    own = stacks[0].columns if stacks else columns
    numeric = numbers_by_name(own, decimal)
    divisions = _divisions(own, numeric, by_recording=by_recording)
    clocks = [guess_clock(division, numbers_by_name(division, decimal)) for division in divisions]
    time = joined_clock(clocks, own)
    counter = guess_counter(own, numeric)
    dividing = {name for name, _ in stacks[0].where} if stacks else set()
    rest = [column for column in own if column.name not in dividing and (time is None or column is not time.column)]
    rest = [column for column in rest if counter is None or column is not counter.column]
    label = _label(rest, numeric)
    rest = [column for column in rest if column is not label]
    person = next((each for each in rest if _PERSON.search(each.name) and _divides(each, numeric)), None)
    runs = rest if by_recording else []
    recording = next((each for each in runs if _RECORDING.search(each.name) and _divides(each, numeric)), None)
    taken = [person, recording]
    measured = [
        column
        for column in rest
        if column.name in numeric and column not in taken and not is_counter(column, numeric[column.name])
        and not (_LABEL.search(column.name) and _is_code(column, numeric))
        and not TIME.search(column.name)
    ]  # fmt: skip
    answers = [column for column in measured if label is not None and _answers(column, numeric[column.name], label)]
    channels = [column for column in measured if column not in answers]
    if stacks:
        joined = stacks if time is not None else stacks[:1]
        time = slowest_gap(time, joined, decimal)
        channels = [stacked for stack in joined for stacked in stack.channels([column.name for column in channels])]
    markers = {text for column in channels for text in not_numbers(column, decimal)}
    return Roles(
        time=time,
        label=label,
        person=person,
        recording=recording,
        channels=tuple(channels),
        missing=tuple(sorted(markers)),
        answers=tuple(column.name for column in answers),
        apart=tuple(stack.said for stack in stacks[1:]) if time is None else (),
        rows=len(divisions[0][0].values),
        counter=counter,
        lasts_s=_lasts(time, len(divisions[0][0].values)),
    )


def name_and_unit(column: Column) -> tuple[str, str]:
    """Return what to call a channel, and its unit where the name tells it."""
    match = _IN_NAME.match(column.name)
    name, written = (match["name"], match["unit"]) if match else (column.name, "")
    gravity = written.strip() == "G" and is_acceleration(name)  # which nobody measures in gauss
    unit = "g" if gravity else canonical(written) or written.strip()
    return re.sub(r"\s+", "_", name.strip()) or column.name, unit


def acceleration_unit(columns: Sequence[Column], decimal: str) -> str:
    """Return the unit of acceleration that three channels are in if they see gravity, or nothing."""
    values = [numbers_of(column, decimal) for column in columns]
    if len(values) != 3 or any(each is None for each in values):
        return ""
    size = float(np.nanmedian(np.sqrt(sum(each**2 for each in values if each is not None))))
    return next((unit for unit, one in (("m/s2", 9.81), ("g", 1.0), ("mg", 1000.0)) if 0.8 < size / one < 1.25), "")


def is_acceleration(name: str) -> bool:
    """Tell whether a channel seems to be an accelerometer's."""
    return _ACC.search(name) is not None


def _label(columns: Sequence[Column], numeric: Mapping[str, npt.NDArray[np.float64]]) -> Column | None:
    coded = [column for column in columns if _few(column, numeric, _MOST_CLASSES)]
    named = [
        column
        for column in columns
        if _LABEL.search(column.name) and (column in coded or (column.name in numeric and _is_code(column, numeric)))
    ]
    texts = [column for column in coded if column.name not in numeric and not _PERSON.search(column.name)]
    texts = [column for column in texts if not _RECORDING.search(column.name)]
    by_name = sorted(named, key=lambda column: column.name in numeric)  # names rather than codes
    if by_name or texts:
        return (by_name or texts)[0]
    last = columns[-1:] if (columns and columns[-1].name == f"c{len(columns)}") or len(columns) > 3 else []
    return next((column for column in last if column in coded and column.values.n_unique() <= 30), None)


def _few(column: Column, numeric: Mapping[str, npt.NDArray[np.float64]], most: int) -> bool:
    """Tell whether a column has few different values that stay the same for many rows."""
    given = column.values.drop_nulls()
    if not 0 < given.n_unique() <= min(most, max(len(column.values) // 10, 2)):
        return False
    values = numeric.get(column.name)
    return _is_coded(values) if values is not None else changes(given) < _RESTLESS or bool(_LABEL.search(column.name))


def _is_code(column: Column, numeric: Mapping[str, npt.NDArray[np.float64]]) -> bool:
    """Tell whether a column that is called a label holds codes of classes, though they may change often."""
    values = numeric[column.name]
    given = values[np.isfinite(values)]
    whole = bool((given == np.round(given)).all())
    return _is_coded(values) or (len(column.name) > 1 and whole and len(np.unique(given)) <= _MOST_CLASSES)


def _is_coded(values: npt.NDArray[np.float64]) -> bool:
    given = values[np.isfinite(values)]
    return bool((given == np.round(given)).all() and (np.diff(given) != 0).mean() < 0.1) if len(given) > 1 else False


def _answers(column: Column, values: npt.NDArray[np.float64], label: Column) -> bool:
    """Tell whether few values of a column say what the label says: its codes, or another's of the same."""
    pairs = pl.DataFrame({"value": column.values, "label": label.values.cast(pl.String)}).drop_nulls()
    several = pairs["label"].n_unique() > 1 and pairs["value"].n_unique() <= _MOST_CLASSES
    return several and pairs.n_unique() == pairs["value"].n_unique() and _is_coded(values)


def _divides(column: Column, numeric: Mapping[str, npt.NDArray[np.float64]]) -> bool:
    return not column.values.has_nulls() and _few(column, numeric, _MOST_PEOPLE)


def _divisions(
    columns: Sequence[Column], numeric: Mapping[str, npt.NDArray[np.float64]], *, by_recording: bool
) -> list[Sequence[Column]]:
    """Return the rows of each recording by the columns that tell them apart, the longest first: each has a clock."""
    patterns = (_PERSON, _RECORDING) if by_recording else (_PERSON,)
    by = [
        next((column for column in columns if _tells_apart(column, pattern) and _divides(column, numeric)), None)
        for pattern in patterns
    ]
    keys = pl.DataFrame([as_text(column.values).alias(str(at)) for at, column in enumerate(by) if column is not None])
    if not keys.width:
        return [columns]
    numbered = keys.select(pl.struct(pl.all()).rank("dense").alias("at"))["at"]
    longest = numbered.value_counts().sort(["count", "at"], descending=[True, False])["at"].head(_DIVISIONS)
    return [
        [replace(column, values=column.values.filter(numbered == at)) for column in columns] for at in longest.to_list()
    ]


def _tells_apart(column: Column, pattern: re.Pattern[str]) -> bool:
    return bool(pattern.search(column.name)) and not _LABEL.search(column.name) and not TIME.search(column.name)


def _lasts(time: Clock | None, rows: int) -> float | None:
    if time is None:
        return None
    return rows / time.rate_hz if time.restarts else time.span_s[1] - time.span_s[0]
