"""Wearers who do nothing wrong, and somebody who counts their labels."""

import time
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import zmq

from kinestream.model.bundle.bundle import Bundle
from kinestream.streamer.wire.messages import Label
from kinestream.streamer.wire.published import decode_published
from tests.soak.encoder import Encoder

PREFIX = "honest-"
_DESCRIBE_EVERY_S = 2.0
_QUIET_S = 5.0


@dataclass(frozen=True)
class Wearers:
    """Who they are: so many streams, each over a connection of its own or several over one; samples in a message."""

    streams: int
    connections: int
    seconds: float
    chunk: int = 1

    def samples(self, rate_hz: float) -> int:
        """Return how many samples each sends."""
        return int(self.seconds * rate_hz)

    def windows(self, bundle: Bundle) -> int:
        """Return how many labels there should be in all."""
        return self.streams * bundle.grid.count(self.samples(bundle.description.rate_hz))


def play(wearers: Wearers, bundle: Bundle, encoder: Encoder, ingest: str) -> dict[str, Any]:
    """Send every wearer's samples on time."""
    rate = bundle.description.rate_hz
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(512 + wearers.chunk, len(bundle.channels))).astype(np.float32)
    names = [f"{PREFIX}{i:05d}" for i in range(wearers.streams)]
    with zmq.Context() as context:
        context.set(zmq.MAX_SOCKETS, wearers.connections + 16)
        sockets = []
        for _ in range(wearers.connections):
            sockets.append(context.socket(zmq.PUSH))
            sockets[-1].set(zmq.LINGER, 10_000)
            sockets[-1].connect(ingest)
        of = [sockets[i % len(sockets)] for i in range(wearers.streams)]
        session = time.time_ns()
        described = [encoder.describe(name, session, rate, bundle.channels) for name in names]
        for socket, frame in zip(of, described, strict=True):
            socket.send(frame)
        # Each begins at a moment of its own within a stride, so that windows come due all the time, as in life.
        phases = rng.uniform(0, bundle.grid.stride / rate, wearers.streams)
        order = np.argsort(phases % (1 / rate)).tolist()
        turns = [(i, float(phases[i] % (1 / rate)), int(phases[i] * rate)) for i in order]
        count = wearers.samples(rate)
        again = round(_DESCRIBE_EVERY_S * rate)
        unix = time.time_ns() - time.monotonic_ns()
        begin, late = time.monotonic() + 1.0, array("d")
        for cycle in range(count + bundle.grid.stride + 1):
            base = begin + cycle / rate
            for i, offset, behind in turns:
                seq = cycle - behind
                if not 0 <= seq < count:
                    continue
                of_message = seq % wearers.chunk + 1
                if of_message < wearers.chunk and seq < count - 1:
                    continue
                due = base + offset
                slack = due - time.monotonic()
                if slack > 0:
                    time.sleep(max(slack, 0.0003))
                first, at = seq + 1 - of_message, (cycle + i) % 512
                message = encoder.samples(names[i], session, first, int(due * 1e9) + unix, rows[at : at + of_message])
                of[i].send(message)
                late.append(-min(slack, 0))
                if (cycle + i) % again < wearers.chunk:
                    of[i].send(described[i])
        for i, name in enumerate(names):
            of[i].send(encoder.end(name, session))
        for socket in sockets:
            socket.close()
    return {"samples": len(late), "late_p99_ms": float(np.percentile(late, 99) * 1e3)}


def hear(labels: str, streams: int, ready: Any) -> dict[str, Any]:
    """Count honest labels until every honest session has ended, or none comes any more."""
    waits, ended, unexpected = array("d"), 0, 0
    following: dict[str, int] = {}
    events: dict[str, int] = {}
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 1_000_000)
        socket.set(zmq.LINGER, 0)
        for kind in ("label", "event"):
            socket.subscribe(f"{kind}/{PREFIX}")
        socket.connect(labels)
        ready.set()
        heard_at = None
        while ended < streams:
            if not socket.poll(1000):
                if heard_at is not None and time.monotonic() - heard_at > _QUIET_S:
                    break
                continue
            published = decode_published(socket.recv_multipart())
            if isinstance(published, Label):
                heard_at = time.monotonic()
                waits.append((time.time_ns() - published.t_source) / 1e6)
                unexpected += published.window != following.get(published.stream, 0)
                following[published.stream] = published.window + 1
            else:
                events[published.event] = events.get(published.event, 0) + 1
                ended += published.event == "end"
    p50, p99, most = np.percentile(waits, (50, 99, 100)).tolist() if waits else (None, None, None)
    return {
        "labels": len(waits),
        "out_of_turn": unexpected,
        "events": {kind: count for kind, count in sorted(events.items()) if kind != "accepted"},
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
        "latency_max_ms": most,
    }
