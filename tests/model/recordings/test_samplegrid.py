"""Where samples lie is exact, and the same from wherever one counts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate

RATES = st.sampled_from([50.0, 49.6, 32.0, 100 / 3, 33.3333333, 102.4, 1.0, 0.1, 1000.0, 31.896]) | st.floats(0.01, 9e3)
INDICES = st.integers(-(10**12), 10**12)


@pytest.mark.parametrize(("given_hz", "exact"), [(49.6, (248, 5)), (33.3333333333, (100, 3)), (50.0, (50, 1))])
def test_a_rate_is_the_ratio_that_was_meant(given_hz, exact):
    assert exact_rate(given_hz) == Fraction(*exact)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_what_is_no_rate_is_refused(wrong):
    with pytest.raises(ValueError, match="above 0 Hz"):
        exact_rate(wrong)


@given(RATES, INDICES, st.integers(0, 2**60), st.integers(0, 200))
def test_times_are_exact_wherever_one_begins(rate, first, origin, count):
    grid = SampleGrid(origin, exact_rate(rate))
    if not -(2**62) < grid.time(first) < 2**62:
        return
    times = grid.times(first, count)
    assert times.dtype == np.int64
    for index, time in zip(range(first, first + count), times.tolist(), strict=True):
        exact = origin + Fraction(10**9) * index / grid.rate
        assert -Fraction(1, 2) < time - exact <= Fraction(1, 2)
        assert time == grid.time(index)


@given(RATES, INDICES, st.integers(-(10**9), 10**9))
def test_the_first_sample_at_or_after_a_time_is_found(rate, index, beside):
    grid = SampleGrid(1_700_000_000_000_000_000, exact_rate(rate))
    time = grid.time(index) + beside
    found = grid.at_or_after(time)
    assert grid.time(found - 1) < time <= grid.time(found)


def test_a_grid_anchored_at_the_epoch_reaches_this_century():
    grid = SampleGrid(0, Fraction(50))
    now = 1_764_376_831_123_456_789
    first = grid.at_or_after(now)
    assert grid.times(first, 3).tolist() == [first * 20_000_000 + k * 20_000_000 for k in range(3)]
