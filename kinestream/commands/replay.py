"""kinestream replay."""

import shlex
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import (
    FLEET,
    INGEST_ADDRESS,
    KEYS,
    LABELS_ADDRESS,
    LONG,
    PEOPLE,
    RECORDINGS,
    SOURCE,
    TASK,
    Bounded,
    Place,
    Result,
    Speed,
    Whole,
    check_fleet,
    end_with,
    verb,
)
from kinestream.commands.root import root


@verb(root, short_help="Play recordings into a running streamer.")
@SOURCE
@RECORDINGS
@PEOPLE
@TASK
@click.option("--speed", type=Speed(), default=1.0, show_default=True, help="Times the true rate, or max.")
@click.option("--loop", type=Whole(1), default=1, show_default=True, help="Play it this often.")
@click.option("--start-offset", type=Bounded(0, LONG), default=0.0, metavar="SECONDS", help="Skip the beginning.")
@click.option("--duration", type=Bounded(0, LONG, min_open=True), metavar="SECONDS", help="Play no more than this.")
@click.option("--delay", type=Bounded(0, LONG), default=0.0, metavar="SECONDS", help="Wait before the first sample.")
@click.option("--chunk", type=Whole(1), default=1, show_default=True, help="Samples, or readings, in a message.")
@click.option("--devices", is_flag=True, help="What each device delivered, at its own times, not one grid.")
@click.option(
    "--jitter", "jitter_ms", default=0.0, metavar="MS", help="Shift the times of readings by up to this much."
)
@click.option("--drift", "drift_ppm", default=0.0, metavar="PPM", help="Let clocks run this fast or slow, in turn.")
@click.option("--drop", default=0.0, metavar="SHARE", help="Lose this share of the messages.")
@click.option("--reorder", default=0.0, metavar="SHARE", help="Send this share of messages after the next one.")
@click.option("--duplicate", default=0.0, metavar="SHARE", help="Send this share of messages twice.")
@click.option("--burst", default=0, metavar="N", help="Messages of N readings, stamped together; spread back.")
@click.option("--seed", default=0, show_default=True, help="Decides which messages that happens to.")
@click.option("--wait-for-subscribers", is_flag=True, help="Begin when somebody listens to every stream.")
@click.option("--score", is_flag=True, help="Score the labels against the truth; measure their latency.")
@click.option(
    "--report",
    "page",
    type=Place(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write a page that shows the score: time lines over the signal, confusion, events, latency.",
)
@click.option(
    "--truth/--no-truth",
    default=True,
    show_default=True,
    help="Send what the recordings say as annotations, which watch shows; labels never depend on it.",
)
@click.option(
    "--reliable",
    is_flag=True,
    help="Keep what is sent until it is acknowledged; nothing is lost if the streamer dies.",
)
@click.option(
    "--control", metavar="ADDRESS", help="Where the streamer acknowledges: by default at port 5572, beside 5570."
)
@INGEST_ADDRESS
@LABELS_ADDRESS
@FLEET
@KEYS
@click.option(
    "--timeout",
    type=Bounded(0, 1_000_000, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for the streamer.",
)
def replay(
    source: str, recordings: tuple[str, ...], people: tuple[str, ...], page: Path | None, **options: Any
) -> Result:
    """Play recordings into a running streamer, at their true rate or any other."""
    from kinestream.replay.play.impair import Impairments
    from kinestream.replay.run import replay
    from kinestream.screens.replay import ProgressScreen
    from kinestream.screens.scores import print_replay

    check_fleet()
    if page is not None:  # what is missing or in the way is told before the work
        from kinestream.model.files import check_writable
        from kinestream.replay.page import write_replay_page

        if not options["score"]:
            raise click.UsageError("--report shows a score: add --score")
        check_writable(page)
    worse = Impairments(**{field.name: options.pop(field.name) for field in fields(Impairments)})
    report = replay(
        source,
        recordings=recordings or None,
        people=people or None,
        screen=ProgressScreen,
        impairments=worse,
        keep=page is not None,
        **options,
    )
    if page is not None:
        write_replay_page(page, report, source=source, command=shlex.join(["kinestream", *sys.argv[1:]]))
    end_with(report.interrupted, report.vanished is not None)

    def show(console: Any) -> None:
        print_replay(report, console)
        if page is not None:
            console.print(str(page), soft_wrap=True)

    return report.as_dict() | ({"report": str(page)} if page else {}), show
