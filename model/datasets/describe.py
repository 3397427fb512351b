"""Says what a source holds: ``kinestream datasets info`` and ``list``."""

import dataclasses
from typing import Any

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.table import Table

from kinestream.model.datasets.source import Source, dataset_infos, find_download
from kinestream.model.printable import printable
from kinestream.model.recordings.recording import RowCounts


def describe(source: Source) -> dict[str, Any]:
    """Read every recording and return what the source holds, as plain data for JSON.

    Returns
    -------
    dict
        ``dataset``, ``title``, ``licence``, ``citation``, ``path``, ``task``, ``tasks``, ``rate_hz``, ``recordings``,
        ``people`` (list), ``splits`` (recordings by split), ``window``, ``seconds``, ``missing_share`` (of all values),
        ``rows`` (dict of ``read``, ``out_of_order``, ``shared_stamp``, ``dropped``; see `RowCounts`), ``null_class``,
        ``unlabelled_seconds``, ``classes`` (list of ``name``, ``seconds``) and ``channels`` (list of
        ``name``, ``unit``, ``missing_share``).
    """
    people: dict[str, None] = {}
    splits: dict[str, int] = {}
    rows = 0
    missing = np.zeros(len(source.channels), dtype=np.int64)
    labelled = np.zeros(len(source.classes) + 1, dtype=np.int64)
    window = None
    counts = dict.fromkeys((field.name for field in dataclasses.fields(RowCounts)), 0)
    for recording in source.recordings():
        people[recording.person] = None
        if recording.split:
            splits[recording.split] = splits.get(recording.split, 0) + 1
        rows += len(recording.samples)
        missing += (~np.isfinite(recording.samples)).sum(axis=0)
        labelled += np.bincount(recording.labels + 1, minlength=len(labelled))  # UNLABELLED comes first
        window = recording.window
        for name, count in dataclasses.asdict(recording.rows or RowCounts(len(recording.samples))).items():
            counts[name] += count
    seconds = labelled / source.rate_hz
    shares = missing / max(rows, 1)
    return {
        "dataset": source.info.name,
        "title": source.info.title,
        "licence": source.info.licence,
        "citation": source.info.citation,
        "path": str(source.path),
        "task": source.task,
        "tasks": list(source.info.tasks),
        "rate_hz": source.rate_hz,
        "recordings": len(source.ids),
        "people": list(people),
        "splits": splits,
        "window": window,
        "seconds": rows / source.rate_hz,
        "missing_share": float(shares.mean()),
        "rows": counts,
        "null_class": None if source.null_class is None else source.classes[source.null_class],
        "unlabelled_seconds": float(seconds[0]),
        "classes": [
            {"name": name, "seconds": float(each)} for name, each in zip(source.classes, seconds[1:], strict=True)
        ],
        "channels": [
            {"name": channel.name, "unit": channel.unit, "missing_share": float(share)}
            for channel, share in zip(source.channels, shares, strict=True)
        ],
    }


def listing() -> list[dict[str, Any]]:
    """Return what is known of each dataset and where it lies (``path``, None if nowhere), as plain data for JSON."""
    found = []
    for info in dataset_infos():
        path = find_download(info)
        found.append(dataclasses.asdict(info) | {"path": None if path is None else str(path)})
    return found


def print_listing(found: list[dict[str, Any]], console: Console) -> None:
    """Print what `listing` gave; paths, which are to be copied, in lines of their own that are not folded."""
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
    """Return what `describe` gave, for people."""
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
    return Group(facts, "", classes, "", channels)


def _facts(description: dict[str, Any]) -> list[tuple[str, str]]:
    people = description["people"]
    minutes = description["seconds"] / 60
    splits = ", ".join(f"{count} {split}" for split, count in description["splits"].items())
    return [
        ("dataset", f"{description['dataset']}: {description['title']}"),
        ("licence", description["licence"]),
        ("citation", description["citation"]),
        ("path", description["path"]),
        ("task", f"{description['task']} (of {', '.join(description['tasks'])})"),
        ("people", f"{len(people)}: {', '.join(people)}"),
        ("recordings", f"{description['recordings']}{f' ({splits})' if splits else ''}, {minutes:.1f} minutes"),
        ("rows", _rows_told(description["rows"])),
        ("rate", f"{description['rate_hz']:g} Hz"),
        ("channels", f"{len(description['channels'])}, {description['missing_share']:.2%} of values missing"),
        ("null class", description["null_class"] or "none"),
    ]


def _rows_told(rows: dict[str, int]) -> str:
    """Return what became of the rows, in words."""
    told = {
        "out of order": rows["out_of_order"],
        "shared a stamp (their mean was taken)": rows["shared_stamp"],
        "dropped": rows["dropped"],
    }
    return f"{rows['read']:,}: " + ", ".join(
        f"{count:,} {what}" if count else f"none {what}" for what, count in told.items()
    )
