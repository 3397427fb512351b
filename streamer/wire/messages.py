"""The messages, version 2: what each holds, how large it may be, under which topic it is published.

A sender writes four kinds of message, each one frame; all but ``describe`` may be wrapped to be acknowledged (see
`kinestream.streamer.wire.tracked`):

``describe``, a msgpack map
    ``{v, kind, stream, device, key, session, origin, rate_hz, timing, channels: [{name, unit}, ...]}`` says what a
    device's readings are. `key` stands for (stream, device, session) from then on; a key has one description, and it
    never changes. It comes before the first samples, and again every second or two, so that a streamer that was
    restarted learns it. In a fleet there is `epoch` besides; see `kinestream.streamer.directory.table`.
``samples``, a head of 32 bytes and readings
    Little-endian throughout::

        byte  0  'K'        4  u32 count     8  u64 key     16  u64 seq     24  i64 t
              1  'S'
              2  u8 version, 2
              3  u8 kind: 1 on the grid, 2 with times

    then, for kind 2, `count` times (i64, Unix ns), then `count` x C float32 in C order, NaN for no reading. `seq`
    numbers the first reading, `t` is the Unix time in ns of the last.
``end``, a msgpack map
    ``{v, kind, key}`` closes a session.
``annotation``, a msgpack map
    ``{v, kind, key, activity, begin, end}``: what a person says the activity was, from when to when, Unix ns. It is
    published, and never reaches what names the windows.

What is published are two frames: a topic, ``label/<stream>/``, ``event/<stream>/`` or ``annotation/<stream>/``, and a
msgpack map. The closing slash keeps a subscription to ``label/a/`` from matching ``label/ab/``. The control endpoint
answers each ``describe`` with ``accepted`` or ``refused``, msgpack maps that name the key.

`codec` writes and reads them.
"""

import re
from struct import Struct
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel

VERSION = 2
INGEST = "tcp://127.0.0.1:5570"
"""Where a streamer takes samples unless told otherwise."""
LABELS = "tcp://127.0.0.1:5571"
"""Where a streamer publishes labels and events unless told otherwise."""
CONTROL = "tcp://127.0.0.1:5572"
"""Where a streamer answers descriptions and other requests unless told otherwise."""
WATCH = "tcp://127.0.0.1:5573"
"""Where a streamer publishes readings and figures beside the default address of its labels."""
DASHBOARD_PORT = 5580
"""Where a dashboard serves pages unless told otherwise."""
METRICS_PORT = 5590
"""Where metrics are served unless told otherwise."""

HEAD = Struct("<4sIQQq")
"""The head of a samples message: mark, count, key, number of the first reading, time of the last."""
TRACKED_HEAD = Struct("<4sIQQQ")
"""What stands before a message that is acknowledged: see `kinestream.streamer.wire.tracked`."""
ON_GRID, WITH_TIMES = b"KS\x02\x01", b"KS\x02\x02"
"""The marks of samples messages: two letters, the version, and how their readings lie in time."""

MAX_BYTES = 1 << 16
"""What any message of a sender may hold; senders split their samples accordingly."""
MAX_CHANNELS = 1024
MAX_TEXT = 64
"""Characters of a channel's or a unit's name, bytes of a stream's."""
MAX_ACTIVITY = 255
"""Characters of an activity's name, as of a class's."""
MAX_TOPIC = len("annotation//") + MAX_TEXT
"""Bytes of the longest topic there is."""
MAX_NOTICE = MAX_TOPIC + 32
"""Bytes of the longest subscription that finds one, with what ZMTP writes before it."""
MAX_KEY = 1 << 64
MAX_INT = 1 << 62
"""Numbers and times are below it, which leaves room for arithmetic within a signed 64-bit integer."""
DEVICE = "sensor"
"""The name of a wearer's only device, unless another is given."""
STREAM_NAME = re.compile(rf"[\w.:@+-]{{1,{MAX_TEXT}}}")
"""What a stream's or device's name is made of: no slash, since that ends a topic; `name_is_valid` counts its bytes."""

Timing = Literal["grid", "times"]
TIMINGS: tuple[Timing, ...] = get_args(Timing)


class MalformedMessage(ValueError):
    """A message that cannot be used; its text is the reason it is counted under."""


class Description(NamedTuple):
    """What a device's readings are.

    Attributes
    ----------
    stream, device : str
        Whose, and from which of the wearer's devices.
    key : int
        What samples messages name instead of stream, device and session; 64 random bits.
    session : int
        Which run of the stream; sessions count up.
    rate_hz : float
        Readings a second.
    channels : tuple of Channel
        Their columns.
    origin : int
        Unix time in ns of sample 0.
    timing : {"grid", "times"}
        ``grid``: the number of a reading says where it lies; ``times``: every reading carries its time.
    fingerprint : int
        That of the message it was read from.
    sender : str
        The public key that it came under, where the streamer asks for keys; not in the message.
    epoch : int
        In a fleet, as of when this streamer has the stream, as its sender knows; else 0, and not in the message.
    """

    stream: str
    key: int
    session: int
    rate_hz: float
    channels: tuple[Channel, ...]
    device: str = DEVICE
    origin: int = 0
    timing: Timing = "grid"
    fingerprint: int = 0
    sender: str = ""
    epoch: int = 0


class Readings(NamedTuple):
    """Consecutive readings of a device, so many; `times` and `x` still as bytes: their width depends on the device."""

    key: int
    seq: int
    t: int
    samples: int
    times: bytes
    x: bytes


class End(NamedTuple):
    """The end of a key's session."""

    key: int


class Remark(NamedTuple):
    """What a sender says the activity was of the session of a key, from `begin` to `end`, Unix ns."""

    key: int
    activity: str
    begin: int
    end: int


class Answer(NamedTuple):
    """What the control endpoint says of a description.

    Attributes
    ----------
    accepted : bool
        Whether the stream is served.
    key, stream : int, str
        Which description it answers.
    details : dict
        What an ``accepted`` or ``refused`` event says, by name.
    """

    accepted: bool
    key: int
    stream: str
    details: dict[str, Any]


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
    probs : bytes
        That of every class, float32; `probabilities` returns them as an array.
    missing : dict of float by str
        The share of the window's samples that each of the stream's devices missed.
    model : str
        Name and fingerprint of the bundle.
    t_source : int
        Unix time in ns of the window's last sample, on the sender's clock.
    t_received, t_ready, t_inferred, t_published : int
        Unix time in ns, on the streamer's clock: when the message that completed the window came in, when its batch was
        made (which may wait behind another one), when its class was known, when it was handed to the socket.
    epoch : int
        In a fleet, as of when the streamer that made it has the stream: the latest that it was described by. Else 0,
        and not in the message.
    """

    stream: str
    session: int
    window: int
    first_seq: int
    last_seq: int
    label: str
    class_index: int
    p: float
    probs: bytes
    missing: dict[str, float]
    model: str
    t_source: int
    t_received: int
    t_ready: int
    t_inferred: int
    t_published: int
    epoch: int = 0

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """The probability of each of the bundle's classes, shape (K,)."""
        return np.frombuffer(self.probs, "<f4")


class Event(NamedTuple):
    """Something a subscriber should know of a stream besides its labels.

    Attributes
    ----------
    event : str
        ``accepted`` (its description fits; `subscribers` tells how many listen to its labels, `undelivered` which
        channels no device delivers yet), ``refused`` (`reason`), ``reset`` (a new session began before the old one
        ended), ``gap`` (samples `first_seq` to `last_seq` have not come), ``late`` (`count` samples, or readings of a
        `device`, came after their last window had gone), ``seam`` (numbers went on from `last_seq` at `first_seq`,
        which no gap explains, or a `device`'s clock was set: no window holds samples of both sides, `next_window` is
        the first behind `last_window`), ``rate`` (a device delivers another rate than it declared), ``device`` (one is
        silent, or back, or none delivers a channel), ``unusual`` (readings of a `sensor` lie far outside of what the
        bundle was trained on, or no more), ``skipped`` (windows `first_window` to `last_window` got no label; `reason`
        says why), ``model`` (the bundle `new` names windows from now on, instead of `old`), ``quota`` (`count` messages
        were dropped: their sender may not send so many), ``end`` (with the session's counters). By ``missed`` a
        subscriber tells of windows `first_window` to `last_window` whose labels it could not have; `reason` says why.
    stream, session : str, int
        Whose; session is -1 where none has begun.
    details : dict
        What else there is to say, by name.
    """

    event: str
    stream: str
    session: int
    details: dict[str, Any]


class Annotation(NamedTuple):
    """What a person says the activity was, as it is published; a replay says what its recording does.

    Attributes
    ----------
    stream, session : str, int
        Whose, and of which session's sender.
    activity : str
        Its name; it need not be one of the bundle's classes.
    begin, end : int
        From when to when, Unix ns on the wearer's clock.
    """

    stream: str
    session: int
    activity: str
    begin: int
    end: int


Published = Label | Event | Annotation
"""What subscribers receive."""


def name_is_valid(stream: str) -> bool:
    """Tell whether a stream or device may be called this: 1 to 64 letters, digits and ``_ . : @ + -``, in 64 bytes."""
    return STREAM_NAME.fullmatch(stream) is not None and (stream.isascii() or len(stream.encode()) <= MAX_TEXT)


def channel_is_valid(name: str, unit: str) -> bool:
    """Tell whether a channel and its unit may be called this: up to 64 printable characters; a unit may have none."""
    return 0 < len(name) <= MAX_TEXT and len(unit) <= MAX_TEXT and name.isprintable() and unit.isprintable()


def annotation_is_valid(activity: str, begin: int, end: int) -> bool:
    """Tell whether an activity may be called this, 1 to 255 printable characters, and lasts from then to then."""
    return 0 < len(activity) <= MAX_ACTIVITY and activity.isprintable() and 0 <= begin <= end < MAX_INT


def label_topic(stream: str) -> bytes:
    """Return the topic of a stream's labels."""
    return f"label/{stream}/".encode()


def event_topic(stream: str) -> bytes:
    """Return the topic of a stream's events."""
    return f"event/{stream}/".encode()


def annotation_topic(stream: str) -> bytes:
    """Return the topic of a stream's annotations."""
    return f"annotation/{stream}/".encode()
