"""A comparison that anybody can repeat: one dataset, one split, one way to score, and who is compared.

A protocol is a file under ``configs/protocols/``: a training configuration without a network, and a table of
contenders, each of which says what it does otherwise. Every contender is trained from every seed in every round.
"""

import copy
import hashlib
import json
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from kinestream.model.config.anchor import anchor, anchor_start
from kinestream.model.config.file import check_config, find_shipped, read_yaml
from kinestream.model.config.network import NETWORK_PRESETS
from kinestream.model.config.section import Amount, Section
from kinestream.model.config.training import TRAIN_PRESETS, TrainConfig, problems_of
from kinestream.model.errors import ConfigError
from kinestream.model.training.start import Start

FOLDER = "protocols"


class PublishedRow(Section):
    """A figure from the literature, for comparison.

    Attributes
    ----------
    who : str
        The network and its source.
    protocol : str
        How it was measured, where that differs.
    accuracy, f1_macro, f1_weighted : float or None
        What was published.
    """

    who: str
    protocol: str
    accuracy: float | None = None
    f1_macro: float | None = None
    f1_weighted: float | None = None


class ProtocolFile(Section):
    """What a protocol's file says.

    Attributes
    ----------
    title, about : str
        What people read: a line, and what the protocol is in a few sentences.
    config : dict
        A training configuration without ``network``: see `kinestream.model.config.training.TrainConfig`.
    rounds : dict of str to dict
        Parts of the configuration that differ from round to round, as in who is tested on. One round by default.
    contenders : dict of str to dict
        Parts of the configuration that are a contender's own, and ``seeds`` where they are others. One named like a
        preset has that preset's network and recipe unless it says otherwise. Beside the configuration it may hold what
        `Contender` has.
    start : dict or None
        Parts of the configuration of a bundle that is trained first, from each seed, and that contenders may start
        from. The rounds' parts do not apply to it, but for a round's own ``start``, which is laid over it.
    seeds : tuple of int
        Where every contender starts from.
    ours : str
        The contender that the others are held against.
    published : tuple of PublishedRow
        Rows from the literature.
    """

    title: str
    about: str
    config: dict[str, Any]
    rounds: Annotated[dict[str, dict[str, Any]], Field(default={"all": {}}, min_length=1)]
    contenders: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    start: dict[str, Any] | None = None
    seeds: Annotated[tuple[Amount, ...], Field(min_length=1)]
    ours: str = "kinestream"
    published: tuple[PublishedRow, ...] = ()


class Contender(Section):
    """What a contender may say beside its configuration.

    Attributes
    ----------
    seeds : tuple of int or None
        Where it starts from, if elsewhere than the others.
    start : "trained_further", "unchanged" or None
        What it makes of the protocol's ``start``: ``trained_further`` starts from that bundle as with
        `train.start_from`, ``unchanged`` is that bundle, tested as it is. None starts from scratch.
    against : tuple of str
        Contenders it is held against, round by round.
    """

    seeds: Annotated[tuple[Amount, ...], Field(min_length=1)] | None = None
    start: Literal["trained_further", "unchanged"] | None = None
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class StartBundle:
    """The bundle that a run starts from, which the protocol itself makes.

    Parameters
    ----------
    key : str
        A path below the protocol's folder, where it is trained.
    config : TrainConfig
        How.
    unchanged : bool
        Whether the run is this bundle as it is.
    """

    key: str
    config: TrainConfig
    unchanged: bool


@dataclass(frozen=True)
class Run:
    """One training of a protocol.

    Parameters
    ----------
    protocol, contender, round : str
        Which.
    seed : int
        Where it starts from.
    config : TrainConfig
        All of it; where there is a `start`, its ``train.start_from`` is to be the folder of that bundle.
    start : StartBundle or None
        What it starts from, where the protocol itself makes that.
    """

    protocol: str
    contender: str
    round: str
    seed: int
    config: TrainConfig
    start: StartBundle | None = None

    @property
    def key(self) -> str:
        """A path below a protocol's folder."""
        return f"{_slug(self.contender)}/{_slug(self.round)}-seed{self.seed}"

    @cached_property
    def digest(self) -> str:
        """Tells a run from one of another configuration; where recordings and bundles lie makes no difference."""
        if self.start:
            # Not by the bundle's id: whoever has results without the bundle knows them, too.
            mode = "unchanged" if self.start.unchanged else "trained_further"
            settings = _settings(self.config) | {"start": {mode: _settings(self.start.config)}}
        else:
            settings = _settings(Start.open(self.config)[0])
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return what decides a training, without defaults, so that a knob that is new leaves results as they were."""
    hidden: Any = {"dataset": {"source"}, "name": True}
    return config.model_dump(mode="json", exclude=hidden, exclude_defaults=True)


@dataclass(frozen=True)
class Protocol:
    """A protocol, checked.

    Parameters
    ----------
    name : str
        The file's name.
    about : ProtocolFile
        What it says.
    runs : tuple of Run
        All of them: contender by contender, seed by seed.
    """

    name: str
    about: ProtocolFile
    runs: tuple[Run, ...]

    @property
    def decides(self) -> bool:
        """Whether choices are made by it: then the people that others are tested on are left out."""
        splits = [run.config.split for run in self.runs]
        return all(split.leave_out or split.leave_out_share for split in splits)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Which contender is held against which other."""
        return [(name, other) for name, own in self.about.contenders.items() for other in own.get("against", ())]

    @property
    def contenders(self) -> list[str]:
        """Who is compared, ours first."""
        names = list(self.about.contenders)
        return sorted(names, key=lambda name: name != self.about.ours)


def shipped_protocols() -> dict[str, Path]:
    """Return the protocols that come with kinestream, by name."""
    return find_shipped(FOLDER)


def load_protocol(path_or_name: str) -> Protocol:
    """Read a protocol.

    Raises
    ------
    ConfigError
        With every problem there is, those of a contender's configuration under its name.
    """
    shipped = shipped_protocols()
    path = Path(path_or_name) if Path(path_or_name).is_file() else shipped.get(path_or_name)
    if path is None:
        raise ConfigError(path_or_name, [f"no such file or protocol: shipped are {', '.join(shipped)}"])
    content, problems = read_yaml(path)
    try:
        about = ProtocolFile.model_validate_json(json.dumps(content, default=str), strict=True)
    except ValidationError as error:
        raise ConfigError(str(path), problems + problems_of(error)) from None
    anchor(about.config, path.parent)
    for part in (*about.rounds.values(), *about.contenders.values()):
        anchor_start(part, path.parent)
    if about.ours not in about.contenders:
        problems.append(f"ours: no contender {about.ours}: there are {', '.join(about.contenders)}")
    runs: list[Run] = []
    for run, found in _runs(path.stem, about):
        problems += [problem for problem in found if problem not in problems]
        runs += [run] if run else []
    if problems:
        raise ConfigError(str(path), problems)
    return Protocol(path.stem, about, tuple(runs))


def _runs(name: str, about: ProtocolFile) -> Iterator[tuple[Run | None, list[str]]]:
    for contender, own in about.contenders.items():
        where = f"contenders.{contender}"
        beside, wrong = _beside(own, about, where)
        preset = {"network": {"preset": contender}} if contender in NETWORK_PRESETS else {}
        recipe = {"train": {"preset": contender}} if contender in TRAIN_PRESETS else {}
        started = {"train": {"start_from": _MADE_HERE}} if beside.start else {}
        parts = (about.config, preset, recipe, started, _without(own, Contender.model_fields))
        for seed in beside.seeds or about.seeds:
            for round_name, differing in about.rounds.items():
                content = merged(*parts, _without(differing, ["start"]), {"train": {"seed": seed}})
                content["name"] = _slug(f"{name}-{contender}-{round_name}-{seed}")
                config, problems = check_config(content)
                if config and not (config.split.test or config.split.test_share):
                    problems = [*problems, "split.test: missing: whoever is tested on is what a protocol is scored on"]
                problems = [*wrong, *(f"{where}.{problem}" for problem in problems)]
                start = None
                if beside.start and about.start is not None:
                    start, more = _start(name, about, round_name, seed, unchanged=beside.start == "unchanged")
                    problems += more
                yield (Run(name, contender, round_name, seed, config, start) if config else None), problems


_MADE_HERE = "the protocol's start"


def _beside(own: dict[str, Any], about: ProtocolFile, where: str) -> tuple[Contender, list[str]]:
    """Return what a contender says beside its configuration, and what is wrong with it."""
    given = {key: value for key, value in own.items() if key in Contender.model_fields}
    try:
        beside = Contender.model_validate_json(json.dumps(given, default=str), strict=True)
    except ValidationError as error:
        return Contender(), [f"{where}.{problem}" for problem in problems_of(error)]
    unknown = [name for name in beside.against if name not in about.contenders]
    problems = [f"{where}.against: no contender {', '.join(unknown)}"] if unknown else []
    if beside.start and about.start is None:
        problems.append(f"{where}.start: {beside.start}, but the protocol has no section start")
    return beside, problems


def _start(
    name: str, about: ProtocolFile, round_name: str, seed: int, *, unchanged: bool
) -> tuple[StartBundle | None, list[str]]:
    """Return what a run starts from, and what is wrong with it."""
    own = about.rounds[round_name].get("start")
    part = _slug(round_name) if own else "all"
    content = merged(about.config, about.start or {}, own or {}, {"train": {"seed": seed}})
    content["name"] = _slug(f"{name}-start-{part}-{seed}")
    config, problems = check_config(content)
    start = StartBundle(f"start/{part}-seed{seed}", config, unchanged) if config else None
    return start, [f"start.{problem}" for problem in problems]


def _slug(text: str) -> str:
    """Return a text as the name of a file or a model."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")


def _without(own: dict[str, Any], keys: Container[str]) -> dict[str, Any]:
    return {key: value for key, value in own.items() if key not in keys}


def merged(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return dictionaries laid over one another, the later ones on top, section by section."""
    whole: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            both = isinstance(value, dict) and isinstance(whole.get(key), dict)
            whole[key] = merged(whole[key], value) if both else copy.deepcopy(value)
    return whole


def choose(runs: Sequence[Run], contenders: Sequence[str] | None, seeds: Sequence[int] | None) -> list[Run]:
    """Return the runs of some contenders and seeds.

    Raises
    ------
    ConfigError
        Where there is none of that name.
    """
    known = list(dict.fromkeys(run.contender for run in runs))
    unknown = [name for name in contenders or () if name not in known]
    if unknown:
        raise ConfigError(runs[0].protocol, [f"no contender {', '.join(unknown)}: there are {', '.join(known)}"])
    return [
        run
        for run in runs
        if (contenders is None or run.contender in contenders) and (seeds is None or run.seed in seeds)
    ]
