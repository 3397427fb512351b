"""The files of a spool: records are written at the end, and a file goes as soon as nothing in it is kept.

Each file is a mark, then records, each with its length and checksum::

    u32 length, u32 CRC-32 of what follows, msgpack list
        ["open", key, number, description, at]  a key, before its first message in each file; `at` counts keys
        ["add", key, number, end, message]      a message
        ["forget", key, number]                 those before it are kept no longer

What was written by halves when a process died is passed over: the next begins another file. To remove a file takes no
room: so a disk that the log has filled itself has room again once messages are acknowledged.
"""

import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Any

import msgpack

from kinestream.model.errors import ConfigError, EndpointError
from kinestream.model.system import lock
from kinestream.streamer.wire.messages import MAX_BYTES

MARK = b"kinestream spool 2\n"
_RECORD = Struct("<II")
_MOST_RECORD = MAX_BYTES + 128
_SYNC_EVERY_S = 1.0
_LOCK = "lock"
_NAME = re.compile(r"(\d{8,12})\.log")
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class SpoolError(EndpointError):
    """What is to be sent cannot be written to the spool."""


@dataclass(eq=False)
class LogFile:
    """One file.

    Attributes
    ----------
    number, path, size : int, Path, int
        Files count up in the order in which they were begun.
    added, kept : int
        Messages that were written to it, and those of them that are not acknowledged yet.
    keys : set of int
        Keys of which it has messages.
    forgotten : dict of int by int
        How far it says that keys were acknowledged.
    """

    number: int
    path: Path
    size: int
    added: int = 0
    kept: int = 0
    keys: set[int] = field(default_factory=set)
    forgotten: dict[int, int] = field(default_factory=dict)

    def note(self, kind: str, key: int, number: int) -> None:
        """Note a record that it has."""
        if kind == "add":
            self.added += 1
            self.keys.add(key)
        elif kind == "forget":
            self.forgotten[key] = max(self.forgotten.get(key, 0), number)


class SpoolLog:
    """A folder of such files, for one process at a time.

    Parameters
    ----------
    path : Path
        The folder; made where there is none.

    Attributes
    ----------
    files : list of LogFile
        In their order; the last may be the one that is written to.

    Raises
    ------
    ConfigError
        If it is something else, or another process has it open.
    """

    def __init__(self, path: Path) -> None:
        self.files: list[LogFile] = []
        self._path = path
        self._descriptor = -1  # of the file that is written to
        self._next = 1
        self._synced_at = time.monotonic()
        try:
            self._lock = self._locked()
        except OSError as error:
            raise ConfigError(f"spool {path}", [f"{(error.strerror or str(error)).lower()}"]) from None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def read(self) -> Iterator[tuple[LogFile, list[Any]]]:
        """Yield every record that is whole, and the file that has it; to be read to the end before any is written.

        Raises
        ------
        ConfigError
            If a file is none of a spool.
        """
        named = ((_NAME.fullmatch(path.name), path) for path in self._path.iterdir())
        for number, path in sorted((int(found[1]), path) for found, path in named if found):
            try:
                content = path.read_bytes()
            except OSError as error:
                raise ConfigError(f"spool {path}", [f"{(error.strerror or str(error)).lower()}"]) from None
            if not content.startswith(MARK[: len(content)]):
                raise ConfigError(f"spool {path}", ["this file is of no spool: give another folder, or remove it"])
            file = LogFile(number, path, len(content))
            self.files.append(file)
            self._next = number + 1
            for record in _records(content[len(MARK) :]):
                file.note(*record[:3])
                yield file, record

    def add(self, key: int, number: int, end: int, message: bytes, description: bytes, at: int, most: int) -> LogFile:
        """Write a message, and what its key is where the file does not know it; return the file.

        It is a new one where the other would grow past `most` bytes.

        Raises
        ------
        SpoolError
            If there is no room.
        """
        record, opening = _record("add", key, number, end, message), _record("open", key, number, description, at)

        def write() -> None:
            if self._descriptor < 0 or self.files[-1].size + len(opening) + len(record) > most:
                self._begin()
            self._append(record if key in self.files[-1].keys else opening + record)

        self._try(write)
        self.files[-1].note("add", key, number)
        self.files[-1].kept += 1
        return self.files[-1]

    def forget(self, key: int, number: int) -> None:
        """Write how far a key was acknowledged; without room it is delivered once more, should it come to that."""

        def write() -> None:
            if self._descriptor < 0:
                self._begin()
            self._append(_record("forget", key, number))

        with suppress(SpoolError):
            self._try(write)
            self.files[-1].note("forget", key, number)

    def drop_unused(self) -> None:
        """Remove the files of which nothing is kept, but that which is written to."""
        for file in [each for each in self.files if not each.kept and not self._is_current(each)]:
            older = set().union(*(each.keys for each in self.files if each.number < file.number))
            self._drop(file)
            for key in file.forgotten.keys() & older:  # it says what has become of what they hold
                self.forget(key, file.forgotten[key])

    def wasteful(self) -> LogFile | None:
        """Return the oldest file of whose messages most are kept no longer, None where there is none."""
        return next((each for each in self.files if 2 * each.kept < each.added and not self._is_current(each)), None)

    def sync_if_due(self) -> None:
        """Have what was written on the disk, once a second.

        Raises
        ------
        SpoolError
            If it does not get there.
        """
        now = time.monotonic()
        if self._descriptor >= 0 and now - self._synced_at >= _SYNC_EVERY_S:
            self._synced_at = now
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                raise self._failed(error) from None

    def close(self) -> None:
        """Close it, without the files of which nothing is kept."""
        with suppress(OSError):
            self._end()
        self.drop_unused()
        with suppress(OSError):
            self._end()
        self.release()

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    def _locked(self) -> int:
        """Return a file that nobody else has locked; it stands for the folder."""
        problem = f"spool {self._path}"
        if self._path.exists() and not self._path.is_dir():
            raise ConfigError(problem, ["this is no folder: give another"])
        self._path.mkdir(mode=0o700, exist_ok=True)
        if any(each.name != _LOCK and not _NAME.fullmatch(each.name) for each in self._path.iterdir()):
            raise ConfigError(problem, ["other things are in this folder: give one of its own"])
        file = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not lock(file):
            os.close(file)
            raise ConfigError(problem, ["another process has it open: give each its own"])
        return file

    def _try(self, write: Callable[[], None]) -> None:
        """Write; where there is no room, make some, and try once more."""
        try:
            write()
        except OSError as error:
            if not self._make_room():
                raise self._failed(error) from None
            try:
                write()
            except OSError as again:
                raise self._failed(again) from None

    def _failed(self, error: OSError) -> SpoolError:
        reason = (error.strerror or str(error)).lower()
        return SpoolError(f"spool {self._path}: {reason}: what is sent cannot be kept")

    def _make_room(self) -> bool:
        """Remove all of which nothing is kept; tell whether there was any."""
        before = self.size
        last = self.files[-1] if self._descriptor >= 0 else None
        if last is not None and not last.kept and last.size > len(MARK):
            self._cut(len(MARK))
            self.files[-1] = LogFile(last.number, last.path, len(MARK))
        for file in [each for each in self.files if not each.kept and not self._is_current(each)]:
            self._drop(file)
        return self.size < before

    def _append(self, content: bytes) -> None:
        file = self.files[-1]
        try:
            if os.write(self._descriptor, content) != len(content):
                raise OSError(28, "no space left on device")
        except OSError:
            self._cut(file.size)
            raise
        file.size += len(content)

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    def _begin(self) -> None:
        self._end()
        path = self._path / f"{self._next:08d}.log"
        descriptor = os.open(path, _NEW, 0o600)
        if _written(descriptor, MARK) != len(MARK):
            os.close(descriptor)
            path.unlink()
            raise OSError(28, "no space left on device")
        self._descriptor = descriptor
        self.files.append(LogFile(self._next, path, len(MARK)))
        self._next += 1
        _sync_folder(self._path)

    def _end(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _drop(self, file: LogFile) -> None:
        with suppress(OSError):
            file.path.unlink()
        self.files.remove(file)

    def _is_current(self, file: LogFile) -> bool:
        return self._descriptor >= 0 and file is self.files[-1]


def _written(descriptor: int, content: bytes) -> int:
    try:
        return os.write(descriptor, content)
    except OSError:
        return 0


def _sync_folder(path: Path) -> None:
    """Have the name of a new file on the disk, where the system can do that."""
    with suppress(OSError):
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _record(*content: Any) -> bytes:
    body: bytes = msgpack.packb(content)
    return _RECORD.pack(len(body), zlib.crc32(body)) + body


def _records(content: bytes) -> Iterator[list[Any]]:
    """Yield the records that are whole."""
    at = 0
    while at + _RECORD.size <= len(content):
        length, checksum = _RECORD.unpack_from(content, at)
        body = content[at + _RECORD.size : at + _RECORD.size + length]
        if length > _MOST_RECORD or len(body) != length or zlib.crc32(body) != checksum:
            return
        at += _RECORD.size + length
        yield msgpack.unpackb(body)
