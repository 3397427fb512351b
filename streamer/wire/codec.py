"""How messages are written and read, and what is refused.

Whatever comes in is checked whole before it is used: its size before it is unpacked, then exact keys and types.
`messages` says what each kind of message holds.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire.messages import (
    HEAD,
    MAX_BYTES,
    MAX_CHANNELS,
    MAX_INT,
    MAX_KEY,
    ON_GRID,
    TIMINGS,
    TRACKED_HEAD,
    VERSION,
    WITH_TIMES,
    Answer,
    Description,
    End,
    MalformedMessage,
    Readings,
    Remark,
    annotation_is_valid,
    channel_is_valid,
    name_is_valid,
)

_MAX_KEYS = 4096  # a published event has no more
_DESCRIPTION_KEYS = {
    "v",
    "kind",
    "stream",
    "device",
    "key",
    "session",
    "origin",
    "rate_hz",
    "timing",
    "channels",
}
_IN_FLEET_KEYS = _DESCRIPTION_KEYS | {"epoch"}
_KEY_AT = 8  # in the head of samples
DESCRIPTION_MARK = tuple(bytes((0x80 + len(keys),)) for keys in (_DESCRIPTION_KEYS, _IN_FLEET_KEYS))
"""How a description begins: MessagePack writes how many keys a map of up to 15 has in its first byte."""
_END_KEYS = {"v", "kind", "key"}
_ANNOTATION_KEYS = {"v", "kind", "key", "activity", "begin", "end"}
_ANSWER_KEYS = {"v", "kind", "key", "stream"}  # and details
_CHANNEL_KEYS = {"name", "unit"}
_pack = msgpack.Packer(autoreset=True).pack


def encode_description(description: Description) -> bytes:
    """Return the message that describes a device."""
    content: dict[str, Any] = {
        "v": VERSION,
        "kind": "describe",
        "stream": description.stream,
        "device": description.device,
        "key": description.key,
        "session": description.session,
        "origin": description.origin,
        "rate_hz": float(description.rate_hz),
        "timing": description.timing,
        "channels": [{"name": channel.name, "unit": channel.unit} for channel in description.channels],
    }
    if description.epoch:
        content["epoch"] = description.epoch
    message: bytes = _pack(content)
    return message


def encode_samples(
    key: int, seq: int, t: int, x: npt.NDArray[np.float32], times: npt.NDArray[np.int64] | None = None
) -> bytes:
    """Return the message of the readings `x`, shape (n, C), whose last one was taken at `t`, Unix ns.

    Parameters
    ----------
    key, seq : int
        Of what description they are, and the number of the first.
    t, x
        As above.
    times : ndarray of int64, shape (n,), optional
        When each was taken, Unix ns, of a device that says so.
    """
    readings = x.astype("<f4", copy=False).tobytes()
    if times is None:
        return HEAD.pack(ON_GRID, len(x), key, seq, t) + readings
    return HEAD.pack(WITH_TIMES, len(x), key, seq, t) + times.astype("<i8", copy=False).tobytes() + readings


def encode_split(
    key: int,
    seq: int,
    t: int,
    x: npt.NDArray[np.float32],
    period_ns: float,
    times: npt.NDArray[np.int64] | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield the messages of readings of which there may be more than one holds, each after the number past its last.

    Parameters
    ----------
    key, seq, t, x
        As in `encode_samples`.
    period_ns : float
        From one reading to the next: what lies between the last of a message and `t`, where there are no times.
    times : ndarray of int64, shape (n,), optional
        When each was taken.
    """
    room = MAX_BYTES - HEAD.size - TRACKED_HEAD.size  # whether they are acknowledged or not: they are split alike
    most = room // (4 * x.shape[1] + (0 if times is None else 8))
    for first in range(0, len(x), most):
        part = x[first : first + most]
        end = first + len(part)
        if times is None:
            yield seq + end, encode_samples(key, seq + first, max(t - round((len(x) - end) * period_ns), 0), part)
        else:
            moments = times[first:end]
            yield seq + end, encode_samples(key, seq + first, int(moments[-1]), part, moments)


def encode_end(key: int) -> bytes:
    """Return the message that ends a key's session."""
    message: bytes = _pack({"v": VERSION, "kind": "end", "key": key})
    return message


def encode_remark(remark: Remark) -> bytes:
    """Return the message that says what the activity was."""
    message: bytes = _pack({"v": VERSION, "kind": "annotation", **remark._asdict()})
    return message


def with_key(message: bytes, key: int) -> bytes:
    """Return samples, an ``end`` or an ``annotation`` of another key than they were written for."""
    if is_samples(message):
        return message[:_KEY_AT] + key.to_bytes(8, "little") + message[_KEY_AT + 8 :]
    changed: bytes = _pack({**unpack(message), "key": key})
    return changed


def encode_answer(answer: Answer) -> bytes:
    """Return what is answered to a description."""
    kind = "accepted" if answer.accepted else "refused"
    known = {"v": VERSION, "kind": kind, "key": answer.key, "stream": answer.stream}
    message: bytes = _pack({**answer.details, **known})
    return message


def decode(frame: bytes) -> Readings | Description | End | Remark:
    """Read a sender's message.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    if is_samples(frame):
        return decode_samples(frame)
    content = unpack(frame)
    kind = content.get("kind")
    if kind == "describe":
        return _description(content)._replace(fingerprint=hash(frame))
    if kind == "end":
        expect_keys(content, _END_KEYS)
        return End(_integer(content, "key", MAX_KEY))
    if kind == "annotation":
        return _remark(content)
    raise MalformedMessage("kind")


def is_samples(frame: bytes) -> bool:
    """Tell whether a message can only be samples: no msgpack map begins like them."""
    return frame.startswith(b"KS")


def decode_samples(frame: bytes) -> Readings:
    """Read samples.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    if len(frame) > MAX_BYTES:
        raise MalformedMessage("size")
    if len(frame) <= HEAD.size:
        raise MalformedMessage("samples")
    mark, count, key, seq, t = HEAD.unpack_from(frame)
    if mark != ON_GRID and mark != WITH_TIMES:
        raise MalformedMessage("version" if mark[2] != VERSION else "kind")
    begin = HEAD.size + (8 * count if mark == WITH_TIMES else 0)
    payload = len(frame) - begin
    if not (0 < count <= payload and payload % (4 * count) == 0 and seq < MAX_INT - count and 0 <= t < MAX_INT):
        raise MalformedMessage("samples")
    return Readings(key, seq, t, count, frame[HEAD.size : begin], frame[begin:])


def decode_answer(frame: bytes) -> Answer:
    """Read what the control endpoint answers.

    Raises
    ------
    MalformedMessage
        Where it is neither ``accepted`` nor ``refused``.
    """
    content = unpack(frame)
    kind = content.get("kind")
    if kind not in ("accepted", "refused"):
        raise MalformedMessage("kind")
    key, stream = _integer(content, "key", MAX_KEY), _name(content, "stream")
    if kind == "refused" and type(content.get("reason")) is not str:
        raise MalformedMessage("reason")
    details = {name: value for name, value in content.items() if name not in _ANSWER_KEYS}
    if not all(type(name) is str for name in details):
        raise MalformedMessage("keys")
    return Answer(kind == "accepted", key, stream, details)


def unpack(frame: bytes, most_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a msgpack map of this version.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    if len(frame) > most_bytes:
        raise MalformedMessage("size")
    try:
        # More than any message of ours holds takes up to 12 ms to make, only to be refused.
        content = msgpack.unpackb(frame, max_map_len=_MAX_KEYS, max_array_len=MAX_CHANNELS, max_ext_len=0)
    except (ValueError, msgpack.UnpackException, RecursionError, OverflowError):
        raise MalformedMessage("msgpack") from None
    if type(content) is not dict:
        raise MalformedMessage("msgpack")
    if content.get("v") != VERSION or type(content["v"]) is not int:
        raise MalformedMessage("version")
    return content


def expect_keys(content: dict[str, Any], expected: set[str]) -> None:
    """Refuse a key too many or too few: what is not understood must not be passed over.

    Raises
    ------
    MalformedMessage
        Where there is one.
    """
    if content.keys() != expected:
        raise MalformedMessage("keys")


def of_types(content: dict[str, Any], types: dict[str, type]) -> dict[str, Any]:
    """Return what a map must have, of exactly these types; the rest is passed over.

    Raises
    ------
    KeyError, TypeError
        Where something is not there, or of another type.
    """
    found = {name: content[name] for name in types}
    if any(type(value) is not types[name] for name, value in found.items()):
        raise TypeError
    return found


def _description(content: dict[str, Any]) -> Description:
    expect_keys(content, _IN_FLEET_KEYS if "epoch" in content else _DESCRIPTION_KEYS)
    rate, channels, timing = content["rate_hz"], content["channels"], content["timing"]
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate < math.inf:
        raise MalformedMessage("rate_hz")
    if not rate and timing == "grid":
        raise MalformedMessage("rate_hz")
    if type(channels) is not list or not 0 < len(channels) <= MAX_CHANNELS:
        raise MalformedMessage("channels")
    if timing not in TIMINGS:
        raise MalformedMessage("timing")
    return Description(
        _name(content, "stream"),
        _integer(content, "key", MAX_KEY),
        _integer(content, "session", MAX_INT),
        float(rate),
        tuple(map(_channel, channels)),
        _name(content, "device"),
        _integer(content, "origin", MAX_INT),
        timing,
        epoch=_integer(content, "epoch", MAX_INT) if "epoch" in content else 0,
    )


def _remark(content: dict[str, Any]) -> Remark:
    expect_keys(content, _ANNOTATION_KEYS)
    activity = content["activity"]
    key, begin, end = (
        _integer(content, "key", MAX_KEY),
        *(_integer(content, each, MAX_INT) for each in ("begin", "end")),
    )
    if type(activity) is not str or not annotation_is_valid(activity, begin, end):
        raise MalformedMessage("annotation")
    return Remark(key, activity, begin, end)


# Thousands of streams have the same channels: those made before are quicker to find, and to compare, than to make.
_made_channel = lru_cache(maxsize=MAX_CHANNELS)(Channel)


def _channel(entry: object) -> Channel:
    if type(entry) is not dict or entry.keys() != _CHANNEL_KEYS:
        raise MalformedMessage("channels")
    name, unit = entry["name"], entry["unit"]
    if type(name) is not str or type(unit) is not str or not channel_is_valid(name, unit):
        raise MalformedMessage("channels")
    return _made_channel(name, unit)


def _name(content: dict[str, Any], key: str) -> str:
    name = content.get(key)
    if type(name) is not str or not name_is_valid(name):
        raise MalformedMessage(key)
    return name


def _integer(content: dict[str, Any], key: str, end: int) -> int:
    value = content.get(key)
    if type(value) is not int or not 0 <= value < end:
        raise MalformedMessage(key)
    return value
