"""Checks a source against what its publishers, or careful counting of their files, say it holds."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.published.hapt import SEGMENTS, Hapt
from kinestream.model.datasets.published.opportunity import joined_labels
from kinestream.model.datasets.source import Source
from kinestream.model.datasets.text import read_csv, read_table
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import Recording
from kinestream.model.windows.grid import WindowGrid, segmented_starts

JOINED_RUNS = ("S2-ADL4", "S2-ADL5", "S3-ADL4", "S3-ADL5")
JOINED_SUPPORTS = (8237, 58, 95, 60, 83, 228, 160, 100, 77, 39, 42, 40, 26, 67, 61, 99, 317, 105)
"""Windows of each gesture in the published results on Opportunity (Zhao et al., arXiv 1708.08989)."""

HAPT_GRID = WindowGrid(length=128, stride=64)


@dataclass(frozen=True)
class Check:
    """One comparison.

    Parameters
    ----------
    what : str
        What was counted or compared.
    published : object
        What it should be.
    found : object
        What it is.
    """

    what: str
    published: Any
    found: Any

    @property
    def holds(self) -> bool:
        """Whether the source has what was published."""
        return bool(self.published == self.found)

    def __str__(self) -> str:
        if self.holds:
            return f"{self.what}: {self.found}"
        return f"{self.what}: published {self.published}, found {self.found}"


def verify(source: Source) -> list[Check]:
    """Compare a source with the published counts; read every recording.

    Returns
    -------
    list of Check
        Everything that was compared; what does not hold are the differences.

    Raises
    ------
    SourceError
        Where nothing was published to compare with.
    """
    if source.info.name not in _CHECKS:
        raise SourceError(f"{source.info.name}: nothing was published to compare with; 'datasets info' tells about it")
    recordings = [_without_samples(recording) for recording in source.recordings()]
    people = {recording.person for recording in recordings}
    seen = np.unique(np.concatenate([recording.labels for recording in recordings]))
    return [
        Check("people", source.info.people, len(people)),
        Check("classes that occur", len(source.classes), int((seen >= 0).sum())),
        *_CHECKS[source.info.name](source, recordings),
    ]


def differences(checks: Sequence[Check]) -> list[str]:
    """Return one line for each check that does not hold."""
    return [str(check) for check in checks if not check.holds]


def _without_samples(recording: Recording) -> Recording:
    """Drop the samples, which no count needs, so that a whole dataset fits in memory."""
    return dataclasses.replace(recording, samples=recording.samples[:, :0])


def _hapt(source: Source, recordings: Sequence[Recording]) -> Iterator[Check]:
    published = source.info.published
    yield Check("recordings", published["recordings"], len(recordings))
    files = source.reader.files
    every = source.task == "activities"  # the other task has the six basic ones alone
    for split, folder in (("train", "Train"), ("test", "Test")):
        mine = [recording for recording in recordings if recording.split == split]
        windows = [recording.labels[segmented_starts(recording, HAPT_GRID)] for recording in mine]
        labels = np.concatenate([np.empty(0, np.int16), *windows]) + 1
        people = np.repeat([int(recording.person) for recording in mine], [len(each) for each in windows])
        if every:
            yield Check(f"{split} windows of 12 classes", published[f"{split}_windows"], len(labels))
        yield Check(f"{split} windows of the six basic", published[f"basic_{split}_windows"], int((labels <= 6).sum()))
        for what, found, name in (
            ("labels", labels, f"{folder}/y_{split}.txt"),
            ("people", people, f"{folder}/subject_id_{split}.txt"),
        ):
            if every and name in files.names:
                official = _column(source, name)
                yield Check(f"{what} of {split} windows as in {name}", "same", _compared(official, found))
    if every and "activity_labels.txt" in files.names:
        named = re.findall(r"\d+\s+(\w+)", files.read("activity_labels.txt").decode("utf-8", "replace"))
        yield Check("names in activity_labels.txt", list(source.classes), named)
    if isinstance(source.reader, Hapt):
        pairs = {f"exp{of:02}_user{by:02}" for of, by, *_ in source.reader.segments().tolist()}
        yield Check(f"recordings labelled in {SEGMENTS}", "same", _compared_sets(pairs, set(source.ids)))


def _sp_sw_har(source: Source, recordings: Sequence[Recording]) -> Iterator[Check]:
    published = source.info.published
    files = [name for name in source.reader.files.names if re.search(r"_s[pw]\.csv$", name)]
    yield Check("executions with both devices", published["recordings"], len(recordings))
    yield Check("files of a device", published["files"], len(files))
    if "subjects_info.csv" in source.reader.files.names:
        content = source.reader.files.read("subjects_info.csv")
        table = read_csv(content, "subjects_info.csv", {"subject_id": "U16", "executions": np.int64})
        published_of = dict(zip(table["subject_id"].tolist(), table["executions"].tolist(), strict=True))
        yield from _executions(published_of, Counter(recording.person for recording in recordings))


def _executions(published: Mapping[str, int], found: Mapping[str, int]) -> Iterator[Check]:
    """Compare person by person; those with as many as published share one line."""
    differing = [person for person, count in published.items() if found.get(person, 0) != count]
    for person in differing:
        yield Check(f"executions of {person} as in subjects_info.csv", published[person], found.get(person, 0))
    if same := len(published) - len(differing):
        yield Check(f"executions of {same} of {len(published)} people as in subjects_info.csv", "same", "same")


def _actrectut(source: Source, recordings: Sequence[Recording]) -> Iterator[Check]:
    found = {recording.id: len(recording.labels) for recording in recordings}
    for name, samples in source.info.published.items():
        if source.task.startswith(name.partition("_")[2]):
            yield Check(f"samples of {name}", samples, found.get(name, 0))


def _opportunity(source: Source, recordings: Sequence[Recording]) -> Iterator[Check]:
    published = source.info.published
    by_id = {recording.id: recording for recording in recordings}
    yield Check("recordings", published["recordings"], len(recordings))
    for split in ("train", "test"):
        rows = sum(len(recording.labels) for recording in recordings if recording.split == split)
        yield Check(f"{split} rows", published[f"{split}_rows"], rows)
    joined = [by_id[name] for name in JOINED_RUNS if name in by_id]
    labels = joined_labels(joined) if joined else np.empty(0, np.int16)
    yield Check("windows of the joined test runs", published["joined_test_windows"], len(labels))
    if source.task == "gestures":
        supports = np.bincount(labels, minlength=len(source.classes)).tolist()
        for name, support, found in zip(source.classes, JOINED_SUPPORTS, supports, strict=True):
            yield Check(f"of them {name}", support, found)


def _uci_har(source: Source, recordings: Sequence[Recording]) -> Iterator[Check]:
    for split in ("train", "test"):
        samples = sum(len(each.labels) for each in recordings if each.split == split)
        windows = samples // (recordings[0].window or 1)
        yield Check(f"{split} windows", source.info.published[f"{split}_windows"], windows)
    both = [recording.person for recording in recordings]
    yield Check("people in both splits", 0, len(both) - len(set(both)))


_CHECKS: dict[str, Callable[[Source, Sequence[Recording]], Iterator[Check]]] = {
    "hapt": _hapt,
    "sp_sw_har": _sp_sw_har,
    "actrectut": _actrectut,
    "opportunity": _opportunity,
    "uci_har": _uci_har,
}


def _column(source: Source, name: str) -> npt.NDArray[np.int64]:
    return read_table(source.reader.files.read(name), name, width=1, dtype=np.int64)["0"].to_numpy()


def _compared(official: npt.NDArray[Any], found: npt.NDArray[Any]) -> str:
    if len(official) != len(found):
        return f"{len(found)} where the file has {len(official)}"
    unequal = np.flatnonzero(official != found)
    if not len(unequal):
        return "same"
    return f"{len(unequal)} differ, the first in line {unequal[0] + 1}"


def _compared_sets(published: set[str], found: set[str]) -> str:
    lacking, unlabelled = sorted(published - found), sorted(found - published)
    parts = [
        f"{' '.join(names[:5])} {what}" for names, what in ((lacking, "missing"), (unlabelled, "unlabelled")) if names
    ]
    return "; ".join(parts) or "same"
