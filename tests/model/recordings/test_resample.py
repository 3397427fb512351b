"""What the grid holds is what was measured, nothing is invented over gaps, and a slice gives what the whole gives."""

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from kinestream.model.recordings.resample import (
    Resampling,
    nearest,
    on_grid,
    resample,
    resampling,
    settled_until,
)
from kinestream.model.recordings.samplegrid import SampleGrid

TIMES = st.lists(st.integers(0, 400), min_size=1, max_size=40)
GRID = np.arange(-50, 450, 20)

MS = 1_000_000
ORIGIN = 1_764_000_000_123_456_789
FIFTY = SampleGrid(ORIGIN, Fraction(50))

Device = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], SampleGrid, Resampling]


@st.composite
def devices(draw: st.DrawFn) -> Device:
    """Draw a device of 10 to 300 Hz with jitter, losses, long holes, shared stamps and missing values, on a grid."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rate = draw(st.sampled_from([10.0, 25.0, 49.6, 52.0, 100.0, 200.0, 300.0]))
    count = draw(st.integers(1, 120))
    steps = rng.exponential(1e9 / rate, count) if draw(st.booleans()) else rng.normal(1e9 / rate, 2e6, count)
    steps[rng.random(count) < draw(st.sampled_from([0.0, 0.05]))] += 5e8
    steps[rng.random(count) < draw(st.sampled_from([0.0, 0.2]))] = 0
    times = ORIGIN + draw(st.integers(-MS, MS)) + np.cumsum(steps.clip(min=0).astype(np.int64))
    values = rng.normal(size=(count, 3)).astype(np.float32)
    values[rng.random(values.shape) < draw(st.sampled_from([0.0, 0.3]))] = np.nan
    values[rng.random(values.shape) < 0.1] = -0.0
    grid = SampleGrid(ORIGIN, draw(st.sampled_from([Fraction(50), Fraction(248, 5), Fraction(100, 3)])))
    return times, values, grid, resampling(rate, grid, average=draw(st.sampled_from([None, True, False])))


def laid(device: Device, first: int, count: int, kept: Any = slice(None)) -> npt.NDArray[np.float32]:
    times, values, grid, how = device
    return resample(times[kept], values[kept], grid, first, count, how)


def bits(array: npt.NDArray[np.float32]) -> list[list[int]]:
    return array.view(np.uint32).tolist()


@given(devices(), st.integers(-5, 200), st.integers(1, 30))
def test_a_slice_that_holds_the_reach_gives_the_same_bits(device, first, count):
    times, _, grid, how = device
    points = grid.times(first, count)
    kept = (times >= points[0] - how.reach.before) & (times <= points[-1] + how.reach.after)
    whole = laid(device, first - 7, count + 20)[7 : 7 + count]
    assert bits(laid(device, first, count, kept)) == bits(whole)


@given(devices(), st.data())
def test_each_point_comes_out_the_same_alone_and_with_others(device, data: DataObject):
    first, count = data.draw(st.integers(-5, 100)), data.draw(st.integers(1, 40))
    alone = np.concatenate([laid(device, first + k, 1) for k in range(count)])
    assert bits(alone) == bits(laid(device, first, count))


@given(devices())
def test_what_is_settled_stays_whatever_comes(device):
    times, values, grid, how = device
    count = grid.at_or_after(int(times[-1])) + 3
    whole = laid(device, -3, count + 3)
    points = grid.times(-3, count + 3)
    for so_far in range(1, len(times)):
        if times[so_far] == times[so_far - 1]:
            continue
        until = settled_until(times[:so_far], values[:so_far], how)
        assert until is not None
        settled = points <= until
        now = laid(device, -3, count + 3, slice(so_far))
        assert bits(now[settled]) == bits(whole[settled])


@given(devices())
def test_with_nothing_missing_it_is_settled_at_the_stated_reach(device):
    times, values, _, how = device
    assert settled_until(times, np.zeros_like(values), how) == times[-1] - how.reach.settled
    assert settled_until(times[:0], values[:0], how) is None


def test_a_channel_that_ended_keeps_nobody_waiting():
    times = ORIGIN + np.arange(100) * 10 * MS
    values = np.ones((100, 2), np.float32)
    values[50:, 1] = np.nan
    how = resampling(100, FIFTY)
    assert settled_until(times[:60], values[:60], how) == times[49] - how.half_width
    assert settled_until(times[:71], values[:71], how) == times[70] - how.half_width
    values[:, 1] = np.nan
    assert settled_until(times, values, how) == times[-1] - how.half_width


@given(devices(), st.integers(-(10**15), 10**15))
def test_times_shifted_with_their_grid_give_the_same_bits(device, shift):
    times, values, grid, how = device
    moved = times + shift, values, SampleGrid(grid.origin + shift, grid.rate), how
    assert bits(laid(moved, 0, 60)) == bits(laid(device, 0, 60))


@given(devices(), st.floats(-50, 50), st.floats(-50, 50))
def test_a_ramp_stays_what_it_is(device, slope, start):
    times, values, grid, how = device
    ramp = start + slope * (times - ORIGIN) / 1e9
    present = np.isfinite(values[:, 0])
    values = np.where(present, ramp, np.nan)[:, None].astype(np.float64)
    result = resample(times, values, grid, -5, 200, how)[:, 0]
    for point, value in zip(grid.times(-5, 200), result, strict=True):
        there = times[present]
        before, after = there[there <= point], there[there >= point]
        if len(before) and len(after) and after.min() - before.max() <= how.longest_gap:
            assert value == pytest.approx(start + slope * (int(point) - ORIGIN) / 1e9, abs=2e-5 + 1e-6 * abs(start))
        else:
            assert np.isnan(value)


@given(devices())
def test_the_average_is_the_integral_over_the_triangle(device):
    times, values, grid, _ = device
    times, rows = np.unique(times, return_index=True)
    readings = np.nan_to_num(values[rows, :1]).astype(np.float64)
    how = Resampling(longest_gap=int(1e18), half_width=grid.period_ns)
    result = resample(times, readings, grid, 0, 20, how)[:, 0]
    offsets = (np.arange(4000) + 0.5) / 2000 - 1  # midpoints, in half-widths
    for point, value in zip(grid.times(0, 20), result, strict=True):
        width = min(point - times[0], times[-1] - point, grid.period_ns)
        if width <= 0:
            continue
        line = np.interp(offsets * width, (times - point).astype(np.float64), readings[:, 0])
        assert value == pytest.approx((line * (1 - np.abs(offsets))).sum() / 2000, abs=5e-3)


def test_a_vibration_too_fast_for_the_grid_is_gone_and_a_step_of_a_person_is_not():
    times = ORIGIN + np.arange(2000) * 5 * MS
    seconds = np.arange(2000) / 200
    walking, vibration = np.sin(2 * np.pi * 2 * seconds), 3 * np.sin(2 * np.pi * 47 * seconds)
    values = (walking + vibration)[:, None]
    expected = np.sin(2 * np.pi * 2 * np.arange(100, 400) / 50)
    plain = resample(times, values, FIFTY, 100, 300, resampling(200, FIFTY, average=False))[:, 0]
    averaged = resample(times, values, FIFTY, 100, 300, resampling(200, FIFTY))[:, 0]
    assert np.abs(plain - expected).max() > 2.5
    assert np.abs(averaged - expected).max() < 0.1


def test_only_what_comes_faster_than_the_grid_is_averaged():
    widths = {rate: resampling(rate, FIFTY).half_width for rate in (0, 25, 49.6, 50, 50.4, 52, 104)}
    assert widths == {0: 20 * MS, 25: 0, 49.6: 0, 50: 0, 50.4: 0, 52: 20 * MS, 104: 20 * MS}


def test_a_slow_sensor_may_miss_four_readings():
    gaps = {rate: resampling(rate, FIFTY).longest_gap for rate in (0, 10, 20, 100)}
    assert gaps == {0: 200 * MS, 10: 400 * MS, 20: 200 * MS, 100: 200 * MS}
    assert resampling(10, FIFTY, longest_gap=5).longest_gap == 5


def test_nothing_comes_of_nothing():
    nothing, none = np.zeros(0, np.int64), np.zeros((0, 4), np.float32)
    for average in (True, False):
        how = resampling(100, FIFTY, average=average)
        assert np.isnan(resample(nothing, none, FIFTY, 0, 3, how)).all()
        assert resample(nothing, none, FIFTY, 0, 0, how).shape == (0, 4)
        one = resample(np.array([ORIGIN]), np.ones((1, 4), np.float32), FIFTY, -1, 3, how)
        assert np.isnan(one[[0, 2]]).all()
        assert (one[1] == 1).all()


def test_a_burst_too_dense_to_be_averaged_at_once_is_averaged_piece_by_piece(monkeypatch):
    times = ORIGIN + np.sort(np.random.default_rng(0).integers(0, 100 * MS, 5000))
    values = np.random.default_rng(1).normal(size=(5000, 2))
    how = resampling(0, FIFTY)
    at_once = resample(times, values, FIFTY, 0, 6, how)
    monkeypatch.setattr("kinestream.model.recordings.resample._PIECES_AT_ONCE", 10)
    assert bits(resample(times, values, FIFTY, 0, 6, how)) == bits(at_once)


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


@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=60, unique=True), st.integers(1, 10**10))
def test_the_line_is_that_of_numpy_to_the_bit(times: list[int], longest: int) -> None:
    moments = np.sort(np.array(times))
    values = np.random.default_rng(len(times)).normal(size=(len(times), 2))
    grid = np.concatenate([np.arange(0, 10**11, 10**9), moments])
    result = on_grid(moments, values, grid, longest)
    expected = np.column_stack([np.interp(grid, moments, column) for column in values.T]).astype(np.float32)
    there = np.isfinite(result)
    assert (there.all(axis=1) == there.any(axis=1)).all()
    assert bits(result[there][:, None]) == bits(expected[there][:, None])


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
