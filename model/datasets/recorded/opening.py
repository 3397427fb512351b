"""Whether somewhere lies what `kinestream record` wrote, and what reads it."""

from pathlib import Path

from kinestream.model.datasets.files import FolderTree, LoneFile
from kinestream.model.datasets.reader import Reader
from kinestream.model.datasets.recorded.schemas import SUFFIX
from kinestream.model.errors import SourceError


def is_recorded(path: Path) -> bool:
    """Tell whether a path is a recording of live streams, or a folder with any."""
    return any(path.glob(f"*{SUFFIX}")) if path.is_dir() else path.suffix.lower() == SUFFIX


def recorded_reader(path: Path, task: str | None) -> Reader:
    """Return what reads such recordings.

    Raises
    ------
    SourceError
        If there is nothing to read, or no such task.
    """
    from kinestream.model.datasets.recorded.reader import RecordedStreams

    reader = RecordedStreams(FolderTree(path) if path.is_dir() else LoneFile(path), str(path))
    if task not in (None, reader.task):
        raise SourceError(f"{path} has no task {task!r}; it has {reader.task}")
    return reader
