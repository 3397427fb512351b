"""Prints a streamer's health, and what `kinestream forget` removed."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.screens.console import SafeConsole
from kinestream.streamer.wire.requests import Health


def print_health(health: Health, console: SafeConsole) -> None:
    """Print how a streamer fares, and every counter that is not 0."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column()
    about = {
        "ready": "yes" if health.ready else f"no: {health.state}",
        "version": health.version,
        "bundle": health.bundle,
        "engine": health.engine,
        "running for": f"{health.uptime_s:,.0f} s",
        "streams": f"{health.streams:,}",
    }
    counters = {name.replace("_", " "): f"{count:,}" for name, count in health.totals.items() if count}
    for name, value in {**about, **counters}.items():
        table.add_row(printable(name), Text(printable(value)))
    console.print(table)


def print_fleet_health(found: Mapping[str, Health | str], console: SafeConsole) -> None:
    """Print how each streamer of a fleet fares, or what is wrong."""
    for name, each in found.items():
        console.print(Text(name, style="bold"))
        if isinstance(each, str):
            console.print(Text(printable(each)))
        else:
            print_health(each, console)


def removed_in_words(removed: dict[str, int]) -> str:
    """Return how much of what was removed of a stream: ``1 stream, 2 keys``."""
    parts = [counted(count, name.removesuffix("s").replace("_", " ")) for name, count in removed.items() if count]
    return f"removed {', '.join(parts)}" if parts else "nothing was known of it"
