"""Messages of one sample, told by their bytes: most of what a streamer of many wearers receives.

All that one session of a stream sends of this kind begins alike, up to its sample's number, and has its readings at the
end. So such a message need not be unpacked: its beginning finds the session, and what stands between is checked and
read where it must be. That takes a third of the time. A message that is written in another way (other order, shorter
numbers) is none of these, and is unpacked.
"""

from struct import Struct
from typing import NamedTuple

import numpy as np

from streamer.wire import MAX_INT, encode_samples

_BEFORE_STREAM = len(b"\x87\xa1v\x01\xa4kind\xa7samples\xa6stream")
_SHORT = 0xA0  # a text of n bytes, up to 31, begins with the byte _SHORT + n
_AFTER_STREAM = len(b"\xa7session\xcf12345678\xa3seq")
_REST_OF_HEAD = _BEFORE_STREAM + 1 - _SHORT + _AFTER_STREAM
_BEFORE_T = b"\xa1t\xcf"
# How msgpack writes the sample's number from 128 on: a mark, and so many bytes.
_NUMBERS = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q"}


class SingleForm(NamedTuple):
    """What the messages of a session have in common, if each holds one sample.

    Attributes
    ----------
    head : bytes
        How they begin, up to the sample's number.
    layouts : dict of int to (Struct, int)
        How to read the rest, by the length of the message: mark and number, then the time between what is before and
        after it, then the readings; and the mark that a number of this length has.
    before_x : bytes
        What stands before the readings.
    """

    head: bytes
    layouts: dict[int, tuple[Struct, int]]
    before_x: bytes


def single_form(stream: str, session: int, row_bytes: int) -> SingleForm | None:
    """Return what the messages of a session have in common, if each holds one sample of `row_bytes`.

    None where its numbers or name are written otherwise.
    """
    least = encode_samples(stream, session, 0, MAX_INT - 1, np.zeros(row_bytes // 4, np.float32))
    end = least.rindex(_BEFORE_T, 0, len(least) - row_bytes)
    head, before_x = least[: end - 1], least[end + len(_BEFORE_T) + 8 : -row_bytes]
    if head_of(least) != head:
        return None
    rest = f"{len(_BEFORE_T)}sQ{len(before_x)}s{row_bytes}s"
    forms = [(Struct(f">{len(head)}xB{number}{rest}"), mark) for mark, number in _NUMBERS.items()]
    return SingleForm(head, {layout.size: (layout, mark) for layout, mark in forms}, before_x)


def head_of(frame: bytes) -> bytes:
    """Return how a message of one sample would begin; something else, or an IndexError, where it is none."""
    return frame[: frame[_BEFORE_STREAM] + _REST_OF_HEAD]


def read_single(frame: bytes, form: SingleForm) -> tuple[int, int, bytes] | None:
    """Return number, time and readings of a message that begins as `form` says; None where the rest is otherwise."""
    _, layouts, right_before_x = form
    layout = layouts.get(len(frame))
    if layout is None:
        return None
    read, right_mark = layout
    mark, seq, before_t, t, before_x, row = read.unpack(frame)
    if mark != right_mark or before_t != _BEFORE_T or before_x != right_before_x or t >= MAX_INT:
        return None
    return seq, t, row
