"""Samples taken in bulk, in C or in Python, leave exactly what taking each message alone would have left."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.streamer.wire.codec import encode_end
from kinestream.streamer.wire.messages import End, Label
from tests.given.fed import take_in_bulk
from tests.given.keys import key_of
from tests.given.live import BUNDLE, about, feed, forget, recognizer, samples, signal
from tests.given.takers import each_way
from tests.streamer.ingest.compare import Comparison, recognizer_of, stopped_clock
from tests.streamer.ingest.fuzz import fuzz
from tests.streamer.ingest.moves import MOVES, Senders

OFTEN = ["follow", "tracked", "worn follow", "worn tracked"]
OTHERS = sorted(MOVES.keys() - set(OFTEN))
numbers = st.integers(0, (1 << 20) - 1)
few, many = st.integers(0, 2), st.integers(0, 47)


def moves(who: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[str, int, int]]:
    """Return moves of which half are what nearly all are: the next samples."""
    kinds = st.one_of(st.sampled_from(OFTEN), st.sampled_from([*OFTEN, *OTHERS]))
    return st.tuples(kinds, who, numbers)


@given(
    described=st.integers(0, 3), moves=st.lists(moves(few), max_size=60), sizes=st.lists(st.integers(1, 40), min_size=1)
)
@settings(max_examples=150)
def test_it_makes_no_difference(described, moves, sizes):
    check(described, moves, sizes)


@given(
    described=st.integers(0, 48),
    moves=st.lists(moves(many), min_size=20, max_size=200),
    sizes=st.lists(st.integers(1, 200), min_size=1),
)
@settings(max_examples=50)
def test_it_makes_no_difference_with_many_streams(described, moves, sizes):
    """So many that the arena must grow in between: each stream that is described takes a lane."""
    check(described, moves, sizes)


def check(described: int, moves: list[tuple[str, int, int]], sizes: list[int]) -> None:
    senders, ways = Senders(), Comparison()
    first_of_all = [(kind, who, 0) for who in range(described) for kind in ("describe", "worn describe")]
    frames = senders.frames(first_of_all + moves)
    with stopped_clock():
        first, turn = 0, 0
        while first < len(frames):
            part = frames[first : first + sizes[turn % len(sizes)]]
            ways.give(part)
            ways.check()
            first, turn = first + len(part), turn + 1
        ways.end()


@pytest.mark.parametrize("kind", OTHERS)
def test_every_kind_of_move_makes_no_difference_between_samples_that_follow(kind):
    rng = random.Random(kind)
    follows = [("follow", who, number) for who in range(3) for number in range(9)]
    rng.shuffle(follows)
    check(
        3, [each for follow in follows * 3 for each in (follow, (kind, rng.randrange(3), rng.randrange(1 << 20)))], [7]
    )


def test_a_short_fuzz_finds_no_difference():
    """`python -m tests.streamer.ingest.fuzz` has its long form."""
    *_, (sent, ways, totals) = fuzz(10_000, seed=1)
    assert sent >= 10_000
    assert sent > ways.taken_in_bulk > sent / 5
    assert ways.outcomes > 500
    for what in ("late", "duplicate", "unfinished", "closed_session"):
        assert totals[f"samples_{what}"] > 0
    assert totals["messages_refused"] > 0
    assert totals["messages_waiting"] + totals["messages_undeclared"] > 0
    assert totals["sessions"] > 50


@each_way
def test_all_that_simply_comes_next_is_taken_undecoded(way):
    live, decoded = recognizer_of(way), []
    feed(live, about("a"))

    def fallback(frame: bytes) -> None:
        decoded.append(frame)
        assert take_in_bulk(live, [frame]) == {}

    def take(*frames: bytes) -> int:
        decoded.clear()
        live.take_frames(list(frames), 1, fallback)
        return len(decoded)

    x = signal(400)
    assert take(*(samples("a", 1, seq, x[seq : seq + 1]) for seq in range(20))) == 1  # the first begins the session
    assert take(*(samples("a", 1, seq, x[seq : seq + 4]) for seq in range(20, 36, 4))) == 0
    assert take(samples("a", 1, 36, x[36:41])) == 1  # a window ends within it
    assert take(samples("a", 1, 41, x[41:44]), samples("a", 1, 44, x[44:48])) == 0
    assert take(samples("a", 1, 47, x[47:48])) == 1  # it came before
    assert take(samples("a", 1, 48, x[48:49]), encode_end(key_of("a")), samples("a", 1, 49, x[49:50])) == 2
    labels = [out for out in live.infer() if isinstance(out, Label)]
    assert [label.window for label in labels] == list(range(11))


@each_way
def test_what_waits_for_its_turn_is_not_overtaken(way):
    live, x = recognizer_of(way), signal(60)
    feed(live, about("a"))
    feed(live, samples("a", 1, 0, x[:4]))
    feed(live, samples("a", 1, 4, x[4:44]))  # waits for its turn
    feed(live, samples("a", 1, 4, x[50:51]))  # would come next, had that not come before
    assert live.totals()["messages_waiting"] == 2
    found = [out.p for out in live.infer() if isinstance(out, Label)]
    expected = [label.p for label in recognizer().push("a", x[:44])]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    before = live.totals()
    assert before["samples_duplicate"] + before["samples_late"] == 1
    feed(live, samples("a", 1, 44, x[44:46]))
    assert live.totals()["messages_waiting"] == 0


@each_way
def test_a_key_of_another_session_leads_to_no_window(way):
    live, x = recognizer_of(way), signal(8)
    for session in (1, 2):
        feed(live, about("a", session))
        feed(live, samples("a", session, 0, x[:3]))
    feed(live, samples("a", 1, 3, x[3:8]))
    assert live.totals()["samples_closed_session"] == 5
    feed(live, End(key_of("a", 2)))
    feed(live, samples("a", 2, 3, x[3:8]))
    assert not any(isinstance(out, Label) for out in live.infer())


@each_way
def test_a_key_that_is_forgotten_leads_to_no_window(way):
    live, x = recognizer_of(way), signal(8)
    feed(live, about("a"))
    feed(live, samples("a", 1, 0, x[:3]))
    for session in range(2, 18):  # sixteen more: of a stream no more are known
        feed(live, about("a", session))
    feed(live, samples("a", 1, 3, x[3:8]))
    assert not any(isinstance(out, Label) for out in live.infer())
    assert live.totals()["messages_waiting"] == 1
    feed(live, about("a"))  # and as soon as it is described again, it counts
    assert [out.window for out in live.infer() if isinstance(out, Label)] == [0]
    forget(live)
    live.infer()
    feed(live, about("b"))  # has the lane now
    feed(live, samples("b", 1, 0, x[:3]))
    feed(live, samples("a", 1, 3, x[3:8]))
    assert not any(isinstance(out, Label) for out in live.infer())


@each_way
def test_columns_that_must_be_put_in_order_are_not_copied(way):
    live, x = recognizer_of(way), signal(16)
    feed(live, about("a", channels=tuple(reversed(BUNDLE.channels))))
    assert take_in_bulk(live, [samples("a", 1, seq, x[seq : seq + 1, ::-1]) for seq in range(16)]) == {}
    straight = recognizer_of(way)
    feed(straight, about("a"))
    assert take_in_bulk(straight, [samples("a", 1, seq, x[seq : seq + 1]) for seq in range(16)]) == {}
    turned, expected = ([out.p for out in each.infer() if isinstance(out, Label)] for each in (live, straight))
    np.testing.assert_allclose(turned, expected, atol=1e-5)
    assert len(turned) == 3
