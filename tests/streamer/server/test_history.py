"""What was published is kept for so long, within its bounds, and given out in the order in which it left."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.server import lookups
from kinestream.streamer.server.history import History
from kinestream.streamer.server.lookups import Lookups
from kinestream.streamer.wire.history import (
    HistoryRequest,
    Kept,
    decode_history_answer,
    encode_history_request,
)
from kinestream.streamer.wire.messages import Event, Published
from kinestream.streamer.wire.published import decode_published, encode_published
from tests.given.labels import label_of

SECOND = 1_000_000_000


def frame_of(message: Published) -> bytes:
    return encode_published(message, 0)[1]


def all_of(history: History, stream: str, session: int = -1, window: int = -1) -> tuple[list[Published], bool]:
    """Return all that a history has of a stream since a window, and whether that is complete."""
    answer = history.answer(HistoryRequest(1, stream, session, window, 0))
    complete, messages = answer.complete, [decode_published([b"", frame]) for frame in answer.frames]
    while answer.more:
        answer = history.answer(HistoryRequest(1, stream, session, window, answer.position))
        messages += [decode_published([b"", frame]) for frame in answer.frames]
    return messages, complete


def filled(history: History, *messages: Published) -> History:
    for message in messages:
        history.add(message.stream, frame_of(message))
    return history


def test_what_follows_a_window_is_given_out_in_order_with_what_was_said_between():
    gap = Event("gap", "anna", 1, {"first_seq": 4, "last_seq": 5})
    skipped = Event("skipped", "anna", 1, {"first_window": 2, "last_window": 3, "reason": "missing"})
    of_anna = [label_of(window=0), label_of(window=1), gap, skipped, label_of(window=4)]
    history = filled(History(5), of_anna[0], label_of("ben", 7), *of_anna[1:])
    assert all_of(history, "anna") == (of_anna, False)
    assert all_of(history, "anna", 1, 0) == (of_anna[1:], True)
    assert all_of(history, "anna", 1, 1) == (of_anna[2:], True)
    assert all_of(history, "anna", 1, 3) == (of_anna[4:], True)
    assert all_of(history, "anna", 1, 9) == ([], True)
    assert all_of(history, "anna", 2, 0) == (of_anna, False)
    assert all_of(history, "nobody", 1, 0) == ([], False)


def test_windows_that_went_are_told_to_be_missing():
    history = filled(History(5), label_of(window=0), label_of(window=1))
    history.tidy(SECOND)
    filled(history, label_of(window=2))
    history.tidy(2 * SECOND)
    history.tidy(6 * SECOND)
    assert all_of(history, "anna", 1, 1) == ([label_of(window=2)], False)
    assert history.dropped == 0
    history.tidy(7 * SECOND)
    assert history.messages == history.size == 0


def test_more_than_an_answer_holds_comes_in_several():
    labels = [label_of(window=window, model="m" * 300) for window in range(1000)]
    history = filled(History(5), *labels)
    answer = history.answer(HistoryRequest(1, "anna", 1, 99, 0))
    assert answer.more
    assert sum(map(len, answer.frames)) < 60_000
    assert all_of(history, "anna", 1, 99) == (labels[100:], True)


def test_where_what_was_asked_for_went_meanwhile_the_answer_says_so():
    history = filled(History(5), *(label_of(window=window, model="m" * 300) for window in range(400)))
    history.tidy(0)
    answer = history.answer(HistoryRequest(1, "anna", 1, 0, 0))
    history.tidy(5 * SECOND)
    filled(history, label_of(window=400))
    after = history.answer(HistoryRequest(1, "anna", 1, 0, answer.position))
    assert (answer.more, after.complete, after.frames) == (True, False, [frame_of(label_of(window=400))])


def test_streams_are_listed_with_their_newest_label_in_several_answers():
    history = History(5)
    for number in range(1200):
        filled(history, label_of(f"s{number}", number))
    filled(history, Event("accepted", "new", -1, {}), Event("accepted", "s3", -1, {}))
    position, streams = 0, []
    while True:
        answer = history.answer(HistoryRequest(1, "", -1, -1, position))
        streams += answer.streams
        position = answer.position
        if not answer.more:
            break
    assert streams == [*(Kept(f"s{number}", 1, number) for number in range(1200)), Kept("new", -1, -1)]


@given(
    moments=st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abc"), st.integers(0, 900)), max_size=80),
    most=st.sampled_from([4000, 1 << 20]),
    of_stream=st.sampled_from([3, 1000]),
)
def test_what_is_kept_is_what_a_plain_model_keeps(moments, most, of_stream):
    history = History(1, most_bytes=most, of_stream=of_stream)
    model: list[tuple[int, str, bytes]] = []
    now = 0
    for number, (later, stream, size) in enumerate(moments):
        now += (1 + later) * 10_000_000
        history.tidy(now)
        message = b"%d " % number + bytes(size)
        history.add(stream, message)
        model.append((now, stream, message))
        history.tidy(now)
    came = len(model)
    model = [entry for entry in model if entry[0] > now - SECOND]
    kept = {name: history.answer(HistoryRequest(1, name, -1, -1, 0)).frames for name in "abc"}
    for name, frames in kept.items():
        of_name = [message for _, stream, message in model if stream == name]
        assert frames == of_name[len(of_name) - len(frames) :][-of_stream:]
    if most > 4000 and of_stream > 3:
        assert sum(map(len, kept.values())) == len(model)
        assert history.dropped == 0
    assert history.size <= most
    assert history.messages + history.dropped <= came
    history.tidy(now + SECOND)
    history.tidy(now + SECOND)
    assert history.messages == history.size == 0


class Asked:
    """Lookups whose answers are noted by peer."""

    def __init__(self, history: History) -> None:
        self.counts: Counter[str] = Counter()
        self.answers: list[tuple[bytes, int]] = []
        self.lookups = Lookups(history, self.note, self.counts)

    def note(self, peer: bytes, message: bytes) -> None:
        self.answers.append((peer, decode_history_answer(message).id))

    def ask(self, peer: bytes, number: int) -> bool:
        return self.lookups.take(peer, encode_history_request(HistoryRequest(number, "anna", -1, -1, 0)))

    def all(self) -> list[tuple[bytes, int]]:
        while self.lookups.are_waiting:
            self.lookups.answer()
        return self.answers


def test_whoever_asks_takes_turns_with_the_others():
    asked = Asked(filled(History(5), label_of()))
    for number in range(3):
        assert asked.ask(b"greedy", number)
    assert asked.ask(b"modest", 9)
    assert not asked.lookups.take(b"other", b"\x82\xa1v\x02\xa4kind\xa6health")
    assert asked.all() == [(b"greedy", 0), (b"modest", 9), (b"greedy", 1), (b"greedy", 2)]
    assert asked.counts == {"requests_of_history": 4}


def test_more_requests_than_are_held_are_not_heard(monkeypatch):
    monkeypatch.setattr(lookups, "ASKERS", 2)
    asked = Asked(History(5))
    for number in range(lookups.REQUESTS + 3):
        asked.ask(b"greedy", number)
    asked.ask(b"second", 0)
    asked.ask(b"third", 0)
    assert len(asked.all()) == lookups.REQUESTS + 1
    assert asked.counts == {"requests_of_history": lookups.REQUESTS + 5, "history_requests_unheard": 4}


def test_requests_take_no_more_than_their_share_of_the_time(monkeypatch):
    clock = [0]
    monkeypatch.setattr(lookups, "monotonic_ns", lambda: clock[0])
    asked = Asked(History(5))
    note = asked.note

    def slow(peer: bytes, message: bytes) -> None:
        clock[0] += 600_000
        note(peer, message)

    asked.lookups = Lookups(History(5), slow, asked.counts)
    turns = []
    for turn in range(1000):
        for peer in range(8):
            asked.ask(b"%d" % peer, turn)
        before = clock[0]
        asked.lookups.answer()
        turns.append(clock[0] - before)
        clock[0] += 1_000_000
    assert max(turns) <= 1_200_000
    assert sum(turns) == pytest.approx(clock[0] / 4, rel=0.05)
