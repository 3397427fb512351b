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
_BEFORE_T = b"\xa1t\xcf"
# How msgpack writes the sample's number from 128 on: a mark, and so many bytes.
_NUMBERS = {0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q"}


class SingleForm(NamedTuple):
    """What the messages of a session have in common, if each holds one sample of `row_bytes`.

    Attributes
    ----------
    head, before_x : bytes
        How they begin, up to the sample's number, and what stands before the readings.
    row_bytes : int
        Bytes of the readings.
    layouts : dict of int to (Struct, int)
        What stands between, by the length of the message: mark and number, then the time between what is before and
        after it; and the mark that a number of this length has.
    """

    head: bytes
    before_x: bytes
    row_bytes: int
    layouts: dict[int, tuple[Struct, int]]


def single_form(stream: str, session: int, row_bytes: int) -> SingleForm | None:
    """Return what the messages of a session have in common; None where its numbers or name are written otherwise."""
    least = encode_samples(stream, session, 0, MAX_INT - 1, np.zeros(row_bytes // 4, np.float32))
    end = least.rindex(_BEFORE_T, 0, len(least) - row_bytes)
    head, before_x = least[: end - 1], least[end + len(_BEFORE_T) + 8 : -row_bytes]
    if head_of(least) != head:
        return None
    between = {mark: Struct(f">B{number}{len(_BEFORE_T)}sQ{len(before_x)}s") for mark, number in _NUMBERS.items()}
    layouts = {len(head) + each.size + row_bytes: (each, mark) for mark, each in between.items()}
    return SingleForm(head, before_x, row_bytes, layouts)


def head_of(frame: bytes) -> bytes:
    """Return how a message of one sample would begin; something else, or an IndexError, where it is none."""
    return frame[: frame[_BEFORE_STREAM] - _SHORT + 1 + _BEFORE_STREAM + _AFTER_STREAM]


def seq_of(frame: bytes, form: SingleForm) -> int:
    """Return the number of the sample in a message that begins as `form` says; -1 where the rest is otherwise."""
    head, right_before_x, _, layouts = form
    layout = layouts.get(len(frame))
    if layout is None:
        return -1
    between, right_mark = layout
    mark, seq, before_t, t, before_x = between.unpack_from(frame, len(head))
    right = mark == right_mark and before_t == _BEFORE_T and before_x == right_before_x and t < MAX_INT
    return seq if right else -1
