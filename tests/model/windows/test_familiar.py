"""Readings nothing like those trained on are told: in another unit, or of a device upside down."""

import numpy as np
import pytest

from kinestream.model.recordings.recording import Channel
from kinestream.model.windows.familiar import Familiar, features, fit_ranges, sensor_matrix, sensor_name, sensors_of

CHANNELS = (*(Channel(f"acc_{axis}", "m/s2") for axis in "xyz"), *(Channel(f"gyro_{axis}", "rad/s") for axis in "xyz"))
NAMES = [channel.name for channel in CHANNELS]


def worn(count, seed, size=9.81, turning=1.0):
    """Return windows of a device at the waist, upright more or less, shape (count, 32, 6)."""
    rng = np.random.default_rng(seed)
    gravity = rng.normal([1.0, 0.0, 0.2], 0.15, size=(count, 3))
    gravity *= size / np.linalg.norm(gravity, axis=1, keepdims=True)
    acc = gravity[:, None] + rng.normal(0, 0.1 * size, size=(count, 32, 3))
    gyro = rng.normal(0, rng.uniform(0.2, turning, size=(count, 1, 1)), size=(count, 32, 3))
    return np.concatenate([acc, gyro], axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def familiar():
    sensors = sensor_matrix(sensors_of(NAMES), len(NAMES))
    return Familiar(fit_ranges(NAMES, features(worn(2000, 0), sensors), features(worn(500, 1), sensors)), CHANNELS)


def told(familiar, windows):
    return [{(each.sensor, each.what) for each in familiar.strange(window)} for window in windows]


def test_what_it_was_trained_on_is_not_strange(familiar):
    assert sum(map(bool, told(familiar, worn(1000, 2)))) <= 2


@pytest.mark.parametrize("factor", [1 / 9.81, 9.81])
def test_another_unit_of_acceleration_is_told_by_the_size_of_gravity(familiar, factor):
    windows = worn(100, 3)
    windows[:, :, :3] *= factor
    assert all(each == {("acc", "size")} for each in told(familiar, windows))


def test_degrees_instead_of_radians_are_told_by_how_far_apart_they_lie(familiar):
    windows = worn(100, 4)
    windows[:, :, 3:] *= 57.3
    assert sum(("gyro", "spread") in each or ("gyro", "size") in each for each in told(familiar, windows)) == 100


def test_a_device_upside_down_is_told_by_where_gravity_is(familiar):
    windows = worn(100, 5)
    windows[:, :, [0, 1]] *= -1
    assert all(each == {("acc", "mean")} for each in told(familiar, windows))
    strange = familiar.strange(windows[0])[0]
    assert (strange.channel, strange.unit) == ("acc_x", "m/s2")
    assert strange.value < strange.least < strange.most


def test_a_sensor_without_a_reading_is_not_looked_at(familiar):
    windows = worn(2, 6) * 100
    windows[0, 3, 1] = np.nan
    windows[1, 3, 1] = np.inf
    for each in told(familiar, windows):
        assert {sensor for sensor, _ in each} == {"gyro"}


def test_what_training_started_from_knew_is_still_known():
    sensors = sensor_matrix(sensors_of(NAMES), len(NAMES))
    nobody = np.empty((0, len(NAMES) + 4))
    before = fit_ranges(NAMES, features(worn(200, 0), sensors), nobody)
    turned = worn(200, 1)
    turned[:, :, :3] *= -1
    alone = fit_ranges(NAMES, features(turned, sensors), nobody)
    both = fit_ranges(NAMES, features(turned, sensors), nobody, before)
    assert all(told(Familiar(alone, CHANNELS), worn(50, 2)))
    assert not any(told(Familiar(both, CHANNELS), worn(50, 2)))
    assert not any(told(Familiar(both, CHANNELS), turned[:50]))


def test_channels_that_differ_in_their_last_letter_are_of_one_sensor():
    assert sensors_of(["a_x", "b_x", "a_y", "pulse", "a_z"]) == [[0, 2, 4], [1], [3]]
    assert sensor_name(["phone_acc_x", "phone_acc_y"]) == "phone_acc"
    assert sensor_name(["pulse"]) == "pulse"
    assert sensor_name(["x", "y", "z"]) == "x"


def test_windows_without_a_whole_one_have_no_ranges():
    assert fit_ranges(["a"], np.full((3, 3), np.nan), np.empty((0, 3))) == ()
