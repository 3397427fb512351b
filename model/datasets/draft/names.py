"""Guesses which parts of files' names say who, which recording, and what was done."""

import re
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from model.filepattern import compiled

_WHO = r"s|p|u|subj|subject|sub|user|person|participant|volunteer|proband|id"
_PERSON = re.compile(rf"({_WHO})[-_ ]?\d+", re.IGNORECASE)
_WORD = re.compile(rf"({_WHO})", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
_WORDS = re.compile(r"[A-Za-z][A-Za-z ]*")
_SENSOR = re.compile(
    r"(acc\w*|gyr\w*|mag\w*|imu\w*|grav\w*|quat\w*|rot\w*|bar\w*|phone|watch|sp|sw|(left|right|l|r)[a-z]*)",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"[^_\-. ]+|[_\-. ]+")
_MOST_LABELS = 40


def guess_pattern(names: Sequence[str], known: Collection[str]) -> str:
    """Return a pattern that all files match, with the parts that their names seem to have.

    Parameters
    ----------
    names : sequence of str
        The paths, all with the same ending.
    known : collection of str
        The parts that columns of the files say: none of them is looked for.
    """
    ending = PurePosixPath(names[0]).suffix
    paths = [name.removesuffix(ending).split("/") for name in names]
    depth = min(map(len, paths))
    deeper = "**/" if max(map(len, paths)) > depth else ""
    taken = set(known)
    folders = [_folder([path[at - depth] for path in paths], taken) for at in range(depth - 1)]
    stem = _stem([path[-1] for path in paths], taken)
    pattern = deeper + "/".join([*folders, stem]) + ending
    if all(compiled(pattern).fullmatch(name) for name in names):
        return pattern
    return f"**/{'*' if 'person' in known else '{person}'}{ending}"


def one_sensor(names: Sequence[str]) -> tuple[str, ...]:
    """Return the files of the first sensor, where a part of their own names tells sensors or devices apart.

    A description makes a recording of one file.
    """
    stems = [PurePosixPath(name).stem for name in names]
    for column in _aligned([_TOKENS.findall(stem) for stem in stems]) or ():
        if len(set(column)) > 1 and all(map(_SENSOR.fullmatch, column)):
            first = min(column)
            return tuple(name for name, token in zip(names, column, strict=True) if token == first)
    return tuple(names)


def _folder(values: Sequence[str], taken: set[str]) -> str:
    distinct = set(values)
    if len(distinct) == 1:
        return _literal(values[0])
    if distinct <= {"train", "test"}:
        return "{split}"
    if _are_labels(values, taken) and not all(map(_PERSON.fullmatch, distinct)):
        taken.add("label")
        return "{label}"
    for part in ("person", "recording"):
        if part not in taken:
            taken.add(part)
            return f"{{{part}}}"
    return "*"


def _stem(stems: Sequence[str], taken: set[str]) -> str:
    """Return the pattern of the files' own names."""
    if len(stems) == 1 and "person" not in taken:
        return "{person}"
    if len(set(stems)) == 1:
        return _literal(stems[0])
    columns = _aligned([_TOKENS.findall(stem) for stem in stems])
    if columns is None:
        return _ragged_stem(stems, taken)
    pieces = []
    before = ""
    for column in columns:
        pieces.append(_token(column, before, taken))
        before = column[0] if len(set(column)) == 1 and column[0].isalnum() else before
    if "person" not in taken:
        return "{person}"  # nothing tells, so that every file is another's
    return "".join(piece or "" for piece in _joined(pieces, taken))


def _aligned(tokens: Sequence[Sequence[str]]) -> list[tuple[str, ...]] | None:
    """Return the tokens of all names side by side, or None where their numbers or separators differ."""
    if len({len(each) for each in tokens}) != 1:
        return None
    columns = list(zip(*tokens, strict=True))
    same = all(len(set(column)) == 1 for column in columns if not column[0][0].isalnum())
    return columns if same else None


def _token(values: tuple[str, ...], before: str, taken: set[str]) -> str | None:
    """Return what one token of all names is, or None if it is a part of the recording's name."""
    distinct = set(values)
    if len(distinct) == 1:
        return _literal(values[0])
    numbered = all(map(_NUMBER.fullmatch, distinct)) and _WORD.fullmatch(before)
    if "person" not in taken and (numbered or all(map(_PERSON.fullmatch, distinct))):
        taken.add("person")
        return "{person}"
    if _are_labels(values, taken):
        taken.add("label")
        return "{label}"
    return None


def _joined(pieces: list[str | None], taken: set[str]) -> list[str | None]:
    """Return the pieces with the recording's name, from its first token to its last, in one."""
    open_ = [at for at, piece in enumerate(pieces) if piece is None]
    if not open_:
        return pieces
    first, last = open_[0], open_[-1]
    if any(piece and piece.startswith("{") for piece in pieces[first:last]) or "recording" in taken:
        return ["*" if piece is None else piece for piece in pieces]
    taken.add("recording")
    return [*pieces[:first], "{recording}", *pieces[last + 1 :]]


def _ragged_stem(stems: Sequence[str], taken: set[str]) -> str:
    firsts = {_TOKENS.findall(stem)[0] for stem in stems}
    if "person" not in taken and all(map(_PERSON.fullmatch, firsts)):
        gaps = {_TOKENS.findall(stem)[1] for stem in stems if len(_TOKENS.findall(stem)) > 1}
        taken |= {"person", "recording"}
        return f"{{person}}{gaps.pop()}{{recording}}" if len(gaps) == 1 else "{person}"
    part = next((part for part in ("person", "recording") if part not in taken), None)
    return f"{{{part}}}" if part else "*"


def _are_labels(values: Sequence[str], taken: Collection[str]) -> bool:
    """Tell whether one part of all names are words that come again."""
    distinct = set(values)
    again = 2 <= len(distinct) <= min(_MOST_LABELS, len(values) - 1)
    return "label" not in taken and again and all(map(_WORDS.fullmatch, distinct))


def _literal(text: str) -> str:
    """Return a pattern for a text itself, though it has letters that mean something in patterns."""
    return re.sub(r"[{}*]", "?", text)
