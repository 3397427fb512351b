"""Augmentation changes windows only in ways their label survives."""

import numpy as np
import pytest
import torch

from kinestream.model.config.training import AugmentSection
from kinestream.model.errors import ConfigError
from kinestream.model.training.augment import make_augmentation

CHANNELS = [f"{sensor}_{axis}" for sensor in ("acc", "gyro") for axis in "xyz"]
MEANS = np.array([0.5, -1, 9, 0.1, 0, -0.2], np.float32)
FACTORS = np.array([1, 2, 0.5, 3, 1, 0.25], np.float32)
ABSENT = np.linspace(-1, 1, 20 * 6, dtype=np.float32).reshape(20, 6)


def augmented(windows, **section):
    torch.manual_seed(0)
    return make_augmentation(AugmentSection(**section), CHANNELS, MEANS, FACTORS, ABSENT)(windows)


def readings(windows):
    return windows / torch.from_numpy(FACTORS) + torch.from_numpy(MEANS)


@pytest.fixture
def windows():
    return torch.randn(50, 20, 6, generator=torch.Generator().manual_seed(1))


def test_without_a_section_nothing_changes(windows):
    assert torch.equal(augmented(windows), windows)


def test_a_device_turns_as_one_and_keeps_the_length_of_its_readings(windows):
    before, after = readings(windows), readings(augmented(windows, rotate={"": 40}))
    for sensor in (slice(0, 3), slice(3, 6)):
        lengths = [each[..., sensor].norm(dim=-1) for each in (before, after)]
        torch.testing.assert_close(*lengths, atol=1e-4, rtol=1e-4)
    inner = [(each[..., :3] * each[..., 3:]).sum(dim=-1) for each in (before, after)]
    torch.testing.assert_close(*inner, atol=1e-3, rtol=1e-3)
    assert not torch.allclose(before, after, atol=0.1)


def test_a_stretched_window_ends_with_its_last_sample_and_keeps_to_its_readings(windows):
    after = augmented(windows, stretch=0.2)
    torch.testing.assert_close(after[:, -1], windows[:, -1])
    assert (after.amax(dim=1) <= windows.amax(dim=1) + 1e-6).all()
    ramp = torch.arange(20.0)[None, :, None].repeat(50, 1, 6)
    slopes = augmented(ramp, stretch=0.2).diff(dim=1)[:, -1, 0]
    assert 0.1 < slopes.log().std() < 0.3
    assert (slopes > 1).any()
    assert (slopes < 1).any()


def test_a_dropped_sensor_is_silent_on_all_its_axes(windows):
    after = augmented(windows, drop_sensor=0.3)
    silent = (after == 0).all(dim=1)  # (B, C)
    for sensor in (silent[:, :3], silent[:, 3:]):
        assert torch.equal(sensor.all(dim=1), sensor.any(dim=1))
    assert 0.15 < silent.float().mean() < 0.45
    assert torch.equal(after[~silent[:, None].expand_as(after)], windows[~silent[:, None].expand_as(after)])


def test_a_dropped_device_is_as_if_absent_and_one_is_always_there(windows):
    after = augmented(windows.repeat(20, 1, 1), drop_device={"acc": 0.5, "gyro": 0.7})
    absent, there = (after == torch.from_numpy(ABSENT)).all(dim=1), (after == windows.repeat(20, 1, 1)).all(dim=1)
    assert (absent != there).all()
    devices = absent[:, [0, 3]]
    assert torch.equal(absent, devices.repeat_interleave(3, dim=1))
    assert not devices.all(dim=1).any()
    often = devices.float().mean(dim=0)  # as drawn, less where both would be gone
    torch.testing.assert_close(often, torch.tensor([0.5 * 0.3, 0.7 * 0.5]), atol=0.05, rtol=0)


@pytest.mark.parametrize(("device", "problem"), [("watch", "has no channel"), ("", "has all the channels")])
def test_a_device_that_cannot_be_dropped_is_named(device, problem):
    with pytest.raises(ConfigError, match=rf"train\.augment\.drop_device: {device} {problem}"):
        make_augmentation(AugmentSection(drop_device={device: 0.1}), CHANNELS, MEANS, FACTORS, ABSENT)


def test_a_section_that_drops_no_device_is_written_as_ever():
    assert "drop_device" not in AugmentSection(rotate={"watch": 10}).model_dump()
    assert AugmentSection(drop_device={"watch": 0.1}).model_dump()["drop_device"] == {"watch": 0.1}


def test_scale_and_noise_are_as_large_as_asked_for(windows):
    noise = augmented(windows, noise=0.1) - windows
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)
    ratio = readings(augmented(windows, scale=0.1)) / readings(windows)
    torch.testing.assert_close(ratio, ratio[:, :1, :1].expand_as(ratio), atol=1e-2, rtol=1e-2)


def test_a_device_without_axes_is_named():
    with pytest.raises(ConfigError, match=r"no channels watch\*x"):
        make_augmentation(AugmentSection(rotate={"watch": 10}), CHANNELS, MEANS, FACTORS, ABSENT)
