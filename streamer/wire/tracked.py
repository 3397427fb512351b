"""Messages that are acknowledged: how they are numbered, asked for and acknowledged.

``tracked``, a head of 32 bytes and a message
    Little-endian throughout::

        byte  0  'K'        4  u32 after     8  u64 key     16  u64 number     24  u64 oldest
              1  'R'
              2  u8 version, 2
              3  u8 1

    then any message of a sender that names this key: samples, ``end`` or ``annotation``. `number` counts the messages
    of the key from 0; `oldest` is the first that its sender still keeps. `after` is 0 unless the sender still keeps
    something of an earlier key of the stream, and the number is the oldest: then it is the `mark_of` that key, and a
    streamer that has had nothing of either takes the message only behind that. All of it holds 64 KiB at most.

``acknowledge``, a msgpack map ``{v, kind, keys}``
    asks at the control endpoint what has come of up to 256 keys, now and whenever there is something new, until another
    peer asks; senders repeat it every second.

``acknowledged``, a msgpack map ``{v, kind, keys}``
    answers it. `keys` is a list of ``[key, received, number, needed, again]``: messages before `received` have come
    (-1: nothing is known of the key: describe it, and send from the oldest); of those before `number`, all that hold
    nothing from `needed` on may be forgotten: `needed` is a number of a sample on the grid, a Unix time in ns of
    readings with times. Where `again` is true, what came after `received` was not taken: send it again.
"""

from typing import Any, NamedTuple

import msgpack

from kinestream.streamer.wire.codec import expect_keys, unpack
from kinestream.streamer.wire.messages import MAX_BYTES, MAX_INT, MAX_KEY, TRACKED_HEAD, VERSION, MalformedMessage

TRACKED = b"KR\x02\x01"
"""The mark of a tracked message."""
MAX_TRACKED = MAX_BYTES - TRACKED_HEAD.size
"""Bytes that the message in one may have."""
MAX_KEYS = 256
"""Keys that are asked for, or answered, in one message."""
EVERYTHING = MAX_INT
"""What is `needed` where nothing is needed any more: past every number and time."""
UNKNOWN = -1
"""What is `received` of a key that is not known."""


class Tracked(NamedTuple):
    """A message that is acknowledged.

    Attributes
    ----------
    key, number : int
        Whose it is, and which of its messages, from 0.
    oldest : int
        The first that the sender still keeps.
    message : bytes
        What it holds.
    after : int
        The `mark_of` an earlier key of which something must have come before the first of this one; 0 for none.
    """

    key: int
    number: int
    oldest: int
    message: bytes
    after: int = 0


class AcknowledgeRequest(NamedTuple):
    """Asks what has come of some keys."""

    keys: tuple[int, ...]


class Acknowledgement(NamedTuple):
    """What has come of a key; see the head of this module.

    Attributes
    ----------
    key : int
        Of which.
    received : int
        Messages before it have come; `UNKNOWN` where nothing is known of the key.
    number, needed : int
        Of the messages before `number`, those that end before `needed` may be forgotten.
    again : bool
        Whether something came that could not be taken before what lies between has come.
    """

    key: int
    received: int
    number: int = 0
    needed: int = 0
    again: bool = False


def is_tracked(frame: bytes) -> bool:
    """Tell whether a message is tracked."""
    return frame.startswith(b"KR")


def mark_of(key: int) -> int:
    """Return what stands for a key in `after`: the lower half of it, which no two keys of a stream share by chance."""
    return key & 0xFFFF_FFFF or 1


def encode_tracked(key: int, number: int, oldest: int, message: bytes, after: int = 0) -> bytes:
    """Return a message that is acknowledged; see `Tracked`."""
    return TRACKED_HEAD.pack(TRACKED, after, key, number, oldest) + message


def decode_tracked(frame: bytes) -> Tracked:
    """Read a message that is acknowledged.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    if len(frame) > MAX_BYTES:
        raise MalformedMessage("size")
    if len(frame) <= TRACKED_HEAD.size:
        raise MalformedMessage("tracked")
    mark, after, key, number, oldest = TRACKED_HEAD.unpack_from(frame)
    if mark != TRACKED:
        raise MalformedMessage("version" if mark[2] != VERSION else "kind")
    if not oldest <= number < MAX_INT:
        raise MalformedMessage("tracked")
    return Tracked(key, number, oldest, frame[TRACKED_HEAD.size :], after)


def encode_acknowledge(request: AcknowledgeRequest) -> bytes:
    """Return the message of a request."""
    message: bytes = msgpack.packb({"v": VERSION, "kind": "acknowledge", "keys": list(request.keys)})
    return message


def encode_acknowledged(keys: list[Acknowledgement]) -> bytes:
    """Return the message that acknowledges."""
    message: bytes = msgpack.packb({"v": VERSION, "kind": "acknowledged", "keys": keys})
    return message


def is_acknowledged(frame: bytes) -> bool:
    """Tell, without reading it, whether an answer may be one that acknowledges."""
    return b"acknowledged" in frame[:32]


def read_acknowledge(content: dict[str, Any]) -> AcknowledgeRequest:
    """Read the map of a request.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    expect_keys(content, {"v", "kind", "keys"})
    keys = content["keys"]
    if type(keys) is not list or len(keys) > MAX_KEYS:
        raise MalformedMessage("acknowledge")
    if not all(type(key) is int and 0 <= key < MAX_KEY for key in keys):
        raise MalformedMessage("acknowledge")
    return AcknowledgeRequest(tuple(keys))


def decode_acknowledged(frame: bytes) -> list[Acknowledgement]:
    """Read what acknowledges.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = unpack(frame)
    entries = content.get("keys")
    if content.get("kind") != "acknowledged" or type(entries) is not list:
        raise MalformedMessage("kind")
    return [_acknowledgement(entry) for entry in entries]


def _acknowledgement(entry: object) -> Acknowledgement:
    if type(entry) is not list or len(entry) != len(Acknowledgement._fields):
        raise MalformedMessage("acknowledged")
    key, received, number, needed, again = entry
    if not (
        all(type(count) is int for count in (key, received, number, needed))
        and 0 <= key < MAX_KEY
        and UNKNOWN <= received < MAX_INT
        and 0 <= number <= MAX_INT
        and 0 <= needed <= MAX_INT
        and type(again) is bool
    ):
        raise MalformedMessage("acknowledged")
    return Acknowledgement(key, received, number, needed, again)
