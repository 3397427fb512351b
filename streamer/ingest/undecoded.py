"""How to read a samples message without decoding it.

The problem. A streamer of many wearers receives tens of thousands of samples messages a second, nearly all alike. To
unpack each into a dictionary of Python objects, and to check those one by one, is far more work than to copy the few
readings it holds.

How it works. msgpack writes the same values in the same way, so all samples messages of one session are the same but
for three places, shown as dots (bytes in hexadecimal, `|` around the keys)::

    87 |v| 01 |kind| samples |stream| a4 anna |session| cf 17f0c2d1e4a5b600 |seq|     the head: the same in all
    cd .... |t| cf ................ |x| c4 0c ................................       number, time, readings

- The head is the same for all messages of a session, and no two sessions share one. So a dictionary from heads to
  sessions finds whose a message is (`QuickPath`); how long the head is follows from one byte, which says how long the
  stream's name is.
- The length of the whole message then says how many samples it holds and how many bytes `seq` takes, and so where
  everything stands. A `Layout` knows this for one length; `Layouts` makes each when it is first met.
- What stands between (the marks and keys) is compared with what it must be, and `seq` and `t` must be in range.
  `Layout.read` does this for one message; `read_all` joins many of one layout into a matrix of bytes, and does it for
  all of them by a few NumPy calls.

A message that is written in another way (other order of keys, a number in more or fewer bytes than expected) matches no
head or layout, or fails the comparison; it is decoded as usual. So this is only faster: it accepts nothing that
`streamer.wire.codec.decode` would refuse, and reads the same values (`tests/streamer/ingest/test_undecoded.py` changes
bytes at random and compares).

What would go wrong otherwise. Were the fixed bytes not compared, a message that merely has the right length would be
taken for samples; were `Layouts` not bounded, a sender of many lengths would fill memory. This is tied to version 1 of
the wire, whose messages are maps.
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
_SHORT_TEXT = 0xA0  # a text of n bytes, up to 31, begins with the byte _SHORT_TEXT + n
_AFTER_STREAM = len(b"\xa7session\xcf12345678\xa3seq")
REST_OF_HEAD = BEFORE_STREAM + 1 - _SHORT_TEXT + _AFTER_STREAM
"""A message's head has as many bytes as this and the byte at `BEFORE_STREAM` add up to."""
_BEFORE_T = b"\xa1t\xcf"
_T_BYTES = 8
# How msgpack writes the first sample's number from 128 on: a mark, and so many bytes.
_NUMBER_BYTES = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
# Between the time and the readings stand their key, a mark, and how many bytes they are in one, two or four.
_BEFORE_X_BYTES = (4, 5, 7)
_STRUCT_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Columns(NamedTuple):
    """What several messages of as many samples each hold.

    Attributes
    ----------
    seq, t : ndarray of int64, shape (m,)
        Number of the first sample and time of the last; the number is -1 for a message that must be decoded.
    rows : ndarray of void, shape (m, n)
        The readings of each sample, as bytes.
    """

    seq: npt.NDArray[np.int64]
    t: npt.NDArray[np.int64]
    rows: npt.NDArray[np.void]


class Layout:
    """Where things stand in messages of one length whose heads have one length.

    Parameters
    ----------
    head_bytes, row_bytes : int
        How long the head is, and the readings of a sample.
    mark : int
        The byte before the first sample's number, which says how many bytes that takes.
    samples : int
        How many there are.
    """

    def __init__(self, head_bytes: int, row_bytes: int, mark: int, samples: int) -> None:
        payload = samples * row_bytes
        before_x = _before_x(payload)
        self.samples = samples
        self._mark, self._before_x, self._row_bytes = mark, before_x, row_bytes
        number = _NUMBER_BYTES[mark]
        rest = f"{len(_BEFORE_T)}sQ{len(before_x)}s{payload}s"
        self._struct = Struct(f">{head_bytes}xB{_STRUCT_CODES[number]}{rest}")
        self.size = self._struct.size
        before_t = head_bytes + 1 + number
        t = before_t + len(_BEFORE_T)
        self._seq = slice(head_bytes + 1, before_t)
        self._t = slice(t, t + _T_BYTES)
        self._x = self.size - payload
        self._fixed = np.array([head_bytes, *range(before_t, t), *range(t + _T_BYTES, self._x)])
        self._expected = np.frombuffer(bytes([mark]) + _BEFORE_T + before_x, dtype=np.uint8)

    def read(self, frame: bytes) -> tuple[int, int, bytes] | None:
        """Return number, time and readings of a message of this length; None where it must be decoded."""
        mark, seq, before_t, t, before_x, x = self._struct.unpack(frame)
        if mark != self._mark or before_t != _BEFORE_T or before_x != self._before_x or max(seq, t) >= MAX_INT:
            return None
        return seq, t, x

    def read_all(self, frames: Sequence[bytes]) -> Columns:
        """Return what messages of this length hold."""
        joined = b"".join(frames)
        columns = np.frombuffer(joined, dtype=np.uint8).reshape(len(frames), self.size)
        seq, t = _big_endian(columns[:, self._seq]), _big_endian(columns[:, self._t])
        valid = (columns[:, self._fixed] == self._expected).all(axis=1) & (t >= 0) & (t < MAX_INT) & (seq < MAX_INT)
        seq[~valid] = -1
        shape, strides = (len(frames), self.samples), (self.size, self._row_bytes)
        return Columns(seq, t, np.ndarray(shape, f"V{self._row_bytes}", joined, self._x, strides))


class Layouts(dict[int, Layout]):
    """Layouts by the length of a message, each made when it is first asked for.

    Where a length fits two, as it does where a sample is one channel and its number takes four bytes or eight, the one
    with the shorter number is taken; messages of the other fail its comparison, and are decoded.

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
        for mark, number in _NUMBER_BYTES.items():
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

    None where its name is too long, or its number too small, to be written as expected.
    """
    frame = encode_samples(stream, session, 0, MAX_INT - 1, np.zeros(row_bytes // 4, np.float32))
    head = frame[: frame.rindex(_BEFORE_T, 0, len(frame) - row_bytes) - 1]
    return Form(head, _layouts(len(head), row_bytes, most)) if head_of(frame) == head else None


def head_of(frame: bytes) -> bytes:
    """Return the head of a samples message; of any other message, bytes that are no session's head."""
    return frame[: frame[BEFORE_STREAM] + REST_OF_HEAD] if len(frame) > BEFORE_STREAM else b""


@lru_cache(maxsize=1024)
def _layouts(head_bytes: int, row_bytes: int, most: int) -> Layouts:
    """Return one object for all sessions whose names have the same length."""
    return Layouts(head_bytes, row_bytes, most)


def _before_x(payload: int) -> bytes:
    """Return what stands between the time and so many bytes of readings."""
    written: bytes = msgpack.packb({"x": bytes(payload)})
    return written[1:-payload]  # without the map's own mark


def _big_endian(columns: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the numbers that columns of bytes hold, the most significant first; from 2^63 on, something negative."""
    width = columns.shape[1]
    return np.ascontiguousarray(columns).view(f">u{width}")[:, 0].astype(np.int64)
