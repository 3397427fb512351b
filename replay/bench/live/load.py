"""Many wearers in one process: an open-loop load, as cheap as it can be made, so that it measures the streamer.

Every sample has a time at which it is due, and carries that time; nothing that happens on the way moves it. So latency
counts from when the sensor would have had the sample, and a generator that falls behind shows in the latency.
"""

import os
import secrets
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import zmq

from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.model.recordings.recording import Channel
from kinestream.model.system import allow_many_files
from kinestream.replay.bench.live.asking import Asking
from kinestream.replay.bench.live.worn import Devices, play
from kinestream.streamer.client.sender import DESCRIBE_EVERY_S
from kinestream.streamer.transport.sockets import quick_send
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import TRACKED_HEAD
from kinestream.streamer.wire.tracked import TRACKED

# What is due within this time leaves together: to sleep for less costs more than it gains, and so does waking up for a
# few messages where there are very many. It counts as lateness like any other.
_SLEEP_NS = 200_000
_TOGETHER, _SLEEP_MOST_NS = 32, 1_000_000
_PAYLOADS = 256
_KEY_END = 16  # of the head of a samples message: what follows changes from one to the next
_OLDEST = bytes(8)  # that its sender still keeps: it never sends anything again
_LINGER_MS = 10_000
_HIGH_WATER = 100_000  # messages of all connections together
_SPARE_SOCKETS = 16


@dataclass(frozen=True)
class Load:
    """What is sent.

    Parameters
    ----------
    streams : int
        Wearers.
    rate_hz : float
        Samples a second of each.
    channels : tuple of Channel
        Of each sample.
    chunk : int
        Samples in a message.
    seconds : float
        For how long.
    stride : int
        Samples between windows: each stream begins at a random moment within one.
    connections : int
        Over which they are sent; 0: each wearer has one, as in life.
    seed : int
        Of the moments and the readings.
    control : str, optional
        Where it is asked what has come of the messages, which are tracked then; only of samples on the grid.
    worn : Devices, optional
        The devices of each wearer, where there are several, each on a clock of its own; else samples lie on the grid.
    """

    streams: int
    rate_hz: float
    channels: tuple[Channel, ...]
    chunk: int
    seconds: float
    stride: int
    connections: int = 1
    seed: int = 0
    worn: Devices | None = None
    control: str | None = None

    @property
    def names(self) -> list[str]:
        """Names of the streams."""
        return [f"wearer-{i:05d}" for i in range(self.streams)]

    @property
    def messages(self) -> int:
        """Messages of samples each stream sends."""
        return int(self.seconds * self.rate_hz / self.chunk)


@dataclass(frozen=True)
class Sent:
    """What a load came to; late: how much after it was due each message left, in ms."""

    samples: int
    messages: int
    seconds: float
    cpu_seconds: float
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


def descriptions(load: Load, keys: Sequence[int], session: int) -> list[bytes]:
    """Return what describes every stream."""
    return [
        codec.encode_description(wire.Description(name, key, session, load.rate_hz, load.channels))
        for name, key in zip(load.names, keys, strict=True)
    ]


def send(load: Load, ingest: str, session: int, begin_ns: int, begin_unix_ns: int) -> Sent:
    """Send a load, and describe every stream before, and again as often as a sender.

    Parameters
    ----------
    load : Load
        What is sent.
    ingest : str
        Where to.
    session : int
        Of all streams.
    begin_ns, begin_unix_ns : int
        When it begins, on the monotonic clock and in Unix time.
    """
    rng = np.random.default_rng(load.seed)
    connections = min(load.connections or load.streams, load.streams)
    allow_many_files()
    with zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, 2 * connections + _SPARE_SOCKETS)
        sockets = [_connected(context, ingest, _HIGH_WATER // connections) for _ in range(connections)]
        worn, of_stream = load.worn, load.worn.devices if load.worn else 1
        keys = [secrets.randbits(64) for _ in range(load.streams * of_stream)]
        if worn is None:
            described = descriptions(load, keys, session)
        else:
            described = worn.descriptions(load.names, keys, session, begin_unix_ns)
        socket_of = [sockets[i // of_stream % len(sockets)] for i in range(len(keys))]
        for socket, frame in zip(socket_of, described, strict=True):
            socket.send(frame)
        if worn is None:
            asking = None if load.control is None else Asking(context, load.control, keys, connections)
            late = _play(sockets, load, keys, begin_ns, described, rng, asking)
            if asking is not None:
                asking.close()
        else:
            senders = [quick_send(socket) for socket in socket_of[::of_stream]]
            moments = play(worn, senders, keys, described, begin_ns, begin_unix_ns, DESCRIBE_EVERY_S)
            late = np.array(moments, dtype=np.int64)
        for socket, key in zip(socket_of, keys, strict=True):
            socket.send(codec.encode_end(key))
        for socket in sockets:
            socket.close()
    late_ms = np.maximum(late, 0) / 1e6
    p50, p99 = np.percentile(late_ms, (50, 99))
    cpu = os.times()
    return Sent(
        samples=len(late) * load.chunk,
        messages=len(late),
        seconds=(monotonic_ns() - begin_ns) / 1e9,
        cpu_seconds=cpu.user + cpu.system,
        late_p50_ms=float(p50),
        late_p99_ms=float(p99),
        late_max_ms=float(late_ms.max()),
    )


def _connected(context: zmq.Context[zmq.Socket[bytes]], ingest: str, high_water: int) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.PUSH)
    socket.set(zmq.SNDHWM, high_water)  # the load is open: a streamer that falls behind must not slow it down at once
    socket.set(zmq.LINGER, _LINGER_MS)
    socket.connect(ingest)
    return socket


def _play(
    sockets: Sequence[zmq.Socket[bytes]],
    load: Load,
    keys: Sequence[int],
    begin_ns: int,
    described: list[bytes],
    rng: np.random.Generator,
    asking: Asking | None,
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Send every message on its time; return how late each left, ns."""
    size = load.chunk * len(load.channels)
    # All that can be made before is made before: the generator shares the processor with what it measures.
    heads = [wire.HEAD.pack(wire.ON_GRID, load.chunk, key, 0, 0)[:_KEY_END] for key in keys]
    tracked = [TRACKED_HEAD.pack(TRACKED, 0, key, 0, 0)[:_KEY_END] for key in keys]
    rows = [row.astype("<f4").tobytes() for row in rng.normal(size=(_PAYLOADS, size))]
    period = load.chunk / load.rate_hz
    phases = rng.uniform(0, load.stride / load.rate_hz, load.streams)
    # In every period each stream sends once, always in the same order; those whose phase is longer begin later.
    order = np.argsort(phases % period)
    turns = [(int(i), round(phases[i] % period * 1e9), int(phases[i] // period)) for i in order]
    again = max(round(DESCRIBE_EVERY_S / period), 1)
    sleep_ns = min(max(_SLEEP_NS, round(_TOGETHER * 1e9 * period / load.streams)), _SLEEP_MOST_NS)
    late = array("q")
    join, clock = b"".join, time.monotonic_ns
    senders = [quick_send(socket) for socket in sockets]
    send_of = [senders[i % len(senders)] for i in range(load.streams)]
    longest = max(behind for _, _, behind in turns)
    for cycle in range(load.messages + longest):
        base = begin_ns + round((cycle + 1) * period * 1e9)  # a chunk leaves when its last sample is due
        unix_base = base + wall_clock.offset_ns()
        if asking is not None:
            asking.go_on()
        numbers = [((cycle - behind) * load.chunk).to_bytes(8, "little") for behind in range(min(cycle, longest) + 1)]
        for i, offset, behind in turns:
            number = cycle - behind
            if not 0 <= number < load.messages:
                continue
            due = base + offset
            now = clock()
            if now < due:
                time.sleep(max(due - now, sleep_ns) / 1e9)
                now = clock()
            t = (unix_base + offset).to_bytes(8, "little")
            samples = (heads[i], numbers[behind], t, rows[(number + i) % _PAYLOADS])
            send_of[i](
                join(samples if asking is None else (tracked[i], number.to_bytes(8, "little"), _OLDEST, *samples))
            )
            if (cycle + i) % again == 0:
                send_of[i](described[i])
            late.append(now - due)
    return np.array(late, dtype=np.int64)
