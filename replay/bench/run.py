"""The benches, each whole: measure, tell as it goes, write a report and a plot where that is asked for."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.errors import ChannelMismatch, FileError
from kinestream.model.extras import install, need
from kinestream.model.files import check_writable, not_written
from kinestream.replay.bench import report
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.figures import EngineFigure, LatencyFigure, TrainingFigure
from kinestream.replay.bench.redraw import redraw
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.server.tuning import IO_THREADS

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
    """Run `kinestream.replay.bench.offline.engines.measure_engines`."""
    _prepare(out, "torch", *_drawing(out))
    from kinestream.replay.bench.offline.engines import measure_engines

    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_engines(about, batches, compiled=compiled, rounds=rounds, show=show)
    if out:
        settings = {"bundle": about.description.name, "threads": 1, "rounds": rounds}
        report.write(out / "engines.json", report.engines_dict(figures), settings)
        redraw(out / "engines.json")
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
    """Run `kinestream.replay.bench.live.latency.measure_latency`, and `measure_worn` there on the bundle that ships."""
    _prepare(out, "torch", "psutil", *_drawing(out))
    from kinestream.replay.bench.live.latency import measure_latency, measure_worn

    if not find_spec("ezmsg"):
        show(f"without ezmsg, which is not installed: {install('bench')}")
    with _bundle(bundle, preset) as folder:
        about = read_bundle(folder)
        figures = measure_latency(folder, seconds=seconds, turns=turns, show=show)
    worn = measure_worn(BUNDLE, seconds=seconds, turns=turns, show=show)
    if out:
        settings = {"bundle": about.description.name, "rate_hz": about.description.rate_hz, "seconds": seconds}
        report.write(out / "latency.json", report.figures_dict([*figures, *worn]), settings | {"turns": turns})
        redraw(out / "latency.json")
    return [*figures, *worn]


def bench_streams(
    *,
    bundle: str | None,
    preset: str,
    out: Path | None,
    counts: Sequence[int],
    chunk: int,
    connections: int = 1,
    devices: int = 0,
    device_rate_hz: float = 100.0,
    io_threads: int = IO_THREADS,
    reliable: bool = False,
    seconds: float,
    show: Callable[["Point"], None] = _show_nothing,
) -> list["Point"]:
    """Run `kinestream.replay.bench.live.streams.sweep`."""
    _prepare(out, "psutil", *_drawing(out))
    from kinestream.replay.bench.live.streams import sweep

    with _bundle(bundle if bundle or not devices else str(BUNDLE), preset) as folder:
        about = read_bundle(folder)
        if devices and len(about.channels) % devices:
            raise ChannelMismatch(
                f"the {len(about.channels)} channels of {about.description.name} cannot be shared out evenly "
                f"to {devices} devices: give another number of them"
            )
        points = sweep(
            folder,
            counts,
            chunk=chunk,
            seconds=seconds,
            connections=connections,
            devices=devices,
            device_rate_hz=device_rate_hz,
            io_threads=io_threads,
            reliable=reliable,
            show=show,
        )
    if out:
        settings: dict[str, Any] = {"bundle": about.description.name, "rate_hz": about.description.rate_hz}
        settings |= {"channels": len(about.channels), "seconds": seconds}
        over = {0: "-one-each", 1: ""}.get(connections, f"-connections-{connections}")
        settings |= {"chunk": chunk, "connections": connections, "io_threads": io_threads, "reliable": reliable}
        if devices:
            settings |= {"devices": devices, "device_rate_hz": device_rate_hz}
        over += f"-io-threads-{io_threads}" if io_threads != IO_THREADS else ""
        over += "-reliable" if reliable else ""
        of = f"-devices-{devices}" if devices else ""
        path = out / f"streams-chunk-{chunk}{of}{over}.json"
        report.write(path, report.points_dict(points), settings)
        redraw(path)
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
    """Run `kinestream.replay.bench.live.replaying.measure_replay`."""
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
    """Run `kinestream.replay.bench.offline.training.measure_training`."""
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
    """Run `kinestream.replay.bench.offline.reading.measure_reading`."""
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
    return ("matplotlib", "jinja2") if out else ()


@contextmanager
def _bundle(folder: str | None, preset: str) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as scratch:
        yield write_bundle(Path(scratch) / "bundle", preset)
