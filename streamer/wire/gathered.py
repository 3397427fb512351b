"""All that a streamer publishes, a tenth of a second's together, for who wants all of it and none of it at once.

A label by itself is two frames, which cost who sends and who receives them more than what it says; of many in one
message each costs little. The topic is ``published/``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from kinestream.streamer.wire.messages import MAX_INT, VERSION

PUBLISHED_TOPIC = b"published/"
"""The topic of what is gathered."""
PIECE_BYTES = 1 << 13
"""What a message holds at most, or a single frame that is larger: 2,000 of that size may wait for somebody."""
_FRAME_BYTES = 5  # of MessagePack, before each
_pack = msgpack.Packer(autoreset=True).pack


class Gathered(NamedTuple):
    """Labels, events and annotations in the order in which they were published.

    Attributes
    ----------
    message : int
        Counts up from 0 since somebody began to listen: a jump says how many messages were left out on the way here.
    frames : tuple of bytes
        Each as its second frame was; `wire.published.decode_published` reads it.
    """

    message: int
    frames: tuple[bytes, ...]


def encode_gathered(gathered: Gathered) -> tuple[bytes, bytes]:
    """Return the two frames of what was gathered."""
    message, frames = gathered
    return PUBLISHED_TOPIC, _pack({"v": VERSION, "kind": "published", "message": message, "frames": frames})


def in_pieces(frames: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """Return what was gathered in pieces that leave, each of a single frame or of `PIECE_BYTES` at most."""
    pieces, begin, size = [], 0, 0
    for at, frame in enumerate(frames):
        size += len(frame) + _FRAME_BYTES
        if size > PIECE_BYTES and at > begin:
            pieces.append(tuple(frames[begin:at]))
            begin, size = at, len(frame) + _FRAME_BYTES
    if begin < len(frames):
        pieces.append(tuple(frames[begin:]))
    return pieces


def read_gathered(content: dict[str, Any]) -> Gathered:
    """Read the map of what was gathered; KeyError, TypeError and ValueError say that it is none."""
    message, frames = content["message"], content["frames"]
    if not (
        type(message) is int
        and 0 <= message < MAX_INT
        and type(frames) is list
        and all(type(frame) is bytes for frame in frames)
    ):
        raise ValueError
    return Gathered(message, tuple(frames))
