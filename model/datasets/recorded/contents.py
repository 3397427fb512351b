"""What recordings of live streams hold, found in one pass; readings themselves are left where they lie."""

import json
import math
import mmap
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.files import FileTree
from kinestream.model.datasets.recorded.mcap import McapMessage, McapScan
from kinestream.model.datasets.recorded.schemas import ANNOTATION, METADATA, SIGNAL, SUFFIX
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Channel

_ROW = 7  # numbers of a piece
_MOST_MESSAGE = 1 << 17
_LATEST = 1 << 62
_MOST_CHANNELS, _LEAST_HZ, _MOST_HZ = 1024, 1e-3, 1e6
_SIGNAL: dict[str, type] = {
    **{"stream": str, "session": int, "device": str, "first_seq": int, "t": int, "origin": int},
    **{"rate_hz": float, "timing": str, "width": int, "values": bytes},
}

Pieces = npt.NDArray[np.int64]
FILE, OFFSET, LENGTH, FIRST, END, SINCE, UNTIL = range(_ROW)
"""The columns of a device's pieces: where its message lies; its readings' numbers, the first and the one past the last;
when the first and the last were taken (of readings without times, both when the last was)."""


class Annotation(NamedTuple):
    """What a person said the activity was, from `begin` to `end`, Unix ns."""

    session: int
    activity: str
    begin: int
    end: int


@dataclass
class DeviceContents:
    """What there is of a device of one session.

    Attributes
    ----------
    name : str
    rate_hz, origin, has_times : float, int, bool
        As its sender described it.
    channels : tuple of Channel
        Its columns; empty where no message told.
    width : int
        How many there are.
    """

    name: str
    rate_hz: float
    origin: int
    has_times: bool
    width: int
    channels: tuple[Channel, ...] = ()
    rows: "array[int]" = field(default_factory=lambda: array("q"))

    @property
    def pieces(self) -> Pieces:
        """Its messages in the order in which they came, shape (n, 7); see `FILE` and the others."""
        return np.frombuffer(self.rows, np.int64).reshape(-1, _ROW)


@dataclass
class About:
    """What is known of the streamer.

    Attributes
    ----------
    rate_hz, stride, length : float, int, int
        Of its bundle's windows; 0 where it is not known.
    classes : tuple of str
        Of its bundle.
    null_class : str
        Empty where there is none.
    """

    rate_hz: float = 0.0
    stride: int = 0
    length: int = 0
    classes: tuple[str, ...] = ()
    null_class: str = ""


class Recorded:
    """Files of recordings, taken as one: a session may begin in one and go on in the next.

    Parameters
    ----------
    files : FileTree
        Where they are.

    Attributes
    ----------
    names : tuple of str
        Theirs, in the order in which they were written.
    sessions : dict of dict of DeviceContents by str, by (str, int)
        The devices of each stream's sessions, by their names, in the order in which they were heard.
    annotations : dict of list of Annotation by str
        Of each stream, in the order in which they came.
    about : About
    cut : dict of int by str
        Files without an end, which are still being written or were cut off, and up to which byte they could be read.
    unreadable : int
        Messages that could not be.

    Raises
    ------
    SourceError
        Where a file is no such recording.
    """

    def __init__(self, files: FileTree) -> None:
        self.names = tuple(sorted(name for name in files.names if name.endswith(SUFFIX) and "/" not in name))
        self.sessions: OrderedDict[tuple[str, int], dict[str, DeviceContents]] = OrderedDict()
        self.annotations: dict[str, list[Annotation]] = {}
        self.about = About()
        self.cut: dict[str, int] = {}
        self.unreadable = 0
        self._data = [_opened(files, name) for name in self.names]
        for number, name in enumerate(self.names):
            self._look_through(number, name)

    def files_of(self, devices: Sequence[DeviceContents]) -> tuple[str, ...]:
        """Return the names of the files that readings of devices lie in."""
        found = sorted({number for device in devices for number in device.pieces[:, FILE].tolist()})
        return tuple(self.names[number] for number in found)

    def readings(self, device: DeviceContents, pieces: Pieces) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield of some of a device's messages the number of the first reading, the times and the values."""
        for file, offset, length, *_ in pieces.tolist():
            content = _unpacked(self._data[file][offset : offset + length])
            yield content["first_seq"], content.get("times", b""), content["values"]

    def _look_through(self, number: int, name: str) -> None:
        data, scan = self._data[number], McapScan()
        for message in scan.messages(data, name):
            if message.schema not in (SIGNAL, ANNOTATION):
                continue
            try:
                content = _unpacked(data[message.offset : message.offset + message.length])
                if message.schema == SIGNAL:
                    self._add_signal(number, message, content)
                else:
                    self._add_annotation(content)
            except (AttributeError, KeyError, TypeError, ValueError):
                self.unreadable += 1
        if scan.cut is not None:
            self.cut[name] = scan.cut
        if METADATA in scan.metadata:
            self.about = _about(scan.metadata[METADATA], self.about)

    def _add_signal(self, file: int, message: McapMessage, content: dict[str, Any]) -> None:
        found = {name: content[name] for name in _SIGNAL}
        if any(type(value) is not _SIGNAL[name] for name, value in found.items()):
            raise TypeError
        stream, session, name, first, t, origin, rate, timing, width, values = found.values()
        has_times = timing == "times"
        times = content.get("times", b"") if has_times else b""
        if not (0 < width <= _MOST_CHANNELS and all(0 <= each < _LATEST for each in (session, first, t, origin))):
            raise ValueError
        count, rest = divmod(len(values), 4 * width)
        if rest or not count or type(times) is not bytes or len(times) != (8 * count if has_times else 0):
            raise ValueError
        if not 0 <= rate <= _MOST_HZ or not (has_times or rate > _LEAST_HZ):
            raise ValueError
        since, until = (int.from_bytes(each, "little", signed=True) for each in (times[:8], times[-8:]))
        devices = self.sessions.setdefault((stream, session), {})
        device = devices.get(name)
        if device is None:
            device = devices[name] = DeviceContents(name, rate, origin, has_times, width)
        if width != device.width or has_times != device.has_times:
            raise ValueError
        if content.get("channels") and not device.channels:
            channels = tuple(Channel(str(channel), str(unit)) for channel, unit in content["channels"])
            device.channels = channels if len(channels) == width else ()
        lies = (since, until) if has_times else (t, t)
        device.rows.extend((file, message.offset, message.length, first, first + count, *lies))

    def _add_annotation(self, content: dict[str, Any]) -> None:
        stream, begin, end = str(content["stream"]), int(content["begin"]), int(content["end"])
        said = Annotation(int(content["session"]), str(content["activity"]), begin, end)
        self.annotations.setdefault(stream, []).append(said)


def _opened(files: FileTree, name: str) -> memoryview:
    path = files.on_disk(name)
    if path is None:
        return memoryview(files.read(name))
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read ({error})") from error


def _unpacked(data: memoryview) -> dict[str, Any]:
    if len(data) > _MOST_MESSAGE:
        raise ValueError
    try:
        content = msgpack.unpackb(data, max_ext_len=0)
    except (msgpack.UnpackException, RecursionError, OverflowError):
        raise ValueError from None
    if type(content) is not dict:
        raise ValueError
    return content


def _about(said: dict[str, str], before: About) -> About:
    """Return what a file says of the streamer, or what one before it did."""
    try:
        classes = json.loads(said["classes"])
        about = About(float(said["rate_hz"]), int(said["stride"]), int(said["length"]), tuple(map(str, classes)))
        about.null_class = said["null_class"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return before
    is_plausible = math.isfinite(about.rate_hz) and about.rate_hz > 0 and about.stride > 0 and about.length > 0
    return about if is_plausible else before
