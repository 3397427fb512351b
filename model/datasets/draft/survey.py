"""Looks through a folder of recordings nobody has described, and guesses what a description would say."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

import polars as pl

from model.datasets.draft.names import guess_pattern, one_sensor
from model.datasets.draft.roles import Clock, Roles, guess_roles
from model.datasets.draft.segments import SegmentsGuess, guess_segments
from model.datasets.draft.sniff import Column, Layout, sniff
from model.datasets.files import FileTree, open_tree
from model.datasets.tabular.pieces import Piece, dividing, find_pieces, matching
from model.datasets.tabular.table import Table, read_table_file, ref_of
from model.errors import SourceError
from model.tabularconfig import TabularSection, format_of

NOBODY = "somebody"
"""Who wore the sensors, where nothing tells."""

_SAMPLES = 8
"""Files whose columns are looked at closely."""


@dataclass(frozen=True)
class Shape:
    """What files of one kind have in common.

    Parameters
    ----------
    ending : str
        Of their names.
    layout : Layout
        Of the first.
    header : tuple of str
        Names of their columns.
    files : tuple of str
        Which they are.
    rows : int
        In all of them.
    """

    ending: str
    layout: Layout
    header: tuple[str, ...]
    files: tuple[str, ...]
    rows: int


@dataclass(frozen=True)
class Survey:
    """What a folder of recordings seems to hold.

    Parameters
    ----------
    shape : Shape
        The files that are taken for recordings.
    others : tuple of str
        Files of other kinds, which are left out.
    pattern : str
        Their names, with the parts that mean something.
    roles : Roles
        What their columns are, by one of them.
    rates : tuple of float
        Readings per second of those that were looked at closely, where they carry times.
    labels : dict of str to int
        Every label that occurs, with its rows.
    segments : SegmentsGuess or None
        The files that hold labels, where the recordings do not.
    pieces : tuple of Piece
        The recordings.
    """

    shape: Shape
    others: tuple[str, ...]
    pattern: str
    roles: Roles
    rates: tuple[float, ...]
    labels: dict[str, int]
    segments: SegmentsGuess | None
    pieces: tuple[Piece, ...]


def survey(path: Path) -> Survey:
    """Look through a folder or a zip.

    Raises
    ------
    SourceError
        If nothing in it looks like recordings.
    """
    tree = open_tree(path)
    shapes = sorted(_shapes(tree), key=lambda shape: shape.rows, reverse=True)
    usable = [(shape, roles) for shape in shapes if (roles := _roles(tree, shape)).channels]
    if not usable:
        raise SourceError(
            f"{path}: holds no recordings: not one CSV, TSV, text, Parquet, NPZ or MAT file with rows of numbers"
        )
    shape, roles = usable[0]
    shape = replace(shape, files=one_sensor(shape.files))
    rest = [other.files for other in shapes if other is not usable[0][0]]
    segments = None if roles.label else guess_segments(tree, rest, shape.files)
    known = {part for part, column in (("person", roles.person), ("recording", roles.recording)) if column}
    known |= {"label"} if roles.label or segments else set()
    pattern = guess_pattern(shape.files, known)
    if segments is not None:
        segments = segments.named(_names(tree, pattern))
    taken = {*shape.files, *(segments.files if segments else ())}
    return Survey(
        shape=shape,
        others=tuple(name for name in tree.names if name not in taken),
        pattern=pattern,
        roles=roles,
        rates=tuple(_rates(tree, shape, roles.time)),
        labels=_labels(tree, shape, roles, pattern, segments),
        segments=segments,
        pieces=_pieces(tree, shape, roles, pattern),
    )


def _names(tree: FileTree, pattern: str) -> dict[str, dict[str, str]]:
    """Return the parts of each recording's file name."""
    return dict(matching(tree, [pattern]))


def _shapes(tree: FileTree) -> list[Shape]:
    """Return the kinds of tables in a tree."""
    found: dict[tuple[Any, ...], Shape] = {}
    for name in tree.names:
        if format_of(name) is None:
            continue
        sniffed = sniff(tree.read(name), name)
        if sniffed is None:
            continue
        layout, columns = sniffed
        header, rows = tuple(column.name for column in columns), len(columns[0].values)
        ending = PurePosixPath(name).suffix
        key = (ending, header)
        seen = found.get(key, Shape(ending, layout, header, (), 0))
        found[key] = replace(seen, files=(*seen.files, name), rows=seen.rows + rows)
    return list(found.values())


def _columns(tree: FileTree, name: str) -> list[Column]:
    sniffed = sniff(tree.read(name), name)
    return sniffed[1] if sniffed else []


def _samples(shape: Shape) -> Sequence[str]:
    step = max(len(shape.files) // _SAMPLES, 1)
    return shape.files[::step][:_SAMPLES]


def _roles(tree: FileTree, shape: Shape) -> Roles:
    """Return what the columns are by most of the files that are looked at."""
    decimal = str(shape.layout.text.get("decimal", "."))
    seen = [guess_roles(_columns(tree, name), decimal) for name in _samples(shape)]
    first = seen[0]

    def most(column_of: str) -> Column | None:
        names = Counter(column.name for roles in seen if (column := getattr(roles, column_of)) is not None)
        name = names.most_common(1)[0][0] if names else None
        found = (getattr(roles, column_of) for roles in seen)
        return next((column for column in found if column is not None and column.name == name), None)

    label, person, recording = most("label"), most("person"), most("recording")
    clocks = [roles.time for roles in seen if roles.time is not None]
    taken = {each.name for each in (label, person, recording) if each} | {clock.column.name for clock in clocks}
    kept = set.intersection(*({channel.name for channel in roles.channels} for roles in seen)) - taken
    return Roles(
        time=clocks[0] if len(clocks) > len(seen) / 2 else None,
        label=label,
        person=person,
        recording=recording,
        channels=tuple(channel for channel in first.channels if channel.name in kept),
        missing=tuple(sorted({marker for roles in seen for marker in roles.missing})),
    )


def _rates(tree: FileTree, shape: Shape, clock: Clock | None) -> Iterator[float]:
    if clock is None:
        return
    decimal = str(shape.layout.text.get("decimal", "."))
    for name in _samples(shape):
        found = guess_roles(_columns(tree, name), decimal).time
        if found is not None and found.column.name == clock.column.name:
            yield found.rate_hz


def _labels(tree: FileTree, shape: Shape, roles: Roles, pattern: str, segments: SegmentsGuess | None) -> dict[str, int]:
    """Return every label with its rows, or its segments where labels lie in files of their own; most used first."""
    counts: Counter[str] = Counter()
    parts = _names(tree, pattern)
    for name in segments.files if segments else shape.files:
        wanted = segments.label if segments else roles.label.name if roles.label else None
        if wanted is None and "label" not in parts.get(name, {}):
            continue
        columns = _columns(tree, name)
        if wanted is None:
            counts[parts[name]["label"]] += len(columns[0].values)
            continue
        for column in columns:
            if column.name == wanted:
                texts = _as_text(column.values).drop_nulls()
                counts.update(dict(texts.value_counts().iter_rows()))
    return dict(counts.most_common())


def _as_text(values: pl.Series) -> pl.Series:
    """Return labels as `model.datasets.tabular.values.texts` writes them."""
    if values.dtype.is_float() and (values.drop_nulls() == values.drop_nulls().floor()).all():
        values = values.cast(pl.Int64)
    return values.cast(pl.String).replace("", None)


def _pieces(tree: FileTree, shape: Shape, roles: Roles, pattern: str) -> tuple[Piece, ...]:
    """Return the recordings as the description will give them."""
    said: dict[str, Any] = {
        "files": pattern,
        "format": shape.layout.format,
        "text": shape.layout.text,
        "transposed": shape.layout.transposed,
        "rate_hz": 1,
        "channels": {"any": 1},
        "labels": {"classes": ["a", "b"], **({} if "{label}" in pattern else {"column": 1})},
    }
    for part, column in (("person", roles.person), ("recording", roles.recording)):
        if column is not None:
            said[part] = {"variable": column.ref[0], "column": column.ref[1]}
    if "person" not in said and "{person}" not in pattern:
        said["person"] = {"name": NOBODY}
    section = TabularSection.model_validate_json(json.dumps(said))
    refs = [ref_of(column) for column in dividing(section).values()]

    def read(name: str) -> Table:
        return read_table_file(
            tree.read(name), name, refs, format=section.format, text=section.text, transposed=section.transposed
        )

    return find_pieces(tree, section, read)


def median_rate(found: Survey) -> float | None:
    """Return the readings per second of most recordings, where they carry times."""
    return median(found.rates) if found.rates else None
