"""Seams are found in what was recorded as the streamer finds them in what comes."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.model.recordings.seams import sift
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.readings import Break

GRID = SampleGrid(0, exact_rate(50.0))
STRIDE = 16
STRIDE_NS = STRIDE * GRID.period_ns
ONLY = np.zeros(1, np.intp)


def delivered(rate_hz, numbers, pauses_s):
    """Return a device of these numbers, with uncounted pauses before some of them."""
    times = np.rint(numbers * 1e9 / rate_hz).astype(np.int64)
    for at, pause_s in pauses_s:
        times[at:] += round(pause_s * 1e9)
    values = np.arange(len(times), dtype=np.float32)[:, None]
    return DeviceReadings("phone", rate_hz, (Channel("x"),), times, values, numbers)


def messages(numbers, longest):
    """Return which readings are sent together: those of consecutive numbers, so many at most."""
    ends = np.append(np.flatnonzero(np.diff(numbers) > 1) + 1, len(numbers)).tolist()
    begins = [0, *ends[:-1]]
    return [
        slice(at, min(at + longest, end))
        for begin, end in zip(begins, ends, strict=True)
        for at in range(begin, end, longest)
    ]


def test_losses_take_their_time_and_pauses_part():
    numbers = np.delete(np.arange(1000), np.r_[200:280])
    assert sift(delivered(100.0, numbers, []), STRIDE_NS).behind == []
    device = delivered(100.0, numbers, [(500, 0.5)])
    assert sift(device, STRIDE_NS).behind == [int(device.times[500])]
    assert sift(delivered(100.0, numbers, [(500, 0.3)]), STRIDE_NS).behind == []


def test_a_steady_rate_that_is_wrong_is_no_seam_after_a_while():
    numbers = np.delete(np.arange(2000), np.r_[1000:1200])
    device = delivered(100.0, numbers, [])
    half = DeviceReadings("phone", 50.0, device.channels, device.times, device.values, numbers)  # it declares half
    assert sift(half, STRIDE_NS).behind == []
    early = DeviceReadings("phone", 50.0, device.channels, device.times[800:], device.values[800:], numbers[800:])
    assert len(sift(early, STRIDE_NS).behind) == 1


def test_of_irregular_readings_nothing_says_how_long_they_take():
    device = delivered(100.0, np.arange(1000), [(500, 5.0)])
    assert sift(DeviceReadings("phone", 0.0, device.channels, device.times, device.values), STRIDE_NS).behind == []


@given(
    rate_hz=st.sampled_from([20.0, 49.6, 104.0]),
    pauses=st.lists(st.tuples(st.integers(1, 999), st.floats(0.5, 4.0)), max_size=4),
    lost=st.lists(st.tuples(st.integers(1, 900), st.integers(1, 40)), max_size=4),
    longest=st.sampled_from([1, 7, 60, 600]),
)
@example(104.0, [(90, 1.0), (91, 4.0), (92, 4.0)], [(92, 5)], 1)  # it ends before its numbers reach those times
def test_the_streamer_finds_the_same(rate_hz, pauses, lost, longest):
    numbers = np.delete(np.arange(1000), np.concatenate([np.empty(0, int), *(np.r_[a : a + n] for a, n in lost)]))
    device = delivered(rate_hz, numbers, [(min(at, len(numbers) - 1), pause_s) for at, pause_s in pauses])
    there = DeviceSet(GRID, channels=1, length=64, stride=STRIDE)
    live = there.add("phone", rate_hz, DeviceColumns(ONLY, ONLY, None))
    outcomes = []
    for part in messages(numbers, longest):
        outcomes += there.take(live, int(numbers[part.start]), device.times[part], device.values[part])
    outcomes += there.end(live)
    sifted = sift(device, STRIDE_NS)
    end = GRID.at_or_after(int(device.times[sifted.kept][-1]) + 1)  # behind the last sample nothing begins
    found = [each.first for each in outcomes if isinstance(each, Break) and each.first < end]
    assert found == [first for behind in sifted.behind if (first := GRID.at_or_after(behind)) < end]


def test_a_wrong_time_is_left_out_and_one_that_another_confirms_is_not():
    device = delivered(50.0, np.arange(1000), [])
    device.times[500] += 400_000_000
    device.times[800:] += 400_000_000
    found = sift(device, STRIDE_NS)
    assert np.flatnonzero(~found.kept).tolist() == [500]
    assert found.behind == [int(device.times[800])]
