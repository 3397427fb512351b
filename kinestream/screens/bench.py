"""What a bench found, as tables for people; and what is shown while it measures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from kinestream.replay.bench.figures import (
    EAGER,
    OURS,
    OURS_GRID,
    OURS_WORN,
    PLAIN,
    EngineFigure,
    LatencyFigure,
    TrainingFigure,
)
from kinestream.screens.console import SafeConsole

if TYPE_CHECKING:  # what measures needs the packages of an extra, which are asked for first
    from kinestream.replay.bench.live.replaying import ReplayFigure
    from kinestream.replay.bench.live.streams import Point
    from kinestream.replay.bench.offline.reading import ReadingFigure


def show_line(line: str) -> None:
    """Show a line while a bench goes on."""
    SafeConsole(stderr=True, highlight=False).print(line, soft_wrap=True)


def show_engine(figure: EngineFigure) -> None:
    """Show one engine's time at one batch."""
    show_line(f"{figure.engine}, {figure.windows}: {figure.ms:.3f} ms")


def show_point(point: "Point") -> None:
    """Show one number of streams."""
    print_points([point], SafeConsole(stderr=True))


def show_replay(figure: "ReplayFigure") -> None:
    """Show one size of message."""
    show_line(f"{figure.chunk} a message: {figure.samples_per_second:,.0f} samples/s")


def show_training(figure: TrainingFigure) -> None:
    """Show one form of one network."""
    show_line(f"{figure.network}, {figure.form}: {figure.windows_per_second:.0f} windows/s")


def print_engines(figures: Sequence[EngineFigure], console: Console) -> None:
    """Print a row an engine."""
    batches = list(dict.fromkeys(figure.windows for figure in figures))
    times = {(figure.engine, figure.windows): figure.ms for figure in figures}
    table = Table(title="ms a batch (times ours), one thread", title_justify="left")
    table.add_column("engine")
    for batch in batches:
        table.add_column(f"{batch} windows" if batch > 1 else "1 window", justify="right")
    for engine in dict.fromkeys(figure.engine for figure in figures):
        cells = [f"{times[engine, b]:.3f} ({times[engine, b] / times[OURS, b]:.2f})" for b in batches]
        table.add_row(engine, *cells, style="bold" if engine == OURS else None)
    console.print(table)
    console.print(f"largest difference of a probability from {EAGER}: {max(f.difference for f in figures):.1e}")


def print_latency(figures: Sequence[LatencyFigure], console: Console) -> None:
    """Print a row a contender, then ours by stage."""
    table = Table(title="latency in ms, one stream at its true rate", title_justify="left")
    for name in ("", "p50", "p90", "p99", "max", "labels", "missing", "cores", "p50, times ours"):
        table.add_column(name, justify="left" if not name else "right")
    ours = figures[0].latency_ms["p50"] or float("nan")
    for figure in figures:
        values = [f"{value:.3f}" if value is not None else "-" for value in figure.latency_ms.values()]
        ratio = f"{(figure.latency_ms['p50'] or float('nan')) / ours:.2f}"
        table.add_row(figure.name, *values, str(figure.labels), str(figure.missing), f"{figure.cpu:.3f}", ratio)
    console.print(table)
    stages = ", ".join(f"{stage} {values['p50']:.3f}" for stage, values in figures[0].stages_ms.items())
    console.print(f"ours by stage, p50: {stages}")
    medians = {figure.name: figure.latency_ms["p50"] for figure in figures}
    on_grid, worn = medians.get(OURS_GRID), medians.get(OURS_WORN)
    if on_grid is not None and worn is not None:
        console.print(f"two devices, from when the last reading a window needs was due: {worn - on_grid:+.3f} ms, p50")


def print_points(points: "Sequence[Point]", console: Console) -> None:
    """Print a row a number of streams."""
    table = Table(title="streams at once", title_justify="left")
    for name in (
        "streams",
        "p50 ms",
        "p99 ms",
        "missing",
        "lost",
        "streamer",
        "generator",
        "listener",
        "late p99",
        "RSS",
    ):
        table.add_column(name, justify="right")
    for point in points:
        heard, sent = point.heard, point.sent
        latency = [f"{ms:.1f}" if ms is not None else "-" for ms in (heard.latency_p50_ms, heard.latency_p99_ms)]
        cores = [point.streamer_cpu, sent.cpu_seconds / sent.seconds, heard.cpu_seconds / sent.seconds]
        table.add_row(
            f"{point.streams:,}",
            *latency,
            str(point.labels_missing),
            str(point.samples_lost),
            *(f"{core:.2f}" for core in cores),
            f"{sent.late_p99_ms:.1f}",
            f"{point.rss_mb:.0f}",
            style=None if point.holds else "red",
        )
    console.print(table)


def print_training(figures: Sequence[TrainingFigure], console: Console) -> None:
    """Print a row a network."""
    table = Table(title="windows trained on in a second, one thread", title_justify="left")
    for name in ("network", OURS, PLAIN, "ratio"):
        table.add_column(name, justify="left" if name == "network" else "right")
    speeds = {(figure.network, figure.form): figure.windows_per_second for figure in figures}
    for network in dict.fromkeys(figure.network for figure in figures):
        ours, plain = speeds[network, OURS], speeds[network, PLAIN]
        table.add_row(network, f"{ours:.0f}", f"{plain:.0f}", f"{ours / plain:.2f}")
    console.print(table)
    console.print(f"largest difference of a gradient: {max(figure.difference for figure in figures):.1e}")


def print_replay(figures: "Sequence[ReplayFigure]", console: Console) -> None:
    """Print a row a size of message."""
    table = Table(title="replay at max, scored", title_justify="left")
    for name in ("samples a message", "samples/s", "samples", "seconds", "labels", "missing", "lost"):
        table.add_column(name, justify="right")
    for figure in figures:
        counts = (figure.labels_expected, figure.labels_missing, figure.samples_lost)
        table.add_row(
            str(figure.chunk),
            f"{figure.samples_per_second:,.0f}",
            f"{figure.samples:,}",
            f"{figure.seconds:.2f}",
            *(f"{count:,}" for count in counts),
        )
    console.print(table)


def print_reading(figures: "Sequence[ReadingFigure]", console: Console) -> None:
    """Print a row a way of reading."""
    table = Table(title="reading a full-size Opportunity zip", title_justify="left")
    for name in ("", "seconds", "peak memory", "rows"):
        table.add_column(name, justify="left" if not name else "right")
    for figure in figures:
        table.add_row(figure.name, f"{figure.seconds:.2f}", f"{figure.peak_mb:.0f} MB", f"{figure.rows:,}")
    console.print(table)
