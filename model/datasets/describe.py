"""What a source holds, and which datasets there are: what ``kinestream datasets info`` and ``list`` show."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from kinestream.model.config.training import KNOWN_DATASETS
from kinestream.model.datasets.source import Source, dataset_infos, find_download
from kinestream.model.recordings.recording import Channel, RowCounts
from kinestream.model.recordings.resample import longest_gap_ns
from kinestream.model.recordings.units import canonical

SLOWEST_HZ, FASTEST_HZ = 1.0, 5000.0
"""Rates at which movement is measured. Units of time differ by 1000: with a wrong one, 50 Hz lies outside."""

MOST_TIMES = 20
"""Rows for a sample, or samples for a row, beyond which the unit of the times is likely to be wrong."""


def describe(source: Source) -> dict[str, Any]:
    """Read every recording and return what the source holds, as plain data for JSON.

    Returns
    -------
    dict
        ``dataset``, ``title``, ``licence``, ``citation``, ``path``, ``task``, ``tasks``, ``rate_hz``, ``recordings``,
        ``people`` (list), ``splits`` (recordings by split), ``window``, ``seconds``, ``missing_share`` (of all
        values), ``rows`` (dict of ``read``, ``out_of_order``, ``shared_stamp``, ``dropped``, ``spread``; see
        `RowCounts`), ``null_class``, ``unlabelled_seconds``, ``classes`` (list of ``name``, ``seconds``),
        ``channels`` (list of ``name``, ``unit``, ``missing_share``), ``devices`` (of own recordings whose sensors
        have times of their own, else empty: list of ``name``, ``rate_hz`` as described, ``measured_hz``,
        ``readings``, ``channels`` (list of str), ``gaps``, ``longest_gap_s``) and ``warnings`` (list of sentences:
        what is likely to be a mistake in the description).
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
        "devices": _devices(source),
        "warnings": [*_of_rate(source.rate_hz, counts["read"], rows), *_of_units(source.channels)],
    }


def _devices(source: Source) -> list[dict[str, Any]]:
    """Return what there is to tell of each device of somebody's own recordings."""
    if source.info.name in KNOWN_DATASETS or not source.reader.has_devices:
        return []
    told: dict[str, dict[str, Any]] = {}
    seconds: dict[str, float] = {}
    for recording in source.ids:
        for device in source.devices(recording):
            each = told.setdefault(
                device.name,
                {
                    "name": device.name,
                    "rate_hz": device.rate_hz,
                    "measured_hz": 0.0,
                    "readings": 0,
                    "channels": [channel.name for channel in device.channels],
                    "gaps": 0,
                    "longest_gap_s": 0.0,
                },
            )
            steps = np.diff(device.times) / 1e9
            gaps = steps[steps > longest_gap_ns(device.rate_hz) / 1e9]
            each["readings"] += len(device.times)
            each["gaps"] += len(gaps)
            each["longest_gap_s"] = max([each["longest_gap_s"], *gaps.tolist()])
            usual = float(steps.sum() - gaps.sum())
            seconds[device.name] = seconds.get(device.name, 0.0) + usual
            each["measured_hz"] += len(steps) - len(gaps)
    for name, each in told.items():
        each["measured_hz"] /= max(seconds[name], 1e-9)
    return list(told.values())


def _of_rate(rate_hz: float, rows: int, samples: int) -> Iterator[str]:
    """Yield what makes the times or the rate implausible.

    Parameters
    ----------
    rate_hz : float
        Samples per second, as described.
    rows : int
        In the files; of each sensor, where a table holds those of several in turn.
    samples : int
        That they became on the grid of `rate_hz`.
    """
    advice = "check dataset.tabular.time.unit and rate_hz"
    seconds = samples / rate_hz
    if not SLOWEST_HZ <= rate_hz <= FASTEST_HZ:
        yield (
            f"rate_hz is {rate_hz:g}, by which the recordings last {seconds:g} s; sensors of movement give "
            f"{SLOWEST_HZ:g} to {FASTEST_HZ:g} samples a second: {advice}"
        )
    elif samples and not 1 / MOST_TIMES <= rows / samples <= MOST_TIMES:
        per_second = f"{rows / seconds:,.0f}" if rows > 10 * seconds else f"{rows / seconds:.3g}"
        pauses = ", or whether the recordings have long pauses" if rows < samples else ""
        yield (f"by their times, {per_second} rows come in a second, but rate_hz is {rate_hz:g}: {advice}{pauses}")


def _of_units(channels: Sequence[Channel]) -> Iterator[str]:
    """Yield each unit that nobody knows, once."""
    for unit in dict.fromkeys(channel.unit for channel in channels):
        if unit and canonical(unit) is None:
            first = next(channel.name for channel in channels if channel.unit == unit)
            yield (
                f"{first}: the unit {unit!r} is not known, so it only matches a stream that spells it the same way: "
                "write it as in m/s2, g, rad/s, deg/s or uT if you can"
            )


def listing() -> list[dict[str, Any]]:
    """Return what is known of each dataset and where it lies (``path``, None if nowhere), as plain data for JSON."""
    found = []
    for info in dataset_infos():
        path = find_download(info)
        found.append(dataclasses.asdict(info) | {"path": None if path is None else str(path)})
    return found
