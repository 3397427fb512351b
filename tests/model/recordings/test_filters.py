"""UCI HAR's filters, over a recording and within a window."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.config.training import PreprocessSection
from kinestream.model.recordings.filters import derive, derived_names
from kinestream.model.recordings.lowpass import low_pass
from kinestream.model.windows.prepare import preparation

ACC = ("acc_x", "acc_y", "acc_z")
CHANNELS = [*ACC, "gyro_x"]
UCI_HAR = PreprocessSection(median=True, lowpass_hz=20.0, gravity_channels=ACC)
RATE = 50.0


def wave(hz, steps=1500):
    return np.sin(2 * np.pi * hz * np.arange(steps) / RATE)


def signals(*columns):
    return np.stack(columns, axis=1).astype(np.float32)


def test_the_names_are_in_uci_hars_order():
    assert derived_names(UCI_HAR, CHANNELS) == (
        *(f"body_{name}" for name in ACC),
        "gyro_x",
        *(f"total_{name}" for name in ACC),
    )


def test_gravity_stays_with_the_total_and_leaves_the_body():
    still = np.ones(1500)
    found = derive(signals(still, wave(2) + still, wave(0.1), wave(2)), UCI_HAR, CHANNELS, RATE)
    middle = slice(300, -300)
    body, total = found[middle, :3], found[middle, 4:]
    np.testing.assert_allclose(total[:, 0], 1, atol=1e-3)
    np.testing.assert_allclose(body[:, 0], 0, atol=1e-3)
    np.testing.assert_allclose(body[:, 1], wave(2)[middle], atol=0.06)  # the median takes a little off
    assert np.abs(body[:, 2]).max() < 0.1  # a tenth of a hertz counts as gravity


@pytest.mark.parametrize(("hz", "left"), [(5, 1.0), (20, 0.5), (24, 0.0)])
def test_what_is_too_fast_for_a_body_is_taken_out(hz, left):
    section = PreprocessSection(lowpass_hz=20.0)
    found = derive(signals(wave(hz), wave(hz)), section, ["a", "b"], RATE)
    # Forwards and backwards: the corner loses 3 dB twice.
    assert np.abs(found[300:-300]).max() == pytest.approx(left * np.abs(wave(hz)).max(), abs=0.03)


def test_a_single_wrong_reading_is_taken_out():
    spiked = np.zeros(50)
    spiked[20] = 100
    assert not derive(signals(spiked), PreprocessSection(median=True), ["a"], RATE).any()


@settings(deadline=None)  # SciPy is imported meanwhile
@given(
    seed=st.integers(0, 999),
    steps=st.sampled_from([1, 2, 15, 16, 17, 63, 64, 65, 1000]),
    hz=st.floats(0.1, 24.9),
)
def test_the_low_pass_is_scipys(seed, steps, hz):
    signal = pytest.importorskip("scipy.signal")
    raw = np.random.default_rng(seed).normal(size=(steps, 3))
    sections = signal.butter(3, hz, fs=RATE, output="sos")
    expected = signal.sosfiltfilt(sections, raw, axis=0, padlen=min(3 * (2 * len(sections) + 1), steps - 1))
    np.testing.assert_allclose(low_pass(raw, hz, RATE), expected, atol=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 999), steps=st.integers(2, 140), windows=st.integers(1, 4))
def test_within_a_window_the_filters_are_scipys_over_that_window_alone(seed, steps, windows):
    signal = pytest.importorskip("scipy.signal")
    raw = np.random.default_rng(seed).normal(size=(windows, steps, 4)).astype(np.float32)
    section = PreprocessSection(lowpass_hz=20.0)
    sections = signal.butter(3, 20.0, fs=RATE, output="sos")
    pad = min(3 * (2 * len(sections) + 1), steps - 1)
    expected = signal.sosfiltfilt(sections, raw.astype(np.float64), axis=1, padlen=pad)
    np.testing.assert_allclose(derive(raw, section, CHANNELS, RATE), expected, atol=2e-5)


@given(seed=st.integers(0, 999), share=st.sampled_from([0.0, 0.1, 0.9]))
def test_a_windows_inputs_are_its_own_whatever_it_is_prepared_with(seed, share):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(5, 32, 4)).astype(np.float32)
    raw[rng.random(raw.shape) < share] = np.nan
    prepare = preparation(UCI_HAR, CHANNELS, np.zeros(4, np.float32), RATE)
    together = prepare(raw)
    assert together.shape == (5, 32, 7)
    assert np.isfinite(together).all()
    for i in range(5):
        np.testing.assert_allclose(prepare(raw[i : i + 1])[0], together[i], atol=1e-5)
