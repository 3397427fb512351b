"""The loop in C lays readings as NumPy does, to the bit, and refuses what would read or write elsewhere."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.recordings import resample as room
from kinestream.model.recordings.resample import Resampling, fill, resample, resampling, settled_until
from kinestream.model.recordings.samplegrid import SampleGrid

_resample = pytest.importorskip("kinestream.model.recordings._resample")

ORIGIN = 1_764_000_000_123_456_789
GRID = SampleGrid(ORIGIN, Fraction(50))


def both(monkeypatch, call):
    """Return what a call gives in C and in NumPy."""
    compiled = call()
    with monkeypatch.context() as patched:
        patched.setattr(room, "is_compiled", False)
        return compiled, call()


def readings(seed, rate, count, *, jitter, holes, missing, shared, extreme):
    rng = np.random.default_rng(seed)
    steps = rng.normal(1e9 / rate, jitter * 1e9 / rate, count).clip(min=0)
    steps[rng.random(count) < holes] += rng.choice([1.99e8, 2e8, 2.01e8, 5e8, 3e9])
    steps[rng.random(count) < shared] = 0
    times = ORIGIN + rng.integers(-(10**8), 10**8) + np.cumsum(steps.astype(np.int64))
    on = rng.random(count) < 0.1
    times[on] = ORIGIN + (times[on] - ORIGIN) // 20_000_000 * 20_000_000  # exactly on points of the grid
    times = np.sort(times)
    values = rng.normal(size=(count, 5)).astype(np.float32) * np.float32([1e-6, 1e-2, 1, 1e2, 1e6])
    values[rng.random(values.shape) < missing] = np.nan
    values[rng.random(values.shape) < missing / 10] = np.inf
    values[rng.random(values.shape) < 0.05] = -0.0
    if extreme:
        values[rng.random(values.shape) < 0.2] = np.finfo(np.float32).max
        values[rng.random(values.shape) < 0.2] = -np.finfo(np.float32).max
        values[rng.random(values.shape) < 0.2] = np.finfo(np.float32).tiny / 8
    return times, values


shares = st.sampled_from([0.0, 0.0, 0.05, 0.5])
drawn = st.builds(
    readings,
    st.integers(0, 1 << 32),
    st.sampled_from([3.0, 25.0, 49.6, 50.0, 52.0, 100.0, 104.0, 300.0]),
    st.integers(1, 150),
    jitter=st.sampled_from([0.0, 0.1, 1.0]),
    holes=shares,
    missing=shares,
    shared=shares,
    extreme=st.booleans(),
)
ways = st.builds(
    Resampling, st.sampled_from([0, 1, 200_000_000, 10**9]), st.sampled_from([0, 1, 20_000_000, 20_000_001, 10**9])
)


@given(drawn, ways, st.integers(-20, 100), st.integers(0, 60))
def test_the_same_bits(given_readings, how, first, count):
    times, values = given_readings
    with pytest.MonkeyPatch.context() as patched:
        compiled, plain = both(patched, lambda: resample(times, values, GRID, first, count, how))
    assert compiled.shape == plain.shape
    np.testing.assert_array_equal(compiled.view(np.uint32), plain.view(np.uint32))


@given(drawn, st.integers(0, 1 << 32))
def test_what_is_there_already_stays_and_columns_that_are_not_named_too(given_readings, seed):
    times, values = given_readings
    rng = np.random.default_rng(seed)
    columns, points = rng.permutation(9)[:5], GRID.times(0, 40)
    rows = rng.normal(size=(40, 9)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.5] = np.nan

    def filled():
        out = rows.copy()
        fill(out, columns, times, values, points, resampling(100, GRID))
        return out

    with pytest.MonkeyPatch.context() as patched:
        compiled, plain = both(patched, filled)
    np.testing.assert_array_equal(compiled.view(np.uint32), plain.view(np.uint32))
    kept = ~np.isnan(rows)
    np.testing.assert_array_equal(compiled[kept], rows[kept])


@given(drawn, ways)
def test_settled_at_the_same_time(given_readings, how):
    times, values = given_readings
    with pytest.MonkeyPatch.context() as patched:
        compiled, plain = both(patched, lambda: settled_until(times, values, how))
    assert compiled == plain


def test_arrays_that_are_no_one_piece_of_memory_are_laid_as_well(monkeypatch):
    times, values = readings(0, 100.0, 120, jitter=0.1, holes=0, missing=0.05, shared=0, extreme=False)
    how = resampling(100, GRID)
    for some in (slice(None, None, 2), slice(None, None, -1)):
        kept = np.sort(times)[some] if some.step > 0 else times
        compiled, plain = both(monkeypatch, lambda k=kept, s=some: resample(k, values[s, 1:4], GRID, 0, 50, how))
        np.testing.assert_array_equal(compiled.view(np.uint32), plain.view(np.uint32))


def test_readings_without_channels_or_times_are_nothing(monkeypatch):
    how = resampling(100, GRID)
    for shape in ((0, 3), (4, 0), (0, 0)):
        times = ORIGIN + np.arange(shape[0]) * 10_000_000
        values = np.ones(shape, np.float32)
        compiled, plain = both(monkeypatch, lambda t=times, v=values: resample(t, v, GRID, 0, 5, how))
        assert compiled.shape == plain.shape == (5, shape[1])
        assert np.isnan(compiled).all()


def test_what_would_read_or_write_elsewhere_is_refused():
    times, values, points = np.arange(4), np.ones((4, 2), np.float32), np.arange(3)
    columns, out = np.array([0, 2]), np.full((3, 3), np.nan, np.float32)

    def call(**others):
        given_ = {"times": times, "values": values, "points": points, "columns": columns, "out": out} | others
        _resample.lay(given_["times"], given_["values"], given_["points"], 9, 0, given_["columns"], given_["out"])

    call()
    assert np.isnan(out[:, 1]).all()
    assert (out[:, [0, 2]] == 1).all()
    for others, why in [
        ({"times": times[:3]}, "a row for every time"),
        ({"values": values[:, :1].copy()}, "a row for every time"),
        ({"times": times.astype(np.int32)[:3]}, "64 bits"),
        ({"columns": np.array([0, 3])}, "those that there are"),
        ({"columns": np.array([-1, 0])}, "those that there are"),
        ({"out": np.zeros((2, 2), np.float32)}, "a row for every point"),
        ({"out": np.zeros((0, 3), np.float32)}, "those that there are"),
        ({"points": points[:0]}, "a row for every point"),
    ]:
        with pytest.raises(ValueError, match=why):
            call(**others)
    with pytest.raises(ValueError, match="a row for every time"):
        _resample.settled(times[:0], values[:0], 1, 0)
    with pytest.raises(ValueError, match="a row for every time"):
        _resample.settled(times[:3], values[:, :1].copy(), 1, 0)
