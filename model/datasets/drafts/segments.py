"""Guesses which files hold labels as segments: from where to where a class lasts."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from kinestream.model.config.pattern import compiled, parts_of
from kinestream.model.datasets.drafts.clock import FASTEST, LENGTH, SLOWEST, UNITS
from kinestream.model.datasets.drafts.shapes import columns_of
from kinestream.model.datasets.drafts.sniff import Column, Layout, sniff
from kinestream.model.datasets.drafts.values import as_text
from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.tabular.pieces import Piece

SegmentUnit = Literal["samples", "s", "ms", "us", "ns", "iso"]

_START = re.compile(r"start|begin|from|onset", re.IGNORECASE)
_END = re.compile(r"end|stop|^to$|offset|until", re.IGNORECASE)
_LABEL = re.compile(r"label|activit|class|gesture|action|annotation|name|behaviou?r", re.IGNORECASE)
_RECORDING = re.compile(r"recording|file|session|trial|^run", re.IGNORECASE)
_ROWS = re.compile(r"sample|index|idx|row|frame", re.IGNORECASE)
_MOST, _SOME, _BEYOND = 0.5, 0.02, 1.05  # of the longest recording, that segments reach


@dataclass(frozen=True)
class Length:
    """How long the longest recording is.

    Parameters
    ----------
    rows : int
        Its rows.
    seconds : float or None
        What they last, where they carry times.
    """

    rows: int
    seconds: float | None


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
    why : str
        What told the unit.
    doubt : str
        What speaks against it, or that nothing tells it.
    rate_hz : float or None
        Readings per second of the longest recording if the segments reach to its end, where no times tell.
    pattern : str
        The files' names, with the parts they share with the recordings'.
    unnamed : tuple of str
        The recordings that the column does not name, which get no labels.
    """

    files: tuple[str, ...]
    layout: Layout
    start: str
    end: str
    label: str
    recording: str | None
    unit: SegmentUnit
    clock: bool
    why: str
    doubt: str
    rate_hz: float | None
    pattern: str
    unnamed: tuple[str, ...] = ()

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

    def told_apart(self, tree: FileTree, pieces: Sequence[Piece]) -> "SegmentsGuess":
        """Return the same with a column that names recordings, if there is one and files' names do not do so."""
        if len(pieces) < 2 or parts_of(self.pattern):
            return self
        named = {name: at for at, piece in enumerate(pieces) for name in _names(piece)}
        tables = [columns_of(tree, name) for name in self.files]
        values: dict[str, set[str]] = {}
        for column in (column for table in tables for column in table):
            if column.name not in (self.start, self.end, self.label):
                values.setdefault(column.name, set()).update(as_text(column.values).drop_nulls().to_list())
        held = {name: len({named[each] for each in found & named.keys()}) for name, found in values.items()}
        best = max(held, key=lambda name: (held[name], name == self.recording), default=None)
        if best is None or not held[best]:
            return replace(self, recording=None)
        with_own = {named[each] for each in values[best] & named.keys()}
        unnamed = tuple(piece.id for at, piece in enumerate(pieces) if at not in with_own)
        return replace(self, recording=best, unnamed=unnamed)


def guess_segments(tree: FileTree, groups: Sequence[Sequence[str]], length: Length) -> SegmentsGuess | None:
    """Return the first of some groups of files that seems to hold segments.

    Parameters
    ----------
    tree : FileTree
        Where they lie.
    groups : sequence of sequence of str
        Files that are no recordings, those of one kind together.
    length : Length
        How long the longest recording is.
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
        tables = [columns_of(tree, name) for name in files]
        ends = [column.values for table in tables for column in table if column.name == end.name]
        unit, clock, why, doubt = _unit(f"{start.name} {end.name}", ends, length)
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
            why=why,
            doubt=doubt,
            rate_hz=None if clock or length.seconds else _rate(unit, ends, length),
            pattern=files[0],
        )
    return None


def _named(columns: Sequence[Column], pattern: re.Pattern[str]) -> Column | None:
    return next((column for column in columns if pattern.search(column.name)), None)


def _names(piece: Piece) -> set[str]:
    """Return what a column of segments may call a recording."""
    stem = piece.file.rpartition(".")[0]
    return {piece.id, piece.recording, piece.file, stem, piece.file.rpartition("/")[2], stem.rpartition("/")[2]}


def _unit(names: str, ends: Sequence[pl.Series], length: Length) -> tuple[SegmentUnit, bool, str, str]:
    """Return what is counted, whether by the clock, what told it, and what is to be said of it."""
    values = _numbers(ends)
    if not len(values):
        return "iso", True, "date-times", ""
    largest = float(values.max())  # type: ignore[arg-type]
    for counted, one in LENGTH.items():
        if 1e9 <= largest * one < 1e10:
            return counted, True, "counted from 1970", ""
    reach = _reach(largest, length, whole=bool((values == values.floor()).all()))
    fitting = [unit for unit, share in reach.items() if _MOST <= share <= _BEYOND]
    named = _by_name(names)
    if named is not None:
        share = reach.get(named)
        if share is None or _SOME <= share <= _BEYOND:
            return named, False, "by their names", ""
        if share < _SOME:
            doubt = f"their names say {named}, but then they reach only {100 * share:.2g}% of a recording"
            return named, False, "by their names", doubt
    if named is None and len(fitting) == 1 and (length.seconds or fitting[0] == "samples"):
        return fitting[0], False, "by the length of the recordings", ""
    short = [unit for unit, share in reach.items() if share <= _BEYOND]
    likely = fitting[:1] or sorted(short, key=lambda unit: -reach[unit])[:1]
    unit = likely[0] if likely else "s"
    why = f"neither their names nor the length of the recordings tell what start and end count: taken for {unit}"
    if named is not None:
        why = f"their names say {named}, which does not fit the length of the recordings: taken for {unit}"
    return unit, False, "please check", why


def _reach(largest: float, length: Length, *, whole: bool) -> dict[SegmentUnit, float]:
    """Return how far segments reach in each unit, as a share of the longest recording.

    Without times, only rows can be compared; units of time that would give a usual rate reach to the end.
    """
    fits = whole and largest <= length.rows
    reach: dict[SegmentUnit, float] = {"samples": largest / max(length.rows, 1) if fits else float("inf")}
    if not length.seconds and _MOST <= reach["samples"] <= 1:
        return reach
    for unit, one in LENGTH.items():
        if length.seconds:
            reach[unit] = largest * one / length.seconds
        elif largest > 0 and SLOWEST <= length.rows / (largest * one) <= FASTEST:
            reach[unit] = 1.0
    return reach


def _by_name(names: str) -> SegmentUnit | None:
    """Return what the names of the columns say that they count, as in start_s, endMs, first_row."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", names)
    if _ROWS.search(words):
        return "samples"
    return next((unit for unit, pattern in UNITS.items() if pattern.search(words)), None)


def _rate(unit: SegmentUnit, ends: Sequence[pl.Series], length: Length) -> float | None:
    if unit not in LENGTH:
        return None
    rate = length.rows / (float(_numbers(ends).max() or 0.0) * LENGTH[unit] or 1.0)  # type: ignore[arg-type]
    return rate if SLOWEST <= rate <= FASTEST else None


def _numbers(ends: Sequence[pl.Series]) -> pl.Series:
    found = [values.cast(pl.Float64, strict=False).drop_nulls() for values in ends]
    return pl.concat(found) if found else pl.Series(dtype=pl.Float64)
