"""Who is trained, validated and tested on: people, never windows, so that the model meets strangers.

Where there are too few people for that, recordings are cut in time instead, the later part held out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinestream.model.config.split import SplitSection
from kinestream.model.errors import ConfigError
from kinestream.model.recordings.recording import UNLABELLED, Recording


@dataclass(frozen=True)
class Split:
    """Recordings by what they are for; those for nothing are left out."""

    train: tuple[Recording, ...]
    validation: tuple[Recording, ...]
    test: tuple[Recording, ...]


def split_recordings(recordings: Sequence[Recording], section: SplitSection, seed: int) -> Split:
    """Divide recordings.

    Parameters
    ----------
    recordings : sequence of Recording
        All that the source has.
    section : SplitSection
        Who is tested and validated on.
    seed : int
        Draws the people validated on, where only their number is given.

    Raises
    ------
    ConfigError
        Where someone is named whom the source does not have, or nobody is left to train on.
    """
    known, problems = _part_left_out(recordings, section)
    rest, test = _part_test(known, section)
    problems += _strangers(known, rest, section)
    people = sorted({recording.person for recording in rest})
    validation = section.validation
    if isinstance(validation, int):
        if validation >= len(people):
            problems.append(f"split.validation: {validation} of {len(people)} people leave none to train on")
            validation = 0
        drawn = np.random.default_rng(seed).choice(len(people), validation, replace=False)
        validation = tuple(people[i] for i in drawn)
    validating = _named(known, validation)
    train, validated = (tuple(r for r in rest if (r.id in validating) is held) for held in (False, True))
    if section.train:
        problems += _missing("train", section.train, known)
        training = _named(known, section.train)
        train = tuple(recording for recording in train if recording.id in training)
    if section.test_share:
        train, test = _cut_in_time(train, section.test_share)
    if section.validation_share:
        train, validated = _cut_in_time(train, section.validation_share)
    if section.train_minutes is not None and train:
        train, lacking = _first_minutes(train, section.train_minutes)
        problems += lacking
    split = Split(train, validated, test)
    if not split.train and not problems:
        problems.append("split: nobody is left to train on")
    if problems:
        raise ConfigError(f"the split of {recordings[0].dataset}", problems)
    return split


def part_of(recording: Recording, first: int, last: int) -> Recording:
    """Return samples `first` to `last` of a recording as a recording of its own, whose id says so."""
    return replace(
        recording,
        id=f"{recording.id}[{first}:{last}]",
        samples=recording.samples[first:last],
        timestamps=recording.timestamps[first:last],
        labels=recording.labels[first:last],
    )


def _cut_in_time(recordings: Sequence[Recording], share: float) -> tuple[tuple[Recording, ...], tuple[Recording, ...]]:
    """Return the earlier and the later part of each recording; one published as windows is cut between two."""
    earlier, later = [], []
    for recording in recordings:
        window = recording.window or 1
        length = len(recording.samples)
        cut = round(length * (1 - share)) // window * window
        earlier.append(part_of(recording, 0, cut))
        later.append(part_of(recording, cut, length))
    return tuple(earlier), tuple(later)


def _first_minutes(recordings: Sequence[Recording], minutes: float) -> tuple[tuple[Recording, ...], list[str]]:
    """Return so many labelled minutes, the first of each class, and what is wrong.

    Recordings keep what lies between labelled samples, so that windows are those of the whole recording; they end with
    the last one.
    """
    rate = recordings[0].rate_hz
    counts = [np.bincount(r.labels[r.labels != UNLABELLED], minlength=len(r.classes)) for r in recordings]
    there, wanted = np.sum(counts, axis=0), round(minutes * 60 * rate)
    if there.sum() < wanted:
        has = f"there are {there.sum() / rate / 60:.1f} labelled minutes to train on"
        return tuple(recordings), [f"split.train_minutes: {minutes:g}, but {has}"]
    left, kept = _evenly(there, wanted), []
    for recording in recordings:
        labels = np.full_like(recording.labels, UNLABELLED)
        for index in np.flatnonzero(left):
            first = np.flatnonzero(recording.labels == index)[: left[index]]
            labels[first] = index
            left[index] -= len(first)
        used = np.flatnonzero(labels != UNLABELLED)
        if len(used):
            kept.append(part_of(replace(recording, labels=labels), 0, int(used[-1]) + 1))
    return tuple(kept), []


def _evenly(there: npt.NDArray[np.int64], wanted: int) -> npt.NDArray[np.int64]:
    """Return how many of each are taken, as evenly as there are enough of them."""
    taken, left = np.zeros_like(there), wanted
    order = np.argsort(there, kind="stable")
    for place, index in enumerate(order):
        taken[index] = min(there[index], left // (len(order) - place))
        left -= taken[index]
    return taken


def people_of(recordings: Sequence[Recording]) -> list[str]:
    """Return who is recorded, each once, in order."""
    return list(dict.fromkeys(recording.person for recording in recordings))


def _part_left_out(recordings: Sequence[Recording], section: SplitSection) -> tuple[Sequence[Recording], list[str]]:
    """Return what is left, and what is wrong."""
    if section.leave_out == "published":
        problems = _unpublished("leave_out", recordings)
        return [recording for recording in recordings if problems or recording.split == "train"], problems
    if section.leave_out_share:
        return _cut_in_time(recordings, section.leave_out_share)[0], []
    named = _named(recordings, section.leave_out)
    left = [recording for recording in recordings if recording.id not in named]
    return left, _missing("leave_out", section.leave_out, recordings)


def _part_test(recordings: Sequence[Recording], section: SplitSection) -> tuple[list[Recording], tuple[Recording, ...]]:
    if section.test == "published":
        # What the publishers put in neither part stays out of both, as Opportunity's fourth person does.
        train = [recording for recording in recordings if recording.split == "train"]
        return train, tuple(recording for recording in recordings if recording.split == "test")
    named = _named(recordings, section.test)
    test = tuple(recording for recording in recordings if recording.id in named)
    return [recording for recording in recordings if recording.id not in named], test


def _named(recordings: Sequence[Recording], names: Sequence[str]) -> set[str]:
    """Return the ids of the recordings that are named; a name that is a person's and a recording's is the person's."""
    people = {recording.person for recording in recordings}
    alone = set(names) - people
    return {recording.id for recording in recordings if recording.person in names or recording.id in alone}


def _strangers(recordings: Sequence[Recording], rest: Sequence[Recording], section: SplitSection) -> list[str]:
    problems = []
    if section.test == "published":
        problems += _unpublished("test", recordings)
    else:
        problems += _missing("test", section.test, recordings)
    if isinstance(section.validation, tuple):
        problems += _missing("validation", section.validation, rest)
    return problems


def _unpublished(key: str, recordings: Sequence[Recording]) -> list[str]:
    if any(recording.split == "test" for recording in recordings):
        return []
    return [f"split.{key}: this dataset was published without a split: name people"]


def _missing(key: str, names: Sequence[str], among: Sequence[Recording]) -> list[str]:
    known = {recording.person for recording in among} | {recording.id for recording in among}
    missing = [name for name in names if name not in known]
    there = ", ".join(people_of(among)) or "none left"
    return [f"split.{key}: no person or recording {', '.join(missing)}: there are {there}"] if missing else []
