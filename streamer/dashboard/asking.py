"""What a page asks for, a JSON object: each value is checked before it is used."""

import json
from typing import Any

from kinestream.streamer.wire.messages import name_is_valid

MOST_BYTES = 16_384
"""Of what a page asks for."""


class BadAsking(ValueError):
    """What cannot be asked for; its text says what is wrong."""


def read_object(message: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    BadAsking
        If it is none.
    """
    if len(message) > MOST_BYTES:
        raise BadAsking("too long")
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        raise BadAsking("no JSON") from None
    if type(content) is not dict:
        raise BadAsking("no object")
    return content


def text(content: dict[str, Any], key: str, most: int) -> str:
    """Return a text of at most so many characters; empty where there is none."""
    value = content.get(key, "")
    if type(value) is not str or len(value) > most:
        raise BadAsking(key)
    return value


def whole(content: dict[str, Any], key: str, most: int) -> int:
    """Return a number from 0 to `most`; 0 where there is none."""
    value = content.get(key, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise BadAsking(key)
    return value


def flag(content: dict[str, Any], key: str) -> bool:
    """Return a yes or no; no where there is none."""
    value = content.get(key, False)
    if type(value) is not bool:
        raise BadAsking(key)
    return value


def name(content: dict[str, Any], key: str) -> str:
    """Return the name of a stream or device."""
    value = content.get(key)
    if type(value) is not str or not name_is_valid(value):
        raise BadAsking(key)
    return value
