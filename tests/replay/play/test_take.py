"""Every sample of what is played leaves once, in order and when its time has come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.model.errors import SourceError
from kinestream.replay.play.take import schedule, takes_of
from tests.given.replayed import made_up

recordings = st.lists(
    st.tuples(st.integers(7, 60), st.sampled_from([10.0, 25.0, 30.0]), st.sampled_from([None, None, 7])),
    min_size=1,
    max_size=4,
).map(
    lambda shapes: [
        made_up(f"r{i}", samples, rate_hz=rate_hz, window=window) for i, (samples, rate_hz, window) in enumerate(shapes)
    ]
)


@given(recordings=recordings, loop=st.integers(1, 3), chunk=st.integers(1, 70))
def test_each_take_is_sent_whole_and_in_order(recordings, loop, chunk):
    takes = takes_of(recordings, first_session=10, loop=loop)
    departures = list(schedule(takes, chunk))
    for index, take in enumerate(takes):
        own = [departure for departure in departures if departure.take == index]
        covered = [sample for departure in own for sample in range(departure.first, departure.end)]
        assert covered == list(range(len(take.recording.samples)))
        assert all(departure.end - departure.first == chunk for departure in own[:-1])


@given(recordings=recordings, loop=st.integers(1, 3), chunk=st.integers(1, 70))
def test_messages_leave_in_the_order_of_their_last_samples(recordings, loop, chunk):
    takes = takes_of(recordings, first_session=10, loop=loop)
    departures = list(schedule(takes, chunk))
    due = [departure.due_s for departure in departures]
    assert due == sorted(due)
    for departure in departures:
        take = takes[departure.take]
        assert departure.due_s == take.start_s + (departure.end - 1) / take.recording.rate_hz


@given(recordings=recordings, loop=st.integers(1, 3))
def test_sessions_of_a_stream_count_up_and_follow_one_another_at_true_rate(recordings, loop):
    takes = takes_of(recordings, first_session=10, loop=loop)
    for recording in recordings:
        own = [take for take in takes if take.stream == recording.id]
        assert [take.session for take in own] == list(range(10, 10 + len(own)))
        lengths = np.cumsum([0, *(take.recording.seconds for take in own)])
        assert [take.start_s for take in own] == pytest.approx(lengths[:-1])


def test_a_part_of_a_recording_is_played_with_its_labels():
    recording = made_up(samples=100, rate_hz=10.0)
    (take,) = takes_of([recording], first_session=0, start_offset_s=2.0, duration_s=3.0)
    np.testing.assert_array_equal(take.recording.samples, recording.samples[20:50])
    np.testing.assert_array_equal(take.recording.labels, recording.labels[20:50])
    np.testing.assert_array_equal(take.recording.timestamps, recording.timestamps[20:50])


def test_windows_as_published_become_sessions_and_those_cut_in_two_are_left_out():
    recording = made_up(samples=40, rate_hz=10.0, window=8)
    takes = takes_of([recording], first_session=5, start_offset_s=0.9, duration_s=2.3)  # samples 9 to 32
    assert [take.session for take in takes] == [5, 6]
    np.testing.assert_array_equal(takes[0].recording.samples, recording.samples[16:24])
    np.testing.assert_array_equal(takes[1].recording.samples, recording.samples[24:32])


def test_a_recording_that_is_over_before_the_offset_is_left_out():
    takes = takes_of([made_up("a", 20), made_up("b", 100)], first_session=0, start_offset_s=1.0)
    assert [take.stream for take in takes] == ["b"]
    with pytest.raises(SourceError, match=r"the longest recording has 2\.0 s"):
        takes_of([made_up("a", 20), made_up("b", 100)], first_session=0, start_offset_s=3.0)


def test_a_recording_whose_id_names_no_stream_is_refused():
    with pytest.raises(SourceError, match="'a/b' cannot name a stream"):
        takes_of([made_up("a/b")], first_session=0)
