"""Writes a file in MCAP, so that whatever happens to the writer, what was synced before can be read.

MCAP (https://mcap.dev/spec) is a sequence of records. Messages lie in chunks, each with a checksum of its own; behind
them an index may follow, and a footer. A file that ends without those is one that was cut off: what is in its whole
chunks can be read all the same.

The package `mcap` has a writer, too. This one exists because a recorder decides when a chunk ends, by time and by size,
and when it is on the disk; and because where the disk is full, half a chunk is taken back again, so that the file ends
behind a whole one. The tests read with `mcap` what this has written, checksums and index included.

Chunks are not compressed: float32 of sensors hardly gets smaller, and whoever reads a file needs nothing else.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MAGIC = b"\x89MCAP0\r\n"
MOST_CHANNELS = 60_000
"""Of a file: they are numbered with 16 bits."""

_HEADER, _FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _MESSAGE_INDEX, _CHUNK_INDEX = range(1, 9)
_STATISTICS, _METADATA, _METADATA_INDEX, _SUMMARY_OFFSET, _DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
_FOOTER_BYTES = 20


class Schema(NamedTuple):
    """What messages hold: a name, and a JSON schema."""

    name: str
    text: str


class _Chunk(NamedTuple):
    """A chunk that was written: where it and its index lie, and what of."""

    first: int
    last: int
    offset: int
    length: int
    indexes: dict[int, int]
    index_length: int
    size: int


class McapFile:
    """A file that is being written.

    Parameters
    ----------
    path : Path
        Must not be there yet.
    profile, library : str
        What its messages are, and what wrote it.

    Attributes
    ----------
    path : Path
    size : int
        Written so far, and what waits for its chunk to end.
    messages : int
        How many.

    Raises
    ------
    OSError
        Where it cannot be made; from all other methods, where it cannot be written any further: then it ends behind
        the last whole chunk.
    """

    def __init__(self, path: Path, profile: str, library: str) -> None:
        self.path = path
        self.messages = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._end, self._crc = 0, 0
        self._schemas: dict[Schema, int] = {}
        self._channels: dict[str, int] = {}
        self._written_once = {_SCHEMA: b"", _CHANNEL: b""}
        self._counts: dict[int, int] = {}
        self._chunk = bytearray()
        self._index: dict[int, list[tuple[int, int]]] = {}
        self._times: list[int] = []
        self._chunks: list[_Chunk] = []
        self._metadata: list[tuple[int, int, str]] = []
        try:
            self._write(MAGIC + _record(_HEADER, _text(profile) + _text(library)))
        except OSError:
            self.abandon()
            raise

    @property
    def size(self) -> int:
        """Written so far, and what waits for its chunk to end."""
        return self._end + len(self._chunk)

    @property
    def waiting(self) -> int:
        """Bytes that wait for their chunk to end."""
        return len(self._chunk)

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self._channels)

    def channel(self, topic: str, schema: Schema, metadata: Mapping[str, str]) -> int:
        """Return the number of a topic's channel; `metadata` is what it says of itself where it is new."""
        known = self._channels.get(topic)
        if known is not None:
            return known
        number = self._schemas.get(schema)
        if number is None:
            number = self._schemas[schema] = len(self._schemas) + 1
            said = struct.pack("<H", number) + _text(schema.name) + _text("jsonschema") + _text(schema.text)
            self._once(_SCHEMA, _record(_SCHEMA, said))
        self._channels[topic] = channel = len(self._channels)
        said = struct.pack("<HH", channel, number) + _text(topic) + _text("msgpack") + _map(metadata)
        self._once(_CHANNEL, _record(_CHANNEL, said))
        return channel

    def add(self, channel: int, data: bytes, logged: int, published: int) -> None:
        """Add a message to the chunk that is open.

        Parameters
        ----------
        channel : int
            Of which.
        data : bytes
            The message.
        logged, published : int
            When it was received, and when it was published or what it tells of was, Unix ns.
        """
        sequence = self._counts.get(channel, 0)
        self._counts[channel] = sequence + 1
        self._index.setdefault(channel, []).append((logged, len(self._chunk)))
        self._times.append(logged)
        self._chunk += struct.pack(
            "<BQHIQQ", _MESSAGE, 22 + len(data), channel, sequence & 0xFFFFFFFF, logged, published
        )
        self._chunk += data
        self.messages += 1

    def add_metadata(self, name: str, content: Mapping[str, str]) -> None:
        """Write what is said of the file as a whole."""
        self.end_chunk()
        record = _record(_METADATA, _text(name) + _map(content))
        self._metadata.append((self._end, len(record), name))
        self._write(record)

    def end_chunk(self) -> None:
        """Write the chunk that is open."""
        if not self._chunk:
            return
        body = bytes(self._chunk)
        self._chunk.clear()
        first, last = min(self._times, default=0), max(self._times, default=0)
        head = struct.pack("<QQQI", first, last, len(body), zlib.crc32(body)) + _text("") + struct.pack("<Q", len(body))
        chunk = _record(_CHUNK, head + body)
        offset, at = self._end, self._end + len(chunk)
        indexes, parts = {}, [chunk]
        for channel, entries in self._index.items():
            packed = b"".join(struct.pack("<QQ", *entry) for entry in entries)
            record = _record(_MESSAGE_INDEX, struct.pack("<HI", channel, len(packed)) + packed)
            indexes[channel] = at
            at += len(record)
            parts.append(record)
        self._write(b"".join(parts))
        self._chunks.append(_Chunk(first, last, offset, len(chunk), indexes, at - offset - len(chunk), len(body)))
        self._index.clear()
        self._times.clear()

    def sync(self) -> None:
        """End the chunk that is open, and wait until the disk has all of it."""
        self.end_chunk()
        os.fsync(self._file)

    def finish(self) -> None:
        """Write index and footer, and close the file."""
        self.end_chunk()
        data_end = _record(_DATA_END, struct.pack("<I", self._crc))
        start = self._end + len(data_end)
        groups = {
            _SCHEMA: self._written_once[_SCHEMA],
            _CHANNEL: self._written_once[_CHANNEL],
            _STATISTICS: self._statistics(),
            _CHUNK_INDEX: b"".join(map(_chunk_index, self._chunks)),
            _METADATA_INDEX: b"".join(
                _record(_METADATA_INDEX, struct.pack("<QQ", offset, length) + _text(name))
                for offset, length, name in self._metadata
            ),
        }
        summary, offsets, at = b"".join(groups.values()), b"", start
        for opcode, group in groups.items():
            if group:
                offsets += _record(_SUMMARY_OFFSET, struct.pack("<BQQ", opcode, at, len(group)))
            at += len(group)
        footer = struct.pack("<BQQQ", _FOOTER, _FOOTER_BYTES, start, start + len(summary))
        crc = zlib.crc32(summary + offsets + footer)
        self._write(data_end + summary + offsets + footer + struct.pack("<I", crc) + MAGIC)
        os.fsync(self._file)
        self.abandon()

    def abandon(self) -> None:
        """Close the file as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _once(self, opcode: int, record: bytes) -> None:
        """Put a schema or channel into the chunk that is open, before its first message, and into the summary."""
        self._chunk += record
        self._written_once[opcode] += record

    def _write(self, content: bytes) -> None:
        """Write at the end; where that fails, nothing of it remains."""
        left = memoryview(content)
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
                os.lseek(self._file, self._end, os.SEEK_SET)
            raise
        self._end += len(content)
        self._crc = zlib.crc32(content, self._crc)

    def _statistics(self) -> bytes:
        counts = b"".join(struct.pack("<HQ", *each) for each in self._counts.items())
        first = min((chunk.first for chunk in self._chunks), default=0)
        last = max((chunk.last for chunk in self._chunks), default=0)
        numbers = (
            *(self.messages, len(self._schemas), len(self._channels), 0, len(self._metadata), len(self._chunks)),
            *(first, last, len(counts)),
        )
        return _record(_STATISTICS, struct.pack("<QHIIIIQQI", *numbers) + counts)


def _chunk_index(chunk: _Chunk) -> bytes:
    indexes = b"".join(struct.pack("<HQ", *each) for each in chunk.indexes.items())
    return _record(
        _CHUNK_INDEX,
        struct.pack("<QQQQI", chunk.first, chunk.last, chunk.offset, chunk.length, len(indexes))
        + indexes
        + struct.pack("<Q", chunk.index_length)
        + _text("")
        + struct.pack("<QQ", chunk.size, chunk.size),
    )


def _record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<I", len(encoded)) + encoded


def _map(content: Mapping[str, str]) -> bytes:
    entries = b"".join(_text(name) + _text(value) for name, value in content.items())
    return struct.pack("<I", len(entries)) + entries
