"""Which recordings lie in somebody's own files: by the files' names, and by columns that divide a file."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from kinestream.model.config.column import ColumnSection
from kinestream.model.config.export import ExportSection
from kinestream.model.config.pattern import compiled, is_plain
from kinestream.model.config.tabular import TabularSection
from kinestream.model.datasets.tabular.table import Table, ref_of
from kinestream.model.datasets.tabular.values import texts
from kinestream.model.errors import SourceError

_NO_STREAM = re.compile(r"[^A-Za-z0-9_.:@+-]+")  # a recording's id is a stream's name when it is replayed


class Named(Protocol):
    """What is named below one path, of which each may be a recording: files, or zips and folders of files."""

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """Where one recording lies.

    Parameters
    ----------
    file : str
        Its file, or the first of them.
    person : str
        Who wore the sensors; empty where the file cannot be read that would say so.
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
    parts : tuple of str
        What the names of its files say they are parts of, in their order; empty where there is one file.
    more : tuple of str
        The files after the first.
    unreadable : SourceError or None
        Why it cannot be told which recordings lie in the file.
    """

    file: str
    person: str
    recording: str
    id: str
    label: str | None
    split: str | None
    divided: dict[str, str]
    parts: tuple[str, ...] = ()
    more: tuple[str, ...] = ()
    unreadable: SourceError | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """All its files, in the order of their rows."""
        return self.file, *self.more


def find_pieces(
    files: Named,
    section: TabularSection | ExportSection,
    read: Callable[[str], Table] | None = None,
    unreadable: Callable[[SourceError], None] | None = None,
) -> tuple[Piece, ...]:
    """Return where every recording lies, sorted by file; within one, in the order of its rows.

    Parameters
    ----------
    files : Named
        Where to look.
    section : TabularSection or ExportSection
        What to look for.
    read : callable, optional
        Reads the columns that divide a file, where any do.
    unreadable : callable, optional
        Is told of a file whose columns cannot be read while others' can; without it, that is raised.

    Raises
    ------
    SourceError
        If there is no such file, one is called otherwise than the rest, or two recordings would have one id.
    """
    found = list(matching(files, section.files))
    if not found:
        raise SourceError(
            f"{files.path}: holds no file like {' or '.join(section.files)}{_instead(files)}: set {_key(section)}.files"
        )
    pieces: dict[str, Piece] = {}
    for name, parts in found:
        said = parts | _searched(section, name)
        try:
            ours = list(_pieces_of(name, said, section, read))
        except SourceError as error:
            if unreadable is None or not dividing(section):
                raise
            ours = [_closed(name, said, section, error)]
        for piece in ours:
            other = pieces.get(piece.id)
            if other is not None and (not piece.parts or piece.parts[0] in other.parts or other.split != piece.split):
                raise SourceError(
                    f"{files.path}: {other.file} and {name} both hold a recording {piece.id}: tell them apart with "
                    f"{{person}} or {{recording}} in {_key(section)}.files"
                )
            pieces[piece.id] = piece if other is None else _continued(other, piece)
    closed = [piece.unreadable for piece in pieces.values() if piece.unreadable is not None]
    if closed and len(closed) == len(pieces):
        raise closed[0]
    if unreadable is not None:
        for each in closed:
            unreadable(each)
    in_order = tuple(_in_order(piece) for piece in pieces.values())
    if isinstance(section, TabularSection) and section.time is None:
        for piece in in_order:
            _check_consecutive(piece)
    return in_order


def _key(section: TabularSection | ExportSection) -> str:
    return "dataset.tabular" if isinstance(section, TabularSection) else "dataset.export"


def _closed(name: str, said: dict[str, str], section: TabularSection | ExportSection, error: SourceError) -> Piece:
    """Return what stands for a file that cannot be opened."""
    path = name.removesuffix(PurePosixPath(name).suffix)
    person = said.get("person") or (section.person.name if section.person else None) or ""
    recording_id = _id({}, {}, path, alone=False)
    return Piece(name, person, path, recording_id, said.get("label"), _split(said), {}, unreadable=error)


def _continued(piece: Piece, other: Piece) -> Piece:
    return replace(piece, parts=piece.parts + other.parts, more=(*piece.more, other.file))


def _in_order(piece: Piece) -> Piece:
    """Return a recording with its files in the order of their parts, 9 before 10."""
    if len(piece.parts) < 2:
        return piece
    pairs = sorted(zip(piece.parts, piece.files, strict=True), key=lambda pair: _natural(pair[0]))
    parts, files = zip(*pairs, strict=True)
    return replace(piece, parts=parts, file=files[0], more=files[1:])


def _natural(part: str) -> list[tuple[int, str]]:
    """Return what parts are sorted by: digits count as the numbers they are."""
    return [(int(each), "") if each.isdecimal() else (0, each) for each in re.split(r"(\d+)", part)]


def _check_consecutive(piece: Piece) -> None:
    """Make sure that no part is missing, whose rows those of the next would seem to be without times."""
    if not all(part.isdecimal() for part in piece.parts):
        return
    for above, below, name in zip(piece.parts, piece.parts[1:], piece.more, strict=False):
        if int(below) != int(above) + 1:
            raise SourceError(
                f"{name}: part {below} of recording {piece.id} does not follow part {above}: add the part that is "
                "missing, give dataset.tabular.time, or name the files {recording} instead of {part}"
            )


def matching(files: Named, patterns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each file whose path a pattern matches, and what its named parts stand for."""
    expressions = [compiled(pattern) for pattern in patterns]
    for name in files.names:
        for expression in expressions:
            if match := expression.fullmatch(name):
                yield name, match.groupdict()
                break


def _instead(files: Named) -> str:
    names = [*files.names[:3], *(["..."] if len(files.names) > 3 else [])]
    return f" (there are {', '.join(names)})" if names else ""


def _searched(section: TabularSection | ExportSection, name: str) -> dict[str, str]:
    if section.regex is None:
        return {}
    match = re.search(section.regex, name)
    if match is None or None in match.groupdict().values():
        key = f"{_key(section)}.regex"
        raise SourceError(f"{name}: {key} does not match it: change it, or leave the file out of files")
    return match.groupdict()


def _pieces_of(
    name: str, parts: dict[str, str], section: TabularSection | ExportSection, read: Callable[[str], Table] | None
) -> Iterator[Piece]:
    by = dividing(section)
    whole = _without_part(name, section)
    path = whole.removesuffix(PurePosixPath(whole).suffix)
    for divided in _divisions(read(name), by) if by and read else [{}]:
        said = parts | divided
        person = said.get("person") or (section.person.name if section.person else None) or ""
        yield Piece(
            file=name,
            person=person,
            recording=said.get("recording", path),
            id=_id(said, divided, path, alone=all(map(is_plain, section.files))),
            label=said.get("label"),
            split=_split(said),
            divided=divided,
            parts=(said["part"],) if "part" in said else (),
        )


def _split(said: dict[str, str]) -> str | None:
    return said.get("split") if said.get("split") in ("train", "test") else None


def _without_part(name: str, section: TabularSection | ExportSection) -> str:
    """Return a file's path without what names the part, and without what separated it from the rest."""
    matches = [compiled(pattern).fullmatch(name) for pattern in section.files]
    matches += [re.search(section.regex, name)] if section.regex is not None else []
    for match in matches:
        if match and "part" in match.groupdict():
            before, after = name[: match.start("part")], name[match.end("part") :]
            left, right = before.rstrip("-_. "), after.lstrip("-_ ")
            if left[-1:] in ("", "/"):
                return left + right.removeprefix("/")
            between = before[len(left) :] + after[: len(after) - len(right)]
            return left + ("" if right[:1] in ("", "/", ".") else between[:1]) + right
    return name


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


def dividing(section: TabularSection | ExportSection) -> dict[str, ColumnSection]:
    """Return the columns that divide a file, by what they say."""
    if isinstance(section, ExportSection):
        return {}
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
