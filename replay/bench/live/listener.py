"""Listens to every stream of a load and takes the time of each label."""

import os
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

import numpy as np
import numpy.typing as npt
import zmq

from kinestream.model.clock import STEP_NS, wall_clock
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire.messages import Event
from kinestream.streamer.wire.published import decode_published

_PATIENCE_MS = 10_000
_STAGES = ("transport", "ready", "infer", "publish", "deliver")
_TIMES = ("t_source", "t_received", "t_ready", "t_inferred", "t_published")
_RECEIVED, _PUBLISHED = 1, 4
# A label ends with its times, each after its name: to read no more than these leaves the processor to the streamer.
_KEYS = [bytes([0xA0 + len(name)]) + name.encode() + b"\xcf" for name in _TIMES]
_TAIL = Struct(">" + "".join(f"{len(key)}sQ" for key in _KEYS))
_NUMBER = slice(-6, -1)
"""Where the number of a stream stands in its topic: see `Load.names`."""
Needed = Callable[[npt.NDArray[np.int64], npt.NDArray[np.int64]], npt.NDArray[np.int64]]
"""Takes numbers of streams, and Unix times in ns of last samples; returns from when latency counts, -1 for never."""


@dataclass(frozen=True)
class Heard:
    """What came back; latency: from when a window's last sample was due until its label was here, in ms.

    Where wearers have several devices: from when the last reading that a window needs was due to leave.

    `stages_p50_ms` and `stages_p99_ms` take it apart: until the streamer had the sample, until its batch was ready,
    until its class was known, until the label left, until it was here. `streamer_p99_ms` is what passed within the
    streamer alone: those who send and listen here may be late themselves.
    """

    labels: int
    skipped: int
    gaps: int
    ended: int
    cpu_seconds: float
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    latency_p99_ms: float | None
    latency_max_ms: float | None
    stages_p50_ms: dict[str, float]
    stages_p99_ms: dict[str, float]
    streamer_p99_ms: float | None


def listen(
    labels: str, streams: int, on_ready: Callable[[], None], needed: Callable[[], Needed] | None = None
) -> Heard:
    """Listen until `streams` sessions have ended, or nothing has come for a while.

    Parameters
    ----------
    labels : str
        Where the streamer publishes.
    streams : int
        How many there are.
    on_ready : callable
        Called when the first event has come: from then on no label will be missed.
    needed : callable, optional
        Asked at the end, where that is not when the window's last sample was due: what tells from when latency counts.
    """
    moments, whose = array("q"), array("q")
    skipped = gaps = ended = heard = 0
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 1_000_000)  # a label is lost to the streamer's fault only
        for topic in (b"label/", b"event/"):
            socket.set(zmq.SUBSCRIBE, topic)
        connect(socket, labels)
        receive, clock = socket.recv, time.monotonic_ns
        while ended < streams:
            try:
                topic = receive(zmq.DONTWAIT)
            except zmq.Again:
                wall_clock.offset_ns()  # now there is time to notice a step
                if not socket.poll(_PATIENCE_MS):
                    break
                continue
            content = receive()
            if topic.startswith(b"label/"):
                moments.extend(_times(content))
                moments.append(clock())
                if needed is not None:
                    whose.append(int(topic[_NUMBER]))
                continue
            event = decode_published([topic, content])
            if not isinstance(event, Event):
                continue
            if not heard:
                on_ready()
            heard += 1
            ended += event.event == "end"
            gaps += event.event == "gap"
            if event.event == "skipped":
                skipped += event.details["last_window"] - event.details["first_window"] + 1
    stamps = np.array(moments, dtype=np.int64).reshape(-1, 1 + len(_STAGES))
    received = len(stamps)
    if needed is not None:
        stamps[:, 0] = needed()(np.array(whose, dtype=np.int64), stamps[:, 0])
        stamps = stamps[stamps[:, 0] >= 0]
    times = _monotonic(stamps)
    stages = np.diff(times, axis=1) / 1e6
    figures = (times[:, -1] - times[:, 0]) / 1e6
    median, p90, p99, most = np.percentile(figures, (50, 90, 99, 100)).tolist() if len(figures) else [None] * 4
    stages_p50, stages_p99 = (
        dict(zip(_STAGES, np.percentile(stages, percent, axis=0).tolist(), strict=True)) if len(stages) else {}
        for percent in (50, 99)
    )
    within = (times[:, _PUBLISHED] - times[:, _RECEIVED]) / 1e6
    streamer_p99 = float(np.percentile(within, 99)) if len(within) else None
    cpu = os.times()
    spent = cpu.user + cpu.system
    return Heard(received, skipped, gaps, ended, spent, median, p90, p99, most, stages_p50, stages_p99, streamer_p99)


def _monotonic(times: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Turn all times but the last, which is monotonic, from Unix to monotonic time.

    Where the wall clock stepped a stamp may mean several moments: the latest that is not after the label's arrival.
    """
    newest = wall_clock.offset_ns()
    arrived = times[:, -1:]
    meant = times[:, :-1] - newest
    for step in wall_clock.steps:
        other = times[:, :-1] - step.before
        better = (other <= arrived + STEP_NS) & ((other > meant) | (meant > arrived + STEP_NS))
        meant = np.where(better, other, meant)
    return np.hstack([meant, arrived])


def _times(label: bytes) -> tuple[int, ...]:
    """Return when a label's last sample was due, and when it came to the next stages; Unix ns."""
    found = _TAIL.unpack_from(label, len(label) - _TAIL.size)
    if list(found[::2]) != _KEYS:
        raise ValueError("a label ends otherwise than with its times")
    return found[1::2]
