"""Finds what in a source may be one export each: a zip, a folder of tables, an XDF file."""

from pathlib import Path, PurePosixPath

from kinestream.model.datasets.files import FileTree, LoneFile, Stamp, Subtree, ZipTree, open_tree
from kinestream.model.errors import SourceError

XDF = (".xdf", ".xdfz", ".xdf.gz")
_BESIDE = "meta/"
"""Where phyphox puts what tells of its tables."""


class Containers:
    """The exports that may lie below a path, named from there; a path that is one itself is called by its own name.

    Parameters
    ----------
    path : Path
        A folder, a zip or an XDF file.

    Raises
    ------
    SourceError
        If it is none of these, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree: FileTree = LoneFile(path) if path.is_file() and is_xdf(path.name) else open_tree(path)
        self._own = path.resolve().name
        names = {name for name in self.tree.names if is_xdf(name) or name.lower().endswith(".zip")}
        self._folders = {self._folder_of(name) for name in self.tree.names if name.lower().endswith(".csv")} - {None}
        self.names: tuple[str, ...] = tuple(
            sorted(names | {folder or self._own for folder in self._folders if folder is not None})
        )

    def open(self, name: str) -> FileTree:
        """Return the files of an export, named from the folder in which its tables lie."""
        if name in self._folders or self._is_top(name):
            return self._folder(name)
        if is_xdf(name):
            return OneOf(self.tree, name)
        return _innermost(self.tree.unpack(name))

    def files_of(self, name: str) -> tuple[str, ...]:
        """Return the files of the source's tree that an export is made of."""
        if name not in self._folders and not self._is_top(name):
            return (name,)
        prefix = "" if self._is_top(name) else f"{name}/"
        return tuple(prefix + each for each in self._folder(name).names)

    def _is_top(self, name: str) -> bool:
        return name == self._own and "" in self._folders and name not in self.tree.names

    def _folder(self, name: str) -> FileTree:
        folder = Subtree(self.tree, "" if self._is_top(name) else f"{name}/")
        folder.names = tuple(
            each for each in folder.names if "/" not in each.removeprefix(_BESIDE) and not is_xdf(each)
        )
        return folder

    @staticmethod
    def _folder_of(name: str) -> str | None:
        """Return the folder of a table, or None for one that only tells of others."""
        folder = name.rpartition("/")[0]
        return None if f"/{folder}/".endswith(f"/{_BESIDE}") else folder


class OneOf:
    """One file of a tree, as a tree of files.

    Parameters
    ----------
    tree : FileTree
        All files.
    name : str
        Which.
    """

    def __init__(self, tree: FileTree, name: str) -> None:
        self.path = tree.path
        self.names: tuple[str, ...] = (name,)
        self._tree = tree

    def read(self, name: str) -> bytes:
        """Return the content of the file."""
        return self._tree.read(name)

    def stamp(self, name: str) -> Stamp:
        """Return its size and CRC-32."""
        return self._tree.stamp(name)

    def on_disk(self, name: str) -> Path | None:
        """Return where it lies by itself on the disk, or None if it is packed."""
        return self._tree.on_disk(name)

    def unpack(self, name: str) -> ZipTree:
        """Open it, where it is a zip."""
        return self._tree.unpack(name)


def is_xdf(name: str) -> bool:
    """Tell whether a file is meant to be in XDF, by the end of its name."""
    return name.lower().endswith(XDF)


def _innermost(tree: FileTree) -> FileTree:
    """Return the files of a zip from the folder on in which its tables lie."""
    tables = [PurePosixPath(name) for name in tree.names if name.lower().endswith(".csv")]
    folders = {str(name.parent) for name in tables} - {
        str(name.parent) for name in tables if name.parent.name == "meta"
    }
    if len(folders) > 1:
        raise SourceError(f"{tree.path}: holds several folders of tables: unpack it, and name the folder")
    top = next(iter(folders), ".")
    return tree if top == "." else Subtree(tree, f"{top}/")
