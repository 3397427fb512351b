"""Which recordings a bundle is evaluated on."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.datasets import Recording, Source, open_source
from kinestream.model.errors import SourceError
from kinestream.model.recordings.laid import during, laid, on_its_devices_clock


def open_for(bundle: Bundle, source: str | Path, task: str | None, *, any_rate: bool = False) -> Source:
    """Open a source with the labels that the bundle was trained on, unless others are asked for.

    Its recordings must have the bundle's rate, unless whoever reads them lays them on a grid of that rate.
    """
    training = bundle.description.training
    opened = open_source(source, task=task)
    trained = training.get("task")
    if task is None and opened.info.name == training.get("dataset") and trained != opened.task:
        opened = open_source(source, task=trained)
    if not any_rate and not bundle.accepts_rate(opened.rate_hz):
        raise SourceError(
            f"{opened.path} has {opened.rate_hz:g} samples a second, the bundle {bundle.description.name} expects "
            f"{bundle.description.rate_hz:g}: resample it, or train on it"
        )
    return opened


def select(
    bundle: Bundle,
    source: Source,
    ids: Sequence[str] | None,
    people: Sequence[str] | None,
    split: str | None,
) -> tuple[list[Recording], str]:
    """Return the recordings to evaluate on, and whose they are in words."""
    training = bundle.description.training
    parts = training.get("recordings", {}) if training.get("dataset") == source.info.name else {}
    description = "all recordings" if ids is None else "the recordings asked for"
    held_out = [name for name in source.ids if name in parts.get("test", ())]
    if ids is None and people is None and split is None and held_out:
        ids, description = held_out, "the recordings held out as test when the bundle was trained"
    outlines = list(source.outlines(ids, people))
    if split is not None and not any(each.split for each in outlines):
        raise SourceError(
            f"{source.path}: {source.info.name} was published without a split, so it has no {split} part: "
            "choose people or recordings instead"
        )
    chosen = [each.id for each in outlines if split is None or each.split == split]
    if not chosen:
        raise SourceError(f"{source.path}: no recording is left to evaluate on: ask for other recordings or people")
    seen = sum(each in parts.get("train", ()) for each in chosen)
    description += f" of {', '.join(people)}" if people is not None else ""
    description += f" in the published {split} part" if split is not None else ""
    return list(source.recordings(chosen)), description + (f"; {seen} of them were trained on" if seen else "")


def as_delivered(source: Source, recordings: Sequence[Recording], rate_hz: float, stride: int) -> list[Recording]:
    """Return recordings as their devices delivered them, laid on grids of a rate; raises as `Source.devices`.

    `stride` is that of the windows they will be cut into.
    """
    found = []
    for recording in recordings:
        devices = source.devices(recording.id)
        timed = on_its_devices_clock(recording, devices)
        found.append(laid(timed, during(timed, devices), rate_hz, stride))
    return found


def joined(recordings: Sequence[Recording]) -> Recording:
    """Return recordings one after the other, as one."""
    seams: list[int] = []
    first = 0
    for recording in recordings:
        seams += [first + behind for behind in recording.seams]
        first += len(recording.samples)
    return replace(
        recordings[0],
        id="joined",
        samples=np.concatenate([recording.samples for recording in recordings]),
        timestamps=np.concatenate([recording.timestamps for recording in recordings]),
        labels=np.concatenate([recording.labels for recording in recordings]),
        seams=tuple(seams),
    )
