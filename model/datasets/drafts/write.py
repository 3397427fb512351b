"""Writes the first draft of the YAML file that describes somebody's recordings: ``kinestream datasets describe``."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from kinestream.model.config.pattern import parts_of
from kinestream.model.config.training import NAME
from kinestream.model.datasets.drafts.check import unreadable
from kinestream.model.datasets.drafts.clock import round_rate
from kinestream.model.datasets.drafts.doubts import UNSAID, unsaid
from kinestream.model.datasets.drafts.heldout import split_lines
from kinestream.model.datasets.drafts.roles import acceleration_unit, is_acceleration, name_and_unit
from kinestream.model.datasets.drafts.source import source_of
from kinestream.model.datasets.drafts.spelled import WORDS, count, dataset_name, flow, inline, one_line, scalar, some
from kinestream.model.datasets.drafts.survey import NOBODY, Survey, median_rate, survey
from kinestream.model.datasets.tabular.table import Ref
from kinestream.model.errors import SourceError
from kinestream.model.files import write_whole

SECONDS = 2.0
"""Of a window: a few steps, or one change of posture."""

_NULL = re.compile(r"null|none|other|background|no[_ -]?activity", re.IGNORECASE)


def draft(folder: Path, out: Path | None = None) -> tuple[str, Survey]:
    """Return a first draft of the description of recordings, and what was found in them; the draft can be read back.

    Parameters
    ----------
    folder : Path
        The folder, zip or file in which the recordings lie.
    out : Path, optional
        Where the draft will lie, from where it names the folder; by default the current folder.

    Raises
    ------
    SourceError
        If there is nothing in the folder that could be described, or nothing of it can be read.
    """
    out = out or Path("mine.yaml")
    without: dict[str, str] = {}
    while True:
        found = survey(folder, without)
        text = "\n".join(_lines(found, folder, out)) + "\n"
        wrong = unreadable(text, out, folder, labelled=len(found.labels) > 0)
        if not wrong:
            return text, found
        if len(wrong) > len(found.shape.files) / 2 or wrong.keys() <= without.keys():
            raise SourceError(f"{folder}: no draft of a description reads it: {next(iter(wrong.values()))}")
        without |= wrong


def write_draft(folder: Path, out: Path, *, overwrite: bool = False) -> tuple[str, Survey]:
    """Write such a draft to a file, and return the same.

    Raises
    ------
    SourceError
        If there is nothing to describe, or the file is there already and may not be overwritten.
    """
    if out.exists() and not overwrite:
        raise SourceError(f"{out}: is there already: name another, or say --overwrite")
    text, found = draft(folder, out)
    try:
        write_whole(out, text.encode())
    except OSError as error:
        raise SourceError(f"{out}: cannot be written ({error.strerror})") from error
    return text, found


def _lines(found: Survey, folder: Path, out: Path) -> Iterator[str]:
    people, files = found.people, len(found.shape.files)
    yield f"# The first draft of a description of {count(files, 'file')} in {folder.name or folder}: all of it is"
    yield "# guessed, so look at each line. Then see what is read, and train:"
    yield f"#   kinestream datasets info {out}"
    yield f"#   kinestream train {out}"
    yield from (f"# please check: {one_line(each)}" for each in unsaid(found))
    if not re.fullmatch(NAME, out.stem):  # else what is trained is called as the file is
        yield f"name: {scalar(dataset_name(folder))}"
    yield "dataset:"
    yield f"  name: {scalar(dataset_name(folder))}"
    yield f"  source: {scalar(os.path.relpath(source_of(folder), out.parent))}  # from the folder of this file"
    yield "  tabular:"
    yield from ("    " + line for line in _tabular(found, people))
    length = max(round(SECONDS * _rate(found)), 8)  # what the network reads at a time
    every = f"{SECONDS:g} s, a label every {SECONDS / 2:g} s"
    yield f"window: {{length: {length}, stride: {length // 2}}}  # samples: {every}"
    yield from _split(found, people)
    yield f"train: {{preset: kinestream, epochs: 30, stride: {max(length // 4, 1)}}}"


def _tabular(found: Survey, people: list[str]) -> Iterator[str]:
    roles, layout = found.roles, found.shape.layout
    recordings = f"{count(len(found.pieces), 'recording')} of {count(len(people), 'person', 'people')}"
    mark = "  # guessed" if found.names.guessed else ""
    if len(found.files) == 1:
        yield f"files: {scalar(found.files[0])}  # {recordings}: {some(people)}{mark.replace('  #', ';')}"
    else:
        yield f"files:  # {recordings}: {some(people)}; one by one, for others are called alike"
        yield from (f"  - {scalar(name)}" for name in found.files)
    if found.regex is not None:
        yield f"regex: {scalar(found.regex)}{mark}"
    usual = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".txt": "text", ".dat": "text"}
    if layout.format in ("csv", "tsv", "text") and usual.get(found.shape.ending.lower()) != layout.format:
        yield f"format: {layout.format}"
    if layout.text:
        yield f"text: {inline(layout.text)}"
    if layout.transposed:
        yield "transposed: true  # a channel per row"
    if roles.missing:
        yield f"missing: {flow(['NaN', 'nan', 'NA', 'null', *(m for m in roles.missing if m not in WORDS)])}"
    for part, column in (("person", roles.person), ("recording", roles.recording)):
        if column is not None:
            yield f"{part}: {_place(column.ref)}"
    if found.nobody:
        yield f"person: {{name: {NOBODY}}}  # nothing says who it was"
    yield from _time(found)
    yield from _channels(found)
    yield from _labels(found)


def _time(found: Survey) -> Iterator[str]:
    clock, counter, rate = found.roles.time, found.roles.counter, median_rate(found)
    numbered = "" if counter is None else f"counter: {{{_place(counter.column.ref)[1:-1]}, bits: {counter.bits}}}"
    if clock is None or rate is None:
        yield f"rate_hz: {_rate(found):g}  # not told by the files: write how many rows make a second"
        if numbered:
            yield f"time: {{{numbered}}}  # it starts again when it is full"
        return
    yield f"rate_hz: {round_rate(rate):g}  # by its times {rate:.4g}"
    if clock.restarts:
        yield f"# no time: {_place(clock.column.ref)} starts again within a recording"
        return
    column = f"{_place(clock.column.ref)[1:-1]}, unit: {clock.unit}"
    gap = f", longest_gap_s: {clock.gap_s:.2g}" if clock.gap_s > 5 / round_rate(rate) else ""
    if numbered or clock.shared:
        gap = f", {numbered or 'packets: true'}, rate_hz: {round_rate(rate):g}"
    yield f"time: {{{column}{gap}}}  # {clock.why}"


def _channels(found: Survey) -> Iterator[str]:
    channels = found.roles.channels
    decimal = str(found.shape.layout.text.get("decimal", "."))
    named = [name_and_unit(column) for column in channels]
    if len({name for name, _ in named}) < len(named):  # two units of one signal
        named = [(column.name, unit) for column, (_, unit) in zip(channels, named, strict=True)]
    acceleration = [at for at, (name, unit) in enumerate(named) if is_acceleration(name) and not unit]
    guessed: dict[int, str] = {}
    for first in range(0, len(acceleration) - 2, 3):
        three = acceleration[first : first + 3]
        guessed |= dict.fromkeys(three, acceleration_unit([channels[at] for at in three], decimal))
    has_units = any(unit for _, unit in named)
    yield "channels:" + ("" if has_units else "  # add units, as in {unit: rad/s}")
    for at, (column, (name, unit)) in enumerate(zip(channels, named, strict=True)):
        place = "" if column.ref == (None, name) else _place(column.ref)[1:-1]
        known = unit or guessed.get(at, "")
        rows = f"where: {inline(dict(column.where))}" if column.where else ""
        parts = [part for part in (place, rows, f"unit: {scalar(known)}" if known else "") if part]
        why = "  # by its size at rest" if known and not unit else ""
        yield f"  {scalar(name)}: {{{', '.join(parts)}}}{why}"
    if out := [*found.roles.answers, *found.still]:
        yield f"# left out: {', '.join(out)}"


def _labels(found: Survey) -> Iterator[str]:
    yield "labels:"
    label, segments = found.roles.label, found.segments
    if segments is not None:
        yield "  segments:"
        yield f"    files: {scalar(segments.pattern)}"
        if segments.layout.text:
            yield f"    text: {inline(segments.layout.text)}"
        if segments.recording:
            yield f"    recording: {scalar(segments.recording)}"
        for key in ("start", "end", "label"):
            yield f"    {key}: {scalar(getattr(segments, key))}"
        yield f"    unit: {segments.unit}  # {segments.why}"
        if segments.clock:
            yield "    counted_from: clock"
        elif segments.unit == "samples":
            yield "    # first: 1            # where rows are counted from 1"
            yield "    # end_included: true  # where the row at the end still belongs to the segment"
    elif label is not None:
        yield f"  {_place(label.ref)[1:-1]}" if label.ref[0] is None else f"  variable: {scalar(label.ref[0])}"
        if label.ref[0] is not None:
            yield f"  column: {label.ref[1]}"
    elif "label" not in parts_of(found.names.pattern):
        yield f"  column: {UNSAID}  # found none: write which column says what was done"
    yield from ("  " + line for line in _classes(found))


def _classes(found: Survey) -> Iterator[str]:
    names = list(found.labels)
    if len(names) < 2:
        yield f"classes: {flow([*names, UNSAID, UNSAID + '_TOO'][:2])}  # write the names of all classes"
        return
    counted = "segments" if found.segments else "s" if median_rate(found) else "rows"
    share = _rate(found) if counted == "s" else 1.0
    coded = all(re.fullmatch(r"-?\d+(\.\d+)?", name) for name in names)
    if coded:
        yield "names:  # write what each code means"
        names = sorted(names, key=float)
    else:
        yield "classes:  # in this order; to leave one out, put it into ignore: [...]"
    for name in names:
        entry = f"{json.dumps(name)}: class_{name}" if coded else f"- {scalar(name)}"
        amount = found.labels[name] / share
        yield f"  {entry}  # {f'{amount:,.0f}' if counted != 's' or amount >= 1000 else f'{amount:.4g}'} {counted}"
    null = [name for name in names if _NULL.fullmatch(name)]
    if null:
        yield f"null_class: {scalar(null[0])}  # where it means 'none of the others'"


def _split(found: Survey, people: list[str]) -> Iterator[str]:
    published = {split: list(dict.fromkeys(piece.person for piece in found.pieces if piece.split == split))
                 for split in ("train", "test")}  # fmt: skip
    if all(published.values()):
        trained = published["train"]
        held = f"validation: {flow(trained[-1:])}" if len(trained) > 1 else "validation_share: 0.2"
        yield f"split: {{test: published, {held}}}  # as the folders say"
        return
    yield from split_lines(found.pieces)


def _rate(found: Survey) -> float:
    rate = median_rate(found) or (found.segments.rate_hz if found.segments else None)
    return 50.0 if rate is None else round_rate(rate)


def _place(ref: Ref) -> str:
    variable, column = ref
    place = {"variable": variable, "column": column}
    return inline({key: value for key, value in place.items() if value is not None})
