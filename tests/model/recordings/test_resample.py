"""What the grid holds is what was measured, and nothing is invented over gaps."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.recordings.resample import nearest, on_grid

TIMES = st.lists(st.integers(0, 400), min_size=1, max_size=40)
GRID = np.arange(-50, 450, 20)


@given(TIMES, st.integers(1, 120))
def test_a_straight_line_stays_one_and_gaps_are_empty(times: list[int], longest: int) -> None:
    moments = np.array(times)
    values = np.column_stack([3.0 * moments - 7, -0.5 * moments])
    result = on_grid(moments, values, GRID, longest)
    expected = np.column_stack([3.0 * GRID - 7, -0.5 * GRID])
    for at, row, line in zip(GRID, result, expected, strict=True):
        before, after = moments[moments <= at], moments[moments >= at]
        bridged = len(before) and len(after) and after.min() - before.max() <= longest
        if bridged:
            np.testing.assert_allclose(row, line, rtol=1e-5, atol=1e-4)
        else:
            assert np.isnan(row).all()


@given(TIMES, st.randoms(use_true_random=False))
def test_order_does_not_matter_and_equal_times_are_averaged(times: list[int], random: object) -> None:
    moments = np.array(times)
    rng = np.random.default_rng(len(times))
    values = rng.normal(size=(len(times), 1))
    shuffled = rng.permutation(len(times))
    first = on_grid(moments, values, moments, 100)
    second = on_grid(moments[shuffled], values[shuffled], moments, 100)
    np.testing.assert_allclose(first, second, atol=1e-6)
    for at, value in zip(moments, first[:, 0], strict=True):
        np.testing.assert_allclose(value, values[moments == at].mean(), rtol=1e-4, atol=1e-6)


@given(TIMES)
def test_nearest_is_the_nearest(times: list[int]) -> None:
    moments = np.sort(np.array(times))
    found = nearest(moments, GRID)
    assert (np.abs(moments[found] - GRID) == np.abs(moments[:, None] - GRID).min(axis=0)).all()
