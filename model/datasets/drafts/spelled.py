"""Spells values as YAML reads them back, and counts as people read them."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from kinestream.model.config.training import KNOWN_DATASETS

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"}
"""What YAML, or a reader of numbers, takes for something else than text."""


def dataset_name(folder: Path) -> str:
    """Return what to call the recordings in a folder, zip or file."""
    stem = folder.resolve().name.removesuffix(".zip")
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._-") or "recordings"
    return f"my_{name}" if name in KNOWN_DATASETS else name


def inline(values: dict[str, object]) -> str:
    """Return a table in one line."""
    return "{" + ", ".join(f"{key}: {scalar(value)}" for key, value in values.items()) + "}"


def flow(values: Iterable[str]) -> str:
    """Return a list in one line."""
    return "[" + ", ".join(map(scalar, values)) + "]"


def scalar(value: object) -> str:
    """Return a value as YAML reads it back; JSON is YAML too."""
    plain = isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in WORDS
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def one_line(text: str) -> str:
    """Return a text as a comment: names of files may hold line ends."""
    return " ".join(text.split())


def some(names: Iterable[str]) -> str:
    """Return names, of many the first and the last."""
    listed = list(names)
    return ", ".join(listed if len(listed) <= 6 else [*listed[:4], "...", listed[-1]])


def count(number: int, one: str, more: str = "") -> str:
    """Return a number and what is counted."""
    return f"{number} {one if number == 1 else more or one + 's'}"
