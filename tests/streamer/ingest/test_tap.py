"""Whoever watches a stream gets each reading that a session took, once, in the order in which it came."""

import numpy as np
import pytest

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.ingest.tap import PIECE_BYTES
from kinestream.streamer.wire.codec import encode_samples, encode_split
from kinestream.streamer.wire.messages import End
from kinestream.streamer.wire.tracked import encode_tracked
from kinestream.streamer.wire.watched import decode_watched
from tests.given.fed import take_in_bulk
from tests.given.keys import key_of
from tests.given.live import BUNDLE, about, feed, recognizer, samples, signal

PERIOD = 20_000_000
NOW = 1 << 60


def left(live):
    """Return the signals that have been kept."""
    live.infer()  # what waits for its turn
    return [decode_watched([*frames]) for frames in live.tap.leave(NOW, all_of_it=True)]


def numbers(signals):
    return [seq for each in signals for seq in range(each.first_seq, each.first_seq + each.size)]


def watched(*streams, wants=lambda stream: True):
    live = recognizer()
    live.tap.open(wants)
    for stream in streams:
        feed(live, about(stream))
    return live


def cut(x, sizes, stream="anna"):
    """Return the messages of samples, cut into pieces of these sizes again and again."""
    frames, seq, turn = [], 0, 0
    while seq < len(x):
        size = sizes[turn % len(sizes)]
        frames.append(samples(stream, 1, seq, x[seq : seq + size], (seq + min(size, len(x) - seq)) * PERIOD))
        seq, turn = seq + size, turn + 1
    return frames


@pytest.mark.parametrize("sizes", [(1,), (3, 1, 8), (7,), (100,)], ids=str)
def test_every_reading_once_however_messages_are_cut(sizes):
    live, x = watched("anna"), signal(200, missing=0.1)
    seen = []
    for frame in cut(x, sizes):
        assert take_in_bulk(live, [frame]) == {}
        if len(seen) % 3 == 0:
            seen += left(live)
    seen += left(live)
    assert numbers(seen) == list(range(200))
    np.testing.assert_array_equal(np.concatenate([each.readings for each in seen]), x)
    assert [each.message for each in seen] == list(range(len(seen)))
    assert seen[-1].t == 200 * PERIOD
    assert {each[:3] for each in seen} == {("anna", 1, "sensor")}
    assert seen[0].channels == BUNDLE.channels


def test_what_comes_together_leaves_in_one_piece_and_channels_are_told_now_and_then():
    live = watched("anna")
    take_in_bulk(live, cut(signal(60), (1,)))
    (one,) = left(live)
    assert (one.first_seq, one.size) == (0, 60)
    take_in_bulk(live, [samples("anna", 1, 60, signal(4), 64 * PERIOD)])
    (other,) = left(live)
    assert other.channels is None
    live.tap.open(lambda stream: True)  # somebody else listens, too
    take_in_bulk(live, [samples("anna", 1, 64, signal(4), 68 * PERIOD)])
    assert left(live)[0].channels == BUNDLE.channels


def test_large_messages_leave_in_pieces_each_with_its_own_time():
    live, x = watched("anna"), signal(3000)
    for _, frame in encode_split(key_of("anna"), 0, 3000 * PERIOD, x, float(PERIOD)):
        take_in_bulk(live, [frame])
    seen = left(live)
    assert len(seen) > 3
    assert max(len(each.values) for each in seen) <= PIECE_BYTES
    assert numbers(seen) == list(range(3000))
    for each in seen:
        assert each.t == (each.first_seq + each.size) * PERIOD


def test_what_is_sent_again_is_not_published_again_and_what_fills_a_hole_is():
    live, x = watched("anna"), signal(40)

    def send(first, end):
        take_in_bulk(live, [samples("anna", 1, first, x[first:end], end * PERIOD)])

    for first, end in [(0, 4), (2, 6), (0, 6), (10, 14), (12, 16), (6, 9), (6, 12), (16, 20), (16, 20)]:
        send(first, end)
    assert numbers(left(live)) == [*range(6), *range(10, 16), 6, 7, 8, 9, *range(16, 20)]


def test_a_new_session_and_numbers_that_begin_anew_are_published():
    live, x = watched("anna"), signal(16)
    take_in_bulk(live, cut(x, (4,)))
    feed(live, End(key_of("anna")))
    feed(live, about("anna", session=2))
    take_in_bulk(live, [samples("anna", 2, 0, x[:8], PERIOD)])
    seen = left(live)
    assert [(each.session, each.message) for each in seen] == [(1, 0), (2, 0)]
    assert numbers(seen) == [*range(16), *range(8)]


def test_readings_of_a_session_that_is_over_are_not_published():
    live, x = watched("anna"), signal(16)
    feed(live, about("anna", session=2))
    take_in_bulk(live, [samples("anna", 2, 0, x[:8]), samples("anna", 1, 0, x[:8])])
    assert {each.session for each in left(live)} == {2}


def test_only_streams_that_are_wanted_are_collected_and_nothing_while_nobody_is_there():
    live = watched("anna", "ben", wants=lambda stream: stream == "ben")
    frames = [samples(stream, 1, 0, signal(4)) for stream in ("anna", "ben", "carl")]
    take_in_bulk(live, frames)
    assert {each.stream for each in left(live)} == {"ben"}
    live.tap.open(lambda stream: stream == "anna")
    take_in_bulk(live, [samples(stream, 1, 4, signal(4)) for stream in ("anna", "ben")])
    (one,) = left(live)
    assert (one.stream, one.first_seq, one.message) == ("anna", 4, 0)
    live.tap.close()
    take_in_bulk(live, [samples("anna", 1, 8, signal(4))])
    assert left(live) == []


def test_samples_that_came_before_their_description_are_published_once_it_has_come():
    live, x = watched(), signal(12)
    take_in_bulk(live, cut(x, (4,)))
    assert left(live) == []
    feed(live, about("anna"))
    assert numbers(left(live)) == list(range(12))


def test_all_columns_are_published_in_the_order_they_are_sent_in():
    live = recognizer()
    live.tap.open(lambda stream: True)
    more = (Channel("other", "g"), *reversed(BUNDLE.channels))
    feed(live, about("anna", channels=more))
    x = np.arange(32, dtype=np.float32).reshape(8, 4)
    take_in_bulk(live, [encode_samples(key_of("anna"), 0, PERIOD, x)])
    (one,) = left(live)
    assert one.channels == more
    np.testing.assert_array_equal(one.readings, x)


def test_devices_with_times_are_published_with_them_also_where_they_are_reordered():
    live = recognizer()
    live.tap.open(lambda stream: True)
    feed(live, about("anna", timing="times", origin=1000, device="phone"))
    x, times = signal(90), 1000 + np.arange(90) * PERIOD
    order = [*range(0, 30, 3), 33, 30, 36, *range(39, 90, 3), 36, 45]
    for first in order:
        part = slice(first, first + 3)
        take_in_bulk(live, [encode_samples(key_of("anna"), first, int(times[first + 2]), x[part], times[part])])
    seen = left(live)
    found = numbers(seen)
    assert found == [*range(30), 33, 34, 35, 30, 31, 32, *range(36, 90)]
    np.testing.assert_array_equal(np.concatenate([each.moments for each in seen]), times[found])
    np.testing.assert_array_equal(np.concatenate([each.readings for each in seen]), x[found])
    assert {(each.timing, each.origin, each.device) for each in seen} == {("times", 1000, "phone")}


def test_a_counter_that_wraps_goes_on():
    live = recognizer()
    live.tap.open(lambda stream: True)
    feed(live, about("anna", timing="times", origin=0))
    x, times = signal(60), np.arange(60) * PERIOD
    for first in range(0, 60, 4):
        part = slice(first, first + 4)
        take_in_bulk(live, [encode_samples(key_of("anna"), first % 32, int(times[part][-1]), x[part], times[part])])
    assert np.concatenate([each.moments for each in left(live)]).tolist() == times.tolist()


def test_messages_that_are_acknowledged_are_published_like_others_and_once():
    live, x = watched("anna"), signal(80)
    tracked = [encode_tracked(key_of("anna"), number, 0, frame) for number, frame in enumerate(cut(x, (2,)))]

    def fallback(frame):
        live.tracking.take(frame, 0)

    live.take_frames(tracked[:30], 0, fallback)
    live.take_frames(tracked[20:], 0, fallback)  # sent again
    seen = left(live)
    assert numbers(seen) == list(range(80))
    np.testing.assert_array_equal(np.concatenate([each.readings for each in seen]), x)
