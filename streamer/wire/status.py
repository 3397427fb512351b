"""The status of a streamer and of its streams, as published at the watch endpoint: how it is written and read.

``status/``
    The streamer's status once a second: see `Status`.
``streams/``
    The status of each stream once a second, in pieces: see `StreamsStatus`. It is no topic below ``status/``, since
    whoever subscribes to that would be sent it, too.
"""

from typing import Any, NamedTuple

import msgpack

from kinestream.streamer.wire.codec import of_types
from kinestream.streamer.wire.messages import VERSION

STATUS_TOPIC, STREAMS_TOPIC = b"status/", b"streams/"

STAGES = ("received_ready", "ready_inferred", "inferred_published", "source_published")
"""Between which of a label's times latencies are counted."""
LATENCY_BOUNDS_NS = tuple(round(10_000 * 2 ** (k / 4)) for k in range(96))
"""Up to which latency each count of `Latencies` goes, from 10 us to 142 s, four to a doubling; one more counts what is
longer."""
_pack = msgpack.Packer(autoreset=True).pack


class Latencies(NamedTuple):
    """How long labels took for a stage, of those that left while somebody listened.

    Attributes
    ----------
    counts : list of int
        How many took up to each of `LATENCY_BOUNDS_NS` and longer than the one before; the last, how many took longer.
    sum_s : float
        Seconds of all together.
    """

    counts: list[int]
    sum_s: float


class Status(NamedTuple):
    """The status of a streamer.

    Attributes
    ----------
    t : int
        When this was so, Unix ns.
    version, bundle, engine : str
        Of kinestream; what names the windows, and what computes.
    rate_hz, length, stride : float, int, int
        Samples a second of its windows, samples of one, and from one to the next.
    classes, null_class : tuple of str, str
        What the bundle tells apart, and which of them means "none of the others"; empty where none does.
    uptime_s : float
        How long it has been running.
    streams : int
        Streams that are known now.
    totals : dict of int by str
        Every counter, of a few seconds ago at most; they only count up, but for those of what waits.
    queue : dict of int by str
        What waits now: ``windows`` for the next batch, ``batches`` that are being named, ``backlog_bytes`` and
        ``backlog_messages`` that wait for their turn.
    connections : dict of int by str
        How many there are of ``senders``, ``subscribers``, ``watchers`` and at the ``control`` endpoint.
    cpu_s : float
        Processor time that it has taken.
    memory_bytes : int
        Its resident memory, 0 where the system does not tell.
    events : dict of int by str
        Events published while somebody listened, by kind.
    latency : dict of Latencies by str
        Of each of `STAGES`.
    """

    t: int
    version: str
    bundle: str
    engine: str
    rate_hz: float
    length: int
    stride: int
    classes: tuple[str, ...]
    null_class: str
    uptime_s: float
    streams: int
    totals: dict[str, int]
    queue: dict[str, int]
    connections: dict[str, int]
    cpu_s: float
    memory_bytes: int
    events: dict[str, int]
    latency: dict[str, Latencies]


class DeviceStatus(NamedTuple):
    """The status of a device of a stream.

    Attributes
    ----------
    device : str
        Its name.
    rate_hz, measured_hz : float
        What it declares, and how many readings a second have come over the last 5 to 10 s, those that were lost
        included; -1 where that is not known yet.
    missing : float
        Which share of the last label's window it missed.
    silent, frozen : bool
        Whether it was at the end of the last window.
    """

    device: str
    rate_hz: float
    measured_hz: float
    missing: float
    silent: bool
    frozen: bool


class StreamStatus(NamedTuple):
    """The status of a stream.

    Attributes
    ----------
    stream, session : str, int
        Which; session is -1 where none has begun.
    rate_hz, measured_hz : float
        Samples a second that its windows need, and that have been laid over the last 5 to 10 s; -1 where that is not
        known yet.
    missing : float
        The greatest of what its devices missed of the last label's window.
    label, p : str, float
        Its last label since somebody began to listen, empty where there was none, and its probability.
    t_label, t_published : int
        When the last sample of that label's window was taken, on the sender's clock, and when the label left, Unix ns;
        0 where there was none.
    events : dict of int by str
        Its events since somebody began to listen, by kind.
    devices : tuple of DeviceStatus
        Its devices.
    """

    stream: str
    session: int
    rate_hz: float
    measured_hz: float
    missing: float
    label: str
    p: float
    t_label: int
    t_published: int
    events: dict[str, int]
    devices: tuple[DeviceStatus, ...]


class StreamsStatus(NamedTuple):
    """The status of some of the streams.

    Attributes
    ----------
    t : int
        When this was so, Unix ns.
    turn : int
        Counts up: all pieces of a turn together tell of every stream.
    piece, pieces : int
        Which of the turn's this is, from 0, and how many there are.
    streams : tuple of StreamStatus
        The streams.
    """

    t: int
    turn: int
    piece: int
    pieces: int
    streams: tuple[StreamStatus, ...]


def encode_status(status: Status) -> tuple[bytes, bytes]:
    """Return the two frames of a streamer's status."""
    latency = {stage: each._asdict() for stage, each in status.latency.items()}
    return STATUS_TOPIC, _pack({"v": VERSION, "kind": "status", **status._asdict(), "latency": latency})


def encode_streams(status: StreamsStatus) -> tuple[bytes, bytes]:
    """Return the two frames of some streams' status."""
    streams = [{**each._asdict(), "devices": [device._asdict() for device in each.devices]} for each in status.streams]
    return STREAMS_TOPIC, _pack({"v": VERSION, "kind": "streams", **status._asdict(), "streams": streams})


_STATUS_TYPES: dict[str, type] = {
    "t": int,
    "version": str,
    "bundle": str,
    "engine": str,
    "rate_hz": float,
    "length": int,
    "stride": int,
    "classes": list,
    "null_class": str,
    "uptime_s": float,
    "streams": int,
}
_STATUS_TYPES |= {"totals": dict, "queue": dict, "connections": dict, "cpu_s": float, "memory_bytes": int}
_STATUS_TYPES |= {"events": dict, "latency": dict}
_STREAM_TYPES: dict[str, type] = {
    "stream": str,
    "session": int,
    "rate_hz": float,
    "measured_hz": float,
    "missing": float,
}
_STREAM_TYPES |= {"label": str, "p": float, "t_label": int, "t_published": int, "events": dict, "devices": list}
_DEVICE_TYPES: dict[str, type] = {"device": str, "rate_hz": float, "measured_hz": float, "missing": float}
_DEVICE_TYPES |= {"silent": bool, "frozen": bool}
_STREAMS_TYPES: dict[str, type] = {"t": int, "turn": int, "piece": int, "pieces": int, "streams": list}


def read_status(content: dict[str, Any]) -> Status:
    """Read the map of a streamer's status; KeyError, TypeError and ValueError say that it is none."""
    found = of_types(content, _STATUS_TYPES)
    for name in ("totals", "queue", "connections", "events"):
        _check_counts(found[name])
    latency = {}
    for stage, each in found["latency"].items():
        latencies = Latencies(**of_types(each, {"counts": list, "sum_s": float}))
        if len(latencies.counts) != len(LATENCY_BOUNDS_NS) + 1 or set(map(type, latencies.counts)) != {int}:
            raise ValueError
        latency[stage] = latencies
    if set(map(type, found["classes"])) != {str}:
        raise TypeError
    return Status(**{**found, "classes": tuple(found["classes"]), "latency": latency})


def read_streams(content: dict[str, Any]) -> StreamsStatus:
    """Read the map of some streams' status; KeyError, TypeError and ValueError say that it is none."""
    found = of_types(content, _STREAMS_TYPES)
    streams = []
    for each in found["streams"]:
        about = of_types(each, _STREAM_TYPES)
        _check_counts(about["events"])
        devices = tuple(DeviceStatus(**of_types(device, _DEVICE_TYPES)) for device in about["devices"])
        streams.append(StreamStatus(**{**about, "devices": devices}))
    return StreamsStatus(**{**found, "streams": tuple(streams)})


def _check_counts(counts: dict[Any, Any]) -> None:
    if not all(type(name) is str and type(count) is int for name, count in counts.items()):
        raise TypeError
