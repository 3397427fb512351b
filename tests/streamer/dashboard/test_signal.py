"""The signal of a device: what is kept, and what a screen is shown of it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.dashboard.signal import DeviceSignal, decimated

CHANNELS = [("x", "g"), ("y", "g")]


def made(count: int, seed: int, missing: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(1, 40, count)).astype(np.int64)
    x = rng.normal(size=(count, 2)).astype(np.float32)
    x[rng.random(x.shape) < missing] = np.nan
    return times, x


@given(st.integers(0, 200), st.integers(1, 500), st.integers(0, 1000))
def test_of_every_stretch_the_least_and_the_greatest_remain_and_nothing_else(count, width, seed):
    times, x = made(count, seed)
    thinned, values = decimated(times, x, width)
    assert np.all(np.diff(thinned) > 0)
    assert set(thinned) <= set(times)
    for stretch in np.unique(times // width):
        told, there = values[thinned // width == stretch], x[times // width == stretch]
        assert len(told) == min(len(there), 2)
        for column in range(2):
            known = there[:, column][~np.isnan(there[:, column])]
            if len(known):
                assert np.nanmin(told[:, column]) == known.min()
                assert np.nanmax(told[:, column]) == known.max()
            else:
                assert np.isnan(told[:, column]).all()


@given(st.integers(2, 150), st.integers(1, 300), st.integers(0, 1000), st.data())
def test_a_part_is_thinned_as_the_whole_is(count, width, seed, data):
    times, x = made(count, seed)
    cut = data.draw(st.integers(0, int(times[-1]) // width + 1)) * width  # what is told live ends with a stretch
    split = int(np.searchsorted(times, cut))
    parts = [decimated(times[:split], x[:split], width), decimated(times[split:], x[split:], width)]
    whole = decimated(times, x, width)
    np.testing.assert_array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    np.testing.assert_array_equal(np.concatenate([part[1] for part in parts]), whole[1])


@given(st.lists(st.integers(1, 400), max_size=20), st.integers(0, 100))
def test_the_latest_readings_are_kept_in_bounded_memory(sizes, seed):
    times, x = made(sum(sizes), seed)
    signal, most = DeviceSignal(CHANNELS, most_bytes=16 * 600), 600
    at = 0
    for size in sizes:
        signal.add(times[at : at + size], x[at : at + size])
        at += size
        assert signal._x.nbytes <= 8 * max(most, 256)
    kept, values = signal.between(0, 1 << 62)
    assert len(kept) >= min(len(times), most // 2)
    np.testing.assert_array_equal(kept, times[len(times) - len(kept) :])
    np.testing.assert_array_equal(values, x[len(times) - len(kept) :])


def test_readings_that_are_not_later_are_passed_over():
    signal = DeviceSignal(CHANNELS)
    signal.add(np.array([10, 20], np.int64), np.zeros((2, 2), np.float32))
    signal.add(np.array([15, 20, 30], np.int64), np.ones((3, 2), np.float32))
    assert signal.between(0, 100)[0].tolist() == [10, 20, 30]
    assert signal.end == 30
