"""kinestream bench."""

from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import LONG, Bounded, Named, Place, Result, Whole, verb
from kinestream.commands.root import root
from kinestream.streamer.server.tuning import IO_THREADS


@root.group(short_help="Measure, beside what others do.")
def bench() -> None:
    """Measure engines, latency, streams and reading, beside what others do.

    Needs the packages of the extra called bench, and an idle machine.
    """


BUNDLE = click.option(
    "--bundle", type=Named(), metavar="FOLDER", help="What to run; by default Opportunity's size, random weights."
)
PRESET = click.option(
    "--preset",
    type=click.Choice(["reference", "kinestream"]),
    default="reference",
    show_default=True,
    help="Which network, without --bundle.",
)
REPORT = click.option("--out", type=Place(path_type=Path, file_okay=False), help="Write the report and plot here.")


@verb(bench, short_help="Time engines beside PyTorch and ONNX.")
@BUNDLE
@PRESET
@REPORT
@click.option("--windows", "batches", type=Whole(1), multiple=True, default=(1, 8, 64, 256), show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, help="Take torch.compile along.")
@click.option("--rounds", type=Whole(1), default=15, show_default=True, help="Turns of each engine.")
def engines(**options: Any) -> Result:
    """Time our engine, PyTorch, torch.compile, a plain ONNX export and, where installed, OpenVINO."""
    from kinestream.replay.bench.report import engines_dict
    from kinestream.replay.bench.run import bench_engines
    from kinestream.screens.bench import print_engines, show_engine

    figures = bench_engines(**options, show=show_engine)
    return engines_dict(figures), lambda console: print_engines(figures, console)


@verb(bench, short_help="Time one stream beside other pipelines.")
@BUNDLE
@PRESET
@REPORT
@click.option("--seconds", type=Bounded(3, LONG), default=60.0, show_default=True, help="How long a turn is.")
@click.option("--turns", type=Whole(1), default=2, show_default=True, help="Turns of each.")
def latency(**options: Any) -> Result:
    """Play one stream at its true rate into kinestream, ezmsg and hand-written loops.

    And one wearer of two devices with times, beside a stream on the grid, into the bundle that ships.
    """
    from kinestream.replay.bench.report import figures_dict
    from kinestream.replay.bench.run import bench_latency
    from kinestream.screens.bench import print_latency, show_line

    figures = bench_latency(**options, show=show_line)
    return figures_dict(figures), lambda console: print_latency(figures, console)


@verb(bench, short_help="Find how many streams at once it takes.")
@BUNDLE
@PRESET
@REPORT
@click.option("--streams", "counts", type=Whole(1), multiple=True, default=(100, 500, 1000, 2000, 3000))
@click.option("--chunk", type=Whole(1), default=1, show_default=True, help="Samples in a message.")
@click.option(
    "--devices",
    type=click.IntRange(0, 16),
    default=0,
    show_default=True,
    help="Of each wearer, on clocks of their own; into the shipped bundle without --bundle; 0: samples on the grid.",
)
@click.option(
    "--device-rate",
    "device_rate_hz",
    type=Bounded(1, 10_000),
    default=100.0,
    show_default=True,
    help="Readings a second of each device.",
)
@click.option(
    "--connections",
    type=Whole(0),
    default=1,
    show_default=True,
    help="That carry the streams: 1, as behind a gateway; 0 gives each its own, as in life.",
)
@click.option(
    "--io-threads",
    type=Whole(1, 16),
    default=IO_THREADS,
    show_default=True,
    help="Threads of the streamer that read and write connections.",
)
@click.option("--reliable", is_flag=True, help="Messages are acknowledged; of samples on the grid.")
@click.option("--seconds", type=Bounded(2, LONG), default=60.0, show_default=True, help="For each number of streams.")
def streams(**options: Any) -> Result:
    """Find how many streams at once it takes until labels are late or lost."""
    from kinestream.replay.bench.report import points_dict
    from kinestream.replay.bench.run import bench_streams
    from kinestream.screens.bench import print_points, show_point

    points = bench_streams(**options, show=show_point)
    return points_dict(points), lambda console: print_points(points, console)


@verb(bench, "replay", short_help="Replay as fast as the streamer takes it.")
@BUNDLE
@PRESET
@REPORT
@click.option(
    "--chunk",
    "chunks",
    type=Whole(1),
    multiple=True,
    default=(1, 6),
    show_default=True,
    help="Samples in a message; repeatable.",
)
@click.option("--samples", type=Whole(100), default=30_000, show_default=True, help="Of each recording.")
def bench_replay(**options: Any) -> Result:
    """Replay four recordings as fast as the streamer takes them, and score them."""
    from kinestream.replay.bench.report import figures_dict
    from kinestream.replay.bench.run import bench_replay
    from kinestream.screens.bench import print_replay, show_replay

    figures = bench_replay(**options, show=show_replay)
    return figures_dict(figures), lambda console: print_replay(figures, console)


@verb(bench, "train", short_help="Time steps of training.")
@REPORT
@click.option(
    "--preset",
    "presets",
    type=click.Choice(["kinestream", "reference"]),
    multiple=True,
    default=("kinestream", "reference"),
    show_default=True,
    help="Which networks; repeatable.",
)
@click.option("--batch", type=Whole(1), default=100, show_default=True, help="Windows in a step.")
@click.option("--steps", type=Whole(1), default=5, show_default=True, help="Steps in a turn.")
@click.option("--rounds", type=Whole(1), default=9, show_default=True, help="Turns of each form.")
def bench_train(**options: Any) -> Result:
    """Train on windows of HAPT's size, the cells of a block as one recurrence or one nn.LSTM each."""
    from kinestream.replay.bench.report import training_dict
    from kinestream.replay.bench.run import bench_training
    from kinestream.screens.bench import print_training, show_training

    figures = bench_training(**options, show=show_training)
    return training_dict(figures), lambda console: print_training(figures, console)


@verb(bench, "datasets", short_help="Time the reading of a full-size zip.")
@REPORT
@click.option("--keep", type=Place(path_type=Path, file_okay=False), help="Keep the zip that is written here.")
def bench_datasets(**options: Any) -> Result:
    """Read a full-size Opportunity zip, written for the purpose, against numpy.loadtxt."""
    from kinestream.replay.bench.report import figures_dict
    from kinestream.replay.bench.run import bench_datasets
    from kinestream.screens.bench import print_reading, show_line

    figures = bench_datasets(**options, show=show_line)
    return figures_dict(figures), lambda console: print_reading(figures, console)


@verb(bench, "redraw", short_help="Draw plots anew from reports.")
@click.argument("folders", nargs=-1, required=True, type=Place(path_type=Path, file_okay=False), metavar="FOLDER...")
def bench_redraw(folders: tuple[Path, ...]) -> Result:
    """Draw the plots of the reports in folders anew, without measuring anything."""
    from kinestream.model.extras import need

    need("a plot", "matplotlib", "jinja2", extra="bench")
    from kinestream.replay.bench.redraw import redraw_all

    plots = [str(path) for folder in folders for path in redraw_all(folder)]
    return {"plots": plots}, lambda console: console.print("\n".join(plots), soft_wrap=True, markup=False)
