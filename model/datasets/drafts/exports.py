"""Writes the first draft of the YAML file that describes what an app or a recorder wrote."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kinestream.model.config.export import ExportSection
from kinestream.model.config.file import parse_text
from kinestream.model.config.pattern import parts_of
from kinestream.model.config.training import NAME
from kinestream.model.datasets.drafts.clock import round_rate
from kinestream.model.datasets.drafts.doubts import UNSAID
from kinestream.model.datasets.drafts.exportsurvey import ExportSurvey, SensorSurvey
from kinestream.model.datasets.drafts.heldout import split_lines
from kinestream.model.datasets.drafts.roles import name_and_unit
from kinestream.model.datasets.drafts.sniff import Column
from kinestream.model.datasets.drafts.spelled import count, dataset_name, flow, inline, one_line, scalar, some
from kinestream.model.datasets.drafts.survey import NOBODY
from kinestream.model.datasets.exports.containers import Containers
from kinestream.model.datasets.exports.formats import TITLES
from kinestream.model.datasets.tabular.pieces import Piece, find_pieces

SECONDS = 2.0
"""Of a window: a few steps, or one change of posture."""

ENOUGH_HZ = 100.0
"""Samples of the grid a second; what comes faster is averaged. Of the energy of body motion 99% lies below 15 Hz
(Karantonis et al. 2006, as Anguita et al., ESANN 2013, have it)."""

_EPOCHS, _BATCH = 30, 100
_FEW_STEPS = 300
"""The preset's moving average of the weights has forgotten those it began with after some 600 steps."""
_AXES = re.compile(r"[xyzw]|q[xyzw]|\d+", re.IGNORECASE)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def export_draft(found: ExportSurvey, path: Path, out: Path) -> str:
    """Return a first draft of the description of exports.

    Parameters
    ----------
    found : ExportSurvey
        What they seem to hold.
    path : Path
        Where they lie.
    out : Path
        Where the draft will lie, from where it names them.
    """
    return "\n".join(_lines(found, path, out)) + "\n"


def unsaid_of_exports(found: ExportSurvey) -> list[str]:
    """Return what exports do not tell and the user has to say or to look at before training, each after its key."""
    return list(_unsaid(found))


def _lines(found: ExportSurvey, path: Path, out: Path) -> Iterator[str]:
    rate = _grid_rate(found)
    many = count(len(found.exports), "recording")
    yield f"# The first draft of a description of {many} of {TITLES[found.format]} in {one_line(path.resolve().name)}:"
    yield "# all of it is guessed, so look at each line. Then see what is read, and train:"
    yield f"#   kinestream datasets info {out}"
    yield f"#   kinestream train {out}"
    yield from (f"# please check: {one_line(each)}" for each in _unsaid(found))
    if not re.fullmatch(NAME, out.stem):  # else what is trained is called as the file is
        yield f"name: {scalar(dataset_name(path))}"
    yield "dataset:"
    yield f"  name: {scalar(dataset_name(path))}"
    yield f"  source: {scalar(os.path.relpath(path, out.parent))}  # from the folder of this file"
    yield "  export:"
    export = list(_export(found, rate))
    yield from ("    " + line for line in export)
    length = max(round(SECONDS * rate), 8)  # what the network reads at a time
    every = f"{SECONDS:g} s, a label every {SECONDS / 2:g} s"
    yield f"window: {{length: {length}, stride: {length // 2}}}  # samples: {every}"
    yield from split_lines(_pieces(export, path))
    stride = max(length // 4, 1)
    steps = found.seconds * rate / stride * _EPOCHS / _BATCH
    few = ", batch: 16, average: 0" if steps < _FEW_STEPS else ""
    why = "  # few windows: smaller batches, for more steps" if few else ""
    yield f"train: {{preset: kinestream, epochs: {_EPOCHS}, stride: {stride}{few}}}{why}"


def _pieces(export: list[str], path: Path) -> tuple[Piece, ...]:
    """Return the recordings as the description gives them."""
    content, _ = parse_text("\n".join(export), f"the draft for {path}")
    return find_pieces(Containers(path), ExportSection.model_validate_json(json.dumps(content)))


def _export(found: ExportSurvey, rate: float) -> Iterator[str]:
    parts = parts_of(found.names.pattern)
    mark = "  # guessed" if found.names.guessed else ""
    yield f"format: {found.format}"
    if len(found.files) == 1:
        yield f"files: {scalar(found.files[0])}{mark or '  # ' + count(len(found.exports), 'recording')}"
    else:
        yield f"files:  # {count(len(found.exports), 'recording')}; one by one, for others are called alike"
        yield from (f"  - {scalar(name)}" for name in found.files)
    if found.regex is not None:
        yield f"regex: {scalar(found.regex)}{mark}"
    if "person" not in parts:
        yield f"person: {{name: {NOBODY}}}  # nothing says who it was"
    yield f"rate_hz: {rate:g}  # of the grid on which all sensors are laid"
    yield "sensors:"
    for sensor, name, channels in _called(found):
        yield f"  {scalar(name)}:  # {_readings(sensor)}"
        yield f"    source: {scalar(sensor.name)}"
        yield f"    rate_hz: {sensor.rate_hz:g}"
        yield "    channels:"
        for channel, column, unit in channels:
            counted = {str(at + 1): at + 1 for at, each in enumerate(sensor.all_columns) if each == str(at + 1)}
            said: dict[str, object] = {"column": counted.get(column, column), **({"unit": unit} if unit else {})}
            yield f"      {scalar(channel)}: {inline(said)}"
        if sensor.still:
            yield f"    # left out: {', '.join(sensor.still)}"
    yield from _labels(found)


def _readings(sensor: SensorSurvey) -> str:
    if not sensor.rate_hz:
        return f"irregular, about {sensor.measured_hz:.3g} readings a second"
    return f"{sensor.measured_hz:.4g} readings a second"


def _labels(found: ExportSurvey) -> Iterator[str]:
    names = list(found.labels)
    if not names:
        yield "# no labels: nothing says what was done, so these recordings can be replayed, but not trained on"
        return
    yield "labels:"
    if found.markers is not None:
        yield f"  markers: {scalar(found.markers)}  # each holds until the next"
    if len(names) < 2:
        yield f"  classes: {flow([*names, UNSAID])}  # write the names of all classes"
        return
    yield "  classes:  # in this order; to leave one out, put it into ignore: [...]"
    unit = "marker" if found.markers is not None else "recording"
    yield from (f"    - {scalar(name)}  # {count(found.labels[name], unit)}" for name in names)


def _called(found: ExportSurvey) -> Iterator[tuple[SensorSurvey, str, list[tuple[str, str, str]]]]:
    """Yield each sensor with what to call it, and its channels: what to call each, its column, its unit."""
    keys = _told_apart([_snake(sensor.name) or "sensor" for sensor in found.sensors])
    plain = [[_channel(column) for column in sensor.columns] for sensor in found.sensors]
    seen = Counter(name for names in plain for name, _ in names)
    for sensor, key, named in zip(found.sensors, keys, plain, strict=True):
        called = [f"{key}_{name}" if _AXES.fullmatch(name) or seen[name] > 1 or not name else name for name, _ in named]
        units = [sensor.columns[column] or unit for column, (_, unit) in zip(sensor.columns, named, strict=True)]
        yield sensor, key, list(zip(_told_apart(called), sensor.columns, units, strict=True))


def _channel(column: str) -> tuple[str, str]:
    name, unit = name_and_unit(Column((None, column), column, None))  # type: ignore[arg-type]
    return _snake(name), unit


def _snake(name: str) -> str:
    return "_".join(filter(None, _WORDS.split(name))).lower()


def _told_apart(names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        new, again = name, 2
        while new in found or (new != name and new in names):
            new, again = f"{name}_{again}", again + 1
        found.append(new)
    return found


def _grid_rate(found: ExportSurvey) -> float:
    """Return the rate of the fastest sensor, or what is enough for movement."""
    fastest = max(sensor.rate_hz or sensor.measured_hz for sensor in found.sensors)
    return min(round_rate(fastest), ENOUGH_HZ) or 1.0


def _unsaid(found: ExportSurvey) -> Iterator[str]:
    key = "dataset.export"
    if "person" in found.names.guessed:
        yield f"{key}.files: only their place in file names says that {found.names.guessed['person']} are people"
    if "label" in found.names.guessed:
        yield f"{key}.files: only their place in file names says that {found.names.guessed['label']} are activities"
    if "person" not in parts_of(found.names.pattern):
        yield f"{key}.person: nothing says who wore the sensors: all recordings count as one person's, called {NOBODY}"
    for _, name, channels in _called(found):
        if bare := [channel for channel, _, unit in channels if not unit]:
            yield f"{key}.sensors.{name}.channels: nothing says the units of {some(bare)}"
    for sensor in found.sensors:
        if sensor.still:
            yield f"{key}.sensors: left out {some(sensor.still)} of {sensor.name}: one value throughout"
    for name, rate in found.slow.items():
        yield f"{key}.sensors: left out {name}: {rate:.3g} readings a second, or none that changes"
    if found.empty:
        yield f"{key}.sensors: left out {some(found.empty)}: without a reading"
    if not found.labels:
        yield f"{key}.labels: neither file names nor markers say what was done"
    elif len(found.labels) < 2:
        yield f"{key}.labels: found one class only, {next(iter(found.labels))}: name the others"
    if found.markers is not None:
        more = f"; {found.unnamed} of them are too long for a name and are left out" if found.unnamed else ""
        yield f"{key}.labels.markers: only guessed that the texts of {found.markers} are activities{more}"
    for why in dict.fromkeys(found.others.values()):
        yield f"left out: {some(name for name, each in found.others.items() if each == why)}: {why}"
    yield from (f"left out: {why}" for why in found.damaged.values())
