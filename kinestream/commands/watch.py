"""kinestream watch."""

import sys

import click

from kinestream.commands.options import LABELS_ADDRESS, LONG, Bounded, Result, end_with, verb
from kinestream.commands.root import root


@verb(root, short_help="Show labels as they come.")
@LABELS_ADDRESS
@click.option("--stream", "streams", multiple=True, metavar="NAME", help="Only this stream; repeatable.")
@click.option("--seconds", type=Bounded(0, LONG, min_open=True), help="Stop after this long.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many labels.")
def watch(labels: str, streams: tuple[str, ...], seconds: float | None, count: int | None) -> Result:
    """Show labels as they come: stream, activity, probability, latency.

    With --json, a line of JSON for each label and event as it comes (its "kind"), and one of totals at the end.
    """
    from kinestream.screens.console import SafeConsole
    from kinestream.screens.watch import watch

    json_to = sys.stdout if click.get_current_context().params["as_json"] else None
    seen = watch(labels, streams=streams or None, seconds=seconds, count=count, console=SafeConsole(), json_to=json_to)
    end_with(interrupted=seen.interrupted)
    return seen.as_dict(), lambda console: None
