"""What `kinestream info` shows of a bundle."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table


def bundle_table(described: dict[str, Any]) -> RenderableType:
    """Return what `kinestream.model.bundle.describe.describe` gave, for people."""
    window, rate = described["window"], described["rate_hz"]
    people = ", ".join(f"{count} {part}" for part, count in described["people"].items() if count)
    facts = Table(box=None, show_header=False, pad_edge=False)
    length, stride = window["length"], window["stride"]
    for name, value in (
        ("bundle", described["bundle"]),
        ("windows", f"{length} samples at {rate:g} Hz ({length / rate:.2f} s), every {stride} ({stride / rate:.2f} s)"),
        ("classes", ", ".join(described["classes"])),
        ("null class", described["null_class"] or "none"),
        ("weights", f"{described['weights']:,}"),
        ("trained on", f"{described['dataset'] or 'not stated'} ({described['task'] or 'not stated'})"),
        ("people", people or "not stated"),
        ("frozen devices", described["frozen"]),
    ):
        facts.add_row(name, value)
    channels = Table("channel", "unit", "longest repeat", box=None, pad_edge=False)
    for each in described["channels"]:
        repeat = each["longest_repeat"]
        channels.add_row(each["name"], each["unit"] or "not stated", "not noted" if repeat is None else str(repeat))
    return Group(facts, "", channels)
