"""Messages of one sample, told by their bytes: most of what a streamer of many wearers receives.

All that one session of a stream sends of this kind begins alike, up to its sample's number, and has its readings at the
end. So such a message need not be unpacked: its beginning finds the session, and what stands between is checked and
read where it must be, of many messages at once. A message that is written in another way (other order, shorter numbers)
is none of these, and is unpacked.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streamer.wire import MAX_INT, encode_samples

_BEFORE_STREAM = len(b"\x87\xa1v\x01\xa4kind\xa7samples\xa6stream")
_SHORT = 0xA0  # a text of n bytes, up to 31, begins with the byte _SHORT + n
_AFTER_STREAM = len(b"\xa7session\xcf12345678\xa3seq")
_REST_OF_HEAD = _BEFORE_STREAM + 1 - _SHORT + _AFTER_STREAM
_BEFORE_T = b"\xa1t\xcf"
_T_BYTES = 8
# How msgpack writes the sample's number from 128 on: a mark, and so many bytes.
_NUMBERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_AS_STRUCT = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Singles(NamedTuple):
    """What several messages of one sample each hold, shape (n,) each.

    Attributes
    ----------
    seq, t : ndarray of int64
        Number and time of the sample; a number of -1 where a message is none of these.
    rows : ndarray of void
        The readings, as bytes.
    """

    seq: npt.NDArray[np.int64]
    t: npt.NDArray[np.int64]
    rows: npt.NDArray[np.void]


class SingleLayout:
    """How messages of one sample are laid out that are as long as each other, and so are their heads.

    Parameters
    ----------
    head_bytes, row_bytes : int
        How long the head is, and the readings.
    before_x : bytes
        What stands before the readings.
    mark : int
        How the sample's number begins.
    """

    def __init__(self, head_bytes: int, row_bytes: int, before_x: bytes, mark: int) -> None:
        self._mark, self._before_x, self._row_bytes = mark, before_x, row_bytes
        number = _NUMBERS[mark]
        rest = f"{len(_BEFORE_T)}sQ{len(before_x)}s{row_bytes}s"
        self._struct = Struct(f">{head_bytes}xB{_AS_STRUCT[number]}{rest}")
        self.size = self._struct.size
        before_t = head_bytes + 1 + number
        t = before_t + len(_BEFORE_T)
        self._seq = slice(head_bytes + 1, before_t)
        self._t = slice(t, t + _T_BYTES)
        fixed = [head_bytes, *range(before_t, t), *range(t + _T_BYTES, self.size - row_bytes)]
        self._fixed = np.array(fixed)
        self._right = np.frombuffer(bytes([mark]) + _BEFORE_T + before_x, dtype=np.uint8)

    def read(self, frame: bytes) -> tuple[int, int, bytes] | None:
        """Return number, time and readings of a message of this length; None where it is none of these."""
        mark, seq, before_t, t, before_x, row = self._struct.unpack(frame)
        if mark != self._mark or before_t != _BEFORE_T or before_x != self._before_x or t >= MAX_INT:
            return None
        return seq, t, row

    def read_all(self, frames: Sequence[bytes]) -> Singles:
        """Return what messages of this length hold."""
        joined = b"".join(frames)
        columns = np.frombuffer(joined, dtype=np.uint8).reshape(len(frames), self.size)
        seq, t = _numbers(columns[:, self._seq]), _numbers(columns[:, self._t])
        right = (columns[:, self._fixed] == self._right).all(axis=1) & (t >= 0) & (t < MAX_INT)
        seq[~right] = -1
        shape, strides, begin = (len(frames),), (self.size,), self.size - self._row_bytes
        return Singles(seq, t, np.ndarray(shape, f"V{self._row_bytes}", joined, begin, strides))


class SingleForm(NamedTuple):
    """What the messages of a session have in common, if each holds one sample.

    Attributes
    ----------
    head : bytes
        How they begin, up to the sample's number.
    layouts : dict of int to SingleLayout
        How the rest is laid out, by the length of the message.
    """

    head: bytes
    layouts: dict[int, SingleLayout]


def single_form(stream: str, session: int, row_bytes: int) -> SingleForm | None:
    """Return what the messages of a session have in common, if each holds one sample of `row_bytes`.

    None where its numbers or name are written otherwise.
    """
    least = encode_samples(stream, session, 0, MAX_INT - 1, np.zeros(row_bytes // 4, np.float32))
    end = least.rindex(_BEFORE_T, 0, len(least) - row_bytes)
    head, before_x = least[: end - 1], least[end + len(_BEFORE_T) + _T_BYTES : -row_bytes]
    if head_of(least) != head:
        return None
    return SingleForm(head, _layouts(len(head), row_bytes, before_x))


def head_of(frame: bytes) -> bytes:
    """Return how a message of one sample would begin; something else, or an IndexError, where it is none."""
    return frame[: frame[_BEFORE_STREAM] + _REST_OF_HEAD]


@lru_cache(maxsize=1024)
def _layouts(head_bytes: int, row_bytes: int, before_x: bytes) -> dict[int, SingleLayout]:
    """Return the layouts of messages by their length: the same objects for all whose names are as long."""
    layouts = [SingleLayout(head_bytes, row_bytes, before_x, mark) for mark in _NUMBERS]
    return {layout.size: layout for layout in layouts}


def _numbers(columns: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return what columns of bytes say, the most significant first; past 2^63 something negative."""
    width = columns.shape[1]
    return np.ascontiguousarray(columns).view(f">u{width}")[:, 0].astype(np.int64)
