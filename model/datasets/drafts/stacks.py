"""Finds the sensors in a long table, whose rows are of several sensors in turn, told apart by a column."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from kinestream.model.datasets.drafts.clock import TIME, Clock, guess_clock
from kinestream.model.datasets.drafts.sniff import Column
from kinestream.model.datasets.drafts.values import as_text, changes, numbers_by_name

_NAMED = re.compile(
    r"sensor|device|modality|channel|signal|^axis$|placement|location|^position$|stream|^source$|^type$|^kind$|"
    r"body_?part|^imu$|^node|^variable$|measure",
    re.IGNORECASE,
)
_SENSOR = re.compile(
    r"(acc|gyr|mag|imu|grav|quat|rot|bar|phone|watch|wrist|ankle|chest|hip|thigh|arm|leg|left|right)\w*", re.IGNORECASE
)
_NOT = re.compile(
    r"label|activit|class|gesture|action|annotation|behaviou?r|posture|subject|person|participant|^user|recording|session|"
    r"trial|^run|file",
    re.IGNORECASE,
)
_MOST = 24  # sensors
_RESTLESS = 0.3  # of rows after which another sensor's stands


@dataclass(frozen=True)
class Stack:
    """The rows of one sensor.

    Parameters
    ----------
    where : tuple of (str, str)
        What the columns hold in its rows that tell sensors apart, by the names of these columns.
    keys : tuple of str
        The same columns as a description calls them.
    columns : tuple of Column
        Its rows.
    """

    where: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def said(self) -> str:
        """What the sensor is called."""
        return "_".join(f"{name}_{value}" if value.isdecimal() else value for name, value in self.where)

    def channels(self, names: Collection[str]) -> list[Column]:
        """Return its channels: the columns of these names, called by the sensor, too."""
        where = tuple((key, value) for key, (_, value) in zip(self.keys, self.where, strict=True))
        own = [column for column in self.columns if column.name in names]
        return [
            replace(column, name=self.said if len(own) == 1 else f"{self.said}_{column.name}", where=where)
            for column in own
        ]


def find_stacks(columns: Sequence[Column], decimal: str) -> list[Stack]:
    """Return the sensors of a long table, that with most rows first; none if it is no long table.

    Parameters
    ----------
    columns : sequence of Column
        All of a file's.
    decimal : str
        What stands in numbers before the fraction.
    """
    numeric = numbers_by_name(columns, decimal)
    texts = {column.name: as_text(column.values) for column in columns if _could_tell(column, numeric)}
    telling = [column for column in columns if column.name in texts]
    found = _stacks(columns, telling, texts)
    if 1 < len(found) <= _MOST and (
        any(changes(text) > _RESTLESS for text in texts.values()) or _overlap(found, decimal)
    ):
        return found
    return []


def slowest_gap(clock: Clock | None, stacks: Sequence[Stack], decimal: str) -> Clock | None:
    """Return the clock with the longest pauses that any sensor makes, for all are put on one grid."""
    if clock is None:
        return None
    clocks = [_clock(stack, decimal) for stack in stacks]
    return replace(clock, gap_s=max([clock.gap_s, *(each.gap_s for each in clocks if each is not None)]))


def _could_tell(column: Column, numeric: dict[str, npt.NDArray[np.float64]]) -> bool:
    values = column.values
    if _NOT.search(column.name) or TIME.search(column.name) or values.has_nulls() or values.dtype.is_temporal():
        return False
    distinct = values.n_unique()
    if not 1 < distinct <= min(_MOST, len(values) // 4):
        return False
    if column.name in numeric:
        whole = bool((numeric[column.name] == np.round(numeric[column.name])).all())
        return whole and bool(_NAMED.search(column.name))
    named = bool(_NAMED.search(column.name)) or all(map(_SENSOR.fullmatch, as_text(values).unique().to_list()))
    return named or changes(values) > _RESTLESS


def _stacks(columns: Sequence[Column], telling: Sequence[Column], texts: dict[str, pl.Series]) -> list[Stack]:
    if not telling:
        return []
    keys = tuple(str(column.ref[1]) for column in telling)
    rows = pl.DataFrame({column.name: texts[column.name] for column in telling})
    stacks = []
    for values in rows.unique(maintain_order=True).iter_rows():
        own = pl.Series(np.ones(len(rows), dtype=np.bool_))
        for column, value in zip(telling, values, strict=True):
            own &= texts[column.name] == value
        where = tuple((column.name, str(value)) for column, value in zip(telling, values, strict=True))
        chosen = tuple(replace(column, values=column.values.filter(own)) for column in columns)
        stacks.append(Stack(where, keys, chosen))
    return sorted(stacks, key=lambda stack: -len(stack.columns[0].values))


def _clock(stack: Stack, decimal: str) -> Clock | None:
    return guess_clock(stack.columns, numbers_by_name(stack.columns, decimal))


def _overlap(stacks: Sequence[Stack], decimal: str) -> bool:
    """Tell whether two sensors ran at the same time, not one after the other; without times, one would think so."""
    spans = sorted(clock.span_s for stack in stacks if (clock := _clock(stack, decimal)) is not None)
    if len(spans) < len(stacks):
        return not spans
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))
