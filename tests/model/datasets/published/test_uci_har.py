"""UCI HAR in its published layout: windows, labels, people and split as written."""

from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import open_source
from kinestream.model.errors import SourceError
from kinestream.model.windows.grid import WindowGrid, continuous_starts
from tests.given.published import uci_har_windows, write_uci_har

PEOPLE = {"train": (1, 3, 5), "test": (2, 4)}


def test_windows_are_read_as_written(tmp_path: Path) -> None:
    source = open_source(write_uci_har(tmp_path / "u.zip"))
    assert source.ids == ("train-1", "train-3", "train-5", "test-2", "test-4")
    assert [channel.name for channel in source.channels][::4] == ["body_acc_x", "body_gyro_y", "total_acc_z"]
    for recording in source.recordings():
        assert recording.split is not None
        windows, labels, people = uci_har_windows(recording.split, PEOPLE[recording.split], 6)
        mine = people == int(recording.person)
        np.testing.assert_allclose(recording.samples.reshape(-1, 128, 9), windows[mine], atol=1e-6)
        np.testing.assert_array_equal(
            recording.labels.reshape(-1, 128), np.repeat(labels[mine] - 1, 128).reshape(-1, 128)
        )
        assert recording.window == 128
        assert len(continuous_starts(recording, WindowGrid(128, 64))) == 6


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("y_train.txt", "7\n" * 18, r"y_train\.txt: line 1: 7 is not 1 to 6"),
        ("y_train.txt", "1\n" * 17, r"y_train\.txt: has 17 rows where train/subject_train\.txt has 18"),
        ("y_train.txt", "1.5\n" * 18, r"y_train\.txt: cannot be read as"),
        ("Inertial Signals/total_acc_y_train.txt", "1 2 3\n" * 18, r"line 1 has 3 columns where 128 belong"),
    ],
)
def test_malformed_files_are_named(tmp_path: Path, name: str, text: str, problem: str) -> None:
    folder = write_uci_har(tmp_path / "u")
    (folder / "UCI HAR Dataset" / "train" / name).write_text(text)
    with pytest.raises(SourceError, match=problem):
        open_source(folder).read("train-1")
