"""kinestream watch."""

import sys

import click

from kinestream.commands.options import LABELS_ADDRESS, LONG, Bounded, Result, StreamName, end_with, verb
from kinestream.commands.root import root


@verb(
    root,
    short_help="Show labels as they come.",
    json_help="Print JSON lines: each label and event as it comes, then the totals.",
)
@LABELS_ADDRESS
@click.option(
    "--stream", "streams", type=StreamName(), multiple=True, metavar="NAME", help="Only this stream; repeatable."
)
@click.option("--seconds", type=Bounded(0, LONG, min_open=True), help="Stop after this long.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many labels.")
def watch(labels: str, streams: tuple[str, ...], seconds: float | None, count: int | None) -> Result:
    """Show labels as they come: stream, activity, probability, latency.

    It goes on until --seconds have passed, --count labels have come, or Ctrl-C, which ends it with status 130.

    With --json, each line is one JSON object: its "kind" is "label" or "event", and "totals" in the last line.
    """
    from kinestream.screens.console import SafeConsole
    from kinestream.screens.watch import watch

    json_to = sys.stdout if click.get_current_context().params["as_json"] else None
    seen = watch(labels, streams=streams or None, seconds=seconds, count=count, console=SafeConsole(), json_to=json_to)
    end_with(interrupted=seen.interrupted)
    return seen.as_dict(), lambda console: None
