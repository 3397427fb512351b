"""What a draft is made of: a folder, a zip, or one file."""

import zlib
from dataclasses import dataclass
from pathlib import Path

from kinestream.model.config.tabular import format_of
from kinestream.model.datasets.files import FileTree, Stamp, ZipTree, open_tree
from kinestream.model.errors import SourceError


@dataclass
class LoneFile:
    """One file of a folder, as a tree of files.

    Parameters
    ----------
    path : Path
        The folder.
    names : tuple of str
        The file's name, alone.
    """

    path: Path
    names: tuple[str, ...]

    def read(self, name: str) -> bytes:
        """Return the content of the file."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise SourceError(f"{self.path / name}: cannot be read ({error.strerror})") from error

    def stamp(self, name: str) -> Stamp:
        """Return the size and CRC-32 of its content."""
        content = self.read(name)
        return Stamp(len(content), zlib.crc32(content))

    def on_disk(self, name: str) -> Path | None:
        """Return where it lies."""
        return self.path / name

    def unpack(self, name: str) -> ZipTree:
        """Open it as a zip."""
        return ZipTree(self.path / name)


def open_recordings(path: Path) -> FileTree:
    """Open a folder, a zip or a single file of recordings; `SourceError` if it is neither."""
    if path.is_file() and path.suffix.lower() != ".zip":
        if format_of(path.name) is not None:
            return LoneFile(path.parent, (path.name,))
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                raise SourceError(
                    f"{path}: not one CSV, TSV, text, Parquet, NPZ or MAT file, and neither a folder nor a zip of them"
                )
    return open_tree(path)


def source_of(path: Path) -> Path:
    """Return what a description calls its source: of a single file, its folder."""
    return open_recordings(path).path
