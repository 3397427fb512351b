"""The benches, each whole: measure, tell as it goes, write a report and a plot where that is asked for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.errors import FileError
from kinestream.model.extras import install, need
from kinestream.model.files import check_writable, not_written
from kinestream.replay.bench import report
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.figures import EngineFigure, LatencyFigure, TrainingFigure

if TYPE_CHECKING:  # what measures needs the packages of an extra, which are asked for first
    from kinestream.replay.bench.live.replaying import ReplayFigure
    from kinestream.replay.bench.live.streams import Point
    from kinestream.replay.bench.offline.reading import ReadingFigure


def _show_nothing(found: Any) -> None:
    """Say nothing of what was found."""


def bench_engines(
    *,
    bundle: str | None,
    preset: str,
    out: Path | None,
    batches: Sequence[int],
    compiled: bool,
    rounds: int,
    show: Callable[[EngineFigure], None] = _show_nothing,
) -> list[EngineFigure]:
    """Run `replay.bench.offline.engines.measure_engines`."""
    _prepare(out, "torch", *_drawing(out))
    from kinestream.replay.bench.offline.engines import measure_engines

    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_engines(about, batches, compiled=compiled, rounds=rounds, show=show)
    if out:
        from kinestream.replay.bench.plots import plot_engines

        settings = {"bundle": about.description.name, "threads": 1, "rounds": rounds}
        report.write(out / "engines.json", report.engines_dict(figures), settings)
        plot_engines(figures, out / "engines.png")
    return figures


def bench_latency(
    *,
    bundle: str | None,
    preset: str,
    out: Path | None,
    seconds: float,
    turns: int,
    show: Callable[[str], None] = _show_nothing,
) -> list[LatencyFigure]:
    """Run `replay.bench.live.latency.measure_latency`."""
    _prepare(out, "torch", "psutil", *_drawing(out))
    from kinestream.replay.bench.live.latency import measure_latency

    if not find_spec("ezmsg"):
        show(f"without ezmsg, which is not installed: {install('bench')}")
    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_latency(folder, seconds=seconds, turns=turns, show=show)
    if out:
        from kinestream.replay.bench.plots import plot_latency

        settings = {"bundle": about.description.name, "rate_hz": about.description.rate_hz, "seconds": seconds}
        report.write(out / "latency.json", report.figures_dict(figures), settings | {"turns": turns})
        plot_latency(figures, out / "latency.png")
    return figures


def bench_streams(
    *,
    bundle: str | None,
    preset: str,
    out: Path | None,
    counts: Sequence[int],
    chunk: int,
    connections: int = 1,
    seconds: float,
    show: Callable[["Point"], None] = _show_nothing,
) -> list["Point"]:
    """Run `replay.bench.live.streams.sweep`."""
    _prepare(out, "psutil", *_drawing(out))
    from kinestream.replay.bench.live.streams import sweep

    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        points = sweep(folder, counts, chunk=chunk, seconds=seconds, connections=connections, show=show)
    if out:
        from kinestream.replay.bench.plots import plot_points

        settings = {"bundle": about.description.name, "rate_hz": about.description.rate_hz, "seconds": seconds}
        over = {0: "-one-each", 1: ""}.get(connections, f"-connections-{connections}")
        settings |= {"chunk": chunk, "connections": connections}
        report.write(out / f"streams-chunk-{chunk}{over}.json", report.points_dict(points), settings)
        plot_points(points, out / f"streams-chunk-{chunk}{over}.png")
    return points


def bench_replay(
    *,
    bundle: str | None,
    preset: str,
    out: Path | None,
    chunks: Sequence[int],
    samples: int,
    show: Callable[["ReplayFigure"], None] = _show_nothing,
) -> list["ReplayFigure"]:
    """Run `replay.bench.live.replaying.measure_replay`."""
    _prepare(out)
    from kinestream.replay.bench.live.replaying import measure_replay

    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_replay(folder, chunks, samples=samples, show=show)
    if out:
        settings = {"bundle": about.description.name, "channels": len(about.channels)}
        report.write(out / "replay.json", report.figures_dict(figures), settings)
    return figures


def bench_training(
    *,
    presets: Sequence[str],
    out: Path | None,
    batch: int,
    steps: int,
    rounds: int,
    show: Callable[[TrainingFigure], None] = _show_nothing,
) -> list[TrainingFigure]:
    """Run `replay.bench.offline.training.measure_training`."""
    _prepare(out, "torch")
    from kinestream.replay.bench.offline.training import measure_training

    figures = measure_training(presets, batch=batch, steps=steps, rounds=rounds, show=show)
    if out:
        settings = {"threads": 1, "batch": batch, "steps": steps, "rounds": rounds}
        report.write(out / "train.json", report.training_dict(figures), settings)
    return figures


def bench_datasets(
    *, out: Path | None, keep: Path | None, show: Callable[[str], None] = _show_nothing
) -> list["ReadingFigure"]:
    """Run `replay.bench.offline.reading.measure_reading`."""
    _prepare(out)
    from kinestream.replay.bench.offline.reading import measure_reading

    try:
        figures = measure_reading(keep, show=show)
    except OSError as error:
        raise FileError(not_written(keep or Path(tempfile.gettempdir()), error)) from error
    if out:
        report.write(out / "datasets.json", report.figures_dict(figures), {})
    return figures


def _prepare(out: Path | None, *packages: str) -> None:
    """Make sure that a bench can run and its report be written, before it takes minutes."""
    need("this bench", *packages, extra="bench")
    if out:
        check_writable(out / "report.json")


def _drawing(out: Path | None) -> tuple[str, ...]:
    return ("matplotlib",) if out else ()


@contextmanager
def _bundle(folder: str | None, preset: str) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield write_bundle(Path(scratch) / "bundle", preset)
