"""Keeps parsed recordings on disk, so that a dataset is parsed once.

One safetensors file a recording, found by a digest of everything it depends on: the contents of the recording's files
(size and CRC-32, which a zip states without being read), the task, and the reader's version and description. It is
written under another name and moved into place, so that a crash half-way or a second process leaves either a whole
entry or none.
"""

import dataclasses
import hashlib
import json
import logging
import os
import threading
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import platformdirs
from safetensors.numpy import save

from kinestream.model.datasets.reader import Reader
from kinestream.model.datasets.stamps import StampBook
from kinestream.model.errors import FileError
from kinestream.model.files import write_whole
from kinestream.model.recordings.recording import Channel, Recording, RowCounts

_log = logging.getLogger(__name__)

LAYOUT = 2
"""Version of what an entry looks like."""

_ARRAYS: dict[str, np.dtype[Any]] = {
    "samples": np.dtype("<f4"),
    "timestamps": np.dtype("<i8"),
    "labels": np.dtype("<i2"),
}
_LAID = ("devices", "device_names", "begins", "seams")
"""What only recordings have that are laid of devices: what a reader reads is on one grid already."""
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I64": np.dtype("<i8"), "I16": np.dtype("<i2")}


class RecordingCache:
    """Parsed recordings below a folder.

    Parameters
    ----------
    folder : Path, optional
        By default what the environment variable KINESTREAM_CACHE names, else the user's cache folder.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = os.environ.get("KINESTREAM_CACHE")
        self.folder = folder or (Path(named) if named else Path(platformdirs.user_cache_dir("kinestream")))
        self._stamps = StampBook(self.folder / "stamps")
        self._first_warning = threading.Lock()  # taken by the thread that warns, and never given back

    def read(self, reader: Reader, recording_id: str) -> Recording:
        """Return a recording from the cache, parsing and keeping it if it is not there or damaged."""
        path = self.folder / reader.info.name / f"{self._key(reader, recording_id)}.safetensors"
        try:
            return load(path)
        except (OSError, ValueError, KeyError, TypeError):  # missing, damaged, or of another layout: parse anew
            recording = _frozen(reader.read(recording_id))
        try:
            store(recording, path)
        except FileError as error:
            self._warn(error)
        return recording

    def _key(self, reader: Reader, recording_id: str) -> str:
        stamps = [(name, self._stamps.stamp(reader.files, name)) for name in reader.files_of(recording_id)]
        depends = [
            LAYOUT,
            reader.info.name,
            reader.version,
            reader.described,
            reader.task,
            recording_id,
            [(name, stamp.size, stamp.crc32) for name, stamp in stamps],
        ]
        return hashlib.sha256(json.dumps(depends).encode()).hexdigest()[:32]

    def _warn(self, error: FileError) -> None:
        if self._first_warning.acquire(blocking=False):
            _log.warning("kinestream: cannot write to the cache %s, going on without it: %s", self.folder, error)


def store(recording: Recording, path: Path) -> None:
    """Write a recording, its arrays contiguous, so that `path` is whole or absent whatever happens meanwhile."""
    about = {
        field.name: getattr(recording, field.name)
        for field in dataclasses.fields(recording)
        if field.name not in _ARRAYS and field.name not in _LAID
    }
    about["channels"] = [(channel.name, channel.unit) for channel in recording.channels]
    about["rows"] = None if recording.rows is None else dataclasses.asdict(recording.rows)
    text = json.dumps(about)
    tensors = {name: getattr(recording, name) for name in _ARRAYS}
    content = save(tensors, metadata={"about": text, "crc32": str(_checksum(text, tensors))})
    write_whole(path, content)


def load(path: Path) -> Recording:
    """Map a stored recording into memory.

    Raises
    ------
    OSError, ValueError, KeyError, TypeError
        If it is missing or not exactly what `store` wrote.
    """
    whole = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
    start = 8 + int.from_bytes(whole[:8].tobytes(), "little")
    header = json.loads(whole[8:start].tobytes())
    text = header["__metadata__"]["about"]
    tensors = {name: _mapped(whole[start:], header[name]) for name in _ARRAYS}
    if str(_checksum(text, tensors)) != header["__metadata__"]["crc32"]:
        raise ValueError(f"{path}: content does not match its checksum")
    about: dict[str, Any] = json.loads(text)
    about["channels"] = tuple(Channel(*channel) for channel in about["channels"])
    about["classes"] = tuple(about["classes"])
    about["rows"] = None if about["rows"] is None else RowCounts(**about["rows"])
    about.update(tensors)
    return Recording(**about)


def _frozen(recording: Recording) -> Recording:
    """Return the recording as it would come from the cache: contiguous and read-only."""
    arrays = {name: np.ascontiguousarray(getattr(recording, name), dtype=dtype) for name, dtype in _ARRAYS.items()}
    for array in arrays.values():
        array.flags.writeable = False
    changes: dict[str, Any] = arrays
    return dataclasses.replace(recording, **changes)


def _mapped(data: npt.NDArray[np.uint8], entry: dict[str, Any]) -> npt.NDArray[Any]:
    first, last = entry["data_offsets"]
    values: npt.NDArray[Any] = data[first:last].view(_DTYPES[entry["dtype"]])
    return values.reshape(entry["shape"])


def _checksum(text: str, tensors: dict[str, npt.NDArray[Any]]) -> int:
    """Return a CRC-32 of everything in an entry: at 1 GB/s and more it costs little beside what the data is for."""
    checksum = zlib.crc32(text.encode())
    for name in _ARRAYS:
        checksum = zlib.crc32(str(tensors[name].shape).encode(), checksum)
        checksum = zlib.crc32(tensors[name].data, checksum)
    return checksum
