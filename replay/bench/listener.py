"""Listens to every stream of a load and takes the time of each label."""

import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.clock import now_ns
from streamer.client import Event, Label, LabelSubscriber

_PATIENCE_S = 10.0


@dataclass(frozen=True)
class Heard:
    """What came back; latency: from when a window's last sample was due until its label was here, in ms."""

    labels: int
    skipped: int
    gaps: int
    ended: int
    cpu_seconds: float
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    latency_p99_ms: float | None
    latency_max_ms: float | None


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
    latency = array("q")
    skipped = gaps = ended = heard = 0
    with LabelSubscriber(labels, events=True) as subscriber:
        while ended < streams:
            message = subscriber.receive(_PATIENCE_S)
            if message is None:
                break
            if isinstance(message, Label):
                latency.append(now_ns() - message.t_source)
            elif isinstance(message, Event):
                if not heard:
                    on_ready()
                heard += 1
                ended += message.event == "end"
                gaps += message.event == "gap"
                if message.event == "skipped":
                    skipped += message.details["last_window"] - message.details["first_window"] + 1
    figures = np.array(latency, dtype=np.float64) / 1e6
    percentiles = np.percentile(figures, (50, 90, 99, 100)).tolist() if len(figures) else [None] * 4
    cpu = os.times()
    return Heard(len(latency), skipped, gaps, ended, cpu.user + cpu.system, *percentiles)
