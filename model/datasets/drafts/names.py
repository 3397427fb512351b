"""Guesses which parts of files' names say who, which recording, and what was done."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from kinestream.model.config.pattern import compiled
from kinestream.model.datasets.drafts.words import (
    are_activities,
    are_codes_again,
    are_numbers_again,
    are_words_again,
    are_years,
    may_be_people,
    name_a_recording,
    person_rank,
)

_SENSOR = re.compile(
    r"(acc\w*|gyr\w*|mag\w*|imu\w*|grav\w*|quat\w*|rot\w*|bar\w*|phone|watch|sp|sw|(left|right|l|r)[a-z]*)",
    re.IGNORECASE,
)
_TOKENS = re.compile(r"[^_\-. ]+|[_\-. ]+")


@dataclass(frozen=True)
class NameGuess:
    """What files' names seem to say.

    Parameters
    ----------
    pattern : str
        All their names, with the parts that mean something.
    guessed : dict of str to str
        Parts that nothing but their place in the name tells, and some of what they would say.
    """

    pattern: str
    guessed: dict[str, str]


@dataclass
class _Part:
    """One part of all names: a folder, or a token of the files' own names."""

    values: tuple[str, ...]
    folder: bool
    before: str = ""
    meaning: str | None = None

    @property
    def constant(self) -> bool:
        return len(set(self.values)) == 1

    @property
    def free(self) -> bool:
        """Whether nothing is known of it, and it is more than what stands between two others."""
        return self.meaning is None and any(letter.isalnum() for letter in self.values[0])


def guess_names(names: Sequence[str], known: Collection[str]) -> NameGuess:
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
    guess = _Guess([path[-depth:] for path in paths], known)
    begin = end = ""
    if max(map(len, paths)) > depth:  # some lie deeper: below the same folders, or the same folders below others
        from_top = _Guess([[*path[: depth - 1], path[-1]] for path in paths], known)
        if from_top.sure > guess.sure:
            guess, end = from_top, "**/"
        else:
            begin = "**/"
    for recording in ("stem", "folder", None):  # the first of which tells all files apart
        folders, stem = guess.pattern(recording)
        pattern = begin + "".join(f"{folder}/" for folder in folders) + end + stem + ending
        said = recording is None or "{recording}" in pattern
        if said and _says(pattern, names, guess.expected()):
            return NameGuess(pattern, guess.guessed)
    return NameGuess(f"**/*{ending}", {})


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


def literal(text: str) -> str:
    """Return a pattern for a text itself, though it has letters that mean something in patterns."""
    return re.sub(r"[{}*]", "?", text)


class _Guess:
    """Gives the parts of some names their meanings."""

    def __init__(self, paths: Sequence[Sequence[str]], known: Collection[str]) -> None:
        self.guessed: dict[str, str] = {}
        self._known = set(known)
        self._levels = [_folder(tuple(path[at] for path in paths)) for at in range(len(paths[0]) - 1)]
        self._folders = [part for parts in self._levels for part in parts]
        self._stems = tuple(path[-1] for path in paths)
        self._tokens = _tokens(self._stems)
        self._parts = [*self._folders, *self._tokens]
        for part in self._folders:
            if set(part.values) == {"train", "test"}:
                part.meaning = "split"
        if "person" not in self._known:
            self._give("person", self._named_person())
        if "label" not in self._known:
            self._find_label()
        if "person" not in self._known:
            self._guess_person()

    @property
    def sure(self) -> int:
        """How many parts have a meaning that is not only guessed."""
        return sum(part.meaning is not None for part in self._parts) - len(self.guessed)

    def pattern(self, recording: str | None) -> tuple[list[str], str]:
        """Return the patterns of folders and of files' own names.

        `recording` says where ``{recording}`` stands: in files' own names (``stem``), for a ``folder``, or nowhere.
        """
        open_ = [part for part in self._folders if part.meaning is None and not part.constant]
        called = open_[0] if recording == "folder" and open_ and "recording" not in self._known else None
        folders = [
            "".join("{recording}" if part is called else _piece(part) for part in parts) for parts in self._levels
        ]
        return folders, self._stem("recording" if recording == "stem" else None)

    def expected(self) -> dict[str, tuple[str, ...]]:
        """Return what the parts of each name should say, but for the recording's."""
        return {part.meaning: part.values for part in self._parts if part.meaning is not None}

    def _stem(self, rest: str | None) -> str:
        """Return the pattern of files' own names, what nothing is known of as `rest`, in one piece, or as stars."""
        open_ = [at for at, part in enumerate(self._tokens) if part.free and not part.constant]
        pieces = [_piece(part) for part in self._tokens]
        if not open_ or rest is None or "recording" in self._known:
            return "".join(pieces)
        first, last = open_[0], open_[-1]
        if any(part.meaning for part in self._tokens[first:last]):
            return "".join(pieces)
        return "".join([*pieces[:first], f"{{{rest}}}", *pieces[last + 1 :]])

    def _give(self, meaning: str, part: _Part | None, *, guessed: bool = False) -> None:
        if part is not None:
            part.meaning = meaning
            self._known.add(meaning)
            if guessed:
                self.guessed[meaning] = _some(part.values)

    def _named_person(self) -> _Part | None:
        """Return the part whose letters say that it is a person: by a word, else a folder's before a file's."""
        ranks = [(part, person_rank(set(part.values), part.before)) for part in self._parts]
        found = [(rank > 0, part.constant, not part.folder, rank, at, part)
                 for at, (part, rank) in enumerate(ranks) if rank is not None and part.free]  # fmt: skip
        return min(found, key=lambda each: each[:5])[-1] if found else None

    def _find_label(self) -> None:
        free = [part for part in self._parts if part.free]
        done = [part for part in free if are_activities(set(part.values)) and not _counted_run(part, self._parts)]
        if done:
            self._give("label", max(done, key=lambda part: not part.constant))
            return
        words = [part for part in free if are_words_again(part.values)]
        if words and ("person" in self._known or len(words) > 1):
            self._give("label", words[-1], guessed=True)  # a folder a person's, or the first word
        elif codes := [part for part in free if are_codes_again(part.values)]:
            self._give("label", codes[0], guessed=True)

    def _guess_person(self) -> None:
        """Take for a person what nothing speaks against, and say so."""
        free = [part for part in self._parts if part.free and not part.constant]
        folders = [part for part in free if part.folder and may_be_people(set(part.values))]
        words = [part for part in free if not part.folder and may_be_people(set(part.values)) and _letters(part)]
        dated = any(are_years(set(part.values)) for part in self._parts if part.free)
        numbers = [] if dated else [part for part in free if are_numbers_again(part.values)]
        for found in (folders, words, numbers):
            if found:
                self._give("person", found[0], guessed=True)
                return
        counted = any(name_a_recording(value) for part in self._tokens for value in set(part.values))
        whole = not any(part.meaning for part in self._tokens) and not dated and not counted
        if whole and len(set(self._stems)) > 1 and may_be_people(set(self._stems)):
            self._tokens = [_Part(self._stems, folder=False)]
            self._parts = [*self._folders, *self._tokens]
            self._give("person", self._tokens[0], guessed=True)


def _folder(values: tuple[str, ...]) -> list[_Part]:
    """Return the parts of one folder of all paths: itself, or its tokens where one of them surely says who."""
    columns = _aligned([_TOKENS.findall(value) for value in values]) or []
    if len(columns) > 1 and any(person_rank(set(column), "") == 0 for column in columns):
        return [_Part(column, folder=True) for column in columns]
    return [_Part(values, folder=True)]


def _tokens(stems: Sequence[str]) -> list[_Part]:
    """Return the parts of files' own names: tokens, or where they differ in number, one and the rest."""
    split = [_TOKENS.findall(stem) for stem in stems]
    columns = _aligned(split)
    if columns is None:
        first = [[each[0], each[1], "".join(each[2:])] if len(each) > 2 else each for each in split]
        last = [["".join(each[:-2]), each[-2], each[-1]] if len(each) > 2 else each for each in split]
        columns = _aligned(first) or _aligned(last) or [tuple(stems)]
    parts: list[_Part] = []
    before = ""
    for column in columns:
        parts.append(_Part(column, folder=False, before=before))
        before = column[0] if len(set(column)) == 1 and column[0].isalnum() else before
    return parts


def _aligned(tokens: Sequence[Sequence[str]]) -> list[tuple[str, ...]] | None:
    """Return the tokens of all names side by side, or None where their numbers or separators differ."""
    if len({len(each) for each in tokens}) != 1:
        return None
    columns = list(zip(*tokens, strict=True))
    same = all(len(set(column)) == 1 for column in columns if not all(map(_has_letters, column)))
    return columns if same else None


def _has_letters(token: str) -> bool:
    return any(letter not in "_-. " for letter in token)


def _piece(part: _Part) -> str:
    if part.meaning is not None:
        return f"{{{part.meaning}}}"
    return literal(part.values[0]) if part.constant else "*"


def _letters(part: _Part) -> bool:
    return all(value[0].isalpha() for value in part.values)


def _counted_run(part: _Part, parts: Sequence[_Part]) -> bool:
    """Tell whether the word is only "run", with a number behind it: the run that is recorded."""
    after = [other for other in parts[parts.index(part) + 1 :] if other.free]
    numbered = bool(after) and all(value.isdecimal() for value in after[0].values)
    return part.constant and part.values[0].lower() == "run" and numbered


def _says(pattern: str, names: Sequence[str], expected: dict[str, tuple[str, ...]]) -> bool:
    """Tell whether a pattern gives each name the parts it should have, and no two names the same ones."""
    matches = [compiled(pattern).fullmatch(name) for name in names]
    said = [match.groupdict() for match in matches if match]
    if len(said) < len(names):
        return False
    right = all(each[part] == values[at] for part, values in expected.items() for at, each in enumerate(said))
    if not any("recording" in each for each in said):
        return right  # the whole path names a recording
    return right and len({tuple(each.values()) for each in said}) == len(names)


def _some(values: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(values))
    return ", ".join([*distinct[:3], *(["..."] if len(distinct) > 3 else [])])
