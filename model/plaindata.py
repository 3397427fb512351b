"""Plain data from YAML: nothing but what JSON could say too."""

import json
from collections.abc import Callable
from typing import Any

import yaml
from yaml.constructor import BaseConstructor

# What PyYAML raises for 2024-13-45, `!!bool maybe` or a thousand brackets, and JSON for a date as a key or an alias
# within its own value.
_UNREADABLE = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)


def parse_yaml(text: str, loader: Callable[[str], BaseConstructor] = yaml.CSafeLoader) -> Any:
    """Return what a text says.

    Parameters
    ----------
    text : str
        One YAML document.
    loader : callable
        Makes the PyYAML loader that reads it.

    Raises
    ------
    ValueError
        Where it is not YAML, or says what JSON could not; the message is one line.
    """
    try:
        content = loader(text).get_single_data()
        json.dumps(content, default=str)
    except _UNREADABLE as error:
        raise ValueError(" ".join(_said(error).split())) from None
    return content


def _said(error: Exception) -> str:
    """Return where a text goes wrong and how; PyYAML names the text before the place."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return str(error)
    context = f" {error.context}" if error.context else ""
    return f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}: {error.problem}{context}"
