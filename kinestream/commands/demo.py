"""kinestream demo."""

import click

from kinestream.commands.options import LONG, Bounded, Result, end_with, verb
from kinestream.commands.root import root


@verb(root, short_help="See a shipped model recognise strangers, live.")
@click.option("--seconds", type=Bounded(2, LONG), help="Stop after this much of the recordings; all by default.")
@click.option("--speed", type=Bounded(0, 1000, min_open=True), default=1.0, show_default=True, help="Times true rate.")
def demo(seconds: float | None, speed: float) -> Result:
    """Watch the activities of people the shipped model has never seen come out live."""
    from kinestream.replay.demo import demo
    from kinestream.screens.console import SafeConsole
    from kinestream.screens.demo import DemoScreen, print_demo

    shown = SafeConsole(stderr=True, highlight=False)
    report = demo(seconds=seconds, speed=speed, screen=lambda takes, at: DemoScreen(takes, at, shown))
    end_with(report.interrupted, report.vanished is not None)
    return report.as_dict(), lambda console: print_demo(report, console)
