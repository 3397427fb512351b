"""What takes samples in bulk, in C or in Python: what it takes, where that lies, and whose it knows it to be."""

import importlib.util
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.streamer.ingest.taker import Due, new_taker
from kinestream.streamer.streams.arena import Lanes
from kinestream.streamer.wire.codec import encode_end, encode_samples
from kinestream.streamer.wire.messages import HEAD, MAX_BYTES, MAX_INT, ON_GRID
from tests.given.live import signal
from tests.given.takers import WAYS, each_way


class User:
    """Has a lane, and does not mind where it lies."""

    def move(self) -> None:
        pass


def open_lanes(count: int, capacity: int = 100, channels: int = 3) -> Lanes:
    """Return an arena whose first lanes expect sample 0 and complete a window with the last they have room for."""
    lanes = Lanes(capacity, channels)
    for _ in range(count):
        lane = lanes.open(User())
        lanes.high[lane], lanes.end[lane] = 0, capacity - 1
    return lanes


def taken(taker, frames, begin=0) -> tuple[int, Due]:
    due: Due = []
    return taker.take(frames, begin, due, []), due


@each_way
def test_what_is_taken_lies_in_its_lane_and_nowhere_else(way):
    lanes, x = open_lanes(3, capacity=8), signal(8)
    lanes.rows[:] = 0
    taker = way(lanes)
    taker.put(5, 1)
    assert taken(taker, [encode_samples(5, 0, 7, x[:3]), encode_samples(5, 3, 9, x[3:8])]) == (2, [(1, 9)])
    np.testing.assert_array_equal(lanes.rows[1], x)
    assert not lanes.rows[[0, 2]].any()
    assert (lanes.high[1], lanes.at[1]) == (8, 16)
    assert taken(taker, [encode_samples(5, 8, 9, x[:1])]) == (0, [])  # before the window was cut
    assert taken(taker, [encode_samples(5, 8, 9, x[:1])], begin=1) == (1, [])
    assert taken(taker, []) == (0, [])


@each_way
def test_it_stops_at_the_first_that_it_leaves_alone(way):
    lanes, x = open_lanes(2), signal(9)
    taker = way(lanes)
    taker.put(0, 0)
    taker.put((1 << 64) - 1, 1)
    follow = [encode_samples(key, seq, 0, x[:1]) for seq in range(3) for key in (0, (1 << 64) - 1)]
    others = [
        encode_samples(1, 0, 0, x[:1]),  # a key that is not known
        encode_samples(0, 3, 0, np.zeros((1, 4), np.float32)),
        encode_samples(0, 3, 0, x[:1], np.array([5])),
        encode_samples(0, 4, 0, x[:1]),
        encode_samples(0, 2, 0, x[:2]),
        encode_samples(0, 3, 0, x[:1])[:-1],
        encode_samples(0, 3, 0, x[:1]) + b"\0",
        HEAD.pack(ON_GRID, 0, 0, 3, 0),
        HEAD.pack(ON_GRID, 0, 0, 3, 0) + bytes(12),
        HEAD.pack(ON_GRID, (1 << 32) - 1, 0, 3, 0) + bytes(12),
        HEAD.pack(ON_GRID, 1, 0, 3, -1) + bytes(12),
        HEAD.pack(ON_GRID, 1, 0, 3, MAX_INT) + bytes(12),
        HEAD.pack(b"KS\x03\x01", 1, 0, 3, 0) + bytes(12),
        b"",
        b"KS",
        encode_end(0),
    ]
    assert taken(taker, follow) == (6, [])
    for other in others:
        assert taken(taker, [other]) == (0, []), other
    assert lanes.high[:2].tolist() == [3, 3]
    assert taken(taker, [encode_samples(0, 3, 0, x[:1]), others[0], encode_samples(0, 4, 0, x[:1])]) == (1, [])


@each_way
def test_nothing_larger_than_a_message_may_be_is_taken(way):
    lanes = open_lanes(1, capacity=MAX_BYTES, channels=1)
    taker = way(lanes)
    taker.put(1, 0)
    most = (MAX_BYTES - HEAD.size) // 4
    rows = np.ones((most + 1, 1), np.float32)
    assert taken(taker, [encode_samples(1, 0, 0, rows)]) == (0, [])
    assert taken(taker, [encode_samples(1, 0, 0, rows[:most])]) == (1, [])


@each_way
def test_the_largest_number_is_below_what_there_is_room_for(way):
    lanes = open_lanes(1)
    taker = way(lanes)
    taker.put(1, 0)
    lanes.high[0], lanes.end[0] = MAX_INT - 2, MAX_INT
    x = signal(2)
    assert taken(taker, [encode_samples(1, MAX_INT - 2, MAX_INT - 1, x)]) == (0, [])
    assert taken(taker, [encode_samples(1, MAX_INT - 2, MAX_INT - 1, x[:1])]) == (1, [])
    assert taken(taker, [encode_samples(1, MAX_INT - 1, MAX_INT - 1, x[:1])]) == (0, [])


@each_way
def test_it_follows_an_arena_that_grows_before_and_between(way):
    lanes, x = open_lanes(3), signal(9)
    taker = way(lanes)  # the arena has its first lanes already
    taker.put(1, 2)
    assert taken(taker, [encode_samples(1, 0, 0, x[:4])]) == (1, [])
    before = lanes.rows
    for _ in range(40):
        lane = lanes.open(User())
    lanes.high[lane], lanes.end[lane] = 0, 50
    taker.put(2, lane)
    assert lanes.rows is not before
    assert taken(taker, [encode_samples(1, 4, 0, x[4:9]), encode_samples(2, 0, 0, x[:5])]) == (2, [])
    np.testing.assert_array_equal(lanes.rows[2, :9], x)
    np.testing.assert_array_equal(lanes.rows[lane, :5], x[:5])


any_key = st.one_of(st.integers(0, 40), st.integers(0, 40).map(lambda k: k << 58), st.integers(0, (1 << 64) - 1))


@given(st.lists(st.tuples(st.sampled_from(["put", "put", "drop", "take"]), any_key, st.integers(0, 19)), max_size=200))
@settings(max_examples=100)
def test_keys_are_put_and_dropped_as_in_a_dictionary(steps):
    arenas = [open_lanes(20, capacity=1000) for _ in WAYS]
    takers = [way(lanes) for way, lanes in zip(WAYS, arenas, strict=True)]
    known: dict[int, int] = {}
    for what, key, lane in steps:
        if what == "put":
            known[key] = lane
            for taker in takers:
                taker.put(key, lane)
        elif what == "drop":
            known.pop(key, None)
            for taker in takers:
                taker.drop(key)
        else:
            at = known.get(key)
            for taker, lanes in zip(takers, arenas, strict=True):
                before = lanes.high[at] if at is not None else 0
                assert taken(taker, [encode_samples(key, int(before), 0, signal(1))])[0] == (at is not None)
                assert at is None or lanes.high[at] == before + 1


@each_way
def test_keys_that_come_and_go_by_the_hundred_thousand_are_found_and_nothing_else(way):
    lanes = open_lanes(1, capacity=2_000)
    taker, rng, x = way(lanes), random.Random(3), signal(1)
    known: set[int] = set()
    for turn in range(400):
        for _ in range(500 if turn % 40 < 30 else 0):  # a crowd comes, and is gone again
            key = rng.getrandbits(64) if turn % 2 else turn << 20 | rng.getrandbits(12)
            known.add(key)
            taker.put(key, 0)
        gone = rng.sample(sorted(known), (len(known) + 1) // 2)
        known -= set(gone)
        for key in gone:
            taker.drop(key)
            taker.drop(key)  # it need not be known
        for key in [*gone[:1], *sorted(known)[:1]]:
            frame = encode_samples(key, int(lanes.high[0]), 0, x)
            assert taken(taker, [frame])[0] == (key in known)
    assert lanes.high[0] > 200


def test_the_quickest_way_is_the_one_that_is_used():
    assert type(new_taker(open_lanes(1))) is WAYS[-1]


def test_a_compiled_way_refuses_what_would_write_elsewhere():
    _take = pytest.importorskip("kinestream.streamer.ingest._take")
    lanes = open_lanes(2)
    taker = _take.new(12, 1)
    with pytest.raises(ValueError, match="from 1 byte"):
        _take.new(0, 1)
    with pytest.raises(ValueError, match="lanes count from 0"):
        _take.put(taker, 1, -1)
    with pytest.raises(ValueError, match="for every lane"):
        _take.attach(taker, lanes.rows, lanes.high, lanes.end, lanes.at[:1].copy())
    with pytest.raises(TypeError, match="three lists and an index"):
        _take.take(taker, (), 0, [], [])
    with pytest.raises(TypeError, match="three lists and an index"):
        _take.take(taker, [], -1, [], [])
    with pytest.raises(ValueError, match="PyCapsule"):
        _take.take(object(), [], 0, [], [])
    _take.put(taker, 1, 10_000)  # a lane that there is none of
    frame = encode_samples(1, 0, 0, signal(1))
    assert _take.take(taker, [frame], 0, [], []) == 0  # no arena yet
    _take.attach(taker, lanes.rows, lanes.high, lanes.end, lanes.at)
    assert _take.take(taker, [frame, None, 3], 0, [], []) == 0
    _take.put(taker, 1, 0)
    lanes.at[0] = len(lanes.rows) * lanes.capacity  # marks that somebody spoilt
    assert _take.take(taker, [frame], 0, [], []) == 0
    lanes.at[0] = -1
    assert _take.take(taker, [frame], 0, [], []) == 0
    lanes.at[0] = 0
    assert _take.take(taker, [frame, None, 3], 0, [], []) == 1


def test_what_was_compiled_for_another_version_of_the_wire_is_refused(monkeypatch):
    _take = pytest.importorskip("kinestream.streamer.ingest._take")
    monkeypatch.setattr(_take, "KINDS", (b"KS\x03\x01", b"KS\x03\x02"))
    spec = importlib.util.find_spec("kinestream.streamer.ingest.taker")
    with pytest.raises(RuntimeError, match="compile it again"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
