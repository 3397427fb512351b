"""Bursts come out as they were taken, and never out of order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.recordings.bursts import spread

MS = 1_000_000


def test_bursts_of_twelve_come_out_as_they_were_taken():
    taken = 5_000 * MS + np.arange(48) * 20 * MS
    stamps = np.repeat(taken[11::12], 12)
    assert (spread(stamps, 20 * MS) == taken).all()


def test_a_burst_in_too_little_time_fills_that_time():
    stamps = np.array([100, 130, 130, 130])
    assert spread(stamps, 20).tolist() == [100, 110, 120, 130]
    assert spread(stamps[1:], 20, after=100).tolist() == [110, 120, 130]
    assert spread(stamps[1:], 20).tolist() == [90, 110, 130]


def test_a_burst_behind_a_step_back_begins_anew():
    assert spread(np.array([1000, 500, 500, 500]), 20).tolist() == [1000, 460, 480, 500]
    assert spread(np.array([500, 500]), 20, after=1000).tolist() == [480, 500]


def test_nothing_stays_nothing():
    assert spread(np.zeros(0, np.int64), 20).tolist() == []


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(12, 10**9)), min_size=1, max_size=20),
    st.integers(1, 10**8),
)
def test_bursts_stay_in_order_and_cut_between_bursts_give_the_same(bursts, period):
    counts, steps = zip(*bursts, strict=True)
    stamps = np.repeat(np.cumsum(steps), counts)
    whole = spread(stamps, period)
    assert (np.diff(whole) > 0).all()
    assert (whole <= stamps).all()
    ends = np.cumsum(counts)
    assert (whole[ends - 1] == stamps[ends - 1]).all()
    cut = ends[len(ends) // 2]
    rest = spread(stamps[cut:], period, after=int(stamps[cut - 1]))
    assert np.concatenate([spread(stamps[:cut], period), rest]).tolist() == whole.tolist()
