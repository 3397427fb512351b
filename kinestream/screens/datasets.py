"""What `kinestream datasets` shows of datasets: a list, a description, what was compared with the published counts."""

from collections.abc import Sequence
from itertools import zip_longest
from textwrap import shorten
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table

from kinestream.model.datasets.verify import Check
from kinestream.model.printable import printable
from kinestream.screens.console import styled

_MINUTES_FROM_S = 120  # shorter recordings are measured in seconds
_MOST_CHARACTERS = 24  # of a list, in the table: two of them fit on 80 columns


def print_listing(found: list[dict[str, Any]], console: Console) -> None:
    """Print what `kinestream.model.datasets.describe.listing` gave; paths, to be copied, are not folded."""
    table = Table(box=None, pad_edge=False)
    for name in ("name", "people", "Hz", "tasks", "licence", "here"):
        table.add_column(name, justify="right" if name in ("people", "Hz") else "left", overflow="fold")
    for each in found:
        here = "no" if each["path"] is None else "yes"
        rate = f"{each['rate_hz']:g}"
        table.add_row(each["name"], str(each["people"]), rate, ", ".join(each["tasks"]), each["licence"], here)
    console.print(table)
    console.print()
    for each in found:
        if each["path"] is not None:
            console.print(printable(f"{each['name']}: {each['path']}"), soft_wrap=True, highlight=False)
    further = "kinestream datasets fetch NAME downloads what is not here; info NAME tells more."
    console.print(further, soft_wrap=True, highlight=False)


def description_table(description: dict[str, Any]) -> RenderableType:
    """Return what `kinestream.model.datasets.describe.describe` gave, for people."""
    facts = Table(box=None, show_header=False, pad_edge=False)
    for name, value in _facts(description):
        facts.add_row(name, value)
    classes = Table("class", "seconds", "share", box=None, pad_edge=False)
    for each in [
        *description["classes"],
        {"name": "(unlabelled)", "seconds": description["unlabelled_seconds"]},
    ]:
        share = each["seconds"] / max(description["seconds"], 1e-9)
        classes.add_row(each["name"], f"{each['seconds']:.1f}", f"{share:.1%}")
    channels = Table("channel", "unit", "missing", box=None, pad_edge=False)
    for each in description["channels"]:
        channels.add_row(each["name"], each["unit"] or "not stated", f"{each['missing_share']:.2%}")
    parts: list[RenderableType] = [facts, "", classes, "", channels]
    parts += ["", _devices(description["devices"])] if description["devices"] else []
    return Group(*parts)


def _devices(devices: list[dict[str, Any]]) -> Table:
    table = Table("sensor", "Hz", "measured", "readings", "gaps", "longest", box=None, pad_edge=False)
    for each in devices:
        rate = f"{each['rate_hz']:g}" if each["rate_hz"] else "irregular"
        longest = f"{each['longest_gap_s']:.2f} s" if each["gaps"] else "none"
        measured, readings = f"{each['measured_hz']:.2f}", f"{each['readings']:,}"
        table.add_row(each["name"], rate, measured, readings, f"{each['gaps']:,}", longest)
    return table


def _facts(description: dict[str, Any]) -> list[tuple[str, str]]:
    people = description["people"]
    tasks, seconds = description["tasks"], description["seconds"]
    lasting = f"{seconds / 60:.1f} minutes" if seconds >= _MINUTES_FROM_S else f"{seconds:.1f} s"
    splits = ", ".join(f"{count} {split}" for split, count in description["splits"].items())
    return [
        ("dataset", f"{description['dataset']}: {description['title']}"),
        ("licence", description["licence"]),
        ("citation", description["citation"]),
        ("path", description["path"]),
        ("task", description["task"] + (f" (one of {', '.join(tasks)})" if len(tasks) > 1 else "")),
        ("people", f"{len(people)}: {', '.join(people)}"),
        ("recordings", f"{description['recordings']}{f' ({splits})' if splits else ''}, {lasting}"),
        ("rows", _rows_in_words(description["rows"])),
        ("rate", f"{description['rate_hz']:g} Hz"),
        ("channels", f"{len(description['channels'])}, {description['missing_share']:.2%} of values missing"),
        ("null class", description["null_class"] or "none"),
    ]


def _rows_in_words(rows: dict[str, int]) -> str:
    """Return what became of the rows, in words."""
    counts = {
        "out of order": rows["out_of_order"],
        "shared a time stamp (their mean was taken)": rows["shared_stamp"],
        "shared a time stamp (they were spread over the time before it)": rows["spread"],
        "dropped": rows["dropped"],
    }
    told = [f"{count:,} {what}" for what, count in counts.items() if count]
    return f"{rows['read']:,}: {', '.join(told) or 'in order, none dropped'}"


def verification_table(checks: Sequence[Check]) -> RenderableType:
    """Return what `kinestream.model.datasets.verify.verify` compared, for people."""
    table = Table("", "what", "published", "found", box=None, pad_edge=False)
    for check in checks:
        mark = styled(("same", "green") if check.holds else ("differs", "red"))
        table.add_row(mark, check.what, *_shown(check.published, check.found))
    return table


def _shown(published: Any, found: Any) -> tuple[str, str]:
    """Return both for a table; of lists only the beginning, or where they differ the items from there."""
    if not (isinstance(published, list) and isinstance(found, list)):
        return str(published), str(found)
    pairs = enumerate(zip_longest(published, found))
    first = next((i for i, (ours, theirs) in pairs if ours != theirs), 0)
    return _shortened(published, first), _shortened(found, first)


def _shortened(items: Sequence[Any], first: int) -> str:
    listed = shorten(" ".join(map(str, items[first:])), _MOST_CHARACTERS, placeholder=" ...")
    return f"{len(items)}: {'... ' if first else ''}{listed}"
