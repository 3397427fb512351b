"""Finds a configuration, applies overrides to it and has it checked whole; see `kinestream.model.config.checking`."""

import copy
import re
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from kinestream.model.config.anchor import anchor
from kinestream.model.config.checking import Checked, check, guess
from kinestream.model.config.section import Section, doubled
from kinestream.model.config.training import PRESETS, DatasetSection, TrainConfig
from kinestream.model.errors import ConfigError
from kinestream.model.files import read_whole
from kinestream.model.plaindata import parse_yaml

MOST_BYTES = 1 << 20
"""Of a configuration, which takes seconds to read even so."""

_SHIPPED = Path(str(files("kinestream.configs")))


def load_config(path_or_name: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a configuration.

    Parameters
    ----------
    path_or_name : str or Path
        A YAML file, or the name of one that is shipped, as in ``hapt``.
    overrides : sequence of str
        ``key=value`` with dots in the key, as in ``network.hidden=64``; the value is read as YAML.

    Raises
    ------
    ConfigError
        With every problem there is.
    """
    path = _find(str(path_or_name))
    content, problems = read_yaml(path)
    anchor(content, path.parent)  # before the overrides, whose paths are named from where the user is
    content.setdefault("name", path.stem)
    alone = copy.deepcopy(content)
    wrong = _apply(content, overrides)
    config, more = check_config(content)
    if config is None or problems or wrong or more:
        raise _refused(path, alone, problems, wrong + more)
    return config


def _refused(path: Path, alone: dict[str, Any], problems: list[str], more: list[str]) -> ConfigError:
    """Return the error that names where each problem was said: in the file, or on the command line.

    A problem that the file does not have by itself came with the overrides, also where it is told of another key.
    """
    own = {*problems, *check_config(alone)[1]}
    if not own:
        return ConfigError(f"the command line, on top of {path}", more)
    return ConfigError(
        str(path), problems + [each if each in own else f"{each} (by the command line)" for each in more]
    )


def check_config(content: dict[str, Any]) -> tuple[TrainConfig | None, list[str]]:
    """Put presets in place and check everything.

    Parameters
    ----------
    content : dict
        What a file says; changed on the way.

    Returns
    -------
    TrainConfig or None, list of str
        None where it cannot be made sense of, and every problem, each starting with its key.
    """
    train = content.get("train")
    starts = isinstance(train, dict) and train.get("start_from") is not None
    # What starts from a bundle and says nothing of a network has the bundle's.
    network = content.get("network") if starts else content.setdefault("network", {})
    if isinstance(network, dict) and not {"preset", "kind"} & network.keys():
        content["network"] = {"preset": "kinestream", **network}  # what is not said is as ours has it
    problems = [problem for section, presets in PRESETS.items() for problem in _apply_preset(content, section, presets)]
    config, more = check(content, TrainConfig)
    return config, problems + more


def load_dataset(path: Path) -> DatasetSection:
    """Read what a configuration says of its dataset, whatever else it says or leaves out.

    Raises
    ------
    ConfigError
        With every problem of that part.
    """
    return dataset_of(*read_yaml(path), str(path), path.parent)


def dataset_of(content: dict[str, Any], problems: list[str], where: str, folder: Path) -> DatasetSection:
    """Return the same of what `parse_text` read; its paths are named from a folder, `where` it stands is told."""
    anchor(content, folder)
    config, more = check({key: value for key, value in content.items() if key == "dataset"}, _DatasetPart)
    if config is None or problems or more:
        raise ConfigError(where, problems + more)
    return config.dataset


def load_section(path: Path, model: type[Checked]) -> Checked:
    """Read a file that describes something else than a training.

    Parameters
    ----------
    path : Path
        The YAML file.
    model : type of Section
        What it is checked as.

    Raises
    ------
    ConfigError
        With every problem there is.
    FileError
        Where it cannot be read.
    """
    content, problems = read_yaml(path)
    config, more = check(content, model)
    problems += more
    if config is None or problems:
        raise ConfigError(str(path), problems)
    return config


def shipped_configs() -> dict[str, Path]:
    """Return the configurations that come with kinestream, by name."""
    return find_shipped()


def find_shipped(below: str = "") -> dict[str, Path]:
    """Return the YAML files that come with kinestream in a folder below ``configs/``, by name."""
    return {path.stem: path for path in sorted((_SHIPPED.resolve() / below).glob("*.yaml"))}


def _find(path_or_name: str) -> Path:
    if Path(path_or_name).is_file():
        return Path(path_or_name)
    shipped = shipped_configs()
    if path_or_name in shipped:
        return shipped[path_or_name]
    if Path(path_or_name).is_dir():
        raise ConfigError(
            path_or_name,
            ["this is a folder, not a configuration: describe it first, with 'kinestream datasets describe FOLDER'"],
        )
    known = f"shipped are {', '.join(shipped)}"
    raise ConfigError(path_or_name, [f"no such file or configuration{guess(path_or_name, shipped)}; {known}"])


class _DatasetPart(Section):
    dataset: DatasetSection


class _Loader(yaml.SafeLoader):
    """YAML that also reads 1e-3 as a number and notices keys given twice."""

    def __init__(self, text: str, problems: list[str]) -> None:
        super().__init__(text)
        self.problems = problems

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        self.problems += [f"{key}: given twice" for key in doubled(str(key.value) for key, _ in node.value)]
        return super().construct_mapping(node, deep)


# YAML 1.1 wants the point and the sign in 1.0e-3; nobody writes them.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
# Nor does anybody mean 7 by 007 or 8 by 010, 3600 by 1:00:00, or 12 by 1_2: names of people and classes, for YAML 1.2
# and for us. What is a number is written as JSON does, but for the sign.
_NOT_JSON = re.compile(r"^[-+]?(0[0-9_]|0[bxo]|[0-9]+(_|[0-9_]*:))[0-9a-fA-F_:]*(\.[0-9_]*)?$")
for _first in "-+0123456789":
    _Loader.yaml_implicit_resolvers[_first].insert(0, ("tag:yaml.org,2002:str", _NOT_JSON))


def _parse(text: str) -> tuple[Any, list[str]]:
    """Return what a text says, and what is wrong with its keys; raise `ValueError` where it is not YAML."""
    problems: list[str] = []
    return parse_yaml(text, partial(_Loader, problems=problems)), problems


def read_yaml(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the keys and values of a file, and what is wrong with its keys.

    Raises
    ------
    ConfigError
        Where it is not YAML, or no keys and values.
    FileError
        Where it cannot be read.
    """
    try:
        text = read_whole(path, MOST_BYTES).decode()
    except ValueError as error:
        raise ConfigError(str(path), [f"not YAML: {error}"]) from None
    return parse_text(text, str(path))


def parse_text(text: str, where: str) -> tuple[dict[str, Any], list[str]]:
    """Return the keys and values of a text that comes from `where`, and what is wrong with its keys.

    Raises
    ------
    ConfigError
        Where it is not YAML, or no keys and values.
    """
    try:
        content, problems = _parse(text)
    except ValueError as error:
        raise ConfigError(where, [f"not YAML: {error}"]) from None
    if not isinstance(content, dict):
        raise ConfigError(where, ["should be keys and values, as in 'train: {epochs: 20}'"])
    return content, problems


def _apply(content: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Put overrides in place; return what is wrong with them."""
    problems = []
    for override in overrides:
        key, equals, text = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            problems.append(f"{override}: an override should read key=value, as in train.epochs=20")
            continue
        try:
            value, more = _parse(text)
        except ValueError:
            problems.append(f"{key}: {text!r} is not YAML")
            continue
        problems += more
        section = content
        for part in parts[:-1]:
            if not isinstance(section.get(part), dict):
                section[part] = {}
            section = section[part]
        section[parts[-1]] = value
    return problems


def _apply_preset(content: dict[str, Any], section: str, presets: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Put a section's preset under the keys that are given; return what is wrong with it."""
    given = content.get(section)
    if not isinstance(given, dict) or "preset" not in given:
        return []
    preset = given["preset"]
    own = {key: value for key, value in given.items() if key != "preset"}
    known = isinstance(preset, str) and preset in presets
    content[section] = {**(presets[preset] if known else {}), **own}
    if known:
        return []
    return [f"{section}.preset: no preset {preset!r}{guess(str(preset), presets)}; there are {', '.join(presets)}"]
