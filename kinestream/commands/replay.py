"""kinestream replay."""

from dataclasses import fields
from typing import Any

import click

from kinestream.commands.options import (
    INGEST_ADDRESS,
    LABELS_ADDRESS,
    LONG,
    PEOPLE,
    RECORDINGS,
    SOURCE,
    TASK,
    Bounded,
    Result,
    Speed,
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
@click.option("--loop", type=click.IntRange(1), default=1, show_default=True, help="Play it this often.")
@click.option("--start-offset", type=Bounded(0, LONG), default=0.0, metavar="SECONDS", help="Skip the beginning.")
@click.option("--duration", type=Bounded(0, LONG, min_open=True), metavar="SECONDS", help="Play no more than this.")
@click.option("--delay", type=Bounded(0, LONG), default=0.0, metavar="SECONDS", help="Wait before the first sample.")
@click.option(
    "--chunk", type=click.IntRange(1), default=1, show_default=True, help="Samples, or readings, in a message."
)
@click.option("--devices", is_flag=True, help="What each device delivered, at its own times, not one grid.")
@click.option("--jitter", "jitter_ms", default=0.0, metavar="MS", help="Stamp readings up to this wrong.")
@click.option("--drift", "drift_ppm", default=0.0, metavar="PPM", help="Clocks run this fast and slow, in turn.")
@click.option("--drop", default=0.0, metavar="SHARE", help="Lose so many of the messages.")
@click.option("--reorder", default=0.0, metavar="SHARE", help="So many leave after the one behind them.")
@click.option("--duplicate", default=0.0, metavar="SHARE", help="So many leave twice.")
@click.option("--burst", default=0, metavar="N", help="Messages of N readings, stamped together; spread back.")
@click.option("--seed", default=0, show_default=True, help="Decides which of them.")
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
    from kinestream.replay.play.impair import Impairments
    from kinestream.replay.run import replay
    from kinestream.screens.replay import ProgressScreen
    from kinestream.screens.scores import print_replay

    worse = Impairments(**{field.name: options.pop(field.name) for field in fields(Impairments)})
    report = replay(
        source,
        recordings=recordings or None,
        people=people or None,
        screen=ProgressScreen,
        impairments=worse,
        **options,
    )
    end_with(report.interrupted, report.vanished is not None)
    return report.as_dict(), lambda console: print_replay(report, console)
