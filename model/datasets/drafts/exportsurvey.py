"""Looks through what apps and recorders wrote, for the first draft of its description."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import numpy.typing as npt

from kinestream.model.config.export import ExportFormat
from kinestream.model.config.pattern import compiled, parts_of
from kinestream.model.datasets.drafts.clock import SLOWEST, round_rate
from kinestream.model.datasets.drafts.names import NameGuess, guess_names, literal
from kinestream.model.datasets.exports.containers import Containers, is_xdf
from kinestream.model.datasets.exports.contents import Contents, SensorTable, names_a_class
from kinestream.model.datasets.exports.formats import TITLES, format_of_export, read_export
from kinestream.model.errors import SourceError

_LONG = 3
"""Usual steps between two readings, beyond which there is a pause."""
_REGULAR = (0.4, 2.5)
_MOST_IRREGULAR = 0.2


@dataclass(frozen=True)
class SensorSurvey:
    """What a sensor of several recordings seems to be.

    Parameters
    ----------
    name : str
        As the exports call it.
    rate_hz : float
        Readings per second of most recordings, or as the exports state them; 0 where they are irregular.
    measured_hz : float
        Readings per second of most recordings.
    columns : dict of str to str
        The columns that hold more than one value, with their units, empty where nothing tells; axes in their order.
    all_columns : tuple of str
        All its columns as they stand.
    still : tuple of str
        Those that hold one value throughout.
    """

    name: str
    rate_hz: float
    measured_hz: float
    columns: dict[str, str]
    all_columns: tuple[str, ...]
    still: tuple[str, ...]


@dataclass(frozen=True)
class ExportSurvey:
    """What a folder of exports seems to hold.

    Parameters
    ----------
    format : str
        What they are in.
    exports : tuple of str
        Those that are taken for recordings.
    names : NameGuess
        What their names say.
    files : tuple of str
        How a description names them: by the pattern, or one by one where it is also like others.
    regex : str or None
        What then says the parts of their names.
    sensors : tuple of SensorSurvey
        Those that move.
    slow : dict of str to float
        Those that are left out, for their readings are rare, with how many a second has.
    markers : str or None
        Whose texts may be labels, where names say none.
    labels : dict of str to int
        Every label that occurs, with how many recordings or markers.
    seconds : float
        How long all recordings last.
    unnamed : int
        Markers that name no class.
    empty : tuple of str
        Sensors and streams without a reading.
    others : dict of str to str
        What is left out though nothing is wrong with it, and why.
    damaged : dict of str to str
        What cannot be read, and why not.
    """

    format: ExportFormat
    exports: tuple[str, ...]
    names: NameGuess
    files: tuple[str, ...]
    regex: str | None
    sensors: tuple[SensorSurvey, ...]
    slow: dict[str, float]
    markers: str | None
    labels: dict[str, int]
    seconds: float
    unnamed: int
    empty: tuple[str, ...]
    others: dict[str, str]
    damaged: dict[str, str]


def survey_exports(path: Path, without: Mapping[str, str] | None = None) -> ExportSurvey | None:
    """Look through a folder, a zip or an XDF file; None where it holds no export of a known format.

    Parameters
    ----------
    path : Path
        Where the exports lie.
    without : mapping of str to str, optional
        Those that are known to be unreadable, and why.

    Raises
    ------
    SourceError
        If all exports in it are damaged or empty.
    """
    if path.is_file() and not is_xdf(path.name) and path.suffix.lower() != ".zip":
        return None
    containers = Containers(path)
    found: dict[str, tuple[ExportFormat, Contents]] = {}
    damaged, others = dict(without or {}), {}
    exports = len(damaged)
    for name in containers.names:
        if name in damaged:
            continue
        known = None
        try:
            files = containers.open(name)
            known = format_of_export(files)
            if known is not None:
                found[name] = known, read_export(files, name, known)
            else:
                others[name] = "no export of a known format"
        except SourceError as error:
            damaged[name] = str(error)
            exports += known is not None
    whole = {name: each for name, each in found.items() if each[1].sensors}
    if whole:
        return _described(containers, whole, found, others, damaged)
    if not found and not exports:
        return None  # but perhaps tables that another reader can say more of
    first = next(iter(damaged.values()), f"{path}: no sensor in it has a reading: record it again")
    raise SourceError(first if first.startswith(str(path)) else f"{path}: holds nothing that can be read: {first}")


def _described(
    containers: Containers,
    whole: Mapping[str, tuple[ExportFormat, Contents]],
    found: Mapping[str, tuple[ExportFormat, Contents]],
    others: dict[str, str],
    damaged: dict[str, str],
) -> ExportSurvey:
    kinds = {
        name: (kind, tuple(sensor.name for sensor in contents.sensors)) for name, (kind, contents) in whole.items()
    }
    (format, sensors), _ = Counter(kinds.values()).most_common(1)[0]
    chosen = [name for name, kind in kinds.items() if kind == (format, sensors)]
    names = guess_names(chosen, ())
    chosen += _alike(names, [name for name in kinds if name not in chosen], chosen, kinds, format, sensors)
    chosen.sort()
    for name, (kind, its) in kinds.items():
        if name not in chosen:
            others[name] = f"another format, {TITLES[kind]}" if kind != format else f"other sensors, {', '.join(its)}"
    others |= {name: "holds no reading" for name in found if name not in whole}
    contents = [whole[name][1] for name in chosen]
    surveyed = [_sensor([_table(each, name) for each in contents]) for name in sensors]
    moving = [each for each in surveyed if each.columns and each.measured_hz >= SLOWEST]
    kept = moving or [each for each in surveyed if each.columns] or surveyed
    labels, markers, unnamed = _labels(names, chosen, contents)
    files, regex = _named(containers, names.pattern, chosen)
    return ExportSurvey(
        format=format,
        exports=tuple(chosen),
        names=names,
        files=files,
        regex=regex,
        sensors=tuple(kept),
        slow={each.name: each.measured_hz for each in surveyed if each not in kept},
        markers=markers,
        labels=labels,
        seconds=sum(max(float(np.ptp(each.times)) for each in export.sensors) for export in contents) / 1e9,
        unnamed=unnamed,
        empty=tuple(dict.fromkeys(name for each in contents for name in each.empty)),
        others=others,
        damaged=damaged,
    )


def _alike(
    names: NameGuess,
    candidates: Sequence[str],
    chosen: Sequence[str],
    kinds: Mapping[str, tuple[ExportFormat, tuple[str, ...]]],
    format: ExportFormat,
    sensors: tuple[str, ...],
) -> list[str]:
    """Return exports with further sensors that are called as the others are, and show the same activities."""
    expression = compiled(names.pattern)
    said = [match.groupdict() for name in chosen if (match := expression.fullmatch(name))]
    known = {each.get("label") for each in said}
    found = []
    for name in candidates:
        match = expression.fullmatch(name)
        has_all = kinds[name][0] == format and set(sensors) <= set(kinds[name][1])
        if match and has_all and match.groupdict().get("label") in known and "label" in match.groupdict():
            found.append(name)
    return found


def _table(contents: Contents, name: str) -> SensorTable:
    return next(sensor for sensor in contents.sensors if sensor.name == name)


def _sensor(tables: Sequence[SensorTable]) -> SensorSurvey:
    stated = [table.rate_hz for table in tables if table.rate_hz]
    rates = [_rate(table.times) for table in tables]
    measured = float(median(rate for rate, _ in rates))
    irregular = sum(not regular for _, regular in rates) > len(rates) / 2
    common = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    stirring = [name for name in common if any(_stirs(table.columns[name]) for table in tables)]
    if set(stirring) <= set("xyz"):
        stirring.sort()
    units = {name: next((table.units[name] for table in tables if name in table.units), "") for name in stirring}
    return SensorSurvey(
        name=tables[0].name,
        rate_hz=float(median(stated)) if stated else 0.0 if irregular else round_rate(measured),
        measured_hz=measured,
        columns=units,
        all_columns=tuple(tables[0].columns),
        still=tuple(name for name in common if name not in stirring),
    )


def _stirs(values: npt.NDArray[np.float64]) -> bool:
    given = values[np.isfinite(values)]
    return bool(len(given)) and bool((given != given[0]).any())


def _rate(times: npt.NDArray[np.int64]) -> tuple[float, bool]:
    """Return how many readings a second has, pauses left out, and whether they come regularly."""
    moments = np.unique(times)
    steps = np.diff(moments) / 1e9
    if not len(steps):
        return 0.0, False
    usual = steps[steps <= _LONG * np.median(steps)]
    rate = len(usual) / float(usual.sum())
    apart = usual * rate
    irregular = ((apart < _REGULAR[0]) | (apart > _REGULAR[1])).mean() > _MOST_IRREGULAR
    return rate * len(times) / len(moments), not irregular


def _labels(
    names: NameGuess, chosen: Sequence[str], contents: Sequence[Contents]
) -> tuple[dict[str, int], str | None, int]:
    """Return every label, most used first; whose markers they are, where they are; and how many of these name none."""
    if "label" in parts_of(names.pattern):
        expression = compiled(names.pattern)
        said = Counter(match["label"] for name in chosen if (match := expression.fullmatch(name)))
        return dict(sorted(said.items(), key=lambda each: (-each[1], each[0]))), None, 0
    texts: dict[str, Counter[str]] = {}
    unnamed: Counter[str] = Counter()
    for each in contents:
        for markers in each.markers:
            texts.setdefault(markers.name, Counter()).update(filter(names_a_class, markers.texts))
            unnamed[markers.name] += sum(not names_a_class(text) for text in markers.texts)
    best = max(texts, key=lambda name: len(texts[name]), default=None)
    if best is None or not texts[best]:
        return {}, None, 0
    return dict(texts[best].most_common()), best, unnamed[best]


def _named(containers: Containers, pattern: str, chosen: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """Return how to name the exports in a description: all that match must be recordings."""
    expression = compiled(pattern)
    if [name for name in containers.names if expression.fullmatch(name)] == list(chosen):
        return (pattern,), None
    files = tuple(map(literal, chosen))
    return files, f"^{expression.pattern}$" if parts_of(pattern) else None
