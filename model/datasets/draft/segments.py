"""Guesses which files hold labels as segments: from where to where a class lasts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from model.datasets.draft.sniff import Column, Layout, sniff
from model.datasets.files import FileTree
from model.filepattern import compiled

SegmentUnit = Literal["samples", "s", "ms", "us", "ns", "iso"]

_START = re.compile(r"start|begin|from|onset", re.IGNORECASE)
_END = re.compile(r"end|stop|^to$|offset|until", re.IGNORECASE)
_LABEL = re.compile(r"label|activit|class|gesture|action|annotation|name|behaviou?r", re.IGNORECASE)
_RECORDING = re.compile(r"recording|file|session|trial|^run", re.IGNORECASE)


@dataclass(frozen=True)
class SegmentsGuess:
    """Files of segments.

    Parameters
    ----------
    files : tuple of str
        Which.
    layout : Layout
        Theirs.
    start, end, label : str
        Their columns.
    recording : str or None
        The column that names the recording.
    unit : str
        What start and end seem to count.
    clock : bool
        Whether they are times of the day, not from the recording's start.
    pattern : str
        The files' names, with the parts they share with the recordings'.
    """

    files: tuple[str, ...]
    layout: Layout
    start: str
    end: str
    label: str
    recording: str | None
    unit: SegmentUnit
    clock: bool
    pattern: str

    def named(self, recordings: Mapping[str, Mapping[str, str]]) -> "SegmentsGuess":
        """Return the same with the pattern that pairs its files with recordings, by the parts of their names."""
        if len(self.files) == 1:
            return replace(self, pattern=self.files[0])
        for part in ("recording", "person"):
            known = {parts[part] for parts in recordings.values() if part in parts}
            for value in sorted(known, key=len, reverse=True):
                if value in self.files[0].rpartition("/")[2]:
                    folder, slash, own = self.files[0].rpartition("/")
                    pattern = folder + slash + own.replace(value, f"{{{part}}}", 1)
                    if all(compiled(pattern).fullmatch(name) for name in self.files):
                        return replace(self, pattern=pattern)
        return replace(self, pattern="*" + self.files[0][self.files[0].rindex(".") :])


def guess_segments(tree: FileTree, groups: Sequence[Sequence[str]], recordings: Sequence[str]) -> SegmentsGuess | None:
    """Return the first of some groups of files that seems to hold segments.

    Parameters
    ----------
    tree : FileTree
        Where they lie.
    groups : sequence of sequence of str
        Files that are no recordings, those of one kind together.
    recordings : sequence of str
        The files that are.
    """
    for files in groups:
        sniffed = sniff(tree.read(files[0]), files[0])
        if sniffed is None:
            continue
        layout, columns = sniffed
        start, end = _named(columns, _START), _named(columns, _END)
        label = _named([column for column in columns if column not in (start, end)], _LABEL)
        if start is None or end is None or label is None:
            continue
        rows = max(len(each[1][0].values) for name in recordings[:1] if (each := sniff(tree.read(name), name)))
        unit, clock = _unit(start, end, rows)
        named = _named([column for column in columns if column not in (start, end, label)], _RECORDING)
        return SegmentsGuess(
            files=tuple(files),
            layout=layout,
            start=start.name,
            end=end.name,
            label=label.name,
            recording=named.name if named else None,
            unit=unit,
            clock=clock,
            pattern=files[0],
        )
    return None


def _named(columns: Sequence[Column], pattern: re.Pattern[str]) -> Column | None:
    return next((column for column in columns if pattern.search(column.name)), None)


def _unit(start: Column, end: Column, rows: int) -> tuple[SegmentUnit, bool]:
    """Return what is counted, and whether by the clock."""
    values = end.values.cast(pl.Float64, strict=False).drop_nulls()
    if not len(values):
        return "iso", True
    largest = float(values.max())  # type: ignore[arg-type]
    units: dict[SegmentUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
    for unit, length in units.items():
        if 1e9 <= largest * length < 1e10:
            return unit, True
    whole = bool((values == values.floor()).all())
    if not whole:
        return "s", False
    return ("samples", False) if largest <= rows else ("ms", False)
