"""What a bench found, drawn."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from kinestream.model.files import write_whole
from kinestream.replay.bench.figures import OURS, EngineFigure, LatencyFigure
from kinestream.replay.bench.live.streams import Point


def plot_engines(figures: Sequence[EngineFigure], path: Path) -> None:
    """Draw time a window over windows in a batch."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for engine in dict.fromkeys(entry.engine for entry in figures):
        own = [entry for entry in figures if entry.engine == engine]
        strong = {"linewidth": 2.5, "color": "black"} if engine == OURS else {"linewidth": 1.2}
        axes.plot([e.windows for e in own], [e.ms / e.windows for e in own], marker="o", label=engine, **strong)
    axes.set(xscale="log", yscale="log", xlabel="windows in a batch", ylabel="ms a window, one thread")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    _write(figure, path)


def plot_latency(figures: Sequence[LatencyFigure], path: Path) -> None:
    """Draw the median latency of each by stage, with its p99."""
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes = figure.subplots()
    names = [entry.name for entry in figures]
    left = [0.0] * len(names)
    for stage in figures[0].stages_ms:
        widths = [entry.stages_ms[stage]["p50"] or 0.0 for entry in figures]
        axes.barh(names, widths, left=left, label=stage)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.plot([entry.latency_ms["p99"] or 0.0 for entry in figures], names, "k|", markersize=14, label="p99")
    axes.invert_yaxis()
    axes.set_xlabel("ms from a window's last sample to its label with a subscriber (medians by stage)", fontsize=8)
    figure.legend(fontsize=8, ncols=7, loc="outside upper center")
    _write(figure, path)


def plot_points(points: Sequence[Point], path: Path) -> None:
    """Draw latency and cores over the number of streams."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    streams = [point.streams for point in points]
    for name in ("p50", "p90", "p99"):
        axes.plot(
            streams, [getattr(p.heard, f"latency_{name}_ms") for p in points], marker="o", label=f"latency {name}"
        )
    axes.set(xlabel="streams of 113 channels at 30 Hz", ylabel="ms", yscale="log")
    axes.grid(alpha=0.3, which="both")
    cores = axes.twinx()
    cores.plot(streams, [point.streamer_cpu for point in points], "k--", marker="s", label="streamer's cores (right)")
    cores.set(ylim=(0, 2), ylabel="cores")
    figure.legend(fontsize=8, loc="outside upper center", ncols=4)
    _write(figure, path)


def _write(figure: Figure, path: Path) -> None:
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    write_whole(path, drawn.getvalue())
