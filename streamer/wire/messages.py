"""The messages, version 1: what each holds, how large it may be, under which topic it is published.

A sender writes three kinds of message, each one frame holding a msgpack map:

``stream``
    ``{v, kind, stream, rate_hz, channels: [{name, unit}, ...]}`` says what the columns of a stream are. It comes before
    the first samples, and again every second or two, so that a streamer that was restarted learns it.
``samples``
    ``{v, kind, stream, session, seq, t, x}``: consecutive samples. `x` is little-endian float32 in C order, n x C, NaN
    for no reading; `seq` numbers its first sample, `t` is the Unix time in ns of its last.
``end``
    ``{v, kind, stream, session}`` closes a session.

Labels and events are two frames: a topic, ``label/<stream>/`` or ``event/<stream>/``, and a msgpack map. The closing
slash keeps a subscription to ``label/a/`` from matching ``label/ab/``.

`codec` writes and reads them.
"""

import re
from typing import Any, Literal, NamedTuple

from kinestream.model.recordings.recording import Channel

VERSION = 1
INGEST = "tcp://127.0.0.1:5570"
"""Where a streamer takes samples unless told otherwise."""
LABELS = "tcp://127.0.0.1:5571"
"""Where a streamer publishes labels and events unless told otherwise."""

MAX_BYTES = 1 << 16
"""What any message of a sender may hold; senders split their samples accordingly."""
MAX_CHANNELS = 1024
MAX_TEXT = 64
"""Characters of a channel's or a unit's name, bytes of a stream's."""
MAX_TOPIC = len("label//") + MAX_TEXT
"""Bytes of the longest topic there is."""
MAX_NOTICE = MAX_TOPIC + 32
"""Bytes of the longest subscription that finds one, with what ZMTP writes before it."""
MAX_INT = 1 << 62
"""Numbers and times are below it, which leaves room for arithmetic within a signed 64-bit integer."""
STREAM_NAME = re.compile(rf"[\w.:@+-]{{1,{MAX_TEXT}}}")
"""What a stream's name is made of: no slash, since that ends a topic. `stream_name_is_valid` also counts its bytes."""

EventKind = Literal["accepted", "refused", "reset", "gap", "late", "seam", "skipped", "end"]


class MalformedMessage(ValueError):
    """A message that cannot be used; its text is the reason it is counted under."""


class StreamDescription(NamedTuple):
    """What the columns of a stream are; `fingerprint` is that of the message it was read from."""

    stream: str
    rate_hz: float
    channels: tuple[Channel, ...]
    fingerprint: int = 0


class Samples(NamedTuple):
    """Consecutive samples of a session; `x` still as bytes, since its width depends on the stream."""

    stream: str
    session: int
    seq: int
    t: int
    x: bytes


class End(NamedTuple):
    """The end of a session."""

    stream: str
    session: int


class Label(NamedTuple):
    """The activity of one window.

    Attributes
    ----------
    stream, session : str, int
        Whose window it is.
    window : int
        Counts up within a session: a jump means that windows were missed or skipped.
    first_seq, last_seq : int
        Its samples.
    label, class_index : str, int
        The most probable class.
    p : float
        Its probability.
    model : str
        Name and fingerprint of the bundle.
    t_source : int
        Unix time in ns of the window's last sample, on the sender's clock.
    t_received, t_ready, t_inferred, t_published : int
        Unix time in ns, on the streamer's clock: when the message that completed the window came in, when its batch was
        made (which may wait behind another one), when its class was known, when it was handed to the socket.
    """

    stream: str
    session: int
    window: int
    first_seq: int
    last_seq: int
    label: str
    class_index: int
    p: float
    model: str
    t_source: int
    t_received: int
    t_ready: int
    t_inferred: int
    t_published: int


class Event(NamedTuple):
    """Something a subscriber should know of a stream besides its labels.

    Attributes
    ----------
    event : str
        ``accepted`` (its description fits; `subscribers` tells how many listen to its labels), ``refused`` (`reason`),
        ``reset`` (a new session began before the old one ended), ``gap`` (samples `first_seq` to `last_seq` have not
        come), ``late`` (`count` samples came after their last window had gone), ``seam`` (numbers went on from
        `last_seq` at `first_seq`, which no gap explains: no window holds samples of both sides), ``skipped`` (windows
        `first_window` to `last_window` got no label; `reason` says why), ``end`` (with the session's counters).
    stream, session : str, int
        Whose; session is -1 where none has begun.
    details : dict
        What else there is to say, by name.
    """

    event: str
    stream: str
    session: int
    details: dict[str, Any]


def stream_name_is_valid(stream: str) -> bool:
    """Tell whether a stream may be called this: 1 to 64 letters, digits and ``_ . : @ + -``, in at most 64 bytes."""
    return STREAM_NAME.fullmatch(stream) is not None and (stream.isascii() or len(stream.encode()) <= MAX_TEXT)


def channel_is_valid(name: str, unit: str) -> bool:
    """Tell whether a channel and its unit may be called this: up to 64 printable characters; a unit may have none."""
    return 0 < len(name) <= MAX_TEXT and len(unit) <= MAX_TEXT and name.isprintable() and unit.isprintable()


def label_topic(stream: str) -> bytes:
    """Return the topic of a stream's labels."""
    return f"label/{stream}/".encode()


def event_topic(stream: str) -> bytes:
    """Return the topic of a stream's events."""
    return f"event/{stream}/".encode()
