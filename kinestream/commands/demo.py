"""kinestream demo."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from kinestream.commands.options import LONG, Bounded, Result, end_with, verb
from kinestream.commands.root import root
from kinestream.screens.stderr import say

if TYPE_CHECKING:
    from kinestream.replay.process import OwnStreamer


@verb(root, short_help="See a shipped model recognise strangers, live.")
@click.option("--seconds", type=Bounded(2, LONG), help="Stop after this much of the recordings; all by default.")
@click.option("--speed", type=Bounded(0, 1000, min_open=True), default=1.0, show_default=True, help="Times true rate.")
@click.option("--web", is_flag=True, help="Show it in a browser, if there is one: signals, labels and the truth.")
def demo(seconds: float | None, speed: float, web: bool) -> Result:
    """Watch the activities of people the shipped model has never seen come out live."""
    from kinestream.replay.demo import demo
    from kinestream.screens.console import SafeConsole
    from kinestream.screens.demo import DemoScreen, print_demo

    shown = SafeConsole(stderr=True, highlight=False)
    report = demo(
        seconds=seconds,
        speed=speed,
        screen=lambda takes, at: DemoScreen(takes, at, shown),
        beside=_in_a_browser if web else None,
    )
    end_with(report.interrupted, report.vanished is not None)
    return report.as_dict(), lambda console: print_demo(report, console)


@contextmanager
def _in_a_browser(streamer: "OwnStreamer") -> Iterator[None]:
    """Run a dashboard of a streamer, and open it where there is a screen for it."""
    from kinestream.streamer.dashboard.process import started_dashboard
    from kinestream.streamer.dashboard.streamers import Addresses

    with started_dashboard(
        Addresses(streamer.addresses.labels, streamer.addresses.control, streamer.watch, keys="")
    ) as dashboard:
        is_open = _has_screen() and _open(dashboard.address)
        said = "the dashboard is open" if is_open else "no browser here: open the dashboard"
        say(f"{said} at {dashboard.address}")
        yield


def _has_screen() -> bool:
    """Tell whether a browser could show anything: those for terminals would take this one."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _open(address: str) -> bool:
    import webbrowser

    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False
