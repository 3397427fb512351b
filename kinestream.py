"""The front door: one command line, a verb per job.

Every verb prints its result on stdout, for people or, with ``--json``, as one JSON object; all else goes to stderr.
What a user can mend ends in one line on stderr and exit status 2; Ctrl-C before a verb is through ends it with 130,
but for ``serve`` and ``watch``, which it is meant to end. Each verb imports what it needs when it runs, so that
``serve`` does not wait for PyTorch, nor ``--help`` for anything.
"""

import sys

try:
    import json
    import math
    import os
    import shlex
    import signal
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager
    from functools import wraps
    from pathlib import Path
    from types import FrameType
    from typing import Any, NoReturn

    import click

    from model.errors import KinestreamError
    from model.printable import printable, say
    from streamer.wire import INGEST, LABELS
except KeyboardInterrupt:  # before `main` can say anything
    sys.exit(130)

Verb = Callable[..., Any]
Result = tuple[dict[str, Any], Callable[[Any], None]]


class Named(click.ParamType[str]):
    """A name or path that is one: the current folder is called ``.``, not nothing."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if not value.strip():
            self.fail("it is empty: give a name or a path", param, ctx)
        return str(value)


class Place(click.Path):
    """A path that is one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not os.fspath(value).strip():
            self.fail("it is empty: give a path", param, ctx)
        return super().convert(value, param, ctx)


SOURCE = click.argument("source", type=Named())
TASK = click.option("--task", metavar="NAME", help="Which labels, where a dataset has several sets.")
RECORDINGS = click.option("--recording", "recordings", multiple=True, metavar="ID", help="Only this one; repeatable.")
PEOPLE = click.option("--person", "people", multiple=True, metavar="ID", help="Only this person's; repeatable.")
DEVICE = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What computes; auto takes a GPU where PyTorch finds one.",
)
_COMMAND = object()  # a context that carries it is that of a process's own command line
INGEST_ADDRESS = click.option("--ingest", default=INGEST, show_default=True, help="Where samples go in.")
LABELS_ADDRESS = click.option("--labels", default=LABELS, show_default=True, help="Where labels come out.")


class Speed(click.ParamType[float | str]):
    """A factor, or ``max``."""

    name = "X|max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the factor as a number."""
        if value == "max":
            return "max"
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'max'", param, ctx)


class Bounded(click.FloatRange):
    """A number that is one: neither infinite nor NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no number of any use here", param, ctx)
        return number


LONG = 1_000_000_000  # seconds: thirty years


def verb(
    group: click.Group, name: str | None = None, *, short_help: str | None = None
) -> Callable[[Verb], click.Command]:
    """Make a function that returns (JSON content, how to print it for people) a command of `group`.

    `short_help` stands in the list of commands, which cuts what is longer than a line.
    """

    def decorate(function: Verb) -> click.Command:
        @wraps(function)
        def run(*args: Any, as_json: bool, **options: Any) -> None:
            content, show = function(*args, **options)
            if as_json:
                click.echo(json.dumps(content, allow_nan=False))
            else:
                from model.console import SafeConsole

                show(SafeConsole())

        with_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
        return group.command(name or function.__name__, short_help=short_help)(with_json(run))

    return decorate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kinestream")
def kinestream() -> None:
    """Live human activity recognition from body-worn motion sensors.

    Samples go in over ZeroMQ, labels come out. Start with: kinestream demo
    """


# The streamer ---------------------------------------------------------------------------------------------------------


@verb(kinestream, short_help="Recognise live: samples in, labels out.")
@click.argument("bundle", type=Named())
@INGEST_ADDRESS
@click.option("--subscribe", multiple=True, metavar="ADDRESS", help="A publisher of samples, besides; repeatable.")
@LABELS_ADDRESS
@DEVICE
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads for a batch.")
@click.option(
    "--forget-after",
    type=Bounded(1, LONG),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Forget streams that are silent for this long.",
)
@click.option(
    "--max-streams",
    "most_streams",
    type=click.IntRange(1),
    default=10_000,
    show_default=True,
    help="Refuse more at a time; each takes some 25 KB.",
)
@click.option(
    "--max-senders",
    "most_senders",
    type=click.IntRange(1),
    metavar="CONNECTIONS",
    help="Turn more connections of senders away. Under 100, more may wait of each: for gateways of many streams.",
)
@click.option(
    "--restart/--no-restart", default=True, show_default=True, help="Start again, at the same addresses, should it die."
)
def serve(bundle: str, restart: bool, **options: Any) -> Result:
    """Recognise live: samples in, labels out, until Ctrl-C or SIGTERM."""
    if restart and _restartable():
        from streamer.supervise import command_line, supervise

        sys.exit(supervise(command_line(), say))
    from streamer.serve import serve

    totals = serve(bundle, **options)
    return totals, lambda console: None


@verb(kinestream, short_help="Show labels as they come.")
@LABELS_ADDRESS
@click.option("--stream", "streams", multiple=True, metavar="NAME", help="Only this stream; repeatable.")
@click.option("--seconds", type=Bounded(0, LONG, min_open=True), help="Stop after this long.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many labels.")
def watch(labels: str, streams: tuple[str, ...], seconds: float | None, count: int | None) -> Result:
    """Show labels as they come: stream, activity, probability, latency.

    With --json, a line of JSON for each label and event as it comes (its "kind"), and one of totals at the end.
    """
    from model.console import SafeConsole
    from streamer.watch import watch

    json_to = sys.stdout if click.get_current_context().params["as_json"] else None
    seen = watch(labels, streams=streams or None, seconds=seconds, count=count, console=SafeConsole(), json_to=json_to)
    _end_with(interrupted=seen.interrupted)
    return seen.as_dict(), lambda console: None


# Replaying and scoring ------------------------------------------------------------------------------------------------


@verb(kinestream, short_help="Play recordings into a running streamer.")
@SOURCE
@RECORDINGS
@PEOPLE
@TASK
@click.option("--speed", type=Speed(), default=1.0, show_default=True, help="Times the true rate, or max.")
@click.option("--loop", type=click.IntRange(1), default=1, show_default=True, help="Play it this often.")
@click.option("--start-offset", type=Bounded(0, LONG), default=0.0, metavar="SECONDS", help="Skip the beginning.")
@click.option("--duration", type=Bounded(0, LONG, min_open=True), metavar="SECONDS", help="Play no more than this.")
@click.option("--delay", type=Bounded(0, LONG), default=0.0, metavar="SECONDS", help="Wait before the first sample.")
@click.option("--chunk", type=click.IntRange(1), default=1, show_default=True, help="Samples in a message.")
@click.option("--wait-for-subscribers", is_flag=True, help="Begin when somebody listens to every stream.")
@click.option("--score", is_flag=True, help="Hold the labels against the truth; measure their latency.")
@INGEST_ADDRESS
@LABELS_ADDRESS
@click.option(
    "--timeout",
    type=Bounded(0, 1_000_000, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the streamer.",
)
def replay(source: str, recordings: tuple[str, ...], people: tuple[str, ...], **options: Any) -> Result:
    """Play recordings into a running streamer, at their true rate or any other."""
    from replay.run import replay
    from replay.show import print_replay

    report = replay(source, recordings=recordings or None, people=people or None, **options)
    _end_with(report.interrupted, report.vanished is not None)
    return report.as_dict(), lambda console: print_replay(report, console)


@verb(kinestream, short_help="See a shipped model recognise strangers, live.")
@click.option("--seconds", type=Bounded(2, LONG), help="Stop after this much of the recordings; all by default.")
@click.option("--speed", type=Bounded(0, 1000, min_open=True), default=1.0, show_default=True, help="Times true rate.")
def demo(seconds: float | None, speed: float) -> Result:
    """Watch the activities of people the shipped model has never seen come out live."""
    from replay.demo import demo

    report = demo(seconds=seconds, speed=speed)
    _end_with(report.replay.interrupted, report.replay.vanished is not None)
    return report.as_dict(), report.print


def _end_with(interrupted: bool, incomplete: bool = False) -> None:
    """Have the exit status say, once the result is out, that it is one of a part only."""
    status = 130 if interrupted else 1 if incomplete else 0
    if status:
        click.get_current_context().call_on_close(lambda: sys.exit(status))


# Models ---------------------------------------------------------------------------------------------------------------


@verb(kinestream, short_help="Train on recordings.")
@click.argument("config", type=Named())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", type=Place(path_type=Path), help="Folder of the run.  [default: runs/NAME]")
@click.option("--restart", is_flag=True, help="Forget what the folder holds instead of going on with it.")
@DEVICE
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads.")
def train(
    config: str, overrides: tuple[str, ...], out: Path | None, restart: bool, device: str, threads: int
) -> Result:
    """Train on recordings: CONFIG is a YAML file, or the name of a shipped one."""
    from model.configfile import load_config

    checked = load_config(config, overrides)
    _need_torch()
    from model.report import print_scores
    from model.train import train

    result = train(checked, out or Path("runs") / checked.name, device=device, threads=threads, resume=not restart)

    def show(console: Any) -> None:
        for whose, scores in (("validation people", result.validation), ("test people", result.test)):
            if scores is not None:
                print_scores(scores, console, title=whose)
        console.print(f"{result.bundle}, of epoch {result.kept_epoch} of {result.epochs}", soft_wrap=True)
        if result.report is not None:
            console.print(str(result.report), soft_wrap=True)

    return result.as_dict() | {"report": result.report and str(result.report)}, show


@verb(kinestream, short_help="Score a bundle on recordings, without a socket.")
@click.argument("bundle", type=Named())
@SOURCE
@RECORDINGS
@PEOPLE
@click.option("--split", type=click.Choice(["train", "test"]), help="Only this part of the published split.")
@TASK
@click.option(
    "--cut",
    type=click.Choice(["continuous", "segmented"]),
    default="continuous",
    show_default=True,
    help="As in a live stream, or anew in each labelled segment.",
)
@click.option("--join-recordings", is_flag=True, help="Join them into one, as Opportunity's published figures did.")
@DEVICE
@click.option(
    "--report",
    type=Place(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write a page that shows it all: figures, confusion, time lines.",
)
def evaluate(
    bundle: str,
    source: str,
    recordings: tuple[str, ...],
    people: tuple[str, ...],
    report: Path | None,
    **options: Any,
) -> Result:
    """Score a bundle on recordings, without a socket."""
    from model.bundle import find_bundle, read_bundle
    from model.evaluate import evaluate
    from model.files import check_writable
    from model.report import print_evaluation

    if report is not None:  # what is missing or in the way is told before the work
        from model.page.page import Part, history_beside, write_page

        check_writable(report)
    read = read_bundle(bundle)
    result = evaluate(read, source, recordings=recordings or None, people=people or None, **options)
    if report is not None:
        command = shlex.join(["kinestream", *sys.argv[1:]])
        history = history_beside(read, find_bundle(bundle))
        write_page(report, read, [Part("Evaluation", result)], history=history, command=command)

    def show(console: Any) -> None:
        print_evaluation(result, console)
        if report is not None:
            console.print(str(report), soft_wrap=True)

    return result.as_dict() | ({"report": str(report)} if report else {}), show


@verb(kinestream, short_help="Train every contender of a protocol.")
@click.argument("protocols", nargs=-1, required=True, type=Named(), metavar="PROTOCOL...")
@click.option("--contender", "contenders", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--seed", "seeds", multiple=True, type=click.IntRange(0), help="Only this one; repeatable.")
@click.option(
    "--source", type=Named(), metavar="PATH", help="The dataset's zip or folder; by default where its name is found."
)
@click.option(
    "--results",
    type=Place(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Where each run's result is kept.",
)
@click.option(
    "--work",
    type=Place(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where runs are kept that are not finished.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Trainings side by side.")
def compare(
    protocols: tuple[str, ...],
    contenders: tuple[str, ...],
    seeds: tuple[int, ...],
    source: str | None,
    results: Path,
    work: Path,
    jobs: int,
) -> Result:
    """Train every contender of a protocol from every seed; what has a result already is left alone.

    PROTOCOL is a file under configs/protocols/ or its name.
    """
    from model.protocol import choose, load_protocol

    loaded = [load_protocol(name) for name in protocols]
    runs = [run for each in loaded for run in choose(each.runs, contenders or None, seeds or None)]
    _need_torch()
    from model.compare import run_all

    trained = run_all(runs, results, work, source=source, jobs=jobs, told=say)
    content = {"runs": len(runs), "trained": trained, "results": str(results)}

    def show(console: Any) -> None:
        from model.results import standings
        from model.resultstable import print_standings

        for protocol in loaded:
            print_standings(protocol.name, standings(protocol, results), console)
        console.print(f"{len(runs)} results under {results}", soft_wrap=True)

    return content, show


@verb(kinestream, short_help="Show on one page what all protocols came to.")
@click.option(
    "--results",
    type=Place(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Where each run's result is kept; the page is written there.",
)
@click.option("--protocol", "names", multiple=True, metavar="PROTOCOL", help="Only this one; repeatable.")
def results(results: Path, names: tuple[str, ...]) -> Result:
    """Show what the runs of all protocols came to on one page, with tables and plots."""
    from model.extras import need
    from model.protocol import load_protocol, shipped_protocols

    need("the page of results", "matplotlib", "jinja2")
    from model.resultspage import write_results

    page = write_results([load_protocol(name) for name in names or shipped_protocols()], results)
    return {"page": str(page)}, lambda console: console.print(str(page), soft_wrap=True)


# Datasets -------------------------------------------------------------------------------------------------------------


@kinestream.group(short_help="Look at recorded datasets, check them, get them.")
def datasets() -> None:
    """Look at recorded datasets, check them, get them."""


@verb(datasets, "list", short_help="List the datasets that can be read.")
def list_datasets() -> Result:
    """List the datasets that can be read."""
    from model.datasets.describe import listing, print_listing

    found = listing()
    return {"datasets": found}, lambda console: print_listing(found, console)


@verb(datasets, short_help="Tell people, classes, rate and channels.")
@SOURCE
@TASK
def info(source: str, task: str | None) -> Result:
    """Tell people, classes, rate and channels of a source."""
    from model.datasets import open_source
    from model.datasets.describe import describe, description_table

    described = describe(open_source(source, task=task))
    return described, lambda console: console.print(description_table(described))


@verb(datasets, "describe", short_help="Draft a YAML file for your own recordings.")
@click.argument("folder", type=Place(path_type=Path))
@click.option("--out", type=Place(path_type=Path, dir_okay=False), help="Write it here instead of printing it.")
@click.option("--overwrite", is_flag=True, help="Even if there is such a file.")
def describe_folder(folder: Path, out: Path | None, overwrite: bool) -> Result:
    """Draft the YAML file that describes your own recordings in FOLDER: a folder, a zip or a file."""
    from model.datasets.draft.doubts import unsaid
    from model.datasets.draft.write import draft, write_draft

    text, found = draft(folder) if out is None else write_draft(folder, out, overwrite=overwrite)
    for each in unsaid(found):
        say(f"to be said: {each}")
    content = {"yaml": text, "path": None if out is None else str(out), "to_be_said": unsaid(found)}
    shown = text.rstrip() if out is None else f"{out}: look through it, then see 'kinestream datasets info {out}'"
    return content, lambda console: click.echo(printable(shown, keep="\n"))


@verb(datasets, short_help="Compare a source with the published counts.")
@SOURCE
@TASK
def verify(source: str, task: str | None) -> Result:
    """Compare a source with the published counts."""
    from model.datasets import open_source
    from model.datasets.verify import differences, verification_table, verify

    opened = open_source(source, task=task)
    opened.check_whole()
    checks = verify(opened)
    differing = differences(checks)
    if differing:
        click.get_current_context().call_on_close(lambda: sys.exit(1))
    content = {"checks": len(checks), "differences": differing}
    return content, lambda console: console.print(verification_table(checks))


@verb(datasets, short_help="Download a dataset from its publisher.")
@click.argument("name", type=Named())
@click.option("--to", "folder", type=Place(path_type=Path, file_okay=False), help="Where to keep it.")
@click.option("--url", help="Another place to get it from.")
def fetch(name: str, folder: Path | None, url: str | None) -> Result:
    """Download a dataset from its publisher, or go on with a download."""
    from model.datasets.fetch import fetch

    archive = fetch(name, folder, url=url)
    return {"archive": str(archive)}, lambda console: console.print(str(archive), soft_wrap=True)


# Measuring ------------------------------------------------------------------------------------------------------------


@kinestream.group(short_help="Measure, beside what others do.")
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
@click.option("--windows", "batches", type=click.IntRange(1), multiple=True, default=(1, 8, 64, 256), show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, help="Take torch.compile along.")
@click.option("--rounds", type=click.IntRange(1), default=15, show_default=True, help="Turns of each engine.")
def engines(**options: Any) -> Result:
    """Time our engine, PyTorch, torch.compile, a plain ONNX export and, where installed, OpenVINO."""
    from replay.bench.run import bench_engines

    return bench_engines(**options)


@verb(bench, short_help="Time one stream beside other pipelines.")
@BUNDLE
@PRESET
@REPORT
@click.option("--seconds", type=Bounded(3, LONG), default=60.0, show_default=True, help="How long a turn is.")
@click.option("--turns", type=click.IntRange(1), default=2, show_default=True, help="Turns of each.")
def latency(**options: Any) -> Result:
    """Play one stream at its true rate into kinestream, ezmsg and hand-written loops."""
    from replay.bench.run import bench_latency

    return bench_latency(**options)


@verb(bench, short_help="Find how many streams at once it takes.")
@BUNDLE
@PRESET
@REPORT
@click.option("--streams", "counts", type=click.IntRange(1), multiple=True, default=(100, 500, 1000, 2000, 3000))
@click.option("--chunk", type=click.IntRange(1), default=1, show_default=True, help="Samples in a message.")
@click.option("--seconds", type=Bounded(2, LONG), default=60.0, show_default=True, help="For each number of streams.")
def streams(**options: Any) -> Result:
    """Find how many streams at once it takes until labels are late or lost."""
    from replay.bench.run import bench_streams

    return bench_streams(**options)


@verb(bench, "replay", short_help="Replay as fast as the streamer takes it.")
@BUNDLE
@PRESET
@REPORT
@click.option(
    "--chunk",
    "chunks",
    type=click.IntRange(1),
    multiple=True,
    default=(1, 6),
    show_default=True,
    help="Samples in a message; repeatable.",
)
@click.option("--samples", type=click.IntRange(100), default=30_000, show_default=True, help="Of each recording.")
def bench_replay(**options: Any) -> Result:
    """Replay four recordings as fast as the streamer takes them, and score them."""
    from replay.bench.run import bench_replay

    return bench_replay(**options)


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
@click.option("--batch", type=click.IntRange(1), default=100, show_default=True, help="Windows in a step.")
@click.option("--steps", type=click.IntRange(1), default=5, show_default=True, help="Steps in a turn.")
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True, help="Turns of each form.")
def bench_train(**options: Any) -> Result:
    """Train on windows of HAPT's size, the cells of a block as one recurrence or one nn.LSTM each."""
    from replay.bench.run import bench_training

    return bench_training(**options)


@verb(bench, "datasets", short_help="Time the reading of a full-size zip.")
@REPORT
@click.option("--keep", type=Place(path_type=Path, file_okay=False), help="Keep the zip that is written here.")
def bench_datasets(**options: Any) -> Result:
    """Read a full-size Opportunity zip, written for the purpose, against numpy.loadtxt."""
    from replay.bench.run import bench_datasets

    return bench_datasets(**options)


def _need_torch() -> None:
    from model.extras import need

    need("training", "torch")


def _fail(message: str, status: int) -> NoReturn:
    say(f"kinestream: {message}")
    sys.exit(status)


def _terminate(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)  # so that what was begun is ended: a streamer of the demo's, files half written


def _restartable() -> bool:
    """Whether this process was started as a command, and may start another like it that it watches over."""
    is_command = click.get_current_context().obj is _COMMAND
    return is_command and os.name == "posix" and "KINESTREAM_SUPERVISED" not in os.environ


def main() -> None:
    """Run the command line."""
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(ending) != signal.SIG_IGN:  # as nohup leaves it
            signal.signal(ending, _terminate)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    with _failures():
        kinestream.main(prog_name="kinestream", standalone_mode=False, obj=_COMMAND)
        sys.stdout.flush()  # a disk that is full is told here, not by the interpreter when it ends


@contextmanager
def _failures() -> Iterator[None]:
    """Turn what a user can mend into a line and an exit status; all else keeps its traceback."""
    try:
        yield
    except KinestreamError as error:
        _fail(str(error), 2)
    except BrokenPipeError:
        _drop_output()
        sys.exit(1)  # whoever read it has gone: nobody is left to be told
    except OSError as error:
        from model.files import reason

        _drop_output()
        _fail(f"a file or the system failed ({reason(error)}): make room, or see to its permissions", 2)
    except ModuleNotFoundError as error:
        from model.extras import missing_extra

        missing = missing_extra(error.name)
        if missing is None:
            raise
        _fail(str(missing), 2)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "kinestream"
        _fail(f"{error.format_message()} Try '{command} --help'.", 2)
    except click.ClickException as error:
        _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one while the interpreter ends is no traceback either
        _fail("interrupted", 130)


def _drop_output() -> None:
    """Let nothing be written to stdout any more, which would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
