"""kinestream fleet plan."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import Bounded, Place, Result, Whole, verb

_MOST = 2_000_000


def add_plan(group: click.Group) -> None:
    """Add the command to a group."""
    for option in reversed(_OPTIONS):
        option(_plan)
    verb(group, "plan", short_help="Say how many machines so many streams need.")(_plan)


def _plan(measured: tuple[Path, ...], **needed: Any) -> Result:
    """Say how many machines so many streams need, and what it costs when one dies.

    Reckoned from what was measured; the result says where. The figures that ship are of a bundle of 113 channels on
    two processors; for your own machine and bundle, measure with 'kinestream bench streams --out FOLDER' and give the
    report.
    """
    from kinestream.replay.planning.figures import read_costs, shipped_costs
    from kinestream.replay.planning.plan import Needs, plan
    from kinestream.screens.planning import print_plan

    needs = Needs(**needed)
    costs = read_costs(measured, needs.channels) if measured else shipped_costs()
    found = plan(needs, costs)
    content = {**found.as_dict(), "sources": list(costs.sources), "fits_within": round(costs.worst, 3)}
    return content, lambda console: print_plan(needs, found, costs, console)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option("--streams", type=Whole(1, _MOST), required=True, help="Wearers."),
    click.option("--channels", type=Whole(1, 10_000), required=True, help="Of each."),
    click.option("--rate", "rate_hz", type=Bounded(0.1, 10_000), required=True, metavar="HZ", help="Of their samples."),
    click.option("--chunk", type=Whole(1, 1000), default=1, show_default=True, help="Samples in a message."),
    click.option("--window", "length", type=Whole(1, 100_000), default=128, show_default=True, help="Its samples."),
    click.option("--stride", type=Whole(1, 100_000), default=64, show_default=True, help="Samples between windows."),
    click.option("--classes", type=Whole(2, 1000), default=12, show_default=True, help="Of the bundle."),
    click.option("--processors", type=Whole(1, 256), default=2, show_default=True, help="Of a node."),
    click.option("--spare", type=Whole(0, 100), default=1, show_default=True, help="Nodes that may be away at a time."),
    click.option(
        "--busy",
        type=Bounded(0.05, 1),
        default=0.5,
        show_default=True,
        help="The share of what it can do that a streamer is given.",
    ),
    click.option(
        "--measured",
        type=Place(path_type=Path, dir_okay=False),
        multiple=True,
        metavar="REPORT.json",
        help="What 'kinestream bench streams' measured, of such channels; repeatable.",
    ),
)
