"""Finds a configuration, applies overrides to it and checks it whole: every problem at once, by key."""

import copy
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from kinestream.model.config.anchor import anchor
from kinestream.model.config.network import NETWORK_KINDS
from kinestream.model.config.section import Section, doubled
from kinestream.model.config.training import PRESETS, DatasetSection, TrainConfig, message_of, place_of
from kinestream.model.errors import ConfigError
from kinestream.model.files import read_whole
from kinestream.model.plaindata import parse_yaml

MOST_BYTES = 1 << 20
"""Of a configuration, which takes seconds to read even so."""

Checked = TypeVar("Checked", bound=BaseModel)

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
    config, more = _check(content, TrainConfig)
    return config, problems + more


def load_dataset(path: Path) -> DatasetSection:
    """Read what a configuration says of its dataset, whatever else it says or leaves out.

    Raises
    ------
    ConfigError
        With every problem of that part.
    """
    content, problems = read_yaml(path)
    anchor(content, path.parent)
    config, more = _check({key: value for key, value in content.items() if key == "dataset"}, _DatasetPart)
    problems += more
    if config is None or problems:
        raise ConfigError(str(path), problems)
    return config.dataset


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
    known = f"shipped are {', '.join(shipped)}"
    raise ConfigError(path_or_name, [f"no such file or configuration{_guess(path_or_name, shipped)}; {known}"])


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
    return [f"{section}.preset: no preset {preset!r}{_guess(str(preset), presets)}; there are {', '.join(presets)}"]


def _check(content: dict[str, Any], model: type[Checked]) -> tuple[Checked | None, list[str]]:
    """Check everything, then once more without the keys that are wrong: rules between keys need all the others."""
    problems: dict[str, str] = {}
    while True:
        try:
            # Strict as JSON: 20 is no text, "20" no number and yes no count, but a list may become a tuple.
            config = model.model_validate_json(json.dumps(content, default=str), strict=True)
        except ValidationError as error:
            # Of several of one key the first: the others, as of a list without what was wrong in it, follow from it.
            wrong = {_key(place_of(entry)): entry for entry in reversed(error.errors())}
            wrong = dict(reversed(wrong.items()))
            fresh = [key for key in wrong if key not in problems]
            problems |= {key: _say(key, wrong[key]) for key in fresh}
            # A key that is missing or contradicts another cannot be taken out; it stays reported once.
            if not any([_take_out(content, key) for key in fresh]):
                return None, list(problems.values())
        else:
            return config, list(problems.values())


def _key(place: list[str]) -> str:
    """Return the key a problem belongs to, without the places in a list or the members of a union."""
    parts: list[str] = []
    kind: Any = TrainConfig
    for part in place:
        if "network" in parts and part in NETWORK_KINDS:
            kind = NETWORK_KINDS[part]
            continue
        parts.append(part)
        kind = _below(kind, part)
        if kind is None and part != "network":
            break
    return ".".join(parts)


def _below(kind: Any, part: str) -> Any:
    """Return what stands under a key of a section: a section, a dict of sections, or None for all that is neither."""
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    field = kind.model_fields.get(part) if kind else None
    found = field.annotation if field else None
    if get_origin(found) is UnionType:
        found = next(member for member in get_args(found) if member is not NoneType)
    inner = get_args(found)[1] if get_origin(found) is dict else found
    return found if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _say(key: str, entry: Any) -> str:
    if entry["type"] == "extra_forbidden":
        section, _, name = key.rpartition(".")
        return f"{key}: unknown key{_guess_key(section, name)}"
    if entry["type"] == "missing":
        return f"{key}: missing"
    given = "" if entry["type"] == "contradiction" else f", not {entry['input']!r}"
    return f"{key}: {message_of(entry)}{given}"


def _take_out(content: dict[str, Any], key: str) -> bool:
    section: Any = content
    *parents, last = key.split(".")
    for part in parents:
        section = section.get(part) if isinstance(section, dict) else None
    if not isinstance(section, dict) or last not in section:
        return False
    del section[last]
    return True


def _guess_key(section: str, name: str) -> str:
    keys = list(_keys(TrainConfig))
    section = _any(section)
    near = [key for key in keys if key.rpartition(".")[0] == section]
    known = {key.rpartition(".")[2]: key for key in near}
    close = [known[each] for each in difflib.get_close_matches(name, known, n=1)]
    elsewhere = [key for key in keys if key.rpartition(".")[2] == name]
    if close or elsewhere:
        return f" (did you mean {(elsewhere + close)[0]}?)"
    return f"; known {f'in {section}' if section else 'at the top'} are {', '.join(known)}" if known else ""


def _any(section: str) -> str:
    """Return the name of a section with a star for what the user may call as he likes, as a channel."""
    kind: Any = TrainConfig
    parts = section.split(".")
    for at, part in enumerate(parts):
        parts[at] = "*" if get_origin(kind) is dict else part
        kind = _below(kind, part)
    return ".".join(parts)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name in model.model_fields:
        yield prefix + name
        if name in PRESETS:
            yield f"{prefix}{name}.preset"
        kind, key = _below(model, name), f"{prefix}{name}."
        if get_origin(kind) is dict:
            kind, key = get_args(kind)[1], f"{key}*."
        for each in NETWORK_KINDS.values() if name == "network" else [kind] if kind else []:
            yield from _keys(each, key)


def _guess(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
