"""What a streamer publishes at its watch endpoint, for dashboards, exporters and recorders.

Two frames each, a topic and a msgpack map; keys that are not known are to be passed over.

====================  =====================================================================  =====================
``signal/<stream>/``  a device's readings, as they come                                      `wire.signals.Signal`
``status/``           the streamer's status, once a second                                   `wire.status.Status`
``streams/``          the status of each stream, once a second, in pieces                    `StreamsStatus`, there
``published/``        what is published at the labels' endpoint, gathered                    `wire.gathered.Gathered`
====================  =====================================================================  =====================

All of it costs nothing while nobody listens.
"""

from kinestream.streamer.wire.codec import unpack
from kinestream.streamer.wire.gathered import Gathered, read_gathered
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.signals import Signal, read_signal
from kinestream.streamer.wire.status import Status, StreamsStatus, read_status, read_streams

MAX_WATCHED = 1 << 17
"""Bytes of the largest message: the channels of one that tells them take up to 64 KiB."""

Watched = Signal | Status | StreamsStatus | Gathered
"""What whoever watches a streamer receives."""


def decode_watched(frames: list[bytes]) -> Watched:
    """Read what a streamer published at its watch endpoint.

    Parameters
    ----------
    frames : list of bytes
        The topic and the message.

    Raises
    ------
    MalformedMessage
        Where it is none of this version, or holds something of another type than it should.
    """
    if len(frames) != 2:
        raise MalformedMessage("frames")
    content = unpack(frames[1], MAX_WATCHED)
    kind = content.get("kind")
    try:
        if kind == "signal":
            return read_signal(content)
        if kind == "status":
            return read_status(content)
        if kind == "streams":
            return read_streams(content)
        if kind == "published":
            return read_gathered(content)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise MalformedMessage(str(kind)) from None
    raise MalformedMessage("kind")
