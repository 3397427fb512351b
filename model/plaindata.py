"""Plain data from YAML and JSON: only what JSON could say, and no deeper or larger than anybody writes by hand."""

import json
from collections.abc import Callable
from typing import Any

import yaml
from yaml.constructor import BaseConstructor

MOST_BYTES = 4 << 20
"""Of a description: one of 4,096 channels has a tenth of it."""

DEPTH = 50
"""Brackets within brackets; ours need eight. PyYAML and its C library recurse, and 50,000 of them end the process."""

MOST_VALUES = 4_000_000
"""Of a document: as many as `MOST_BYTES` can hold."""

MOST_DIGITS = 10_000
"""Of a plain value: numbers to the base 60, which YAML knows, take quadratic time. Texts in quotes may be longer."""

# What PyYAML raises for 2024-13-45, `!!bool maybe` or a tag of its own, and JSON for a date as a key.
_UNREADABLE = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


def parse_yaml(
    text: str, loader: Callable[[str], BaseConstructor] = yaml.CSafeLoader, most_values: int = MOST_VALUES
) -> Any:
    """Return what a text says.

    Parameters
    ----------
    text : str
        One YAML document.
    loader : callable
        Makes the PyYAML loader that reads it.
    most_values : int
        Of more values than these, keys and brackets among them, nothing is made: that keeps all other threads waiting.

    Raises
    ------
    ValueError
        Where it is not YAML, says what JSON could not, is too large or too deep, or refers to another part of itself:
        nine lines of such references say a billion things. The message is one line.
    """
    try:
        _check_size(text)
        _check_events(loader(text), most_values)
        content = loader(text).get_single_data()
        json.dumps(content, default=str)
    except _UNREADABLE as error:
        raise ValueError(" ".join(_in_words(error).split())) from None
    return content


def dump_yaml(content: Any, width: int = 120) -> str:
    """Return a text that `parse_yaml` reads: what stands in two places is written out in both."""
    text: str = yaml.dump(
        content, Dumper=_Plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=width
    )
    return text


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def parse_json(text: str | bytes) -> Any:
    """Return what a text says; `ValueError` with one line where it is not JSON, or too deep."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def _check_size(text: str) -> None:
    if len(text) > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES >> 20} MB")


def _check_events(parser: Any, most_values: int) -> None:
    """Look at a document piece by piece, which takes no recursion, before anything is made of it."""
    depth = values = 0
    while parser.check_event():
        event = parser.get_event()
        line = event.start_mark.line + 1
        values += 1
        if values > most_values:
            raise ValueError(f"line {line}: more than {most_values:,} values")
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"line {line}: *{event.anchor} refers to another part: write it out")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MOST_DIGITS and (event.tag or not event.style):
            raise ValueError(f"line {line}: a value of {len(event.value)} characters: put a long text in quotes")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise ValueError(f"line {line}: more than {DEPTH} levels deep")


def _in_words(error: Exception) -> str:
    """Return where a text goes wrong and how; PyYAML names the text before the place."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    context = f" {error.context}" if error.context else ""
    return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}{context}"
