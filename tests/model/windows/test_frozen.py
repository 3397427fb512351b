"""A device that repeats one reading for longer than training has seen is frozen, wherever windows are cut."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.windows.frozen import FrozenRule, frozen_since, longest_repeats
from kinestream.model.windows.silent import blank_absent
from tests.given.bundles import random_bundle

SILENT = 3
BOTH, THIRD = np.array([0, 1]), np.array([2])


@pytest.fixture
def moving():
    return np.random.default_rng(0).normal(size=(1, 12, 3)).astype(np.float32)


def since(windows, repeats=4, columns=BOTH):
    return frozen_since(windows, columns, repeats, SILENT).tolist()


def test_a_device_is_frozen_as_soon_as_it_repeats_itself_for_longer_than_ever(moving):
    assert since(moving) == [-1]
    for repeated in range(2, 13):
        windows = moving.copy()
        windows[:, -repeated:, :2] = windows[:, -repeated, None, :2]
        assert since(windows) == [12 - repeated if repeated > 4 else -1]
        assert since(windows, columns=THIRD) == [-1]


def test_one_channel_that_moves_or_one_reading_that_differs_is_life(moving):
    windows = moving.copy()
    windows[:, -8:, 0] = 1.0
    assert since(windows) == [-1]
    windows[:, -8:, 1] = 2.0
    assert since(windows) == [4]
    windows[:, -4, 1] = 2.5
    assert since(windows) == [-1]


def test_a_channel_without_readings_and_samples_that_did_not_come_last_do_not_hide_it(moving):
    windows = moving.copy()
    windows[:, :, 1] = np.nan
    windows[:, -8:, 0] = 1.0
    windows[:, -2:, :] = np.nan
    assert since(windows) == [4]
    windows[:, -5, :] = np.nan  # what came after a hole is another run
    assert since(windows) == [-1]


@pytest.mark.parametrize("repeats", [None, 12, 40])
def test_nothing_is_frozen_where_training_saw_repeats_as_long_as_a_window_or_noted_none(repeats):
    assert since(np.ones((1, 12, 3), np.float32), repeats) == [-1]


def test_a_device_may_repeat_itself_for_as_long_as_its_liveliest_channel_did_and_as_a_silent_one():
    rule = FrozenRule((9, 5, 2))
    assert rule.repeats(BOTH, SILENT) == 5
    assert rule.repeats(THIRD, SILENT) == SILENT
    assert FrozenRule().repeats(BOTH, SILENT) is None


def test_a_frozen_device_is_blanked_only_where_the_rule_says_so(moving):
    rate = Fraction(SILENT * 2)  # half a second is three samples
    for blanked in (False, True):
        windows = moving.copy()
        windows[:, 2:, :2] = 1.0
        found = blank_absent(windows, [BOTH, THIRD], rate, FrozenRule((4, 4, 4), blanked))
        assert found.frozen_since.tolist() == [[2, -1]]
        assert not found.silent.any()
        assert found.missing.tolist() == [[float(blanked), 0.0]]
        assert np.isnan(windows[:, :, :2]).all() == blanked
        assert np.isfinite(windows[:, :, 2]).all()


def test_training_notes_the_longest_run_of_each_channel_over_all_recordings():
    one = np.array([[1, 1, 0], [1, 2, 0], [1, 3, np.nan], [2, 3, np.nan]], np.float32)
    other = np.array([[2, 1, 0], [2, 1, 0], [3, 1, 0], [3, 1, 0]], np.float32)
    assert longest_repeats([one, other]) == (3, 4, 4)
    assert longest_repeats([one]) == (3, 2, 2)


def test_a_bundle_keeps_what_training_noted_and_one_made_before_tells_nothing(tmp_path):
    before = random_bundle()
    assert before.frozen == FrozenRule()
    assert "longest_repeat" not in str(before.description.model_dump())
    entries = tuple(entry.model_copy(update={"longest_repeat": 7}) for entry in before.description.channels)
    about = before.description.model_copy(update={"channels": entries, "blank_frozen": True})
    replace(before, description=about).write(tmp_path / "bundle")
    assert read_bundle(tmp_path / "bundle").frozen == FrozenRule((7, 7, 7), blank=True)
