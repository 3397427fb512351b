"""Listens to every stream of a load and takes the time of each label."""

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.clock import now_ns
from streamer.client import Event, Label, LabelSubscriber

_PATIENCE_S = 10.0
_STAGES = ("transport", "ready", "infer", "publish", "deliver")


@dataclass(frozen=True)
class Heard:
    """What came back; latency: from when a window's last sample was due until its label was here, in ms.

    `stages_p50_ms` and `stages_p99_ms` take it apart: until the streamer had the sample, until its batch was ready,
    until its class was known, until the label left, until it was here.
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


def listen(labels: str, streams: int, on_ready: Callable[[], None]) -> Heard:
    """Listen until `streams` sessions have ended, or nothing has come for a while.

    Parameters
    ----------
    labels : str
        Where the streamer publishes.
    streams : int
        How many there are.
    on_ready : callable
        Called when the first event has come: from then on no label will be missed.
    """
    moments = array("q")
    skipped = gaps = ended = heard = 0
    with LabelSubscriber(labels, events=True) as subscriber:
        while ended < streams:
            message = subscriber.receive(_PATIENCE_S)
            if message is None:
                break
            if isinstance(message, Label):
                moments.extend(
                    (
                        message.t_source,
                        message.t_received,
                        message.t_ready,
                        message.t_inferred,
                        message.t_published,
                        now_ns(),
                    )
                )
            elif isinstance(message, Event):
                if not heard:
                    on_ready()
                heard += 1
                ended += message.event == "end"
                gaps += message.event == "gap"
                if message.event == "skipped":
                    skipped += message.details["last_window"] - message.details["first_window"] + 1
    times = np.array(moments, dtype=np.int64).reshape(-1, 1 + len(_STAGES))
    stages = np.diff(times, axis=1) / 1e6
    figures = (times[:, -1] - times[:, 0]) / 1e6
    median, p90, p99, most = np.percentile(figures, (50, 90, 99, 100)).tolist() if len(figures) else [None] * 4
    stages_p50, stages_p99 = (
        dict(zip(_STAGES, np.percentile(stages, percent, axis=0).tolist(), strict=True)) if len(stages) else {}
        for percent in (50, 99)
    )
    cpu = os.times()
    spent = cpu.user + cpu.system
    return Heard(len(times), skipped, gaps, ended, spent, median, p90, p99, most, stages_p50, stages_p99)
