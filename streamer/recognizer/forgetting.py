"""Removes all that a streamer knows of a stream: who asks for that need not wait until it is silent for long enough.

Its readings are gone with it: the rows of its open window are overwritten, what waits for its turn or for other devices
is let go. What was published is with whoever received it. Should its sender go on, it is a new stream.
"""

from collections import Counter

from kinestream.streamer.ingest.backlog import Backlog
from kinestream.streamer.streams.registry import Registry
from kinestream.streamer.streams.stream import KnownStream


def forget(name: str, registry: Registry, backlog: Backlog, counts: Counter[str]) -> dict[str, int]:
    """Remove a stream, none of whose windows waits to be named; an `end` event tells of it.

    Parameters
    ----------
    name : str
        The stream; it need not be known.
    registry, backlog : Registry, Backlog
        Where it is known, and where messages of it may wait.
    counts : Counter
        Where such messages are counted.

    Returns
    -------
    dict of int by str
        How much of what was removed.
    """
    messages = backlog.drop(name)
    counts["messages_unfinished"] += messages
    known = registry.streams.get(name)
    removed = _held(known) | {"messages": messages, "refusals": registry.forget_refusals(name)}
    if known is not None:
        known.queued = False
        registry.forget(name, "forgotten")
    return removed


def _held(known: KnownStream | None) -> dict[str, int]:
    """Return what there is of a stream."""
    if known is None:
        return dict.fromkeys(("streams", "sessions", "keys", "devices", "samples", "readings"), 0)
    buffer = known.session.buffer if known.session is not None else None
    sets = known.sets.values()
    return {
        "streams": 1,
        "sessions": int(known.session is not None),
        "keys": len(known.keys),
        "devices": sum(len(devices.devices) for devices in sets),
        "samples": max(buffer.next_seq - buffer.open_seq, 0) if buffer is not None else 0,
        "readings": sum(devices.waiting for devices in sets),
    }
