"""Who may do what at a streamer, for people."""

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from kinestream.model.printable import printable
from kinestream.screens.console import SafeConsole
from kinestream.streamer.keys.allowed import Client, Quota


def print_clients(clients: Mapping[str, Client], console: SafeConsole) -> None:
    """Print clients, what they may do and how much of it."""
    if not clients:
        console.print("no clients: 'kinestream keys new NAME' makes the keys of one", markup=False)
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("client", "may send", "may also", "quota"):
        table.add_column(heading)
    for name, client in clients.items():
        others = [right for right in client.rights if right != "send"]
        cells = name, " ".join(client.send) or "-", ", ".join(others) or "-", _quota_text(client.quota)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    console.print(table)


def _quota_text(quota: Quota) -> str:
    limits = (
        (quota.streams, "streams"),
        (quota.messages_per_s, "messages/s"),
        (quota.bytes_per_s, "bytes/s"),
        (quota.history_per_min, "history/min"),
    )
    return ", ".join(f"{limit:g} {what}" for limit, what in limits if limit is not None) or "-"
