"""What phones export is replayed as its sensors delivered it, and live labels are those of evaluation."""

from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import open_source
from kinestream.model.datasets.drafts.first import write_first_draft
from kinestream.model.evaluation.evaluate import evaluate
from tests.given.bundles import random_bundle
from tests.given.exports import activities, moments, sensor_logger, sensor_table, wave
from tests.given.listened import replayed
from tests.given.tables import described, write


@pytest.mark.parametrize("devices", [True, False], ids=["as delivered", "on one grid"])
def test_two_sensors_of_a_phone_live_are_what_they_are_offline(tmp_path: Path, devices: bool) -> None:
    write_first_draft(activities(tmp_path / "zips"), tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    bundle = random_bundle(source.channels, rate_hz=50, length=32, stride=8)
    ids = source.ids[-2:]
    expected = evaluate(bundle, tmp_path / "mine.yaml", recordings=ids, devices=devices).recordings
    report, labels = replayed(bundle, tmp_path / "mine.yaml", ids, speed="max", devices=devices)
    assert report["labels_missing"] == report["labels_unexpected"] == 0
    for each in expected:
        own = [label for label in labels if label.stream == each.recording]
        assert len(own) > 10
        np.testing.assert_array_equal([label.window for label in own], each.windows)
        np.testing.assert_array_equal([label.class_index for label in own], each.labels)


def test_what_was_laid_on_one_grid_is_what_its_devices_would_be_laid_to(tmp_path: Path) -> None:
    write_first_draft(activities(tmp_path / "zips"), tmp_path / "mine.yaml")
    bundle = random_bundle(open_source(tmp_path / "mine.yaml").channels, rate_hz=50, length=32, stride=8)
    laid, delivered = (evaluate(bundle, tmp_path / "mine.yaml", devices=devices) for devices in (False, True))
    for one, other in zip(laid.recordings, delivered.recordings, strict=True):
        np.testing.assert_array_equal(one.windows, other.windows)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_array_equal(one.truth, other.truth)


@pytest.mark.parametrize("devices", [True, False], ids=["as delivered", "on one grid"])
def test_recordings_of_which_nothing_says_what_was_done_are_replayed(
    tmp_path: Path, devices: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = moments(50, 4)
    sensor_logger(tmp_path / "mine.zip", {"Accelerometer": sensor_table(seconds, wave(seconds))})
    write_first_draft(tmp_path / "mine.zip", tmp_path / "mine.yaml")
    source = open_source(tmp_path / "mine.yaml")
    assert source.classes == ()
    bundle = random_bundle(source.channels, rate_hz=50, length=32, stride=8)
    report, labels = replayed(bundle, tmp_path / "mine.yaml", source.ids, speed="max", devices=devices)
    assert len(labels) == report["labels_expected"] == (200 - 32) // 8 + 1
    assert "says nothing of what was done: no label can be scored" in caplog.text


def test_the_packets_of_a_table_live_are_what_they_are_offline(tmp_path: Path) -> None:
    seconds = np.arange(600) / 60
    received = np.rint(seconds[(np.arange(600) // 6 + 1) * 6 - 1] * 1000).astype(int)
    rows = [
        f"{t},{number % 256},{value:.4f},{'WALKING' if number < 300 else 'SITTING'}"
        for number, (t, value) in enumerate(zip(received, wave(seconds)[:, 0], strict=True))
        if not 200 <= number < 230  # lost
    ]
    write(tmp_path / "data", {"anna.csv": "\n".join(["t,n,ax,activity", *rows]) + "\n"})
    time = {"column": "t", "unit": "ms", "rate_hz": 60, "counter": {"column": "n", "bits": 8}}
    path = described(tmp_path, channels={"ax": {"unit": "g"}}, time=time)
    bundle = random_bundle(open_source(path).channels, rate_hz=50, length=32, stride=8)
    (expected,) = evaluate(bundle, path, devices=True).recordings
    report, labels = replayed(bundle, path, ["anna"], speed="max", devices=True)
    assert report["labels_missing"] == report["labels_unexpected"] == 0
    assert expected.skipped > 0
    np.testing.assert_array_equal([label.window for label in labels], expected.windows)
    np.testing.assert_array_equal([label.class_index for label in labels], expected.labels)
