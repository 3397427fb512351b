"""Sorts the files of a folder by their kind: those with the same columns, laid out alike, belong together."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from kinestream.model.config.tabular import format_of
from kinestream.model.datasets.drafts.sniff import Column, Layout, sniff
from kinestream.model.datasets.files import FileTree
from kinestream.model.errors import SourceError

_MOST_NAMED = 6
"""Columns of a file that are named."""


@dataclass(frozen=True)
class Shape:
    """What files of one kind have in common.

    Parameters
    ----------
    ending : str
        Of their names.
    layout : Layout
        Of the first.
    header : tuple of str
        Names of their columns.
    files : tuple of str
        Which they are.
    rows : int
        In all of them.
    longest : (int, str)
        The most rows in one of them, and which.
    """

    ending: str
    layout: Layout
    header: tuple[str, ...]
    files: tuple[str, ...]
    rows: int
    longest: tuple[int, str] = (0, "")

    @property
    def decimal(self) -> str:
        """What stands before the fraction of their numbers."""
        return str(self.layout.text.get("decimal", "."))


def find_shapes(tree: FileTree, without: Mapping[str, str]) -> tuple[list[Shape], dict[str, str]]:
    """Return the kinds of tables in a tree, that with most rows first, and what is wrong with damaged files.

    Parameters
    ----------
    tree : FileTree
        Where to look.
    without : mapping of str to str
        Files that are known to be damaged, and how.
    """
    found: dict[tuple[Any, ...], Shape] = {}
    damaged = dict(without)
    for name in tree.names:
        if format_of(name) is None or name in damaged:
            continue
        try:
            sniffed = sniff(tree.read(name), name)
        except SourceError as error:
            damaged[name] = str(error)
            continue
        if sniffed is None:
            continue
        layout, columns = sniffed
        header, rows = tuple(column.name for column in columns), len(columns[0].values)
        ending = PurePosixPath(name).suffix
        key = (ending, header, json.dumps(layout.of_all))
        seen = found.get(key, Shape(ending, layout, header, (), 0))
        both = replace(seen.layout, text=seen.layout.text | layout.text)
        found[key] = replace(
            seen,
            layout=both,
            files=(*seen.files, name),
            rows=seen.rows + rows,
            longest=max(seen.longest, (rows, name), key=lambda each: each[0]),
        )
    return sorted(found.values(), key=lambda shape: shape.rows, reverse=True), damaged


def columns_of(tree: FileTree, name: str) -> list[Column]:
    """Return the columns of a file, none where it is no table; `SourceError` if it is damaged."""
    sniffed = sniff(tree.read(name), name)
    return sniffed[1] if sniffed else []


def left_out(tree: FileTree, sensors: Collection[str], tables: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return why each file of a tree is left out, should it be.

    Parameters
    ----------
    tree : FileTree
        Where the recordings lie.
    sensors : collection of str
        The files with the columns of recordings, of which those of one sensor are taken.
    tables : mapping of str to sequence of str
        The other tables, each with the names of its columns.
    """

    def why(name: str) -> str:
        if name in sensors:
            return "another sensor's, and a table is one sensor's: describe them as dataset.export with format: csv"
        if name in tables:
            return f"other columns than the recordings' or another layout; its columns are {_some(tables[name])}"
        return "empty or no table" if format_of(name) is not None else "no kind of file that holds recordings"

    return {name: why(name) for name in tree.names}


def _some(columns: Sequence[str]) -> str:
    more = f" and {len(columns) - _MOST_NAMED} more" if len(columns) > _MOST_NAMED else ""
    return ", ".join(columns[:_MOST_NAMED]) + more
