"""A folder that keeps what is not acknowledged yet, for senders that may be started anew, as on gateways that reboot.

A message is written before it is sent, so that what was sent is there whenever the process may die; it is synced to the
disk once a second, so that a power cut costs a second at most. `kinestream.streamer.client.spoollog` says how the files
look.

Messages may stand in the files in any order, and twice: they are numbered. Where a number is missing, those of its key
before it were acknowledged. So where a few old messages hold up files that are otherwise of no use, they are written
once more, at the end: the folder takes twice what is kept at most, and 6 MB.

It holds what the sensors said, and keys by which messages are known: nobody but its owner may read it.
"""

from collections import deque
from pathlib import Path
from typing import NamedTuple

from kinestream.model.errors import ConfigError
from kinestream.streamer.client.spoollog import LogFile, SpoolError, SpoolLog
from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import Description, MalformedMessage

_FILE_BYTES = 1 << 20
_DESCRIBED = 4  # times what describes all keys, which each file may have to hold
_SPARE_BYTES = 4 << 20  # of no use any more, before what is kept is written once more
_SPARE_FILES = 16


class LeftOver(NamedTuple):
    """What a sender before this one kept of a key."""

    about: Description
    description: bytes
    outbox: Outbox


class _Used(NamedTuple):
    """What is kept of a key, and which file each of its messages stands in; keys are counted as they are opened."""

    at: int
    description: bytes
    outbox: Outbox
    files: deque[LogFile]


class Spool:
    """What outboxes keep, in a folder.

    Parameters
    ----------
    path : str or Path
        The folder; made where there is none.

    Attributes
    ----------
    left_over : list of LeftOver
        What it held when it was opened, in the order in which it was sent.

    Raises
    ------
    ConfigError
        If it is something else, or another process has it open.
    """

    def __init__(self, path: str | Path) -> None:
        self._used: dict[int, _Used] = {}
        self._bytes = self._described = self._opened = 0
        self._log = SpoolLog(Path(path))
        try:
            self._read()
            self.left_over = [
                LeftOver(_described(path, used.description), used.description, _copied(used.outbox))
                for used in self._used.values()
            ]
        except ConfigError:
            self._log.release()
            raise
        self._log.drop_unused()

    def open(self, key: int, about: Description, description: bytes, first: int) -> None:
        """Note a key, before its first message, with which it is written."""
        self._opened += 1
        self._use(key, self._opened, description, first)

    def add(self, key: int, number: int, message: bytes, end: int) -> None:
        """Note a message, before it is sent.

        Raises
        ------
        SpoolError
            If there is no room for it; then it is not there.
        """
        self._log.sync_if_due()
        file = self._write(key, number, message, end)
        used, before = self._used[key], self._used[key].outbox.bytes
        used.outbox.add(message, end)
        used.files.append(file)
        self._bytes += used.outbox.bytes - before

    def forget(self, key: int, oldest: int) -> None:
        """Note that messages before `oldest` are kept no longer."""
        used = self._used.get(key)
        if used is None or oldest <= used.outbox.oldest:
            return
        self._log.forget(key, oldest)
        before, is_unused = used.outbox.bytes, False
        while used.outbox.oldest < oldest and used.outbox.drop_oldest():
            file = used.files.popleft()
            file.kept -= 1
            is_unused |= not file.kept
        self._bytes -= before - used.outbox.bytes
        if is_unused:
            self._log.drop_unused()
        self._save_room()

    def remove(self, key: int) -> None:
        """Note that nothing more comes of a key, all of which was acknowledged."""
        used = self._used.get(key)
        if used is not None:
            self.forget(key, used.outbox.next)
            self._described -= len(used.description)
            del self._used[key]

    def close(self) -> None:
        """Leave what is still kept in it, and nothing else, and close it."""
        self._log.close()

    def _read(self) -> None:
        descriptions: dict[int, tuple[int, bytes]] = {}
        forgotten: dict[int, int] = {}
        added: dict[int, dict[int, tuple[LogFile, int, bytes]]] = {}
        for file, (kind, key, number, *more) in self._log.read():
            if kind == "open":
                descriptions.setdefault(key, (more[1] if len(more) > 1 else 0, more[0]))
            elif kind == "forget":
                forgotten[key] = max(forgotten.get(key, 0), number)
            elif key in descriptions:
                added.setdefault(key, {})[number] = (file, more[0], more[1])
        # The first record of a key may stand behind those of a later one, where its messages were written once more.
        for key in sorted(added, key=lambda each: descriptions[each][0]):
            messages, (at, description) = added[key], descriptions[key]
            self._opened = max(self._opened, at)
            first = end = max(messages) + 1
            while first - 1 in messages and first > forgotten.get(key, 0):
                first -= 1
            if first == end:
                continue
            used = self._use(key, at, description, first)
            for number in range(first, end):
                file, past, message = messages[number]
                used.outbox.add(message, past)
                used.files.append(file)
                file.kept += 1
            self._bytes += used.outbox.bytes

    def _use(self, key: int, at: int, description: bytes, first: int) -> _Used:
        self._described += len(description)
        used = self._used[key] = _Used(at, description, Outbox(key, first), deque())
        return used

    def _write(self, key: int, number: int, message: bytes, end: int) -> LogFile:
        most = max(_FILE_BYTES, _DESCRIBED * self._described)
        used = self._used[key]
        return self._log.add(key, number, end, message, used.description, used.at, most)

    def _save_room(self) -> None:
        """Where too much is of no use, write once more what is kept among it."""
        log, most = self._log, 2 * self._bytes
        while log.size > most + _SPARE_BYTES or len(log.files) > most // _FILE_BYTES + _SPARE_FILES:
            file = log.wasteful()
            if file is None:
                return
            try:
                self._write_again(file)
            except SpoolError:  # there is no room: what is there stays
                return
            log.drop_unused()

    def _write_again(self, file: LogFile) -> None:
        for key, used in self._used.items():
            for at, (where, kept) in enumerate(zip(tuple(used.files), used.outbox.kept, strict=True)):
                if where is file:
                    used.files[at] = self._write(key, used.outbox.oldest + at, kept.message, kept.end)
                    file.kept -= 1


def _described(path: str | Path, description: bytes) -> Description:
    try:
        about = decode(description)
    except MalformedMessage:
        about = None
    if not isinstance(about, Description):
        raise ConfigError(f"spool {path}", ["a description in it cannot be read: it is of another version; remove it"])
    return about


def _copied(outbox: Outbox) -> Outbox:
    """Return an outbox that keeps the same, of which nothing is sent."""
    copy = Outbox(outbox.key, outbox.oldest, is_left_over=True)
    for kept in outbox.kept:
        copy.add(*kept)
    return copy
