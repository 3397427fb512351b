"""Readings are mapped to when they were taken, over delays, bursts, stalls and drifts; steps are told."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.recordings.clocks import CLOCK, COUNTER, SECOND, ClockMap, Step
from kinestream.model.recordings.counters import CounterMap, unwrap
from kinestream.model.recordings.envelope import Drift, Point, line_below
from kinestream.model.recordings.recordedclock import map_recording

MS = 1_000_000
NOW = 1_764_000_000 * SECOND
LEAST = 20 * MS
RATE = 50

Times = npt.NDArray[np.int64]


@dataclass
class Simulated:
    """What a device's readings carry, and when they were really taken and arrived."""

    taken: Times
    device: Times
    arrivals: Times
    burst: int

    def mapped(self, clock: ClockMap) -> tuple[Times, list[Step]]:
        """Return what becomes of them live, with steps counted from the first reading."""
        times, steps = [], []
        for begin in range(0, len(self.device), self.burst):
            part = self.device[begin : begin + self.burst]
            some, told = clock.take(part, int(self.arrivals[begin]))
            times.append(some)
            steps += [Step(begin + step.index, step.amount_ns) for step in told]
        return np.concatenate(times), steps


def simulated(
    *,
    drift: float = 0.0,
    seconds: int = 100,
    rate: int = RATE,
    burst: int = 1,
    seed: int = 0,
    stall: tuple[int, int] = (0, 0),
) -> Simulated:
    """Delay each burst by 20 to 50 ms, and hold back what would arrive during a stall."""
    rng = np.random.default_rng(seed)
    count = seconds * rate // burst * burst
    since = np.arange(count) * SECOND // rate
    arrivals = since[burst - 1 :: burst] + rng.integers(LEAST, 50 * MS, count // burst)
    held = (arrivals >= stall[0] * SECOND) & (arrivals < stall[1] * SECOND)
    arrivals[held] = stall[1] * SECOND + np.arange(held.sum()) * MS
    arrivals = np.repeat(np.maximum.accumulate(arrivals), burst)
    device = np.rint(since * (1 + drift)).astype(np.int64) + 77 * SECOND
    return Simulated(NOW + since, device, NOW + arrivals, burst)


def errors(times: Times, made: Simulated) -> npt.NDArray[np.float64]:
    """Return how late readings are taken to be, beyond the least delay, in ms."""
    return (times - made.taken - LEAST) / MS


@pytest.mark.parametrize("burst", [1, 12])
@pytest.mark.parametrize("drift", [0.0, 200e-6, -200e-6, 450e-6])
def test_a_drifting_clock_is_mapped_within_20_ms_at_once_and_2_ms_later(drift, burst):
    made = simulated(drift=drift, burst=burst)
    times, steps = made.mapped(ClockMap())
    late = errors(times, made)
    assert not steps
    assert (np.diff(times) > 0).all()
    assert np.abs(late).max() < 30  # of which there are few in the first second
    assert np.abs(late[2 * RATE :]).max() < 20
    assert np.abs(late[40 * RATE :]).max() < 2


@pytest.mark.parametrize("burst", [1, 12])
@pytest.mark.parametrize("drift", [0.0, 0.008, -0.008, 0.02, -0.02])
def test_a_counter_of_another_rate_is_mapped_within_50_ms_at_once_and_2_ms_later(drift, burst):
    made = simulated(drift=drift, burst=burst)
    times, steps = made.mapped(ClockMap(COUNTER))
    late = errors(times, made)
    assert not steps
    assert (np.diff(times) > 0).all()
    assert np.abs(late[2 * RATE :]).max() < (20 if abs(drift) < 0.01 else 50)
    assert np.abs(late).max() < 50
    assert np.abs(late[15 * RATE :]).max() < 5
    assert np.abs(late[40 * RATE :]).max() < 2


@pytest.mark.parametrize(("kind", "drift"), [(CLOCK, -200e-6), (CLOCK, 200e-6), (COUNTER, 0.008), (COUNTER, -0.008)])
@pytest.mark.parametrize("start", [12, 40, 80])
def test_a_stall_of_17_s_moves_nothing(kind: Drift, drift: float, start: int):
    made = simulated(drift=drift, stall=(start, start + 17))
    times, steps = made.mapped(ClockMap(kind))
    late = errors(times, made)
    assert not steps
    assert np.abs(late[2 * RATE :]).max() < 20
    assert np.abs(late[40 * RATE :]).max() < 5


def test_a_stall_at_the_very_start_is_forgotten():
    made = simulated(stall=(0, 17))
    times, _ = made.mapped(ClockMap())
    assert np.abs(errors(times, made)[20 * RATE :]).max() < 20


def test_a_known_delay_is_taken_off():
    made = simulated()
    plain, _ = made.mapped(ClockMap())
    corrected, _ = made.mapped(ClockMap(delay_ns=LEAST))
    assert (plain - corrected == LEAST).all()


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("burst", [1, 12])
def test_a_clock_that_steps_by_an_hour_is_told_where_it_does(hours, burst):
    made = simulated(burst=burst)
    at = 60 * RATE // burst * burst + 5
    made.device[at:] += hours * 3600 * SECOND
    times, steps = made.mapped(ClockMap())
    assert [step.index for step in steps] == [at]
    assert steps[0].amount_ns == pytest.approx(hours * 3600 * SECOND, abs=200 * MS)
    late = errors(times, made)
    assert np.abs(late[4 * RATE : steps[0].index]).max() < 20
    assert np.abs(late[steps[0].index + 2 * RATE :]).max() < 20


def test_a_pause_of_a_minute_that_a_device_does_not_count_is_told_at_once():
    made = simulated()
    made.taken[60 * RATE :] += 60 * SECOND
    made.arrivals[60 * RATE :] += 60 * SECOND
    times, steps = made.mapped(ClockMap())
    assert [step.index for step in steps] == [60 * RATE]
    assert steps[0].amount_ns == pytest.approx(-60 * SECOND, abs=100 * MS)
    assert np.abs(errors(times, made)[62 * RATE :]).max() < 20


def test_a_pause_shorter_than_a_stall_is_told_after_a_minute():
    made = simulated(seconds=200)
    made.taken[60 * RATE :] += 10 * SECOND
    made.arrivals[60 * RATE :] += 10 * SECOND
    times, steps = made.mapped(ClockMap())
    assert len(steps) == 1
    assert made.taken[steps[0].index] - made.taken[60 * RATE] == pytest.approx(60 * SECOND, abs=SECOND)
    assert np.abs(errors(times, made)[steps[0].index + 2 * RATE :]).max() < 20


@pytest.mark.parametrize("drift", [0.0, 200e-6, -200e-6])
def test_a_pause_that_a_drifting_clock_counts_is_no_step(drift):
    made = simulated(drift=drift)
    made.taken[60 * RATE :] += 600 * SECOND
    made.arrivals[60 * RATE :] += 600 * SECOND
    made.device[60 * RATE :] += round(600 * SECOND * (1 + drift))
    times, steps = made.mapped(ClockMap())
    assert not steps
    assert np.abs(errors(times, made)[2 * RATE :]).max() < 20


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-400e-6, 400e-6), st.integers(1, 20))
def test_times_never_decrease(seed, drift, burst):
    made = simulated(seed=seed, drift=drift, burst=burst, seconds=30, rate=20, stall=(5, 9))
    times, _ = made.mapped(ClockMap())
    assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_counter_goes_on_where_it_wraps(bits):
    numbers = np.arange(300, dtype=np.int64) * 3 + (1 << bits) - 100
    counts = numbers % (1 << bits)
    assert (unwrap(counts, bits) - counts[0] == numbers - numbers[0]).all()
    assert unwrap(counts[100:], bits, after=int(numbers[99])).tolist() == numbers[100:].tolist()
    assert unwrap(counts[:0], bits).tolist() == []


@given(st.lists(st.integers(-100, 120), min_size=1, max_size=50), st.integers(0, 49))
def test_a_counter_may_be_cut_anywhere(steps, cut):
    numbers = 1000 + np.cumsum(steps)
    whole = unwrap(numbers % 256, 8, after=1000)
    assert whole.tolist() == numbers.tolist()
    first = unwrap(numbers[:cut] % 256, 8, after=1000)
    rest = unwrap(numbers[cut:] % 256, 8, after=int(first[-1]) if len(first) else 1000)
    assert [*first.tolist(), *rest.tolist()] == whole.tolist()


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_readings_numbered_by_a_counter_that_wraps_are_mapped(bits):
    made = simulated(drift=0.004)
    counts = np.arange(len(made.device)) % (1 << bits)
    clock = CounterMap(SECOND * 1004 // (1000 * RATE), bits)
    kept = np.random.default_rng(1).random(len(counts)) > 0.05  # lost on the way
    times, steps = np.zeros(len(counts), np.int64), []
    for at in np.flatnonzero(kept):
        times[at : at + 1], told = clock.take(counts[at : at + 1], int(made.arrivals[at]))
        steps += told
    late = errors(times, made)[kept]
    assert not steps
    assert np.abs(late).max() < 30
    assert np.abs(late[40 * RATE :]).max() < 2


def test_a_pause_in_which_a_narrow_counter_went_round_is_told():
    made = simulated()
    counts = np.arange(len(made.device)) % 256
    clock = CounterMap(SECOND // RATE, 8)
    for at in range(30 * RATE):
        clock.take(counts[at : at + 1], int(made.arrivals[at]))
    times, steps = clock.take(counts[40 * RATE : 40 * RATE + 1], int(made.arrivals[40 * RATE]))
    assert [step.index for step in steps] == [0]
    assert abs(int(times[0]) - made.taken[40 * RATE] - LEAST) < 50 * MS


def test_a_counter_that_starts_anew_is_told():
    made = simulated()
    clock = CounterMap(SECOND // RATE, 16)
    for at in range(30 * RATE):
        _, steps = clock.take(np.array([at]), int(made.arrivals[at]))
        assert not steps
    times, steps = clock.take(np.array([0]), int(made.arrivals[30 * RATE]))
    assert [step.index for step in steps] == [0]
    assert abs(int(times[0]) - made.taken[30 * RATE] - LEAST) < 50 * MS


@pytest.mark.parametrize(("kind", "drift"), [(CLOCK, 200e-6), (COUNTER, 0.008), (COUNTER, -0.02)])
def test_a_recording_is_mapped_from_its_first_reading_on(kind, drift):
    made = simulated(drift=drift, stall=(40, 57))
    times, steps = map_recording(made.device, made.arrivals, kind)
    assert not steps
    assert (np.diff(times) >= 0).all()
    assert np.abs(errors(times, made)).max() < 3
    live, _ = made.mapped(ClockMap(kind))
    assert np.abs(live - times)[60 * RATE :].max() < 5 * MS


@pytest.mark.parametrize("hours", [1, -1])
def test_a_step_in_a_recording_is_told(hours):
    made = simulated()
    made.device[60 * RATE :] += hours * 3600 * SECOND
    made.device[80 * RATE :] += hours * 3600 * SECOND
    times, steps = map_recording(made.device, made.arrivals, delay_ns=LEAST)
    assert [step.index for step in steps] == [60 * RATE, 80 * RATE]
    assert all(step.amount_ns == pytest.approx(hours * 3600 * SECOND, abs=10 * MS) for step in steps)
    assert np.abs(errors(times + LEAST, made)).max() < 10


def test_a_pause_that_is_not_counted_is_told_in_a_recording():
    made = simulated()
    made.arrivals[60 * RATE :] += 10 * SECOND
    assert [step.index for step in map_recording(made.device, made.arrivals)[1]] == [60 * RATE]


def test_recordings_of_no_length_and_of_one_reading():
    nothing = np.zeros(0, np.int64)
    assert map_recording(nothing, nothing)[0].tolist() == []
    assert map_recording(np.array([5]), np.array([NOW]))[0].tolist() == [NOW]
    assert ClockMap().take(nothing, NOW)[0].tolist() == []


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40), st.floats(-1e-3, 1e-3))
def test_the_line_lies_below_all_points_and_touches_one(delays, slope):
    points = [Point(at * 5e8, slope * at * 5e8 + delay, at * 5e8) for at, delay in enumerate(delays)]
    tilt, height = line_below(points, 2e-3)
    above = np.array([point.offset - tilt * point.device - height for point in points])
    assert above.min() == pytest.approx(0, abs=1e-3)
    assert abs(tilt) <= 2e-3
