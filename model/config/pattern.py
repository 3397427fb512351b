"""Patterns of file names whose parts have a meaning, as in ``{person}/{recording}.csv``."""

import re

PARTS = ("person", "recording", "label", "split", "part")
"""What a part of a file's name can say."""

_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\{([^{}/]*)\}")
_MEANINGS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def compiled(pattern: str) -> re.Pattern[str]:
    """Return the regular expression that a whole path must match.

    Parameters
    ----------
    pattern : str
        ``*`` stands for anything but ``/``, ``**`` for anything, ``?`` for one character but ``/``, and ``{person}``
        and the like for one or more characters but ``/``; given twice, it stands for the same both times.

    Raises
    ------
    ValueError
        If a part is called otherwise.
    """
    pieces, at, seen = [], 0, set()
    for token in _TOKEN.finditer(pattern):
        pieces.append(re.escape(pattern[at : token.start()]))
        name, at = token[1], token.end()
        if name is None:
            pieces.append(_MEANINGS[token[0]])
        elif name in seen:
            pieces.append(f"(?P={name})")
        else:
            _check((name,), pattern)
            seen.add(name)
            pieces.append(f"(?P<{name}>[^/]+?)")
    return re.compile("".join([*pieces, re.escape(pattern[at:])]))


def parts_of(pattern: str) -> set[str]:
    """Return the parts that a pattern names; `ValueError` if one is called otherwise."""
    return set(compiled(pattern).groupindex)


def parts_of_regex(regex: str) -> set[str]:
    """Return the parts that a regular expression names; `ValueError` if it is none or names others."""
    try:
        parts = re.compile(regex).groupindex
    except (re.error, TypeError) as error:
        raise ValueError(f"should be a regular expression ({error})") from None
    _check(tuple(parts), regex)
    return set(parts)


def is_plain(pattern: str) -> bool:
    """Tell whether a pattern stands for one file only."""
    return _TOKEN.search(pattern) is None


def _check(names: tuple[str, ...], pattern: str) -> None:
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise ValueError(
            f"{pattern} names {unknown[0]!r}: the parts are {', '.join(PARTS)}; * stands for anything else"
        )
