"""Goes through a file in MCAP as `kinestream record` writes it, up to where it ends or was cut off.

A file that is still being written, or that a crash cut off, has no index and may end in the middle of a chunk. Chunks
have checksums: what is in whole ones is right, and is read. So this reads from the beginning and needs no index.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kinestream.model.datasets.recorded.schemas import PROFILE
from kinestream.model.errors import SourceError

MAGIC = b"\x89MCAP0\r\n"

_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = range(1, 7)
_METADATA, _DATA_END = 0x0C, 0x0F
_HEAD = struct.Struct("<BQ")
_CHUNK_HEAD = struct.Struct("<QQQI")
_MESSAGE_HEAD = struct.Struct("<HIQQ")


class McapMessage(NamedTuple):
    """A message.

    Attributes
    ----------
    topic, schema : str
        What it is called, and what it holds.
    offset, length : int
        Where in the file it lies.
    logged : int
        When it was received, Unix ns.
    """

    topic: str
    schema: str
    offset: int
    length: int
    logged: int


@dataclass
class McapScan:
    """What is known of a file once it has been gone through.

    Attributes
    ----------
    metadata : dict of dict of str by str
        What is said of the whole, by the name of the record; of several of one name, the last.
    cut : int or None
        Up to which byte it could be read, where it does not end as it should.
    """

    metadata: dict[str, dict[str, str]] = field(default_factory=dict)
    cut: int | None = None
    _schemas: dict[int, str] = field(default_factory=dict)
    _channels: dict[int, tuple[str, str]] = field(default_factory=dict)

    def messages(self, data: memoryview, label: str) -> Iterator[McapMessage]:
        """Yield the messages of a file in the order in which they were written.

        Parameters
        ----------
        data : memoryview
            The file.
        label : str
            What it is called.

        Raises
        ------
        SourceError
            Where it is no MCAP, or another program's.
        """
        head = bytes(data[: len(MAGIC)])
        if head != MAGIC and MAGIC.startswith(head):
            self.cut = 0  # nothing was written yet
            return
        if head != MAGIC:
            raise SourceError(f"{label}: no MCAP file: it does not begin as one")
        at = len(MAGIC)
        while True:
            record = _record(data, at, len(data))
            if record is None:
                self.cut = at
                return
            opcode, begin, end = record
            try:
                if opcode in (_DATA_END, _FOOTER):
                    return
                if opcode == _CHUNK:
                    begin = self._chunk(data, begin, end, label)
                    yield from self._of_chunk(data, begin, end)
                else:
                    message = self._take(data, opcode, begin, end, label)
                    if message is not None:
                        yield message
            except _Damaged:
                self.cut = at
                return
            at = end

    @staticmethod
    def _chunk(data: memoryview, begin: int, end: int, label: str) -> int:
        """Check a chunk; return where its records begin."""
        if end - begin < _CHUNK_HEAD.size:
            raise _Damaged
        *_, size, crc = _CHUNK_HEAD.unpack_from(data, begin)
        compression, at = _text(data, begin + _CHUNK_HEAD.size, end)
        if compression:
            raise SourceError(
                f"{label}: its chunks are compressed ({compression}), which kinestream does not do: unpack it with "
                "'mcap compress --compression none'"
            )
        (length,) = _unpack("<Q", data, at, end)
        at += 8
        if length != size or at + length != end or (crc and zlib.crc32(data[at:end]) != crc):
            raise _Damaged
        return at

    def _of_chunk(self, data: memoryview, at: int, end: int) -> Iterator[McapMessage]:
        while at < end:
            record = _record(data, at, end)
            if record is None:
                raise _Damaged
            message = self._take(data, *record, "")
            if message is not None:
                yield message
            at = record[2]

    def _take(self, data: memoryview, opcode: int, begin: int, end: int, label: str) -> McapMessage | None:
        if opcode == _MESSAGE:
            if end - begin < _MESSAGE_HEAD.size:
                raise _Damaged
            channel, _, logged, _ = _MESSAGE_HEAD.unpack_from(data, begin)
            known = self._channels.get(channel)
            if known is None:
                return None
            begin += _MESSAGE_HEAD.size
            return McapMessage(*known, begin, end - begin, logged)
        if opcode == _SCHEMA:
            (number,) = _unpack("<H", data, begin, end)
            self._schemas[number] = _text(data, begin + 2, end)[0]
        elif opcode == _CHANNEL:
            channel, schema = _unpack("<HH", data, begin, end)
            topic, _ = _text(data, begin + 4, end)
            self._channels[channel] = topic, self._schemas.get(schema, "")
        elif opcode == _METADATA:
            name, at = _text(data, begin, end)
            self.metadata[name] = _map(data, at, end)
        elif opcode == _HEADER:
            profile, _ = _text(data, begin, end)
            if profile != PROFILE:
                raise SourceError(f"{label}: an MCAP file of another program (profile {profile!r}): it is not known")
        return None


class _Damaged(Exception):
    """A file that cannot be read any further."""


def _record(data: memoryview, at: int, limit: int) -> tuple[int, int, int] | None:
    """Return opcode, begin and end of the record at a place; None where it is not whole."""
    if at + _HEAD.size > limit:
        return None
    opcode, length = _HEAD.unpack_from(data, at)
    begin = at + _HEAD.size
    return None if begin + length > limit else (opcode, begin, begin + length)


def _unpack(what: str, data: memoryview, at: int, end: int) -> tuple[int, ...]:
    if at + struct.calcsize(what) > end:
        raise _Damaged
    return struct.unpack_from(what, data, at)


def _text(data: memoryview, at: int, end: int) -> tuple[str, int]:
    """Return a text, and where it ends."""
    (length,) = _unpack("<I", data, at, end)
    over = at + 4 + length
    if over > end:
        raise _Damaged
    try:
        return str(data[at + 4 : over], "utf-8"), over
    except UnicodeDecodeError:
        raise _Damaged from None


def _map(data: memoryview, at: int, end: int) -> dict[str, str]:
    (length,) = _unpack("<I", data, at, end)
    at += 4
    over, found = min(at + length, end), {}
    while at < over:
        name, at = _text(data, at, over)
        found[name], at = _text(data, at, over)
    return found
