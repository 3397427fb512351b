"""How a fleet is, for people."""

from typing import Any

from rich.table import Table
from rich.text import Text

from kinestream.model.counted import counted
from kinestream.model.printable import printable
from kinestream.screens.console import SafeConsole


def print_status(status: dict[str, Any], console: SafeConsole) -> None:
    """Print a fleet's nodes and streamers."""
    directory = status["directory"]
    state = f"epoch {directory['epoch']}" if directory["ready"] else directory["trouble"] or "not ready yet"
    console.print(Text(printable(f"fleet {status['fleet']}: {counted(len(status['slots']), 'streamer')}")))
    console.print(Text(printable(f"bundle {status['bundle']}")))
    console.print(Text(printable(f"directory {directory['address']}: {state}")))
    _print(
        ("node", "address", "free processors", "free MB", "streamers"),
        (
            (
                node["name"] + (" (drained)" if node["drained"] else ""),
                node["address"],
                f"{node['processors_free']:g}",
                f"{node['memory_free_mb']:,}",
                ", ".join(node["slots"]) or "-",
            )
            for node in status["nodes"]
        ),
        console,
    )
    names = {node["id"]: node["name"] for node in status["nodes"]}
    _print(
        ("slot", "node", "state", "streams", "CPU", "MB", "labels/s", "p99 ms", "restarts"),
        (_of_streamer(each, names) for each in status["streamers"]),
        console,
    )
    for each in status["streamers"]:
        if trouble := each["trouble"] or ("" if each.get("is_known", True) else "the directory does not answer it"):
            console.print(Text(printable(f"{each['slot']}: {trouble}")))


def _of_streamer(each: dict[str, Any], names: dict[str, str]) -> tuple[str, ...]:
    load = each["load"]
    measured = ("-",) * 5
    if load is not None:
        p99 = "-" if load["p99_ms"] is None else f"{load['p99_ms']:g}"
        labels = f"{load['labels_per_s']:g}"
        measured = f"{load['streams']:,}", f"{load['processor']:.2f}", f"{load['memory_mb']:.0f}", labels, p99
    return each["slot"], names.get(each["node"], "-"), each["state"], *measured, str(each.get("restarts", "-"))


def _print(headings: tuple[str, ...], rows: Any, console: SafeConsole) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "streamers")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)
