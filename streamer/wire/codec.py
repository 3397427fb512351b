"""How messages are written and read, and what is refused.

Whatever comes in is checked whole before it is used: its size before it is unpacked, then exact types. `messages` says
what each kind of message holds.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.wire.messages import (
    MAX_BYTES,
    MAX_CHANNELS,
    MAX_INT,
    STREAM_NAME,
    VERSION,
    End,
    Event,
    Label,
    MalformedMessage,
    Samples,
    StreamDescription,
    channel_is_valid,
    event_topic,
    label_topic,
    stream_name_is_valid,
)

# The first byte of a msgpack map says how many keys it has: samples have seven, a description five.
_SAMPLES_MARK, _DESCRIPTION_MARK = b"\x87", b"\x85"
_SHORT_BYTES = 512  # a message of up to so many is read quickly, whatever it is
_MAX_KEYS = 4096  # a published event has no more
_MAX_HEAD_BYTES = 512  # of a samples message, what is not samples
_new_tuple = tuple.__new__
_pack = msgpack.Packer(autoreset=True).pack


def encode_description(description: StreamDescription) -> bytes:
    """Return the message that describes a stream."""
    channels = [{"name": channel.name, "unit": channel.unit} for channel in description.channels]
    stream, rate = description.stream, float(description.rate_hz)
    message: bytes = _pack({"v": VERSION, "kind": "stream", "stream": stream, "rate_hz": rate, "channels": channels})
    return message


def encode_samples(stream: str, session: int, seq: int, t: int, x: npt.NDArray[np.float32]) -> bytes:
    """Return the message of the samples `x`, shape (n, C), whose last one was taken at `t`, Unix ns."""
    message: bytes = _pack(
        {
            "v": VERSION,
            "kind": "samples",
            "stream": stream,
            "session": session,
            "seq": seq,
            "t": t,
            "x": x.astype("<f4", copy=False).tobytes(),
        }
    )
    return message


def encode_split(
    stream: str, session: int, seq: int, t: int, x: npt.NDArray[np.float32], period_ns: float
) -> Iterator[tuple[int, bytes]]:
    """Yield the messages of samples of which there may be more than one holds, each after the number past its last one.

    Parameters
    ----------
    stream, session, seq, t, x
        As in `encode_samples`.
    period_ns : float
        From one sample to the next: what lies between the last of a message and `t`.
    """
    most = (MAX_BYTES - _MAX_HEAD_BYTES) // (4 * x.shape[1])
    for first in range(0, len(x), most):
        part = x[first : first + most]
        end = first + len(part)
        yield (
            seq + end,
            encode_samples(stream, session, seq + first, max(t - round((len(x) - end) * period_ns), 0), part),
        )


def encode_end(stream: str, session: int) -> bytes:
    """Return the message that ends a session."""
    message: bytes = _pack({"v": VERSION, "kind": "end", "stream": stream, "session": session})
    return message


def decode(frame: bytes) -> Samples | StreamDescription | End:
    """Read a sender's message.

    Raises
    ------
    MalformedMessage
        Naming the reason.
    """
    content = _unpack(frame)
    kind = content.get("kind")
    if kind == "samples":
        return _samples(content)
    if kind == "stream":
        return _description(content)._replace(fingerprint=hash(frame))
    if kind == "end":
        return End(_stream_name(content), _integer(content, "session"))
    raise MalformedMessage("kind")


def is_description(frame: bytes) -> bool:
    """Tell whether a message may be a stream's description, or takes as long to read; if not, it is none for sure."""
    return frame[:1] == _DESCRIPTION_MARK or (frame[:1] != _SAMPLES_MARK and len(frame) > _SHORT_BYTES)


def _unpack(frame: bytes) -> dict[str, Any]:
    if len(frame) > MAX_BYTES:
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


def _samples(content: dict[str, Any]) -> Samples:
    stream, session, seq = content.get("stream"), content.get("session"), content.get("seq")
    t, x = content.get("t"), content.get("x")
    # One expression, since this is the only check that runs for every message.
    if not (
        type(stream) is str
        and type(session) is type(seq) is type(t) is int
        and type(x) is bytes
        and 0 <= session < MAX_INT
        and 0 <= seq < MAX_INT
        and 0 <= t < MAX_INT
        and x
        and not len(x) % 4
    ):
        raise MalformedMessage("samples")
    return _new_tuple(Samples, (stream, session, seq, t, x))  # half the time that calling it takes


def _description(content: dict[str, Any]) -> StreamDescription:
    rate, channels = content.get("rate_hz"), content.get("channels")
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 < rate < math.inf:
        raise MalformedMessage("rate_hz")
    if type(channels) is not list or not 0 < len(channels) <= MAX_CHANNELS:
        raise MalformedMessage("channels")
    return StreamDescription(_stream_name(content), float(rate), tuple(map(_channel, channels)))


# Thousands of streams have the same channels: those made before are quicker to find, and to compare, than to make.
_made_channel = lru_cache(maxsize=MAX_CHANNELS)(Channel)


def _channel(entry: object) -> Channel:
    if type(entry) is not dict:
        raise MalformedMessage("channels")
    name, unit = entry.get("name"), entry.get("unit", "")
    if type(name) is not str or type(unit) is not str or not channel_is_valid(name, unit):
        raise MalformedMessage("channels")
    return _made_channel(name, unit)


def _stream_name(content: dict[str, Any]) -> str:
    stream = content.get("stream")
    if type(stream) is not str or not stream_name_is_valid(stream):
        raise MalformedMessage("stream")
    return stream


def _integer(content: dict[str, Any], key: str) -> int:
    value = content.get(key)
    if type(value) is not int or not 0 <= value < MAX_INT:
        raise MalformedMessage(key)
    return value


_LABEL_KEYS = tuple("class" if field == "class_index" else field for field in Label._fields)
_label_fields = itemgetter(*_LABEL_KEYS)


def encode_label(label: Label, published: int | None = None) -> tuple[bytes, bytes]:
    """Return the two frames of a label, which leaves at `published`, Unix ns, if that is given."""
    stream, session, window, first, last, name, index, p, model, source, received, ready, inferred, leaves = label
    content = {  # written out: to join it from names and values takes twice as long
        "v": VERSION,
        "kind": "label",
        "stream": stream,
        "session": session,
        "window": window,
        "first_seq": first,
        "last_seq": last,
        "label": name,
        "class": index,
        "p": p,
        "model": model,
        "t_source": source,
        "t_received": received,
        "t_ready": ready,
        "t_inferred": inferred,
        "t_published": leaves if published is None else published,
    }
    return label_topic(stream), _pack(content)


def encode_event(event: Event) -> tuple[bytes, bytes]:
    """Return the two frames of an event."""
    known = {"event": event.event, "stream": event.stream, "session": event.session}
    content = {"v": VERSION, "kind": "event", **known, **event.details}
    return event_topic(event.stream), _pack(content)


_ACCEPTED = encode_event(Event("accepted", "", 0, {}))[1].partition(b"\xa6stream")[0][1:]


def is_acceptance(frames: list[bytes]) -> bool:
    """Tell, without reading it, whether a published message is an ``accepted`` event; if not, it still may be."""
    return len(frames) == 2 and frames[1].startswith(_ACCEPTED, 1)


def decode_published(frames: list[bytes]) -> Label | Event:
    """Read what a streamer publishes.

    Parameters
    ----------
    frames : list of bytes
        The topic and the message.

    Raises
    ------
    MalformedMessage
        Where it is neither a label nor an event of this version, or holds something of another type than it should.
    """
    if len(frames) != 2:
        raise MalformedMessage("frames")
    content = _unpack(frames[1])
    kind = content.pop("kind", None)
    try:
        if kind == "label":
            return _checked_label(_label_fields(content))
        if kind == "event":
            del content["v"]
            return _checked_event(Event(content.pop("event"), content.pop("stream"), content.pop("session"), content))
    except KeyError as error:
        raise MalformedMessage(str(error.args[0])) from None
    raise MalformedMessage("kind")


_LABEL_TYPES = tuple(Label.__annotations__.values())


def _checked_label(fields: tuple[Any, ...]) -> Label:
    stream, session, window, first, last, _, index, p, _, source, received, ready, inferred, published = fields
    if not (
        tuple(map(type, fields)) == _LABEL_TYPES
        and min(session, window, first, last, index, received, ready, inferred, published) >= 0
        and source > -MAX_INT  # counted back from a chunk's last sample, on a clock that may have begun at 0
        and max(session, window, first, last, index, source, received, ready, inferred, published) < MAX_INT
        and 0.0 <= p <= 1.0
        and STREAM_NAME.fullmatch(stream)
    ):
        raise MalformedMessage("label")
    label: Label = _new_tuple(Label, fields)
    return label


_RANGES = {"gap": ("first_seq", "last_seq"), "skipped": ("first_window", "last_window")}


def _checked_event(event: Event) -> Event:
    """Check what every event has, and what is counted with: a streamer may have more to say, and new kinds of it."""
    kind, stream, session, details = event
    if not (
        type(kind) is type(stream) is str
        and STREAM_NAME.fullmatch(stream)
        and (session == -1 or _are_numbers((session,)))
        and type(session) is int
        and all(type(key) is str for key in details)
        and type(details.get("reason", "")) is str
    ):
        raise MalformedMessage("event")
    ends = _RANGES.get(kind)
    if ends is not None:
        first, last = details[ends[0]], details[ends[1]]
        if not _are_numbers((first, last)) or first > last:
            raise MalformedMessage(kind)
    if kind == "late" and not _are_numbers((details["count"],)):
        raise MalformedMessage(kind)
    if kind in ("skipped", "refused") and "reason" not in details:
        raise MalformedMessage(kind)
    return event


def _are_numbers(values: tuple[Any, ...]) -> bool:
    return all(type(value) is int and 0 <= value < MAX_INT for value in values)
