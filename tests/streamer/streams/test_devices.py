"""Devices on clocks of their own become the samples that one call of `resample` gives of the whole, bit for bit."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.recordings.resample import resample, resampling
from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.streamer.streams.devices import Change, DeviceSet
from kinestream.streamer.streams.readings import Break, Laid, Lost, StepBack, Undelivered, WrongRate

LENGTH, STRIDE, RATE = 16, 4, 50
ORIGIN = 1_700_000_000_000_000_000
GRID = SampleGrid(ORIGIN, Fraction(RATE))
SECOND = 1_000_000_000


class Recorded:
    """A device's readings: its columns of four, taken at a rate with some jitter."""

    def __init__(self, name, rate_hz, columns, seconds, seed, *, begin_s=0.0, jitter_s=0.0):
        rng = np.random.default_rng(seed)
        count = round(seconds * rate_hz)
        at = begin_s + np.arange(count) / rate_hz + rng.uniform(0, jitter_s, count)
        self.name, self.rate_hz, self.columns = name, rate_hz, np.array(columns)
        self.times = ORIGIN + np.sort(np.round(at * SECOND).astype(np.int64))
        self.values = rng.normal(size=(count, len(columns))).astype(np.float32)

    def add_to(self, devices):
        return devices.add(self.name, self.rate_hz, DeviceColumns(self.columns, np.arange(len(self.columns)), None))

    def laid(self, first, count):
        return resample(self.times, self.values, GRID, first, count, resampling(self.rate_hz, GRID))

    def messages(self, rng, most):
        edges = np.unique([0, *rng.integers(1, len(self.times), len(self.times) // max(most // 2, 1)), len(self.times)])
        return [(int(a), self.times[a:b], self.values[a:b]) for a, b in itertools.pairwise(edges)]


def device_set(patience_ns=1 << 60):
    return DeviceSet(GRID, channels=4, length=LENGTH, stride=STRIDE, patience_ns=patience_ns)


def samples_of(outcomes):
    """Return the samples that were laid, and the first one's number."""
    laid = [outcome for outcome in outcomes if isinstance(outcome, Laid)]
    for before, after in itertools.pairwise(laid):
        assert after.first == before.first + len(before.rows)
    return laid[0].first, np.concatenate([each.rows for each in laid])


@given(
    rates=st.tuples(st.sampled_from([25, 49.6, 50, 52, 100, 200]), st.sampled_from([20, 50, 104])),
    seed=st.integers(0, 1 << 30),
    most=st.sampled_from([1, 5, 40]),
    patience=st.booleans(),
)
def test_any_cut_order_and_repetition_give_the_same_samples(rates, seed, most, patience):
    rng = np.random.default_rng(seed)
    recorded = [
        Recorded("phone", rates[0], [0, 1], 4, seed, jitter_s=0.005),
        Recorded("watch", rates[1], [2, 3], 4, seed + 1, begin_s=rng.uniform(0, 0.1), jitter_s=0.005),
    ]
    sent = [(message, i) for i, each in enumerate(recorded) for message in each.messages(rng, most)]
    # Until the first long one has come, nobody knows how long messages are.
    longest = max(int(times[-1] - times[0]) for (_, times, _), _ in sent)
    devices = device_set(longest + 300_000_000) if patience else device_set()
    of = [each.add_to(devices) for each in recorded]
    # Either in the order of time, delayed by up to 100 ms each, or in any order where everybody is waited for.
    delay = 100_000_000 if patience else 10 * SECOND
    sent.sort(key=lambda each: each[0][1][-1] + rng.integers(0, delay) if patience or each[0][0] else 0)
    sent += [sent[i] for i in rng.integers(0, len(sent), 5)]  # and some of it again
    outcomes = []
    for (seq, times, values), i in sent:
        outcomes += devices.take(of[i], seq, times, values)
    for device in of:
        outcomes += devices.end(device)
    first, rows = samples_of(outcomes)
    assert first == GRID.at_or_after(min(each.times[0] for each in recorded))
    whole = np.hstack([each.laid(first, len(rows)) for each in recorded])
    np.testing.assert_array_equal(rows, whole)
    assert len(rows) > 3.9 * RATE
    assert not [each for each in outcomes if not isinstance(each, Laid)]
    assert devices.counts.received == sum(len(times) for (_, times, _), _ in sent)
    assert devices.counts.duplicate == sum(len(times) for (_, times, _), _ in sent[-5:])


def played(devices, device, recorded, first=0, end=None, step=5):
    outcomes = []
    for at in range(first, len(recorded.times) if end is None else end, step):
        to = min(at + step, len(recorded.times) if end is None else end)
        outcomes += devices.take(device, at, recorded.times[at:to], recorded.values[at:to])
    return outcomes


def test_a_device_that_says_nothing_is_waited_for_as_long_as_patience():
    devices = device_set(300_000_000)
    phone = Recorded("phone", 100, [0, 1], 4, 0)
    Recorded("watch", 100, [2, 3], 4, 1).add_to(devices)
    outcomes = played(devices, phone.add_to(devices), phone)
    first, rows = samples_of(outcomes)
    assert first == 0
    assert np.isfinite(rows[1:, :2]).all()
    assert np.isnan(rows[:, 2:]).all()
    assert GRID.time(len(rows) - 1) <= phone.times[-1] - 300_000_000
    missing, changes = devices.look_at(rows[-LENGTH:])
    assert missing == {"phone": 0.0, "watch": 1.0}
    assert changes == [Change("watch", "silent", True, LENGTH - 1)]
    assert devices.look_at(rows[-LENGTH:])[1] == []


def test_what_is_lost_is_told_and_what_comes_after_that_is_late():
    devices = device_set(300_000_000)
    phone = Recorded("phone", 100, [0, 1, 2, 3], 4, 0)
    device = phone.add_to(devices)
    outcomes = played(devices, device, phone, 0, 100)
    outcomes += played(devices, device, phone, 110)
    assert [each for each in outcomes if isinstance(each, Lost)] == [Lost("phone", 100, 109)]
    devices.take(device, 100, phone.times[100:110], phone.values[100:110])
    assert devices.counts.late == 10
    assert not devices.counts.duplicate


def test_a_pause_with_numbers_that_go_on_is_a_seam():
    devices = device_set()
    phone = Recorded("phone", 100, [0, 1, 2, 3], 8, 0)
    phone.times[400:] += 60 * SECOND
    outcomes = played(devices, phone.add_to(devices), phone)
    (seam,) = [each for each in outcomes if isinstance(each, Break)]
    assert GRID.time(seam.last) <= phone.times[399] < GRID.time(seam.last + 1)
    assert GRID.time(seam.first - 1) < phone.times[400] <= GRID.time(seam.first)
    at = outcomes.index(seam)
    before = outcomes[at - 1]
    assert before.first + len(before.rows) == seam.last + 1  # nobody delivered anything for longer than a window
    assert outcomes[at + 1].first == seam.first


def test_a_clock_that_steps_back_is_told_once_and_samples_are_laid_behind_it():
    devices = device_set()
    phone = Recorded("phone", 100, [0, 1, 2, 3], 4, 0)
    phone.times += 3600 * SECOND  # no sample lies before the origin
    phone.times[200:] -= 1800 * SECOND
    outcomes = played(devices, phone.add_to(devices), phone)
    steps = [each for each in outcomes if isinstance(each, StepBack)]
    assert steps == [StepBack("phone", int(phone.times[199]), int(phone.times[200]))]
    at = outcomes.index(steps[0])
    assert all(GRID.time(each.first + len(each.rows) - 1) <= phone.times[199] for each in outcomes[:at])
    assert all(GRID.time(each.first) >= phone.times[200] for each in outcomes[at + 1 :])
    assert sum(len(each.rows) for each in outcomes[at + 1 :]) > 80


def test_twice_the_declared_rate_is_told_once_with_both_figures():
    devices = device_set()
    phone = Recorded("phone", 100, [0, 1, 2, 3], 20, 0)
    phone.rate_hz = 50
    outcomes = played(devices, phone.add_to(devices), phone)
    (rate,) = [each for each in outcomes if isinstance(each, WrongRate)]
    assert (rate.device, rate.declared) == ("phone", 50)
    assert rate.measured == pytest.approx(100, rel=0.01)
    assert not [each for each in outcomes if isinstance(each, Break)]


def test_nothing_is_laid_while_a_channel_has_no_device_and_that_is_told():
    devices = device_set()
    phone = Recorded("phone", 100, [0, 1], 25, 0)
    outcomes = played(devices, phone.add_to(devices), phone)
    assert outcomes == [Undelivered((2, 3))] * 2
    assert phone.add_to(devices).held == 0


def test_a_streamer_that_joins_late_lays_the_same_samples():
    phone = Recorded("phone", 200, [0, 1], 8, 0, jitter_s=0.004)
    watch = Recorded("watch", 100, [2, 3], 8, 1, jitter_s=0.004)

    def laid(skipped_s):
        devices = device_set()
        of = [(each.add_to(devices), each) for each in (phone, watch)]
        outcomes = []
        for at in range(round(skipped_s * 10), 80):
            for device, each in of:
                first, end = round(at * each.rate_hz / 10), round((at + 1) * each.rate_hz / 10)
                outcomes += devices.take(device, first, each.times[first:end], each.values[first:end])
        return samples_of(outcomes)

    first, rows = laid(0)
    later, part = laid(3.1)
    assert first == GRID.at_or_after(min(phone.times[0], watch.times[0]))
    rows = np.concatenate([np.zeros((first, 4), np.float32), rows])
    assert 3.1 * RATE <= later <= 3.1 * RATE + 3
    np.testing.assert_array_equal(part, rows[later : later + len(part)])


def test_no_sample_lies_before_the_origin_but_what_was_read_before_it_counts():
    each = Recorded("phone", 100, [0, 1, 2, 3], 4.0, 0, begin_s=-1.0)
    devices = device_set()
    device = each.add_to(devices)
    outcomes = devices.take(device, 0, each.times, each.values) + devices.end(device)
    first, samples = samples_of(outcomes)
    assert first == 0
    np.testing.assert_array_equal(samples, each.laid(0, len(samples)))
    assert np.isfinite(samples[0]).all()


def test_first_readings_that_come_when_those_behind_them_were_let_go_are_late():
    there = DeviceSet(SampleGrid(0, Fraction(50)), channels=2, length=64, stride=16)
    one, other = (
        there.add(name, 50.0, DeviceColumns(np.array([column]), np.zeros(1, np.intp), None))
        for column, name in enumerate("ab")
    )

    def laid(device, seq, first_ms, count):
        times = np.arange(count, dtype=np.int64) * 20_000_000 + first_ms * 1_000_000
        outcomes = []
        for at in range(count):
            outcomes += there.take(device, seq + at, times[at : at + 1], np.zeros((1, 1), np.float32))
        return any(isinstance(each, Laid) for each in outcomes)

    assert not laid(one, 5, 1000, 1)
    assert laid(other, 3, 2000, 200)  # from behind that reading on
    assert not laid(one, 2, 940, 2)
    assert laid(other, 203, 6000, 200)
    assert (there.counts.late, there.counts.received) == (3, 403)


def test_nothing_is_laid_at_the_end_while_a_channel_is_not_delivered():
    devices = device_set()
    phone = Recorded("phone", 100, [0, 1, 2], 3, 0)  # nobody delivers channel 3
    device = phone.add_to(devices)
    outcomes = played(devices, device, phone) + devices.end(device)
    assert not [each for each in outcomes if isinstance(each, Laid)]
