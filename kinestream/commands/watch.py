"""kinestream watch."""

import sys

import click

from kinestream.commands.options import (
    FLEET,
    KEYS,
    LABELS_ADDRESS,
    LONG,
    Bounded,
    Result,
    StreamName,
    Whole,
    check_fleet,
    end_with,
    verb,
)
from kinestream.commands.root import root


@verb(
    root,
    short_help="Show labels as they come.",
    json_help="Print JSON lines: each label, event and annotation as it comes, then the totals.",
)
@LABELS_ADDRESS
@FLEET
@KEYS
@click.option(
    "--control",
    metavar="ADDRESS",
    help="Where to ask for what was missed: by default at port 5572, if the labels are at 5571.",
)
@click.option(
    "--stream", "streams", type=StreamName(), multiple=True, metavar="NAME", help="Only this stream; repeatable."
)
@click.option("--seconds", type=Bounded(0, LONG, min_open=True), help="Stop after this long.")
@click.option("--count", type=Whole(1), help="Stop after this many labels.")
@click.option("--activities", is_flag=True, help="Show activities as they start and end, smoothed, in place of labels.")
def watch(
    labels: str,
    fleet: str | None,
    keys: str | None,
    control: str | None,
    streams: tuple[str, ...],
    seconds: float | None,
    count: int | None,
    activities: bool,
) -> Result:
    """Show labels as they come: stream, activity, probability, latency, and what was annotated.

    Latency is from a window's last sample to its label here, in ms: the last figure of a line. On a terminal, streamer
    ms is the part of it spent in the streamer, missed counts windows without a label, and annotated is what a person or
    a replay says is the truth; elsewhere truth has lines of its own, on stderr, which begin with "truth:".

    It begins with what the streamer keeps of the last seconds. Labels that came late, since they were missed first, are
    marked as filled in. Where nobody publishes at the address, it says so and goes on waiting.

    It goes on until --seconds have passed, --count labels have come, or Ctrl-C, which ends it with status 130.

    With --json, each line is one JSON object: its "kind" is "label" (or "activity"), "event" or "annotation", and
    "totals" in the last line.
    """
    from kinestream.screens.console import SafeConsole
    from kinestream.screens.watch import watch

    check_fleet()
    json_to = sys.stdout if click.get_current_context().params["as_json"] else None
    seen = watch(
        labels,
        control=control,
        streams=streams or None,
        seconds=seconds,
        count=count,
        activities=activities,
        console=SafeConsole(),
        json_to=json_to,
        keys=keys,
        fleet=fleet,
    )
    end_with(interrupted=seen.interrupted)
    return seen.as_dict(), lambda console: None
