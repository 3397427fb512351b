"""The real recordings give what their publishers say, and the traps in them are handled."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from kinestream.model.datasets import UNLABELLED, open_source
from kinestream.model.datasets.verify import differences, verify
from kinestream.model.windows.grid import WindowGrid, segmented_starts


@pytest.mark.parametrize(
    ("archive", "task"),
    [
        ("HAPT Data Set.zip", "activities"),
        ("HAPT Data Set.zip", "uci_har"),
        ("sp-sw-har-dataset.zip", "activities"),
        ("ActRecTut.zip", "gestures"),
        ("ActRecTut.zip", "walk"),
    ],
)
def test_counts_are_those_published(real_data: Path, archive: str, task: str) -> None:
    checks = verify(open_source(real_data / archive, task=task))
    assert len(checks) >= 4
    assert differences(checks) == []


def test_hapt_windows(real_data: Path) -> None:
    """Counted here once more, independently of `verify`."""
    counts: Mapping[str | None, list[int]] = {"train": [], "test": []}
    for recording in open_source(real_data / "HAPT Data Set.zip").recordings():
        starts = segmented_starts(recording, WindowGrid(128, 64))
        counts[recording.split].extend(recording.labels[starts].tolist())
    assert [len(counts["train"]), len(counts["test"])] == [7767, 3162]
    assert [sum(label < 6 for label in counts[split]) for split in ("train", "test")] == [7415, 2996]


def test_hapt_segments_are_inclusive_and_counted_from_one(real_data: Path) -> None:
    recording = open_source(real_data / "HAPT Data Set.zip").read("exp01_user01")
    assert recording.samples.shape == (20598, 6)
    assert recording.samples[0, 0] == np.float32(0.9180555898766518)
    # labels.txt begins: 1 1 5 250 1232 / 1 1 7 1233 1392
    assert recording.labels[248] == UNLABELLED
    assert (recording.labels[249:1232] == 4).all()
    assert (recording.labels[1232:1392] == 6).all()


def test_sp_sw_har_is_on_one_grid(real_data: Path) -> None:
    source = open_source(real_data / "sp-sw-har-dataset.zip")
    missing = total = 0
    for recording in source.recordings():
        assert recording.samples.shape[1] == 12
        assert (np.diff(recording.timestamps) == 20_000_000).all()
        assert 8 < recording.seconds < 16
        assert set(np.unique(recording.labels)) == {0, 1, 2, 3, 4}
        missing += int(np.isnan(recording.samples).sum())
        total += recording.samples.size
    assert 0 < missing / total < 0.002  # only what lies in gaps over 100 ms
    gravity = np.linalg.norm(source.read("s01_01").samples[:20, :3], axis=1)
    np.testing.assert_allclose(gravity, 9.8, atol=0.5)  # seated at first


def test_actrectut_is_its_matrix(real_data: Path, tmp_path: Path) -> None:
    for task, channels in (("gestures", 15), ("walk", 24)):
        source = open_source(real_data / "ActRecTut.zip", task=task)
        for recording in source.recordings():
            name = source.reader.files_of(recording.id)[0]
            (tmp_path / "data.mat").write_bytes(source.reader.files.read(name))
            stored = scipy.io.loadmat(tmp_path / "data.mat")
            assert recording.samples.shape[1] == channels
            np.testing.assert_allclose(recording.samples, stored["data"], rtol=1e-6)
            np.testing.assert_array_equal(recording.labels + 1, stored["labels"].ravel())
