"""Writes messages to files of a folder, a new one when the one before is large or old enough."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.datasets.recorded.schemas import LAYOUT, METADATA, PROFILE, SCHEMAS, SUFFIX
from kinestream.model.errors import FileError
from kinestream.model.files import not_written, reason
from kinestream.model.system import own_version
from kinestream.streamer.record.mcapfile import MOST_CHANNELS, McapFile, Schema

CHUNK_BYTES = 1 << 17
"""A chunk ends when it is so large, and whenever it is synced."""

_SCHEMAS = {name: Schema(name, text) for name, text in SCHEMAS.items()}


class RecordingWriter:
    """Writes recordings below a folder.

    Parameters
    ----------
    folder : Path
        Where; it is made.
    most_bytes, most_s : int, float
        How large a file becomes, and how long it is written to, before the next one is begun.
    sync_s : float
        How often all that came is on the disk.
    on_file : callable
        Called with the path of each file that is finished.

    Attributes
    ----------
    files : list of Path
        All that were begun.
    size, messages : int
        What they hold.

    Raises
    ------
    FileError
        From all methods, where the disk is full or the folder cannot be written to: what was written stays.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int,
        most_s: float,
        sync_s: float,
        on_file: Callable[[Path], object] = lambda path: None,
    ) -> None:
        self.files: list[Path] = []
        self._folder = folder
        self._most_bytes, self._most_ns = most_bytes, round(most_s * 1e9)
        self._sync_ns, self._on_file = round(sync_s * 1e9), on_file
        self._about: dict[str, str] = {}
        self._file: McapFile | None = None
        self._finished_bytes = self._finished_messages = 0
        self._began = self._sync_due = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(not_written(folder, error)) from error

    @property
    def size(self) -> int:
        """What all files hold."""
        return self._finished_bytes + (self._file.size if self._file is not None else 0)

    @property
    def messages(self) -> int:
        """How many messages they hold."""
        return self._finished_messages + (self._file.messages if self._file is not None else 0)

    def describe(self, about: Mapping[str, str]) -> None:
        """Write what is to be said of the streamer, into this file and those that follow, if it is new."""
        if about == self._about:
            return
        self._about = dict(about)
        if self._file is not None:
            self._guarded(self._write_about)

    def add(self, topic: str, schema: str, data: bytes, logged: int, published: int, **said: str) -> None:
        """Write a message.

        Parameters
        ----------
        topic, schema : str
            Of its channel; see `kinestream.model.datasets.recorded.schemas`.
        data : bytes
            The message.
        logged, published : int
            When it was received, and when it was published, Unix ns.
        said : str
            What the channel says of itself.
        """
        self._guarded(lambda: self._add(topic, schema, data, logged, published, said))

    def tend(self, now: int) -> None:
        """Sync, and begin another file, where it is time for that on the monotonic clock, ns."""
        self._guarded(lambda: self._tend(now))

    def finish(self) -> None:
        """End the file that is being written."""
        self._guarded(self._finish)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as error:
            file = self._file
            where = self._folder if file is None else file.path
            if file is not None:
                self._give_up(file)
            raise FileError(f"{where}: cannot be written any further ({reason(error)}): make room") from error

    def _give_up(self, file: McapFile) -> None:
        """Finish a file that cannot be written any further; where there is no room even for its index, it has none."""
        self._file = None
        self._finished_bytes += file.size - file.waiting
        self._finished_messages += file.messages
        try:
            file.finish()
        except OSError:
            file.abandon()

    def _add(self, topic: str, schema: str, data: bytes, logged: int, published: int, said: Mapping[str, str]) -> None:
        file = self._file
        if file is None or file.channels >= MOST_CHANNELS:
            self._finish()
            file = self._begin()
        file.add(file.channel(topic, _SCHEMAS[schema], said), data, logged, published)
        if file.waiting >= CHUNK_BYTES:
            file.end_chunk()
            if file.size >= self._most_bytes:
                self._finish()

    def _tend(self, now: int) -> None:
        if self._file is None:
            return
        if self._file.size >= self._most_bytes or now - self._began >= self._most_ns:
            self._finish()
        elif now >= self._sync_due:
            self._sync_due = now + self._sync_ns
            self._file.sync()

    def _begin(self) -> McapFile:
        written = datetime.fromtimestamp(now_ns() / 1e9, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        part = len(self.files) + 1
        path = self._folder / f"{written}-{part:04d}{SUFFIX}"
        while path.exists():  # another recorder writes to the same folder
            path = path.with_name(f"{path.stem}+{SUFFIX}")
        file = self._file = McapFile(path, PROFILE, f"kinestream {own_version()}")
        self.files.append(path)
        _sync_folder(self._folder)
        self._began = monotonic_ns()
        self._sync_due = self._began + self._sync_ns
        self._write_about()
        return file

    def _write_about(self) -> None:
        assert self._file is not None
        always = {"layout": LAYOUT, "version": own_version(), "part": str(len(self.files))}
        self._file.add_metadata(METADATA, {**always, "written": str(now_ns()), **self._about})

    def _finish(self) -> None:
        file = self._file
        if file is None:
            return
        file.finish()
        self._file = None
        self._finished_bytes += file.size
        self._finished_messages += file.messages
        self._on_file(file.path)


def _sync_folder(folder: Path) -> None:
    """Have the disk know of a new file's name; where folders cannot be synced, the system knows when it does."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
