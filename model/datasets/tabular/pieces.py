"""Which recordings lie in somebody's own files: by the files' names, and by columns that divide a file."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from model.columnconfig import ColumnSection
from model.datasets.files import FileTree
from model.datasets.tabular.table import Table, ref_of
from model.datasets.tabular.values import texts
from model.errors import SourceError
from model.filepattern import compiled, is_plain
from model.tabularconfig import TabularSection

_NO_STREAM = re.compile(r"[^A-Za-z0-9_.:@+-]+")  # a recording's id is a stream's name when it is replayed


@dataclass(frozen=True)
class Piece:
    """Where one recording lies.

    Parameters
    ----------
    file : str
        Its file.
    person : str
        Who wore the sensors.
    recording : str
        What the file's name or a column calls it, or else the file's path without its ending.
    id : str
        Unique among all.
    label : str or None
        What was done, where the file's name says it.
    split : str or None
        ``train`` or ``test``, where the file's name says it.
    divided : dict of str to str
        What the columns ``person`` and ``recording`` hold in its rows, where they divide the file.
    """

    file: str
    person: str
    recording: str
    id: str
    label: str | None
    split: str | None
    divided: dict[str, str]


def find_pieces(files: FileTree, section: TabularSection, read: Callable[[str], Table]) -> tuple[Piece, ...]:
    """Return where every recording lies, sorted by file; within one, in the order of its rows.

    Parameters
    ----------
    files : FileTree
        Where to look.
    section : TabularSection
        What to look for.
    read : callable
        Reads the columns that divide a file.

    Raises
    ------
    SourceError
        If there is no such file, one is called otherwise than the rest, or two recordings would have one id.
    """
    found = list(matching(files, section.files))
    if not found:
        raise SourceError(
            f"{files.path}: holds no file like {' or '.join(section.files)}{_instead(files)}: set dataset.tabular.files"
        )
    pieces: dict[str, Piece] = {}
    for name, parts in found:
        for piece in _pieces_of(name, parts | _searched(section.regex, name), section, read):
            if other := pieces.get(piece.id):
                raise SourceError(
                    f"{files.path}: {other.file} and {name} both hold a recording {piece.id}: tell them apart with "
                    "{person} or {recording} in dataset.tabular.files"
                )
            pieces[piece.id] = piece
    return tuple(pieces.values())


def matching(files: FileTree, patterns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each file whose path a pattern matches, and what its named parts stand for."""
    expressions = [compiled(pattern) for pattern in patterns]
    for name in files.names:
        for expression in expressions:
            if match := expression.fullmatch(name):
                yield name, match.groupdict()
                break


def _instead(files: FileTree) -> str:
    names = [*files.names[:3], *(["..."] if len(files.names) > 3 else [])]
    return f" (there are {', '.join(names)})" if names else ""


def _searched(regex: str | None, name: str) -> dict[str, str]:
    if regex is None:
        return {}
    match = re.search(regex, name)
    if match is None or None in match.groupdict().values():
        raise SourceError(f"{name}: dataset.tabular.regex does not match it: change it, or leave the file out of files")
    return match.groupdict()


def _pieces_of(
    name: str, parts: dict[str, str], section: TabularSection, read: Callable[[str], Table]
) -> Iterator[Piece]:
    by = dividing(section)
    path = name.removesuffix(PurePosixPath(name).suffix)
    for divided in _divisions(read(name), by) if by else [{}]:
        said = parts | divided
        person = said.get("person") or (section.person.name if section.person else None) or ""
        yield Piece(
            file=name,
            person=person,
            recording=said.get("recording", path),
            id=_id(said, divided, path, alone=all(map(is_plain, section.files))),
            label=said.get("label"),
            split=said.get("split") if said.get("split") in ("train", "test") else None,
            divided=divided,
        )


def _id(said: dict[str, str], divided: dict[str, str], path: str, *, alone: bool) -> str:
    """Return a name made of what file name and columns say; where they do not name the recording, of the path too."""
    person, label, recording = (said.get(part, "") for part in ("person", "label", "recording"))
    if recording:
        # s1_a names s1, as s12 does not; nor does 1 where recordings of all people are counted: 1_1, 1_2, 2_1, 2_2.
        named = person != recording and re.match(re.escape(person) + "(?![A-Za-z0-9])", recording)
        parts = [recording] if named and not label else [person, label, recording]
    else:  # the path says it all, but for what a column says
        parts = [divided.get("person", ""), "" if divided and alone else path]
    return _NO_STREAM.sub("_", "_".join(filter(None, parts)))


def dividing(section: TabularSection) -> dict[str, ColumnSection]:
    """Return the columns that divide a file, by what they say."""
    columns = {"person": section.person, "recording": section.recording}
    return {part: column for part, column in columns.items() if column is not None and column.given}


def _divisions(table: Table, by: dict[str, ColumnSection]) -> list[dict[str, str]]:
    """Return the different values of the columns that divide a file, in the order of its rows."""
    columns = {part: texts(table, ref_of(section)) for part, section in by.items()}
    for part, values in columns.items():
        if values.has_nulls():
            raise table.wrong(values.is_null().arg_true()[0], ref_of(by[part]), f"no {part}")
    rows = dict.fromkeys(zip(*columns.values(), strict=True))
    return [dict(zip(columns, row, strict=True)) for row in rows]
