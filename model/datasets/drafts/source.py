"""What a draft is made of: a folder, a zip, or one file."""

from pathlib import Path

from kinestream.model.config.tabular import format_of
from kinestream.model.datasets.files import FileTree, LoneFile, open_tree
from kinestream.model.errors import SourceError


def open_recordings(path: Path) -> FileTree:
    """Open a folder, a zip or a single file of recordings; `SourceError` if it is neither."""
    if path.is_file() and path.suffix.lower() != ".zip":
        if format_of(path.name) is not None:
            return LoneFile(path)
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                raise SourceError(
                    f"{path}: not one CSV, TSV, text, Parquet, NPZ or MAT file, and neither a folder nor a zip of them"
                )
    return open_tree(path)


def source_of(path: Path) -> Path:
    """Return what a description calls its source: of a single file, its folder."""
    return open_recordings(path).path
