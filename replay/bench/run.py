"""The benches as commands: measure, print as it goes, write a report and a plot where that is asked for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.errors import FileError
from kinestream.model.extras import install, need
from kinestream.model.files import check_writable, not_written
from kinestream.replay.bench import report
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.figures import EngineFigure
from kinestream.replay.bench.live.streams import sweep
from kinestream.replay.bench.offline.reading import measure_reading
from kinestream.screens.console import SafeConsole

Shown = Callable[[Console], None]
Result = tuple[dict[str, Any], Shown]


def bench_engines(
    *, bundle: str | None, preset: str, out: Path | None, batches: Sequence[int], compiled: bool, rounds: int
) -> Result:
    """Run `replay.bench.offline.engines.measure_engines`."""
    _prepare(out, "torch", *_drawing(out))
    from kinestream.replay.bench.offline.engines import measure_engines

    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_engines(
            about,
            batches,
            compiled=compiled,
            rounds=rounds,
            told=lambda f: _told(f"{f.engine}, {f.windows}: {f.ms:.3f} ms"),
        )
    content = report.engines_dict(figures)
    if out:
        from kinestream.replay.bench.plots import plot_engines

        report.write(out / "engines.json", content, {"bundle": about.description.name, "threads": 1, "rounds": rounds})
        plot_engines(figures, out / "engines.png")
    return content, lambda console: report.print_engines(figures, console)


def bench_latency(*, bundle: str | None, preset: str, out: Path | None, seconds: float, turns: int) -> Result:
    """Run `replay.bench.live.latency.measure_latency`."""
    _prepare(out, "torch", *_drawing(out))
    from kinestream.replay.bench.live.latency import measure_latency

    if not find_spec("ezmsg"):
        _told(f"without ezmsg, which is not installed: {install('bench')}")
    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_latency(folder, seconds=seconds, turns=turns, told=_told)
    content = {"figures": [asdict(figure) for figure in figures]}
    if out:
        from kinestream.replay.bench.plots import plot_latency

        settings = {"bundle": about.description.name, "rate_hz": about.description.rate_hz, "seconds": seconds}
        report.write(out / "latency.json", content, settings | {"turns": turns})
        plot_latency(figures, out / "latency.png")
    return content, lambda console: report.print_latency(figures, console)


def bench_streams(
    *, bundle: str | None, preset: str, out: Path | None, counts: Sequence[int], chunk: int, seconds: float
) -> Result:
    """Run `replay.bench.live.streams.sweep`."""
    _prepare(out, "psutil", *_drawing(out))
    console = SafeConsole(stderr=True)
    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        points = sweep(
            folder, counts, chunk=chunk, seconds=seconds, told=lambda point: report.print_points([point], console)
        )
    content = {"points": [point.as_dict() for point in points]}
    if out:
        from kinestream.replay.bench.plots import plot_points

        settings = {"bundle": about.description.name, "rate_hz": about.description.rate_hz, "seconds": seconds}
        report.write(out / f"streams-chunk-{chunk}.json", content, settings | {"chunk": chunk})
        plot_points(points, out / f"streams-chunk-{chunk}.png")
    return content, lambda console: report.print_points(points, console)


def bench_replay(*, bundle: str | None, preset: str, out: Path | None, chunks: Sequence[int], samples: int) -> Result:
    """Run `replay.bench.live.replaying.measure_replay`."""
    _prepare(out)
    from kinestream.replay.bench.live.replaying import measure_replay

    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_replay(
            folder,
            chunks,
            samples=samples,
            told=lambda f: _told(f"{f.chunk} a message: {f.samples_per_second:,.0f} samples/s"),
        )
    content = {"figures": [asdict(figure) for figure in figures]}
    if out:
        report.write(out / "replay.json", content, {"bundle": about.description.name, "channels": len(about.channels)})
    return content, lambda console: report.print_replay(figures, console)


def bench_training(*, presets: Sequence[str], out: Path | None, batch: int, steps: int, rounds: int) -> Result:
    """Run `replay.bench.offline.training.measure_training`."""
    _prepare(out, "torch")
    from kinestream.replay.bench.offline.training import measure_training

    figures = measure_training(
        presets,
        batch=batch,
        steps=steps,
        rounds=rounds,
        told=lambda f: _told(f"{f.network}, {f.form}: {f.windows_per_second:.0f} windows/s"),
    )
    content = report.training_dict(figures)
    if out:
        settings = {"threads": 1, "batch": batch, "steps": steps, "rounds": rounds}
        report.write(out / "train.json", content, settings)
    return content, lambda console: report.print_training(figures, console)


def bench_datasets(*, out: Path | None, keep: Path | None) -> Result:
    """Run `replay.bench.offline.reading.measure_reading`."""
    _prepare(out)
    try:
        figures = measure_reading(keep, told=_told)
    except OSError as error:
        raise FileError(not_written(keep or Path(tempfile.gettempdir()), error)) from error
    content = {"figures": [asdict(figure) for figure in figures]}
    if out:
        report.write(out / "datasets.json", content, {})
    return content, lambda console: report.print_reading(figures, console)


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


def _tell_engine(figure: EngineFigure) -> None:
    _told(f"{figure.engine}, {figure.windows} windows: {figure.ms:.3f} ms")


def _told(line: str) -> None:
    SafeConsole(stderr=True, highlight=False).print(line, soft_wrap=True)
