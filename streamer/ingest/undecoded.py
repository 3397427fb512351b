"""Messages of samples, told by their bytes: most of what a streamer of many wearers receives.

All that one session of a stream sends of this kind begins alike, up to its first sample's number, and has its readings
at the end. So such a message need not be unpacked: its beginning finds the session, its length how many samples it
holds, and what stands between is checked and read where it must be, of many messages at once. A message that is written
in another way (other order, shorter numbers) is none of these, and is unpacked.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

import msgpack
import numpy as np
import numpy.typing as npt

from kinestream.streamer.wire.codec import encode_samples
from kinestream.streamer.wire.messages import MAX_BYTES, MAX_INT

BEFORE_STREAM = len(b"\x87\xa1v\x01\xa4kind\xa7samples\xa6stream")
_SHORT = 0xA0  # a text of n bytes, up to 31, begins with the byte _SHORT + n
_AFTER_STREAM = len(b"\xa7session\xcf12345678\xa3seq")
REST_OF_HEAD = BEFORE_STREAM + 1 - _SHORT + _AFTER_STREAM
"""A message's head is as many bytes and the byte at `BEFORE_STREAM` long."""
_BEFORE_T = b"\xa1t\xcf"
_T_BYTES = 8
# How msgpack writes the first sample's number from 128 on: a mark, and so many bytes.
_NUMBERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
# Between the time and the readings stand their key, a mark, and how many bytes they are in one, two or four.
_BEFORE_X_BYTES = (4, 5, 7)
_AS_STRUCT = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Columns(NamedTuple):
    """What several messages of as many samples each hold.

    Attributes
    ----------
    seq, t : ndarray of int64, shape (m,)
        Number of the first sample and time of the last; a number of -1 where a message is none of these.
    rows : ndarray of void, shape (m, n)
        The readings of each sample, as bytes.
    """

    seq: npt.NDArray[np.int64]
    t: npt.NDArray[np.int64]
    rows: npt.NDArray[np.void]


class Layout:
    """How messages are laid out that are as long as each other, and so are their heads.

    Parameters
    ----------
    head_bytes, row_bytes : int
        How long the head is, and the readings of a sample.
    mark : int
        How the first sample's number begins.
    samples : int
        How many there are.
    """

    def __init__(self, head_bytes: int, row_bytes: int, mark: int, samples: int) -> None:
        payload = samples * row_bytes
        before_x = _before_x(payload)
        self.samples = samples
        self._mark, self._before_x, self._row_bytes = mark, before_x, row_bytes
        number = _NUMBERS[mark]
        rest = f"{len(_BEFORE_T)}sQ{len(before_x)}s{payload}s"
        self._struct = Struct(f">{head_bytes}xB{_AS_STRUCT[number]}{rest}")
        self.size = self._struct.size
        before_t = head_bytes + 1 + number
        t = before_t + len(_BEFORE_T)
        self._seq = slice(head_bytes + 1, before_t)
        self._t = slice(t, t + _T_BYTES)
        self._x = self.size - payload
        self._fixed = np.array([head_bytes, *range(before_t, t), *range(t + _T_BYTES, self._x)])
        self._right = np.frombuffer(bytes([mark]) + _BEFORE_T + before_x, dtype=np.uint8)

    def read(self, frame: bytes) -> tuple[int, int, bytes] | None:
        """Return number, time and readings of a message of this length; None where it is none of these."""
        mark, seq, before_t, t, before_x, x = self._struct.unpack(frame)
        if mark != self._mark or before_t != _BEFORE_T or before_x != self._before_x or max(seq, t) >= MAX_INT:
            return None
        return seq, t, x

    def read_all(self, frames: Sequence[bytes]) -> Columns:
        """Return what messages of this length hold."""
        joined = b"".join(frames)
        columns = np.frombuffer(joined, dtype=np.uint8).reshape(len(frames), self.size)
        seq, t = _numbers(columns[:, self._seq]), _numbers(columns[:, self._t])
        right = (columns[:, self._fixed] == self._right).all(axis=1) & (t >= 0) & (t < MAX_INT) & (seq < MAX_INT)
        seq[~right] = -1
        shape, strides = (len(frames), self.samples), (self.size, self._row_bytes)
        return Columns(seq, t, np.ndarray(shape, f"V{self._row_bytes}", joined, self._x, strides))


class Layouts(dict[int, Layout]):
    """Layouts by the length of a message, each made when it is first asked for.

    Where a length fits two, as it does where a sample is one channel and its number takes four bytes or eight, the one
    with the shorter number is taken; messages of the other are told apart by what stands in them, and unpacked.

    Parameters
    ----------
    head_bytes, row_bytes
        As in `Layout`.
    most : int
        Samples of a message up to which there is a layout.
    """

    def __init__(self, head_bytes: int, row_bytes: int, most: int) -> None:
        super().__init__()
        self._head_bytes, self._row_bytes, self._most = head_bytes, row_bytes, most

    def __missing__(self, size: int) -> Layout:
        """Make the layout of messages of this length; a KeyError where there is none."""
        if size > MAX_BYTES:
            raise KeyError(size)
        for mark, number in _NUMBERS.items():
            before_x = self._head_bytes + 1 + number + len(_BEFORE_T) + _T_BYTES
            for between in _BEFORE_X_BYTES:
                samples, odd = divmod(size - before_x - between, self._row_bytes)
                if not odd and 0 < samples <= self._most and len(_before_x(samples * self._row_bytes)) == between:
                    self[size] = Layout(self._head_bytes, self._row_bytes, mark, samples)
                    return self[size]
        raise KeyError(size)


class Form(NamedTuple):
    """What the messages of a session have in common.

    Attributes
    ----------
    head : bytes
        How they begin, up to the first sample's number.
    layouts : Layouts
        How the rest is laid out.
    """

    head: bytes
    layouts: Layouts


def form_of(stream: str, session: int, row_bytes: int, most: int) -> Form | None:
    """Return what the messages of a session have in common, of up to `most` samples of `row_bytes` each.

    None where its numbers or name are written otherwise.
    """
    frame = encode_samples(stream, session, 0, MAX_INT - 1, np.zeros(row_bytes // 4, np.float32))
    head = frame[: frame.rindex(_BEFORE_T, 0, len(frame) - row_bytes) - 1]
    return Form(head, _layouts(len(head), row_bytes, most)) if head_of(frame) == head else None


def head_of(frame: bytes) -> bytes:
    """Return how a message of samples would begin; something else where it is none."""
    return frame[: frame[BEFORE_STREAM] + REST_OF_HEAD] if len(frame) > BEFORE_STREAM else b""


@lru_cache(maxsize=1024)
def _layouts(head_bytes: int, row_bytes: int, most: int) -> Layouts:
    """Return the same object for all whose names are as long."""
    return Layouts(head_bytes, row_bytes, most)


def _before_x(payload: int) -> bytes:
    """Return what stands between the time and so many bytes of readings."""
    written: bytes = msgpack.packb({"x": bytes(payload)})
    return written[1:-payload]  # without the map's own mark


def _numbers(columns: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return what columns of bytes say, the most significant first; past 2^63 something negative."""
    width = columns.shape[1]
    return np.ascontiguousarray(columns).view(f">u{width}")[:, 0].astype(np.int64)
