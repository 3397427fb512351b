"""kinestream record."""

from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import (
    FLEET,
    KEYS,
    LABELS_ADDRESS,
    LONG,
    WATCH_ADDRESS,
    Bounded,
    Place,
    Result,
    StreamNames,
    check_fleet,
    verb,
)
from kinestream.commands.root import root
from kinestream.screens.stderr import say


@verb(root, short_help="Write readings, labels and annotations of live streams to files.")
@click.option("--out", type=Place(path_type=Path, file_okay=False), required=True, help="The folder for the files.")
@click.option("--streams", type=StreamNames(), metavar="NAME,...", help="Only these; all by default.")
@LABELS_ADDRESS
@WATCH_ADDRESS
@FLEET
@KEYS
@click.option(
    "--max-size",
    "most_mb",
    type=Bounded(1, 1e6),
    default=256.0,
    show_default=True,
    metavar="MB",
    help="Begin a new file at this size.",
)
@click.option(
    "--max-minutes",
    "most_minutes",
    type=Bounded(0.01, 1e6),
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    help="Begin a new file after this long.",
)
@click.option(
    "--sync",
    "sync_s",
    type=Bounded(0.05, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Sync to the disk this often: a power failure loses no more than that.",
)
@click.option("--seconds", type=Bounded(0, LONG, min_open=True), help="Stop after this long.")
def record(
    out: Path,
    streams: tuple[str, ...] | None,
    labels: str,
    watch: str,
    fleet: str | None,
    keys: str | None,
    most_mb: float,
    most_minutes: float,
    sync_s: float,
    seconds: float | None,
) -> Result:
    """Write readings, labels, events and annotations of live streams to MCAP files, until Ctrl-C or SIGTERM.

    Either ends it with status 0. What it writes is a source like any dataset: datasets info, replay, evaluate and train
    take a file or the folder. The streamer does not wait for it. With --fleet it is of all streamers that the directory
    tells of.
    """
    from kinestream.screens.record import print_recorded
    from kinestream.streamer.record.record import Limits, record

    check_fleet()
    limits = Limits(round(most_mb * 1e6), most_minutes * 60, sync_s)
    say(f"recording to {out}; stop with Ctrl-C")
    recorded: dict[str, Any] = record(
        out,
        labels=labels,
        watch=watch,
        streams=streams,
        limits=limits,
        seconds=seconds,
        say=say,
        on_signals=True,
        keys=keys,
        fleet=fleet,
    )
    return recorded, lambda console: print_recorded(recorded, console)
