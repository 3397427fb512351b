"""One stream at its true rate: latency by stage, ours and what people would write instead, by turns in one run.

And one wearer of two devices on clocks of their own, beside the same bundle's stream on the grid.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.model.errors import EndpointError
from kinestream.model.recordings.recording import Recording
from kinestream.replay.bench.bundles import random_readings
from kinestream.replay.bench.figures import OURS, OURS_COLD, OURS_GRID, OURS_WORN, LatencyFigure
from kinestream.replay.bench.live.streams import Point, measure
from kinestream.replay.play.take import takes_of
from kinestream.replay.process import started_streamer
from kinestream.replay.report import percentiles
from kinestream.replay.run import Addresses, play_takes
from kinestream.replay.score.scorer import STAGES, LiveScore

CONTENDERS = {
    "loop-onnx": "pyzmq loop, ONNX Runtime",
    "ezmsg": "ezmsg, ONNX Runtime",
    "loop": "pyzmq loop, PyTorch",
}


def measure_latency(
    bundle: Path, *, seconds: float, turns: int, show: Callable[[str], None] = lambda line: None
) -> list[LatencyFigure]:
    """Play one stream of random readings into each, by turns.

    Parameters
    ----------
    bundle : Path
        What recognises.
    seconds : float
        How long a turn is.
    turns : int
        Turns of each.
    show : callable
        Called with a line before each turn.
    """
    about = read_bundle(bundle)
    recording = _recording(about, seconds)
    names = [OURS, OURS_COLD, *(name for name in CONTENDERS if name != "ezmsg" or find_spec("ezmsg"))]
    scores: dict[str, list[LiveScore]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    pacing: dict[str, list[np.ndarray[Any, np.dtype[np.float64]]]] = {name: [] for name in names}
    for turn in range(turns):
        for name in names:
            show(f"turn {turn + 1} of {turns}: {CONTENDERS.get(name, name)}")
            with _running(name, bundle) as (addresses, pid):
                process = psutil.Process(pid)
                before, began = process.cpu_times(), monotonic_ns()
                report = play_takes(takes_of([recording], first_session=now_ns()), addresses, score=True, keys="")
                after, passed_s = process.cpu_times(), (monotonic_ns() - began) / 1e9
                cpu[name].append((sum(after[:2]) - sum(before[:2])) / passed_s)
            assert report.live is not None, "it was asked for"
            scores[name].append(report.live)
            pacing[name].append(report.pacing_error_ms)
    return [_figure(name, scores[name], np.concatenate(pacing[name]), cpu[name]) for name in names]


def measure_worn(
    bundle: Path, *, seconds: float, turns: int, show: Callable[[str], None] = lambda line: None
) -> list[LatencyFigure]:
    """Play one wearer of random readings, by turns as one stream on the grid and as two devices on their own clocks.

    Parameters
    ----------
    bundle : Path
        What recognises; the devices share out its channels, of which there are an even number.
    seconds, turns, show
        As for `measure_latency`.

    Returns
    -------
    list of LatencyFigure
        On the grid, and of devices: there latency counts from when the last reading that a window needs was due to
        leave, since before that nobody can know what the window holds. Of several turns the one with the lower median.
    """
    found: dict[str, list[Point]] = {OURS_GRID: [], OURS_WORN: []}
    for turn in range(turns):
        for name, points in found.items():
            show(f"turn {turn + 1} of {turns}: {name}")
            points.append(measure(bundle, 1, chunk=1, seconds=seconds, devices=2 if name == OURS_WORN else 0))
    return [_worn_figure(name, min(points, key=_median)) for name, points in found.items()]


def _median(point: Point) -> float:
    return point.heard.latency_p50_ms if point.heard.latency_p50_ms is not None else float("inf")


def _worn_figure(name: str, point: Point) -> LatencyFigure:
    heard, sent = point.heard, point.sent
    stages: dict[str, dict[str, float | None]] = {
        stage: {"p50": heard.stages_p50_ms[stage], "p99": heard.stages_p99_ms[stage]} for stage in heard.stages_p50_ms
    }
    return LatencyFigure(
        name=name,
        labels=heard.labels,
        missing=point.labels_missing,
        latency_ms={
            "p50": heard.latency_p50_ms,
            "p90": heard.latency_p90_ms,
            "p99": heard.latency_p99_ms,
            "max": heard.latency_max_ms,
        },
        stages_ms=stages,
        pacing_error_ms={"p50": sent.late_p50_ms, "p99": sent.late_p99_ms},
        cpu=point.streamer_cpu,
    )


def _figure(
    name: str, scores: Sequence[LiveScore], pacing: np.ndarray[Any, np.dtype[np.float64]], cpu: Sequence[float]
) -> LatencyFigure:
    stages = {stage: np.concatenate([score.stages_ms[stage] for score in scores]) for stage in STAGES}
    return LatencyFigure(
        name=CONTENDERS.get(name, name),
        labels=sum(score.received for score in scores),
        missing=sum(score.missing for score in scores),
        latency_ms=percentiles(np.concatenate([score.latency_ms for score in scores])),
        stages_ms={stage: percentiles(passed) for stage, passed in stages.items()},
        pacing_error_ms=percentiles(pacing, (50, 99)),
        cpu=sum(cpu) / len(cpu),
    )


def _recording(bundle: Bundle, seconds: float) -> Recording:
    about = bundle.description
    samples = round(seconds * about.rate_hz)
    rng = np.random.default_rng(0)
    return Recording(
        id="bench",
        person="bench",
        dataset="random readings",
        rate_hz=about.rate_hz,
        channels=bundle.channels,
        samples=random_readings(bundle, rng, (samples,)),
        timestamps=(np.arange(samples) * 1e9 / about.rate_hz).astype(np.int64),
        labels=np.zeros(samples, dtype=np.int16),
        classes=about.classes,
    )


@contextmanager
def _running(name: str, bundle: Path) -> Iterator[tuple[Addresses, int]]:
    """Run one of them; yield where it is, and its process."""
    if name in (OURS, OURS_COLD):
        with started_streamer(bundle, "--warm-up" if name == OURS else "--no-warm-up") as streamer:
            yield streamer.addresses, streamer.pid
        return
    addresses = Addresses(_free_address(), _free_address())
    command = [sys.executable, "-P", "-m", "kinestream.replay.bench.live.contenders", name, str(bundle)]
    with subprocess.Popen(
        [*command, addresses.ingest, addresses.labels], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            if not process.stdout or "ready" not in process.stdout.readline():
                raise EndpointError(f"{name} did not start: {process.stderr.read()[-500:] if process.stderr else ''}")
            yield addresses, process.pid
        finally:
            process.kill()


def _free_address() -> str:
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
