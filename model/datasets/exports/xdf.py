"""XDF, the format of LabRecorder: streams of several devices, each with its own clock, and streams of markers.

The offsets between their clocks and the recorder's were measured while it recorded and stand in the file; pyxdf brings
all streams to the recorder's clock by them. Times are left as they were stamped, not smoothed: a streamer would not.
"""

import gzip
import logging
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np

from kinestream.model.datasets.exports.containers import is_xdf
from kinestream.model.datasets.exports.contents import Contents, Markers, SensorTable
from kinestream.model.datasets.files import MOST_BYTES, FileTree, refuse_bomb
from kinestream.model.datasets.tabular.clock import set_back
from kinestream.model.errors import SourceError
from kinestream.model.extras import need
from kinestream.model.printable import printable
from kinestream.model.recordings.units import canonical

NAME = "xdf"

_MAGIC = b"XDF:"
_GZIP = b"\x1f\x8b"
_LONGEST = 64
"""Characters of a name that is taken over."""
_DAMAGE = (
    ValueError,  # of which broken XML and UTF-8 are kinds too
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,
    SyntaxError,  # that of XML
    struct.error,
)
"""What pyxdf raises for files that are truncated or none of its."""


def is_export(files: FileTree, heads: Mapping[str, bytes]) -> bool:
    """Tell whether files are one in XDF, by its name."""
    return len(files.names) == 1 and is_xdf(files.names[0])


def read(files: FileTree, label: str) -> Contents:
    """Return what an XDF file holds.

    Parameters
    ----------
    files : FileTree
        The file, alone.
    label : str
        What it is called, for messages.

    Raises
    ------
    SourceError
        Where it is damaged, or no XDF.
    MissingExtra
        Where pyxdf is not installed.
    """
    need("reading XDF", "pyxdf", extra="xdf")
    streams = _load(_unpacked(files.read(files.names[0]), label), label)
    sensors, markers, empty = [], [], []
    names = _told_apart([_one(stream["info"], "name") or "stream" for stream in streams])
    for name, stream in zip(names, streams, strict=True):
        if not len(stream["time_stamps"]):
            empty.append(name)
        elif _one(stream["info"], "channel_format") == "string":
            markers.append(_markers(name, stream))
        else:
            sensors.append(_sensor(name, stream, f"{label}: {name}"))
    ordered = sorted(sensors, key=lambda sensor: sensor.name)
    return Contents(tuple(ordered), tuple(sorted(markers, key=lambda each: each.name)), tuple(sorted(empty)))


def _unpacked(data: bytes, label: str) -> bytes:
    if data[:4] == _MAGIC or data[:2] != _GZIP:
        return data
    unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    size = 0
    try:
        for first in range(0, len(data), 1 << 20):  # first only counted: a bomb is refused before it fills the memory
            packed = data[first : first + (1 << 20)]
            while packed:
                size += len(unpacking.decompress(packed, 1 << 22))
                packed = unpacking.unconsumed_tail
                refuse_bomb(label, "it", size, len(data))
        if size > MOST_BYTES:
            raise SourceError(f"{label}: has {size / 1e9:.1f} GB: divide the recording")
        return gzip.decompress(data)
    except (zlib.error, EOFError, OSError) as error:
        raise SourceError(f"{label}: not a whole gzip file ({error}): copy it again") from error


def _load(data: bytes, label: str) -> list[dict[str, Any]]:
    """Return the streams of a file in the order of their numbers."""
    import pyxdf

    if data[:4] != _MAGIC:
        raise SourceError(f"{label}: no XDF file: it does not begin with {_MAGIC.decode()}")
    with _listening() as said:
        try:
            streams, _ = pyxdf.load_xdf(BytesIO(data), dejitter_timestamps=False)
        except _DAMAGE as error:
            raise SourceError(f"{label}: a damaged XDF file ({_reason(error)}): copy or record it again") from error
    if said:
        raise SourceError(f"{label}: a damaged XDF file ({said[0]}): copy or record it again")
    return sorted(streams, key=lambda stream: int(stream["info"]["stream_id"]))


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Collect what pyxdf only logs of damage: it goes on without what it could not read."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.ERROR or "unrecognized" in record.getMessage().lower():
                said.append(printable(" ".join(record.getMessage().split()))[:80])

    log, ear = logging.getLogger("pyxdf.pyxdf"), Ear()
    spread, log.propagate = log.propagate, False
    log.addHandler(ear)
    try:
        yield said
    finally:
        log.removeHandler(ear)
        log.propagate = spread


def _reason(error: BaseException) -> str:
    return printable(" ".join(str(error).split()))[:80] or type(error).__name__


def _sensor(name: str, stream: Mapping[str, Any], place: str) -> SensorTable:
    stamps = np.asarray(stream["time_stamps"], np.float64)
    values = np.asarray(stream["time_series"], np.float64).reshape(len(stamps), -1)
    if not np.isfinite(stamps).all() or np.abs(stamps).max() > 9e9:
        raise SourceError(f"{place}: holds times that are none: record it again")
    moments = np.rint(stamps * 1e9).astype(np.int64)
    if fault := set_back(moments):
        raise SourceError(
            f"{place}: reading {fault.row + 1}: {fault.what.partition(': ')[0]}: divide the recording there"
        )
    described = _channels(stream["info"])
    labels = [_one(each, "label") for each in described] if len(described) == values.shape[1] else []
    names = _told_apart([labels[at] or str(at + 1) if labels else str(at + 1) for at in range(values.shape[1])])
    units = {
        column: canonical(unit) or unit
        for column, each in zip(names, described if labels else [], strict=False)
        if (unit := _one(each, "unit"))
    }
    rate = _number(_one(stream["info"], "nominal_srate"))
    return SensorTable(name, moments, dict(zip(names, values.T, strict=True)), units, rate or None, place)


def _markers(name: str, stream: Mapping[str, Any]) -> Markers:
    moments = np.rint(np.asarray(stream["time_stamps"], np.float64) * 1e9).astype(np.int64)
    order = np.argsort(moments, kind="stable")
    said = [str(row[0]) if len(row) else "" for row in stream["time_series"]]
    return Markers(name, moments[order], tuple(said[at] for at in order))


def _channels(info: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return what a stream's description says of each channel; people write anything there."""
    found: Any = info
    for key in ("desc", "channels"):
        inner = found.get(key) if isinstance(found, dict) else None
        found = inner[0] if isinstance(inner, list) and inner else None
    channels = found.get("channel") if isinstance(found, dict) else None
    return [each for each in channels if isinstance(each, dict)] if isinstance(channels, list) else []


def _one(values: Mapping[str, Any], key: str) -> str:
    found = values.get(key)
    text = found[0] if isinstance(found, list) and found else found
    return printable(text.strip())[:_LONGEST] if isinstance(text, str) else ""


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0


def _told_apart(names: Sequence[str]) -> list[str]:
    """Return names with a number behind each that was there before."""
    found: list[str] = []
    for name in names:
        new, again = name, 2
        while new in found or (new != name and new in names):
            new, again = f"{name} {again}", again + 1
        found.append(new)
    return found
