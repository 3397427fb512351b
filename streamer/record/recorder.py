"""Listens to a streamer as any subscriber does, and writes down what it publishes.

It is a process of its own: whatever becomes of it, the streamer goes on. What it hears is written as it came; a message
of its own is added where readings are missing, a `hole`, so that nobody takes what is not there for what never was.
"""

import json
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack
import zmq

from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.datasets.recorded.schemas import (
    ANNOTATION,
    EVENT,
    HOLE,
    LABEL,
    LOST,
    MISSED,
    SIGNAL,
    signal_channel,
)
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.record.sources import Source, Sources
from kinestream.streamer.record.writer import RecordingWriter
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import (
    VERSION,
    Annotation,
    Event,
    Label,
    MalformedMessage,
    annotation_topic,
    event_topic,
    label_topic,
)
from kinestream.streamer.wire.published import decode_published
from kinestream.streamer.wire.signals import Signal, signal_topic
from kinestream.streamer.wire.status import STATUS_TOPIC, Status
from kinestream.streamer.wire.watched import decode_watched

_MESSAGES_PER_TURN = 1000  # then it is asked whether to go on
_LAST_NS = 2_000_000_000  # given to what has been published when it is to end
_LAST_QUIET_MS = 400  # readings leave the streamer a little later than their labels
_MOST_DEVICES = 50_000  # of which is known how far they have come
_pack = msgpack.Packer(autoreset=True).pack


@dataclass
class _Reached:
    """How far a device has come: the next message that its streamer will send, the next reading, and which streamer."""

    message: int
    seq: int
    source: int


class Recorder:
    """Writes down what a streamer publishes.

    Parameters
    ----------
    writer : RecordingWriter
        Where it goes.
    labels, watch : str
        Where the streamer publishes.
    streams : sequence of str, optional
        Only these; all by default.
    keys : str, Path or ClientKeys, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.
    fleet : str, optional
        Where a fleet's directory answers, in place of a streamer's addresses. What two streamers publish of a stream
        that changes hands is all written, as it came.

    Attributes
    ----------
    counts : Counter
        ``readings``, ``labels``, ``events``, ``annotations``; ``missed``, messages with readings that were published
        and did not arrive; ``malformed``, messages that could not be read; ``holes``.
    heard : bool
        Whether anything has come.

    Raises
    ------
    EndpointError
        If an address cannot be used, or something else answers there; that nobody is there yet is no error.
    AccessError
        If the keys cannot be used; from `take`, if the streamer does not accept them, or no longer.
    FileError
        From `take` and `finish`, where nothing can be written any further.
    """

    def __init__(
        self,
        writer: RecordingWriter,
        *,
        labels: str = wire.LABELS,
        watch: str = wire.WATCH,
        streams: Sequence[str] | None = None,
        keys: str | Path | ClientKeys | None = None,
        fleet: str | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(("readings", "labels", "events", "annotations"), 0))
        self.heard = False
        self._writer = writer
        self._reached: OrderedDict[tuple[str, int, str], _Reached] = OrderedDict()
        kinds = (label_topic, event_topic, annotation_topic)
        said = [b"label/", b"event/", b"annotation/"] if streams is None else [k(s) for s in streams for k in kinds]
        seen = [b"signal/"] if streams is None else [signal_topic(stream) for stream in streams]
        self._sources = Sources((labels, watch), fleet, (said, [STATUS_TOPIC, *seen]), found_keys(keys))

    def take(self, timeout_ms: int) -> bool:
        """Write what has come, waiting for the first of it; return whether there was any."""
        ready = self._sources.ready(timeout_ms)
        for source, socket in ready:
            self._drain(source, socket)
        self._writer.tend(monotonic_ns())
        self.heard |= bool(ready)
        return bool(ready)

    def finish(self) -> None:
        """Write what has been published until now, and end the file."""
        until = monotonic_ns() + _LAST_NS
        while monotonic_ns() < until and self.take(_LAST_QUIET_MS):
            pass
        self._writer.finish()

    def close(self) -> None:
        """Close the sockets."""
        self._sources.close()

    def _drain(self, source: Source, socket: zmq.Socket[bytes]) -> None:
        for _ in range(_MESSAGES_PER_TURN):
            try:
                frames = socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return
            try:
                if socket is source.labels:
                    self._published(frames)
                else:
                    self._watched(frames, source)
            except MalformedMessage:
                self.counts["malformed"] += 1

    def _published(self, frames: list[bytes]) -> None:
        message, logged, add = decode_published(frames), now_ns(), self._writer.add
        stream = message.stream
        match message:
            case Label():
                self.counts["labels"] += 1
                add(f"label/{stream}", LABEL, frames[1], logged, message.t_published, stream=stream)
            case Event():
                self.counts["events"] += 1
                add(f"event/{stream}", EVENT, frames[1], logged, logged, stream=stream)
            case Annotation():
                self.counts["annotations"] += 1
                add(f"annotation/{stream}", ANNOTATION, frames[1], logged, logged, stream=stream)

    def _watched(self, frames: list[bytes], source: Source) -> None:
        message, logged = decode_watched(frames), now_ns()
        if isinstance(message, Status):
            self._writer.describe(_about(message))
        elif isinstance(message, Signal):
            stream, device = message.stream, message.device
            self._note_hole(message, logged, source.number)
            self.counts["readings"] += message.size
            topic = signal_channel(stream, device)
            self._writer.add(topic, SIGNAL, frames[1], logged, message.t, stream=stream, device=device)

    def _note_hole(self, signal: Signal, logged: int, source: int) -> None:
        """Write down readings that are missing before a message's."""
        stream, session, device = where = signal.stream, signal.session, signal.device
        end = signal.first_seq + signal.size
        reached = self._reached.get(where)
        if reached is None:
            self._reached[where] = _Reached(signal.message + 1, end, source)
            if len(self._reached) > _MOST_DEVICES:
                self._reached.popitem(last=False)
            return
        # Each streamer counts its own messages: where another has the stream, readings between were most likely missed.
        missed = signal.message - reached.message if source == reached.source else 0
        is_missed = missed != 0 or source != reached.source
        self.counts["missed"] += max(missed, 0)
        if signal.first_seq > reached.seq:
            self.counts["holes"] += 1
            hole = {"v": VERSION, "kind": "hole", "stream": stream, "session": session, "device": device}
            hole |= {
                "first_seq": reached.seq,
                "last_seq": signal.first_seq - 1,
                "reason": MISSED if is_missed else LOST,
            }
            self._writer.add(f"hole/{stream}", HOLE, _pack(hole), logged, logged, stream=stream)
        reached.message, reached.seq, reached.source = signal.message + 1, max(reached.seq, end), source
        self._reached.move_to_end(where)


def _about(status: Status) -> dict[str, str]:
    """Return what is to be known of the streamer, to read what it published."""
    return {
        "bundle": status.bundle,
        "engine": status.engine,
        "streamer": status.version,
        "rate_hz": repr(status.rate_hz),
        "length": str(status.length),
        "stride": str(status.stride),
        "classes": json.dumps(status.classes),
        "null_class": status.null_class,
    }
