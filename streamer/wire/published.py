"""How labels and events are written and read; `messages` says what they hold."""

from operator import itemgetter
from typing import Any

import msgpack

from kinestream.streamer.wire.codec import unpack
from kinestream.streamer.wire.messages import (
    MAX_INT,
    STREAM_NAME,
    VERSION,
    Annotation,
    Event,
    Label,
    MalformedMessage,
    Published,
    annotation_is_valid,
    annotation_topic,
    event_topic,
    label_topic,
)

_LABEL_KEYS = tuple("class" if field == "class_index" else field for field in Label._fields[:-1])  # and the epoch
_label_fields = itemgetter(*_LABEL_KEYS)
_label_key_set = {"v", *_LABEL_KEYS}
_LABEL_TYPES = tuple(
    getattr(Label.__annotations__[each], "__origin__", Label.__annotations__[each]) for each in Label._fields[:-1]
)
_ANNOTATION_KEYS = {"v", *Annotation._fields}
_WINDOWS = "first_window", "last_window"
_RANGES = {"gap": ("first_seq", "last_seq"), "skipped": _WINDOWS, "missed": _WINDOWS}
_new_tuple = tuple.__new__
_pack = msgpack.Packer(autoreset=True).pack


def encode_label(label: Label, published: int | None = None) -> tuple[bytes, bytes]:
    """Return the two frames of a label, which leaves at `published`, Unix ns, if that is given."""
    stream, session, window, first, last, name, index, p, probs, missing, model, *times, leaves, epoch = label
    source, received, ready, inferred = times
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
        "probs": probs,
        "missing": missing,
        "model": model,
        "t_source": source,
        "t_received": received,
        "t_ready": ready,
        "t_inferred": inferred,
        "t_published": leaves if published is None else published,
    }
    if epoch:
        content["epoch"] = epoch
    return label_topic(stream), _pack(content)


def encode_event(event: Event) -> tuple[bytes, bytes]:
    """Return the two frames of an event."""
    known = {"event": event.event, "stream": event.stream, "session": event.session}
    content = {"v": VERSION, "kind": "event", **known, **event.details}
    return event_topic(event.stream), _pack(content)


def encode_annotation(annotation: Annotation) -> tuple[bytes, bytes]:
    """Return the two frames of an annotation."""
    return annotation_topic(annotation.stream), _pack({"v": VERSION, "kind": "annotation", **annotation._asdict()})


def encode_published(published: Published, leaves: int) -> tuple[bytes, bytes]:
    """Return the two frames of whatever leaves at that Unix time in ns."""
    if isinstance(published, Label):
        return encode_label(published, leaves)
    return encode_annotation(published) if isinstance(published, Annotation) else encode_event(published)


_ACCEPTED = encode_event(Event("accepted", "", 0, {}))[1].partition(b"\xa6stream")[0][1:]


def is_acceptance(frames: list[bytes]) -> bool:
    """Tell, without reading it, whether a published message is an ``accepted`` event; if not, it still may be."""
    return len(frames) == 2 and frames[1].startswith(_ACCEPTED, 1)


def decode_published(frames: list[bytes]) -> Published:
    """Read what a streamer publishes.

    Parameters
    ----------
    frames : list of bytes
        The topic and the message.

    Raises
    ------
    MalformedMessage
        Where it is neither a label, an event nor an annotation of this version, or holds something of another type than
        it should.
    """
    if len(frames) != 2:
        raise MalformedMessage("frames")
    content = unpack(frames[1])
    kind = content.pop("kind", None)
    try:
        if kind == "label":
            return _checked_label(content)
        if kind == "event":
            del content["v"]
            return _checked_event(Event(content.pop("event"), content.pop("stream"), content.pop("session"), content))
        if kind == "annotation":
            return _checked_annotation(content)
    except KeyError as error:
        raise MalformedMessage(str(error.args[0])) from None
    raise MalformedMessage("kind")


def _checked_label(content: dict[str, Any]) -> Label:
    fields = _label_fields(content)
    epoch = content.pop("epoch", 0) if len(content) > len(_label_key_set) else 0
    stream, session, window, first, last, _, index, p, probs, missing, _, *times = fields
    source, received, ready, inferred, published = times
    if not (
        len(content) == len(_label_key_set)
        and tuple(map(type, fields)) == _LABEL_TYPES
        # All bits of them together: none is negative and none too large, at a third of what `min` and `max` take.
        and 0 <= session | window | first | last | index | received | ready | inferred | published < MAX_INT
        and -MAX_INT < source < MAX_INT  # counted back from a chunk's last sample, on a clock that may begin at 0
        and (not epoch or _are_numbers((epoch,)))
        and 0.0 <= p <= 1.0
        and len(probs) > 4 * index
        and len(probs) % 4 == 0
        and STREAM_NAME.fullmatch(stream)
    ):
        raise MalformedMessage("label")
    for device, share in missing.items():
        if not (type(device) is str and type(share) is float and 0.0 <= share <= 1.0):
            raise MalformedMessage("label")
    label: Label = _new_tuple(Label, (*fields, epoch))
    return label


def _checked_annotation(content: dict[str, Any]) -> Annotation:
    if content.keys() != _ANNOTATION_KEYS:
        raise MalformedMessage("annotation")
    del content["v"]
    annotation = Annotation(**content)
    stream, session, activity, begin, end = annotation
    if not (
        type(stream) is type(activity) is str
        and STREAM_NAME.fullmatch(stream)
        and _are_numbers((session, begin, end))
        and annotation_is_valid(activity, begin, end)
    ):
        raise MalformedMessage("annotation")
    return annotation


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
        and ("epoch" not in details or _are_numbers((details["epoch"],)))
    ):
        raise MalformedMessage("event")
    ends = _RANGES.get(kind)
    if ends is not None:
        first, last = details[ends[0]], details[ends[1]]
        if not _are_numbers((first, last)) or first > last:
            raise MalformedMessage(kind)
    if kind in ("late", "quota") and not _are_numbers((details["count"],)):
        raise MalformedMessage(kind)
    if kind in ("skipped", "refused") and "reason" not in details:
        raise MalformedMessage(kind)
    return event


def _are_numbers(values: tuple[Any, ...]) -> bool:
    return all(type(value) is int and 0 <= value < MAX_INT for value in values)
