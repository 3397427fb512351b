"""kinestream demo."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kinestream.commands.options import LONG, Bounded, Result, end_with, verb
from kinestream.commands.root import root
from kinestream.screens.stderr import say

if TYPE_CHECKING:
    from kinestream.replay.process import OwnStreamer

_OPENS = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.argv[1]))"
_OPENS_S = 2.0
_FOR_TERMINALS = ("elinks", "links", "lynx", "w3m", "www-browser")


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
        Addresses(streamer.addresses.labels, streamer.addresses.control, streamer.watch, keys=""), priority="low"
    ) as dashboard:
        is_open = has_screen() and open_in_browser(dashboard.address)
        said = "the dashboard is open" if is_open else "no browser here: open the dashboard"
        say(f"{said} at {dashboard.address}")
        yield


def has_screen() -> bool:
    """Tell whether a browser could show anything: those for terminals would take this one."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return True
    named = os.environ.get("BROWSER", "").split(os.pathsep)[0].split()  # as an editor on another machine sets it
    return bool(named) and Path(named[0]).name not in _FOR_TERMINALS


def open_in_browser(address: str) -> bool:
    """Open an address in a browser, which may go on for longer than this process and writes nothing where it does."""
    command = [sys.executable, "-P", "-c", _OPENS, address]
    nothing = subprocess.DEVNULL
    opening = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    try:
        return opening.wait(_OPENS_S) == 0
    except subprocess.TimeoutExpired:
        opening.returncode = 0  # it lasts until its window is closed, and is not waited for
        return True
