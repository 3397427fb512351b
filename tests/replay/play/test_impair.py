"""Each impairment does what it says, to whom it says, and the same again from the same seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.recording import Channel
from kinestream.replay.play import impair
from kinestream.replay.play.delivery import delivered
from kinestream.replay.play.impair import Impairments, Span
from tests.given.replayed import made_up

MS = 1_000_000
TIMES = np.arange(1000) * 10 * MS
RECORDING = made_up("a", 500)


def rng(seed=0):
    return np.random.default_rng(seed)


def device(name, rate_hz, numbers=None):
    count = round(10 * rate_hz)
    times = np.round(np.arange(count) / rate_hz * 1e9).astype(np.int64)
    values = np.arange(count, dtype=np.float32)[:, None]
    return DeviceReadings(name, rate_hz, (Channel(name),), times, values, numbers)


DEVICES = (device("phone", 102.0), device("watch", 49.6))


@given(st.integers(0, 100), st.integers(0, 1000))
def test_jitter_is_bounded_and_keeps_the_order(most_ms, seed):
    wrong = impair.jitter(TIMES, most_ms * MS, rng(seed))
    assert (np.diff(wrong) >= 0).all()
    assert np.abs(wrong - TIMES).max() <= most_ms * MS
    np.testing.assert_array_equal(wrong, impair.jitter(TIMES, most_ms * MS, rng(seed)))


def test_a_clock_drifts_from_when_it_was_right():
    wrong = impair.drift(TIMES, 200, 5_000 * MS)
    assert wrong[500] == 5_000 * MS
    assert wrong[0] == -1 * MS
    assert (wrong[-1] - TIMES[-1]) / 1e9 == pytest.approx(4.99 * 200e-6)


def test_a_burst_is_spread_back_from_the_stamp_of_its_last_reading():
    spans = impair.cut(np.arange(24), 12)
    times = TIMES[:24] + rng().integers(0, 3 * MS, 24)
    wrong = impair.burst(times, spans, 9 * MS)
    assert wrong[[11, 23]].tolist() == times[[11, 23]].tolist()
    assert np.diff(wrong[12:]).tolist() == [9 * MS] * 11


@given(st.lists(st.booleans(), min_size=1, max_size=100), st.integers(1, 20))
def test_a_message_holds_consecutive_numbers(there, most):
    numbers = np.flatnonzero([True, *there])
    spans = impair.cut(numbers, most)
    assert [reading for first, end in spans for reading in range(first, end)] == list(range(len(numbers)))
    for first, end in spans:
        assert 0 < end - first <= most
        assert numbers[end - 1] - numbers[first] == end - 1 - first


def test_the_first_message_is_never_lost_and_of_the_others_a_share():
    spans = [Span(i, i + 1) for i in range(2000)]
    kept = impair.drop(spans, 0.25, rng())
    assert kept[0] == spans[0]
    assert kept == sorted(set(kept) & set(spans))
    assert len(kept) == pytest.approx(1500, abs=100)
    assert impair.drop(spans, 0.0, rng()) == spans
    assert impair.drop(spans, 0.999999, rng())[0] == spans[0]


@given(st.integers(1, 50), st.floats(0, 0.99), st.floats(0, 0.99), st.integers(0, 1000))
def test_every_message_leaves_in_its_place_or_the_next(count, reordered, duplicated, seed):
    spans = [Span(i, i + 1) for i in range(count)]
    order = impair.disorder(spans, reordered, duplicated, rng(seed))
    assert {span for span, _ in order} == set(spans)
    leaves = [when for _, when in order]
    assert leaves == sorted(leaves)
    assert all(0 <= when.first - span.first <= 1 for span, when in order)
    assert len(order) <= 2 * count
    if not duplicated:
        assert len(order) == count


def test_shares_of_messages_are_as_asked():
    spans = [Span(i, i + 1) for i in range(3000)]
    order = impair.disorder(spans, 0.2, 0.1, rng())
    assert len(order) - 3000 == pytest.approx(300, abs=60)
    late = {span for span, when in order if when != span}
    assert len(late) == pytest.approx(500, abs=80)  # one that is overtaken does not overtake


@pytest.mark.parametrize("chunk", [1, 7])
def test_unimpaired_devices_send_everything_in_the_order_of_their_last_readings(chunk):
    sent = delivered(RECORDING, DEVICES, chunk, Impairments())
    assert sent.readings == sum(len(each.times) for each in DEVICES)
    ends = [sent.devices[message.device].times[message.end - 1] for message in sent.messages]
    assert ends == sorted(ends)
    np.testing.assert_allclose([message.leaves_s for message in sent.messages], np.array(ends) / 1e9)
    for one, other in zip(sent.devices, DEVICES, strict=True):
        np.testing.assert_array_equal(one.times, other.times)
        np.testing.assert_array_equal(one.numbers, np.arange(len(other.times)))


def test_what_was_really_lost_is_missing_from_the_numbers():
    numbers = np.delete(np.arange(40, 561), [100, 101])[:496]
    sent = delivered(RECORDING, (device("watch", 49.6, numbers),), 7, Impairments())
    np.testing.assert_array_equal(sent.devices[0].numbers, numbers - 40)
    (hole,) = [message for message in sent.messages if message.end == 100]
    assert hole.end - hole.first == 100 % 7


def test_the_same_seed_makes_the_same_and_another_does_not():
    worse = {"jitter_ms": 5, "drift_ppm": 200, "drop": 0.1, "reorder": 0.1, "duplicate": 0.1, "burst": 3}
    one, same, other = (delivered(RECORDING, DEVICES, 1, Impairments(**worse, seed=seed)) for seed in (1, 1, 2))
    assert one.messages == same.messages != other.messages
    for a, b in zip(one.devices, same.devices, strict=True):
        np.testing.assert_array_equal(a.times, b.times)
    fast, slow = (
        delivered(RECORDING, DEVICES, 1, Impairments(drift_ppm=500)).devices[i].times[-1] - DEVICES[i].times[-1]
        for i in (0, 1)
    )
    assert fast > 0 > slow


def test_lost_messages_leave_no_readings_behind():
    sent = delivered(RECORDING, DEVICES, 4, Impairments(drop=0.3, seed=5))
    assert sent.readings == sum(len(each.times) for each in sent.devices) < sum(len(each.times) for each in DEVICES)
    for one, other in zip(sent.devices, DEVICES, strict=True):
        np.testing.assert_array_equal(one.values[:, 0], one.numbers)
        np.testing.assert_array_equal(one.times, other.times[one.numbers])
