"""A comparison that anybody can repeat: one dataset, one split, one way to score, and who is compared.

A protocol is a file under ``configs/protocols/``: a training configuration without a network, and a table of
contenders, each of which says what it does otherwise. Every contender is trained from every seed in every round.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

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
        A training configuration without ``network``: see `model.config.training.TrainConfig`.
    rounds : dict of str to dict
        Parts of the configuration that differ from round to round, as in who is tested on. One round by default.
    contenders : dict of str to dict
        Parts of the configuration that are a contender's own, and ``seeds`` where they are others. One named like a
        preset has that preset's network and recipe unless it says otherwise.
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
    seeds: Annotated[tuple[Amount, ...], Field(min_length=1)]
    ours: str = "kinestream"
    published: tuple[PublishedRow, ...] = ()


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
        All of it.
    """

    protocol: str
    contender: str
    round: str
    seed: int
    config: TrainConfig

    @property
    def key(self) -> str:
        """A path below a protocol's folder."""
        return f"{_slug(self.contender)}/{_slug(self.round)}-seed{self.seed}"

    @cached_property
    def digest(self) -> str:
        """Tells a run from one of another configuration; where recordings and bundles lie makes no difference."""
        # Without defaults, so that a knob that is new leaves results as they were.
        hidden: Any = {"dataset": {"source"}, "name": True}
        config, _ = Start.open(self.config)
        settings = config.model_dump(mode="json", exclude=hidden, exclude_defaults=True)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


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
        preset = {"network": {"preset": contender}} if contender in NETWORK_PRESETS else {}
        recipe = {"train": {"preset": contender}} if contender in TRAIN_PRESETS else {}
        seeds = own.get("seeds", about.seeds)
        for seed in seeds:
            for round_name, differing in about.rounds.items():
                parts = (preset, recipe, _without_seeds(own), differing, {"train": {"seed": seed}})
                content = merged(about.config, *parts)
                content["name"] = _slug(f"{name}-{contender}-{round_name}-{seed}")
                config, problems = check_config(content)
                if config and not (config.split.test or config.split.test_share):
                    problems = [*problems, "split.test: missing: whoever is tested on is what a protocol is scored on"]
                run = Run(name, contender, round_name, seed, config) if config else None
                yield run, [f"contenders.{contender}.{problem}" for problem in problems]


def _slug(text: str) -> str:
    """Return a text as the name of a file or a model."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-")


def _without_seeds(own: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in own.items() if key != "seeds"}


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
