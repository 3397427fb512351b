"""Published datasets, described by YAML alone, give what their own readers do."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from kinestream.model.datasets import Recording, Source, open_source
from kinestream.model.datasets.drafts.write import write_draft
from kinestream.model.datasets.published.hapt import CLASSES
from kinestream.replay.demo import RECORDINGS


def described(folder: Path, archive: Path, tabular: dict[str, Any]) -> Source:
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"dataset": {"name": "mine", "source": str(archive), "tabular": tabular}}))
    return open_source(path)


def same(ours: Recording, theirs: Recording, channels: int) -> None:
    np.testing.assert_array_equal(ours.samples, theirs.samples[:, :channels])
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    # A published reader may know by which clock samples were taken; a table says nothing of that.
    since = [each.timestamps - each.timestamps[0] for each in (ours, theirs)]
    np.testing.assert_array_equal(*since)
    assert ours.channels == theirs.channels[:channels]


def test_hapt_text_with_segments_of_all_in_one_file(real_data: Path, tmp_path: Path) -> None:
    archive = real_data / "HAPT Data Set.zip"
    source = described(tmp_path, archive, {
        "files": "**/RawData/acc_*.txt",
        "regex": r"exp0*(?P<recording>\d+)_user0*(?P<person>\d+)",
        "text": {"header": False},
        "rate_hz": 50,
        "channels": {f"acc_{axis}": {"column": at, "unit": "g"} for at, axis in enumerate("xyz", start=1)},
        "labels": {
            "names": {at: name for at, name in enumerate(CLASSES, start=1)},
            "segments": {
                "files": "**/labels.txt", "text": {"header": False}, "unit": "samples", "first": 1,
                "end_included": True, "recording": 1, "label": 3, "start": 4, "end": 5,
            },
        },
    })  # fmt: skip
    theirs = open_source(archive)
    assert len(source.ids) == 61
    for recording in source.recordings():
        experiment = recording.id.rpartition("_")[2]
        (other,) = (each for each in theirs.ids if each.startswith(f"exp{int(experiment):02}_"))
        same(recording, theirs.read(other), 3)
        assert recording.person == theirs.read(other).person


def test_actrectut_matrices(real_data: Path, tmp_path: Path) -> None:
    archive = real_data / "ActRecTut.zip"
    theirs = open_source(archive, task="gestures")
    source = described(tmp_path, archive, {
        "files": "**/{person}_gesture/data.mat",
        "rate_hz": theirs.rate_hz,
        "channels": {
            channel.name: {"variable": "data", "column": at, "unit": channel.unit}
            for at, channel in enumerate(theirs.channels, start=1)
        },
        "labels": {"column": "labels", "names": {at: name for at, name in enumerate(theirs.classes, start=1)}},
    })  # fmt: skip
    for ours, other in zip(source.recordings(), theirs.recordings(), strict=True):
        same(ours, other, len(theirs.channels))


def test_a_draft_of_the_shipped_excerpt_takes_the_phones(tmp_path: Path) -> None:
    """Each phone's own readings, put on a grid from its own first; the dataset's reader begins where both record."""
    text, found = write_draft(RECORDINGS, tmp_path / "mine.yaml")
    assert 100 < sum(found.rates) / len(found.rates) < 106
    (tmp_path / "mine.yaml").write_text(re.sub(r"rate_hz: \d+", "rate_hz: 50", text))
    ours, theirs = open_source(tmp_path / "mine.yaml"), open_source(RECORDINGS)
    assert len(ours.ids) == len(theirs.ids) == 10
    for recording in theirs.recordings():
        mine = ours.read(recording.id)
        at = (recording.timestamps[0] - mine.timestamps[0]) / 20e6
        offset, length = round(at), min(len(recording.samples), len(mine.samples) - round(at))
        a, b = mine.samples[offset : offset + length, :3], recording.samples[:length, :3]
        assert np.nanmedian(np.abs(a - b)) < 0.5  # half a sample apart at most
        names = np.array(ours.classes)[mine.labels[offset : offset + length]]
        assert (names == np.array(theirs.classes)[recording.labels[:length]]).mean() > 0.98
