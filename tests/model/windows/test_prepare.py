"""What is no reading is filled from what is, whether it is NaN or infinite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinestream.model.windows.grid import too_empty
from kinestream.model.windows.prepare import fill_gaps

MEANS = np.array([10.0, 20.0], dtype=np.float32)
readings = st.one_of(st.floats(-100, 100, width=32), st.sampled_from([np.nan, np.inf, -np.inf]))
batches = st.tuples(st.integers(1, 4), st.integers(1, 8)).flatmap(
    lambda shape: arrays(np.float32, (*shape, 2), elements=readings)
)


def with_nan(windows):
    return np.where(np.isfinite(windows), windows, np.float32(np.nan))


@given(windows=batches, max_missing=st.sampled_from([0.0, 0.25, 0.5, 0.9]))
def test_infinity_is_no_reading_as_nan_is_none(windows, max_missing):
    before = windows.copy()
    filled = fill_gaps(windows, MEANS)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(windows, before)
    np.testing.assert_array_equal(filled, fill_gaps(with_nan(windows), MEANS))
    np.testing.assert_array_equal(filled[np.isfinite(windows)], windows[np.isfinite(windows)])
    missing = ~np.isfinite(windows).any(axis=2)
    np.testing.assert_array_equal(too_empty(windows, max_missing), missing.mean(axis=1) > max_missing)


@pytest.mark.parametrize("none", [np.nan, np.inf, -np.inf])
def test_gaps_are_filled_in_a_line_then_by_the_nearest_then_by_the_mean(none):
    windows = np.array([[[none, none], [1, none], [none, none], [none, none], [4, none], [none, none]]], np.float32)
    filled = fill_gaps(windows, MEANS)
    assert filled[0, :, 0].tolist() == [1, 1, 2, 3, 4, 4]
    assert filled[0, :, 1].tolist() == [20] * 6


def test_a_whole_window_is_handed_on_as_it_is():
    windows = np.ones((2, 3, 2), dtype=np.float32)
    assert fill_gaps(windows, MEANS) is windows
