"""Looks through a folder of recordings nobody has described, and guesses what a description would say."""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from kinestream.model.config.pattern import compiled, parts_of
from kinestream.model.config.tabular import TabularSection
from kinestream.model.datasets.drafts.names import NameGuess, guess_names, literal, one_sensor
from kinestream.model.datasets.drafts.roles import Roles, guess_roles
from kinestream.model.datasets.drafts.segments import Length, SegmentsGuess, guess_segments
from kinestream.model.datasets.drafts.shapes import Shape, columns_of, find_shapes, left_out
from kinestream.model.datasets.drafts.sniff import Column
from kinestream.model.datasets.drafts.source import open_recordings
from kinestream.model.datasets.drafts.values import as_text, not_numbers
from kinestream.model.datasets.files import FileTree, LoneFile
from kinestream.model.datasets.tabular.pieces import Piece, dividing, find_pieces, matching
from kinestream.model.datasets.tabular.table import Table, read_table_file, ref_of
from kinestream.model.errors import SourceError

NOBODY = "somebody"
"""Who wore the sensors, where nothing tells."""

_SAMPLES = 8
"""Files whose columns are looked at closely."""


@dataclass(frozen=True)
class Survey:
    """What a folder of recordings seems to hold.

    Parameters
    ----------
    shape : Shape
        The files that are taken for recordings.
    others : dict of str to tuple of str
        Files that are left out though nothing is wrong with them, by why.
    damaged : dict of str to str
        Files that are left out because they cannot be read, and why not.
    names : NameGuess
        What the recordings' names say.
    files : tuple of str
        How a description names them: by the pattern, or one by one where it is also like others.
    regex : str or None
        What then says the parts of their names.
    roles : Roles
        What their columns are, by some of them.
    still : tuple of str
        Columns of numbers that are left out, for each holds one value throughout a file.
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
    others: dict[str, tuple[str, ...]]
    damaged: dict[str, str]
    names: NameGuess
    files: tuple[str, ...]
    regex: str | None
    roles: Roles
    still: tuple[str, ...]
    rates: tuple[float, ...]
    labels: dict[str, int]
    segments: SegmentsGuess | None
    pieces: tuple[Piece, ...]

    @property
    def people(self) -> list[str]:
        """Who wore the sensors, each once."""
        return list(dict.fromkeys(piece.person for piece in self.pieces))

    @property
    def nobody(self) -> bool:
        """Whether nothing tells who wore the sensors."""
        return "person" not in parts_of(self.names.pattern) and self.roles.person is None


def survey(path: Path, without: Mapping[str, str] | None = None) -> Survey:
    """Look through a folder, a zip or a file.

    Parameters
    ----------
    path : Path
        Where the recordings lie.
    without : mapping of str to str, optional
        Files that are known to be unreadable, and why.

    Raises
    ------
    SourceError
        If nothing in it looks like recordings, or what does is damaged.
    """
    tree = open_recordings(path)
    shapes, damaged = find_shapes(tree, without or {})
    usable = [(shape, *guess) for shape in shapes if (guess := _roles(tree, shape))[0].channels]
    if not usable:
        raise _nothing(path, damaged)
    shape, roles, still, rates = usable[0]
    others = [other for other in shapes if other is not shape]
    sensors = shape.files
    shape = replace(shape, files=one_sensor(shape.files))
    left = left_out(tree, sensors, {name: other.header for other in others for name in other.files})
    try:
        return _described(tree, shape, roles, still, rates, [other.files for other in others], left, damaged)
    except SourceError as error:
        if roles.recording is None:
            raise SourceError(f"{str(error).partition(': tell them apart')[0]}: rename one of them") from None
    # Whatever that column counts, it does not tell recordings apart: their files do.
    by_files = _roles(tree, shape, by_recording=False)
    return _described(tree, shape, *by_files, [other.files for other in others], left, damaged)


def _described(
    tree: FileTree,
    shape: Shape,
    roles: Roles,
    still: tuple[str, ...],
    rates: tuple[float, ...],
    others: Sequence[tuple[str, ...]],
    left: Mapping[str, str],
    damaged: dict[str, str],
) -> Survey:
    segments = None if roles.label else guess_segments(tree, others, Length(roles.rows, roles.lasts_s))
    known = {part for part, column in (("person", roles.person), ("recording", roles.recording)) if column}
    known |= {"label"} if roles.label or segments else set()
    names = guess_names(shape.files, known)
    if segments is not None:
        segments = segments.named(_names(tree, shape, names.pattern))
    labels, missing = _contents(tree, shape, roles, names.pattern, segments)
    files, regex = _named(tree, shape, names.pattern, divided="person" in known and "recording" not in known)
    taken = {*shape.files, *(segments.files if segments else ()), *damaged}
    found = Survey(
        shape=shape,
        others={
            why: unused
            for why in dict.fromkeys(left.values())
            if (unused := tuple(name for name in left if left[name] == why and name not in taken))
        },
        damaged=damaged,
        names=names,
        files=files,
        regex=regex,
        roles=replace(roles, missing=missing),
        still=still,
        rates=rates,
        labels=labels,
        segments=segments,
        pieces=(),
    )
    pieces = _pieces(tree, found)
    return replace(found, pieces=pieces, segments=segments.told_apart(tree, pieces) if segments else None)


def _nothing(path: Path, damaged: Mapping[str, str]) -> SourceError:
    if damaged:
        first = next(iter(damaged.values()))
        more = f" (as are {len(damaged) - 1} more files)" if len(damaged) > 1 else ""
        return SourceError(f"{path}: holds no recordings that can be read: {first}{more}: mend it, or take it away")
    return SourceError(
        f"{path}: holds no recordings: not one CSV, TSV, text, Parquet, NPZ or MAT file with rows of numbers"
    )


def _names(tree: FileTree, shape: Shape, pattern: str) -> dict[str, dict[str, str]]:
    """Return the parts of each recording's file name."""
    return {name: parts for name, parts in matching(tree, [pattern]) if name in shape.files}


def _named(tree: FileTree, shape: Shape, pattern: str, *, divided: bool) -> tuple[tuple[str, ...], str | None]:
    """Return how to name the files in a description: all that match must be recordings.

    Where files are named one by one and a column divides them by people, a regex names the recordings.
    """
    alone = isinstance(tree, LoneFile)  # in a folder with others
    if not alone and {name for name, _ in matching(tree, [pattern])} == set(shape.files):
        return (pattern,), None
    files = tuple(map(literal, shape.files))
    if parts_of(pattern):
        return files, f"^{compiled(pattern).pattern}$"
    return files, rf"^(?P<recording>.+){re.escape(shape.ending)}$" if divided and len(files) > 1 else None


def _samples(shape: Shape) -> Sequence[str]:
    step = max(len(shape.files) // _SAMPLES, 1)
    some = shape.files[::step][:_SAMPLES]
    longest = shape.longest[1]
    return some if longest in some or longest not in shape.files else [*some, longest]


def _roles(
    tree: FileTree, shape: Shape, *, by_recording: bool = True
) -> tuple[Roles, tuple[str, ...], tuple[float, ...]]:
    """Return what the columns are by most of the files that are looked at, which never change, and the files' rates."""
    seen = [guess_roles(columns_of(tree, name), shape.decimal, by_recording=by_recording) for name in _samples(shape)]

    def most(column_of: str) -> Column | None:
        names = Counter(column.name for roles in seen if (column := getattr(roles, column_of)) is not None)
        name = names.most_common(1)[0][0] if names else None
        found = (getattr(roles, column_of) for roles in seen)
        return next((column for column in found if column is not None and column.name == name), None)

    label, person, recording = most("label"), most("person"), most("recording")
    clocks = [roles.time for roles in seen if roles.time is not None]
    answers = {name for roles in seen for name in roles.answers}
    taken = {each.name for each in (label, person, recording) if each} | {clock.column.name for clock in clocks}
    kept = set.intersection(*({channel.name for channel in roles.channels} for roles in seen)) - taken - answers
    stirring = {column.name for roles in seen for column in roles.channels if column.values.drop_nulls().n_unique() > 1}
    time = clocks[0] if len(clocks) > len(seen) / 2 else None
    if time is not None:
        again = sum(clock.restarts for clock in clocks if clock.column.name == time.column.name)
        time = replace(time, restarts=again)
    roles = Roles(
        time=time,
        label=label,
        person=person,
        recording=recording,
        channels=tuple(channel for channel in seen[0].channels if channel.name in kept & stirring),
        missing=(),
        answers=tuple(sorted(answers)),
        apart=seen[0].apart,
        rows=max(roles.rows for roles in seen),
        counter=next((roles.counter for roles in seen if roles.counter is not None), None),
        lasts_s=max((roles.lasts_s for roles in seen if roles.lasts_s is not None), default=None) if time else None,
    )
    rates = [clock.rate_hz for clock in clocks if time is not None and clock.column.name == time.column.name]
    return roles, tuple(sorted(kept - stirring)), tuple(rates)


def _contents(
    tree: FileTree, shape: Shape, roles: Roles, pattern: str, segments: SegmentsGuess | None
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return every label with its rows, or with its segments, most used first; and what stands among numbers."""
    counts: Counter[str] = Counter()
    missing: set[str] = set()
    parts = _names(tree, shape, pattern)
    channels = {channel.ref for channel in roles.channels}
    for name in shape.files:
        columns = columns_of(tree, name)
        for column in columns:
            if column.ref in channels:
                missing.update(not_numbers(column, shape.decimal))
        if roles.label is not None:
            counts.update(_counted(columns, roles.label.name))
        elif segments is None and "label" in parts.get(name, {}):
            counts[parts[name]["label"]] += len(columns[0].values)
    for name in segments.files if segments else ():
        counts.update(_counted(columns_of(tree, name), segments.label if segments else ""))
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return dict(ordered), tuple(sorted(missing))


def _counted(columns: Collection[Column], name: str) -> dict[str, int]:
    found = [as_text(column.values).drop_nulls() for column in columns if column.name == name]
    return dict(found[0].value_counts().iter_rows()) if found else {}


def _pieces(tree: FileTree, found: Survey) -> tuple[Piece, ...]:
    """Return the recordings as the description will give them."""
    layout, roles = found.shape.layout, found.roles
    description: dict[str, Any] = {
        "files": found.files,
        "regex": found.regex,
        "format": layout.format,
        "text": layout.text,
        "transposed": layout.transposed,
        "rate_hz": 1,
        "channels": {"any": 1},
        "labels": {"classes": ["a", "b"], **({} if "label" in parts_of(found.names.pattern) else {"column": 2})},
    }
    for part, column in (("person", roles.person), ("recording", roles.recording)):
        if column is not None:
            description[part] = {"variable": column.ref[0], "column": column.ref[1]}
    if found.nobody:
        description["person"] = {"name": NOBODY}
    section = TabularSection.model_validate_json(json.dumps(description))
    refs = [ref_of(column) for column in dividing(section).values()]

    def read(name: str) -> Table:
        return read_table_file(
            tree.read(name), name, refs, format=section.format, text=section.text, transposed=section.transposed
        )

    return find_pieces(tree, section, read)


def median_rate(found: Survey) -> float | None:
    """Return the readings per second of most recordings, where they carry times."""
    return median(found.rates) if found.rates else None
