"""kinestream serve."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kinestream.commands.optionfile import config_option
from kinestream.commands.options import (
    CONTROL_ADDRESS,
    DEVICE,
    INGEST_ADDRESS,
    LABELS_ADDRESS,
    LONG,
    Bounded,
    Named,
    Place,
    Result,
    Whole,
    verb,
)
from kinestream.commands.root import COMMAND, root
from kinestream.model.errors import KinestreamError
from kinestream.model.extras import need
from kinestream.screens.stderr import say, say_if_read
from kinestream.streamer.server.history import HISTORY_S
from kinestream.streamer.server.tuning import DRAIN_S, IO_THREADS, MOST_DRAIN_S, WARM_UP
from kinestream.streamer.wire.messages import DASHBOARD_PORT

if TYPE_CHECKING:
    from kinestream.streamer.server.lifecycle import Display


def _wrong(settings: dict[str, Any], is_refused: bool) -> list[str]:
    """Return what is wrong with settings of a file; the bundle is read only if they are refused anyway."""
    from kinestream.streamer.server.settings import wrong_addresses, wrong_bundle

    problems = wrong_addresses(settings)
    return problems + wrong_bundle(settings) if problems or is_refused else problems


@verb(
    root,
    short_help="Recognise live: samples in, labels out.",
    json_help="Print JSON lines: the addresses once it is ready, then the totals. Labels are not printed: use watch.",
)
@click.argument("bundle", type=Named())
@config_option(_wrong)
@click.option("--check", is_flag=True, help="Say everything that is wrong with the options and BUNDLE; start nothing.")
@INGEST_ADDRESS
@click.option("--subscribe", multiple=True, metavar="ADDRESS", help="A publisher of samples, besides; repeatable.")
@LABELS_ADDRESS
@CONTROL_ADDRESS
@click.option(
    "--watch",
    metavar="ADDRESS",
    help="Where readings and status come out, for recorders and dashboards; tcp://127.0.0.1:5573 beside the default "
    "--labels, else a free port of this machine, which is named when it is ready.",
)
@click.option(
    "--keys",
    type=Place(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Require keys. This folder says who may do what; 'kinestream keys' writes it.",
)
@click.option(
    "--insecure",
    is_flag=True,
    help="Listen beyond this machine without keys: anybody who reaches the ports may do everything.",
)
@DEVICE
@click.option("--threads", type=Whole(1), default=1, show_default=True, help="CPU threads for a batch.")
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
    type=Whole(1),
    default=10_000,
    show_default=True,
    help="Refuse more at a time; each takes some 25 KB.",
)
@click.option(
    "--max-senders",
    "most_senders",
    type=Whole(1),
    metavar="CONNECTIONS",
    help="Turn more connections of senders away. Under 100, more may wait of each: for gateways of many streams.",
)
@click.option(
    "--patience",
    type=Bounded(0, 0.5),
    default=0.3,
    show_default=True,
    metavar="SECONDS",
    help="Wait for a wearer's late devices until another has delivered this much further.",
)
@click.option(
    "--history",
    type=Bounded(0, 3600),
    default=HISTORY_S,
    show_default=True,
    metavar="SECONDS",
    help="Keep labels and events this long for subscribers that missed some; 128 MiB of them at most.",
)
@click.option(
    "--warm-up/--no-warm-up",
    default=WARM_UP,
    show_default=True,
    help="Keep the processor awake for windows that are about to come: sooner labels for more work.",
)
@click.option(
    "--io-threads",
    type=Whole(1, 16),
    default=IO_THREADS,
    show_default=True,
    help="Threads that read and write connections; see docs/scaling.md before changing it.",
)
@click.option(
    "--drain",
    type=Bounded(0, MOST_DRAIN_S),
    default=DRAIN_S,
    show_default=True,
    metavar="SECONDS",
    help="After Ctrl-C or SIGTERM, serve known streams until nothing comes any more, or for this long.",
)
@click.option(
    "--restart/--no-restart", default=True, show_default=True, help="Start again, at the same addresses, if it dies."
)
@click.option(
    "--log",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What stderr gets: lines for people, or a JSON object a line.",
)
@click.option(
    "--dashboard",
    "with_dashboard",
    is_flag=True,
    help=f"Serve the dashboard as well, in a process of its own, at port {DASHBOARD_PORT} of this machine.",
)
def serve(bundle: str, check: bool, restart: bool, log: str, drain: float, **options: Any) -> Result:
    """Recognise live: samples in, labels out, until Ctrl-C or SIGTERM, which end it with status 0 once it is ready.

    On SIGHUP it reads BUNDLE again and takes it if it is sound, as "kinestream reload" has it.

    With --json, each line is one JSON object: "ready": true and the addresses as soon as it is ready, the same after
    every restart, and the totals at the end.
    """
    if check:
        return _checked({"bundle": bundle, **options})
    if restart and _restartable():
        from kinestream.streamer.server.supervise import command_line, supervise

        if command := command_line():
            sys.exit(supervise(command, _teller(log), drain_s=drain))
    with _told_as(log):
        return _serve(bundle, log, drain=drain, **options)


def _serve(bundle: str, log: str, with_dashboard: bool, **options: Any) -> Result:
    from kinestream.screens.serve import StatusLine
    from kinestream.screens.serve_json import JsonLog
    from kinestream.streamer.server.serve import serve

    as_json = click.get_current_context().params["as_json"]
    display = (JsonLog if log == "json" else StatusLine)(sys.stdout if as_json else None)
    if with_dashboard:
        need("the dashboard", "starlette", "uvicorn", "websockets", "cryptography", extra="web")
        from kinestream.streamer.keys.keyfile import found_keys

        if options["keys"] is not None and found_keys(None) is None:
            raise click.UsageError(
                "--dashboard needs keys, too: let KINESTREAM_KEYS name those of a client with --read and --watch"
            )
        from kinestream.screens.dashboard import WithDashboard

        shown: Display = WithDashboard(display)
    else:
        shown = display
    totals = serve(bundle, display=shown, **options)
    if display.is_stuck:  # the interpreter would wait for whoever reads stderr
        click.get_current_context().call_on_close(_end_at_once)
    return totals, lambda console: None


def _checked(settings: dict[str, Any]) -> Result:
    """Return what there is to say of settings; where anything is wrong with them, say all of it and leave."""
    from kinestream.streamer.server.settings import wrong_addresses, wrong_bundle, wrong_keys

    if problems := wrong_addresses(settings) + wrong_keys(settings) + wrong_bundle(settings):
        for problem in problems:
            say(f"kinestream: {problem}")
        sys.exit(2)
    return {"ok": True}, lambda console: console.print("nothing is wrong with it")


def _teller(log: str) -> Callable[[str], None]:
    """Return what says a line of whoever watches over the one that serves; it must not wait."""
    if log != "json":
        return say_if_read
    from kinestream.screens.loglines import said

    return lambda line: say_if_read(said(line, "warning", "kinestream.supervise"))


@contextmanager
def _told_as(log: str) -> Iterator[None]:
    """Have what keeps a streamer from starting told as its log is."""
    if log != "json":
        yield
        return
    from kinestream.screens.loglines import said

    try:
        yield
    except KinestreamError as error:
        say(said(str(error), "error"))
        sys.exit(2)


def _end_at_once() -> None:
    """Leave without the interpreter's farewell, once the result is out."""
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(0)


def _restartable() -> bool:
    """Whether this process was started as a command, and may start another like it that it watches over."""
    is_command = click.get_current_context().obj is COMMAND
    return is_command and os.name == "posix" and "KINESTREAM_SUPERVISED" not in os.environ
