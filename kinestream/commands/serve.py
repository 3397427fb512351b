"""kinestream serve."""

import os
import sys
from contextlib import suppress
from typing import Any

import click

from kinestream.commands.options import (
    CONTROL_ADDRESS,
    DEVICE,
    INGEST_ADDRESS,
    LABELS_ADDRESS,
    LONG,
    Bounded,
    Named,
    Result,
    verb,
)
from kinestream.commands.root import COMMAND, root
from kinestream.screens.stderr import say_if_read
from kinestream.streamer.server.tuning import WARM_UP


@verb(
    root,
    short_help="Recognise live: samples in, labels out.",
    json_help="Print JSON lines: the addresses once it is ready, then the totals. Labels are not printed: use watch.",
)
@click.argument("bundle", type=Named())
@INGEST_ADDRESS
@click.option("--subscribe", multiple=True, metavar="ADDRESS", help="A publisher of samples, besides; repeatable.")
@LABELS_ADDRESS
@CONTROL_ADDRESS
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
    "--warm-up/--no-warm-up",
    default=WARM_UP,
    show_default=True,
    help="Keep the processor awake for windows that are about to come: sooner labels for more work.",
)
@click.option(
    "--restart/--no-restart", default=True, show_default=True, help="Start again, at the same addresses, should it die."
)
def serve(bundle: str, restart: bool, **options: Any) -> Result:
    """Recognise live: samples in, labels out, until Ctrl-C or SIGTERM, which end it with status 0.

    With --json, each line is one JSON object: "ready": true and the addresses as soon as it is ready, the same after
    every restart, and the totals at the end.
    """
    if restart and _restartable():
        from kinestream.streamer.server.supervise import command_line, supervise

        if command := command_line():
            sys.exit(supervise(command, say_if_read))
    from kinestream.screens.serve import StatusLine
    from kinestream.streamer.server.serve import serve

    as_json = click.get_current_context().params["as_json"]
    display = StatusLine(sys.stdout if as_json else None)
    totals = serve(bundle, display=display, **options)
    if display.is_stuck:  # the interpreter would wait for whoever reads stderr
        click.get_current_context().call_on_close(_end_at_once)
    return totals, lambda console: None


def _end_at_once() -> None:
    """Leave without the interpreter's farewell, once the result is out."""
    with suppress(OSError):
        sys.stdout.flush()
    os._exit(0)


def _restartable() -> bool:
    """Whether this process was started as a command, and may start another like it that it watches over."""
    is_command = click.get_current_context().obj is COMMAND
    return is_command and os.name == "posix" and "KINESTREAM_SUPERVISED" not in os.environ
