"""A device that is silent at a window's end counts as absent in all of it, wherever windows are cut."""

from fractions import Fraction

import numpy as np
import pytest

from kinestream.model.recordings.recording import Channel, Recording
from kinestream.model.windows.grid import WindowGrid
from kinestream.model.windows.labelled import full_windows
from kinestream.model.windows.silent import blank_silent, silent_samples


@pytest.mark.parametrize(
    ("rate", "samples"), [(Fraction(50), 25), (Fraction(32), 16), (Fraction(1, 4), 1), (Fraction(99, 2), 25)]
)
def test_half_a_second_is_rounded_up_to_samples(rate, samples):
    assert silent_samples(rate) == samples


def test_only_a_device_silent_to_the_end_is_blanked():
    windows = np.ones((3, 10, 3), np.float32)
    windows[0, -4:, :2] = np.nan  # silent for as long as it takes
    windows[1, -4:-1, :2] = np.nan  # one reading at the end
    windows[2, -4:, 1] = np.nan  # one channel of two
    before = windows.copy()
    missing, silent = blank_silent(windows, [np.array([0, 1]), np.array([2])], 4)
    assert silent.tolist() == [[True, False], [False, False], [False, False]]
    np.testing.assert_allclose(missing, [[1, 0], [0.3, 0], [0, 0]])
    assert np.isnan(windows[0, :, :2]).all()
    assert (windows[0, :, 2] == 1).all()
    np.testing.assert_array_equal(windows[1:], before[1:])


def test_windows_of_a_recording_of_devices_are_those_of_a_stream():
    samples = np.ones((40, 3), np.float32)
    samples[10:20, 2] = np.nan
    recording = Recording(
        "a", "p", "d", 10.0, tuple(map(Channel, "xyz")), samples, np.arange(40), np.zeros(40, np.int16), ("c",)
    )
    starts = np.array([5, 10, 15])
    (plain,) = full_windows(recording, None, starts, WindowGrid(10, 5))
    assert np.isnan(plain.windows).sum() == 5 + 10 + 5
    laid = Recording(**vars(recording) | {"devices": ((0, 1), (2,))})
    found = list(full_windows(laid, np.array([2, 0]), starts, WindowGrid(10, 5), at_once=2))
    windows = np.concatenate([each.windows for each in found])
    assert np.concatenate([each.which for each in found]).tolist() == [0, 1, 2]
    assert np.concatenate([each.silent for each in found]).tolist() == [[False, True], [False, True], [False, False]]
    assert np.isnan(windows[:2, :, 0]).all()
    assert np.isfinite(windows[:, :, 1]).all()
    assert np.isfinite(windows[2, 5:, 0]).all()
