"""Real exports, where KINESTREAM_DATA has them: each is described and read, and 24 of them are learnt from."""

from pathlib import Path

import numpy as np
import pytest

from kinestream.model.config.file import load_config
from kinestream.model.datasets import Source, open_source
from kinestream.model.datasets.drafts.first import write_first_draft
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.model.training.train import train
from tests.given.long import long_form


@pytest.fixture(scope="session")
def exports(real_data: Path) -> Path:
    if not (real_data / "exports").is_dir():
        pytest.skip("KINESTREAM_DATA holds no folder exports")
    return real_data / "exports"


def drafted(path: Path, tmp_path: Path) -> tuple[Source, tuple[str, ...]]:
    draft = write_first_draft(path, tmp_path / "mine.yaml")
    return open_source(tmp_path / "mine.yaml"), draft.to_check


def test_24_recordings_of_a_phone_are_told_apart_from_one_of_other_sensors(exports: Path, tmp_path: Path) -> None:
    source, said = drafted(exports / "sensorlogger", tmp_path)
    assert len(source.ids) == 24
    assert source.classes == ("Jumping", "Standing", "Still", "Walking")
    assert source.rate_hz == 50
    assert [(channel.name, channel.unit) for channel in source.channels] == [
        (f"total_acceleration_{axis}", "m/s2") for axis in "xyz"
    ]
    assert any("several_sensors.zip: other sensors" in each for each in said)
    still = [recording for recording in source.recordings() if recording.id.startswith("Still")]
    for recording in still:  # on a table, gravity is all there is
        np.testing.assert_allclose(np.linalg.norm(recording.samples, axis=1), 9.81, atol=0.1)


@long_form
def test_recordings_that_are_left_out_are_recognised(exports: Path, tmp_path: Path) -> None:
    """Four of 24, one of each activity; chance is a quarter, and always saying one class a third."""
    source, _ = drafted(exports / "sensorlogger", tmp_path)
    config = load_config(tmp_path / "mine.yaml", ["train.epochs=12"])
    result = train(config, tmp_path / "run", device="cpu")
    assert len(config.split.test) == 4
    found = evaluate(result.bundle, tmp_path / "mine.yaml", devices=True)
    assert [each.recording for each in found.recordings] == sorted(config.split.test, key=source.ids.index)
    assert found.scores is not None
    assert found.scores.as_dict()["accuracy"] > 0.7


def test_three_sensors_of_one_recording_are_three_devices(exports: Path, tmp_path: Path) -> None:
    source, _ = drafted(exports / "sensorlogger" / "several_sensors.zip", tmp_path)
    devices = source.devices(source.ids[0])
    assert [(each.name, each.rate_hz, len(each.times)) for each in devices] == [
        ("accelerometer", 100, 763),
        ("accelerometer_uncalibrated", 100, 737),
        ("total_acceleration", 100, 725),
    ]
    total = source.read(source.ids[0]).samples[-700:, 6:]
    assert np.median(np.linalg.norm(total, axis=1)) == pytest.approx(9.81, abs=0.05)


def test_phyphox_with_semicolons(exports: Path, tmp_path: Path) -> None:
    source, _ = drafted(exports / "phyphox_semicolon", tmp_path)
    (device,) = source.devices(source.ids[0])
    assert (device.name, len(device.times)) == ("linear_acceleration", 5999)
    assert device.times[0] == pytest.approx(1767555581.275e9 + 3.434727e6, abs=1000)
    assert source.read(source.ids[0]).seconds == pytest.approx(28.75, abs=0.02)


def test_a_watch(exports: Path, tmp_path: Path) -> None:
    source, said = drafted(exports / "applewatch", tmp_path)
    units = {channel.name: channel.unit for channel in source.channels}
    assert (units["gravity_x"], units["rotation_rate_z"], units["quaternion_w"]) == ("g", "rad/s", "1")
    samples = source.read(source.ids[0]).samples
    gravity = samples[:, [list(units).index(f"gravity_{axis}") for axis in "xyz"]]
    assert np.nanmedian(np.linalg.norm(gravity, axis=1)) == pytest.approx(1.0, abs=0.01)
    assert 0.4 < np.isnan(samples[:, 0]).mean() < 0.45  # a hole of 12 s
    assert any("neither file names nor markers say what was done" in each for each in said)


@pytest.mark.parametrize(
    ("name", "sensor", "readings", "classes"),
    [
        ("minimal", "send_data_c", 9, ("Hello", "World", "from", "LSL")),
        ("empty_streams", "data_stream_test_stream_0_counter", 10, ('{"state": 2}', "WRITE_ME")),
        ("clock_resets", "bio_semi", 27815, ("Test-1-2-3", "XXX", "Testtest", "Marker", "Blah", "Test")),
    ],
)
def test_the_examples_of_xdf(
    exports: Path, tmp_path: Path, name: str, sensor: str, readings: int, classes: tuple[str, ...]
) -> None:
    pytest.importorskip("pyxdf")
    source, _ = drafted(exports / "xdf" / f"{name}.xdf", tmp_path)
    (device,) = source.devices(source.ids[0])
    assert (device.name, len(device.times)) == (sensor, readings)
    assert (np.diff(device.times) >= 0).all()
    assert set(source.classes) == set(classes)
    assert len(source.read(source.ids[0]).samples) >= readings - 1
