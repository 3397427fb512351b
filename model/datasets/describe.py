"""What a source holds, and which datasets there are: what ``kinestream datasets info`` and ``list`` show."""

import dataclasses
from typing import Any

import numpy as np

from kinestream.model.datasets.source import Source, dataset_infos, find_download
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
