"""Checks what a file says against what it may say: every problem once, in words, by the key that it belongs to."""

import difflib
import json
from collections.abc import Iterable, Iterator
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from kinestream.model.config.network import NETWORK_KINDS
from kinestream.model.config.training import PRESETS, message_of, place_of

Checked = TypeVar("Checked", bound=BaseModel)


def check(content: dict[str, Any], model: type[Checked]) -> tuple[Checked | None, list[str]]:
    """Check everything, then once more without the keys that are wrong: rules between keys need all the others.

    Parameters
    ----------
    content : dict
        What a file says; keys that are wrong are taken out of it.
    model : type of Section
        What it may say.

    Returns
    -------
    Section or None, list of str
        None where it cannot be made sense of, and every problem, each starting with its key.
    """
    problems: dict[str, str] = {}
    while True:
        try:
            # Strict as JSON: 20 is no text, "20" no number and yes no count, but a list may become a tuple.
            config = model.model_validate_json(json.dumps(content, default=str), strict=True)
        except ValidationError as error:
            # Of several of one key the first: the others, as of a list without what was wrong in it, follow from it.
            wrong = {_key(place_of(entry), model): entry for entry in reversed(error.errors())}
            wrong = dict(reversed(wrong.items()))
            fresh = [key for key in wrong if key not in problems]
            problems |= {key: _say(key, wrong[key], model) for key in fresh}
            # A key that is missing or contradicts another cannot be taken out; it stays reported once.
            if not any([_take_out(content, key) for key in fresh]):
                return None, list(problems.values())
        else:
            return config, list(problems.values())


def _key(place: list[str], model: type[BaseModel]) -> str:
    """Return the key a problem belongs to, without the places in a list or the members of a union."""
    parts: list[str] = []
    kind: Any = model
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


def _say(key: str, entry: Any, model: type[BaseModel]) -> str:
    if entry["type"] == "extra_forbidden":
        section, _, name = key.rpartition(".")
        return f"{key}: unknown key{_guess_key(section, name, model)}"
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


def _guess_key(section: str, name: str, model: type[BaseModel]) -> str:
    keys = list(_keys(model))
    section = _any(section, model)
    near = [key for key in keys if key.rpartition(".")[0] == section]
    known = {key.rpartition(".")[2]: key for key in near}
    close = [known[each] for each in difflib.get_close_matches(name, known, n=1)]
    elsewhere = [key for key in keys if key.rpartition(".")[2] == name]
    if close or elsewhere:
        return f" (did you mean {(elsewhere + close)[0]}?)"
    return f"; known {f'in {section}' if section else 'at the top'} are {', '.join(known)}" if known else ""


def _any(section: str, model: type[BaseModel]) -> str:
    """Return the name of a section with a star for what the user may call as he likes, as a channel."""
    kind: Any = model
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


def guess(name: str, known: Iterable[str]) -> str:
    """Return what might be meant by a name that is none of those known, in brackets; empty for nothing near."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
