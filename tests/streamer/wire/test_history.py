"""Requests for the history and their answers: what is sent is what is read, and nothing else is raised."""

from contextlib import suppress

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream.streamer.wire import history
from kinestream.streamer.wire.history import HistoryAnswer, HistoryRequest, Kept, WindowsTold, count_since
from kinestream.streamer.wire.messages import MAX_BYTES, MAX_INT, Annotation, Event, MalformedMessage
from kinestream.streamer.wire.published import decode_published, encode_published
from tests.given.labels import label_of
from tests.given.peers import nonsense

names = st.from_regex(r"[\w.:@+-]{1,64}", fullmatch=True).filter(lambda name: len(name.encode()) <= 64)
numbers = st.integers(0, MAX_INT - 1)
or_none = st.integers(-1, MAX_INT - 1)
REQUEST = HistoryRequest(7, "anna", 1, 41, 0)
ANSWER = HistoryAnswer(7, "anna", 5_000_000_000, True, False, 9, [b"one", b"two"], [Kept("ben", 1, -1)])


@given(number=numbers, stream=names | st.just(""), session=or_none, window=or_none, position=numbers)
def test_a_request_survives_the_wire(number, stream, session, window, position):
    request = HistoryRequest(number, stream, session, window, position)
    frame = history.encode_history_request(request)
    assert len(frame) <= history.REQUEST_BYTES
    assert history.decode_history_request(frame) == request


def test_an_answer_survives_the_wire_and_the_largest_is_no_larger_than_any_message():
    assert history.decode_history_answer(history.encode_history_answer(ANSWER)) == ANSWER
    most = HistoryAnswer(
        MAX_INT - 1, "x" * 64, MAX_INT - 1, True, True, MAX_INT - 1, [b"x" * (history.ANSWER_BYTES - 5)], []
    )
    assert len(history.encode_history_answer(most)) <= MAX_BYTES
    streams = [Kept("x" * 64, MAX_INT - 1, MAX_INT - 1)] * history.ANSWER_STREAMS
    assert len(history.encode_history_answer(most._replace(frames=[], streams=streams))) <= MAX_BYTES


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"id": -1}, "id"),
        ({"id": True}, "id"),
        ({"stream": "a/b"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"session": -2}, "session"),
        ({"window": 1 << 62}, "window"),
        ({"position": None}, "position"),
        ({"more": 1}, "keys"),
        ({"v": 1}, "version"),
    ],
)
def test_a_wrong_request_is_refused_by_name(wrong, reason):
    content = {"v": 2, "kind": "history", **REQUEST._asdict(), **wrong}
    with pytest.raises(MalformedMessage, match=reason):
        history.decode_history_request(msgpack.packb(content))


def test_anything_else_is_no_request():
    for content in ({"v": 2, "kind": "health"}, {"v": 2, "kind": "describe", "stream": "history"}):
        assert history.decode_history_request(msgpack.packb(content)) is None
    assert history.decode_history_request(b"KS\x02\x01" + bytes(100)) is None


@pytest.mark.parametrize(
    "wrong", [{"frames": ["text"]}, {"streams": [["a", 1]]}, {"streams": 1}, {"complete": 1}, {"kept_ns": -1}]
)
def test_a_wrong_answer_is_refused_and_what_it_says_besides_is_passed_over(wrong):
    content = {"v": 2, "kind": "history", **ANSWER._asdict()}
    assert history.decode_history_answer(msgpack.packb(content | {"new": 1})) == ANSWER
    with pytest.raises(MalformedMessage):
        history.decode_history_answer(msgpack.packb(content | wrong))


def test_nonsense_raises_nothing_else():
    for message in (history.encode_history_request(REQUEST), history.encode_history_answer(ANSWER)):
        for frame in nonsense(message):
            with suppress(MalformedMessage):
                history.decode_history_request(frame)
            with suppress(MalformedMessage):
                history.decode_history_answer(frame)


@given(stream=names, other=names, session=numbers, window=numbers, last=numbers)
def test_the_windows_that_are_told_of_are_read_as_if_decoded(stream, other, session, window, last):
    first, last = sorted((window, last))
    about = {"first_window": first, "last_window": last, "reason": "missing"}
    for message in (
        label_of(stream, window, session=session, first_seq=0, last_seq=7),
        Event("skipped", stream, session, about),
        Event("gap", stream, session, {"first_seq": 1, "last_seq": 2}),
        Event("accepted", stream, -1, {}),
        Annotation(stream, session, "walk", 0, 1),
    ):
        frame = encode_published(message, 5)[1]
        told = WindowsTold(stream).last(frame)
        match decode_published([b"", frame]):
            case Event("skipped"):
                assert told == (session, last)
            case Event() | Annotation():
                assert told is None
            case label:
                assert told == (label.session, label.window) == (session, window)
        if other != stream:
            assert WindowsTold(other).last(frame) is None


_sizes = [0, 1, 127, 128, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32, MAX_INT - 1]


@pytest.mark.parametrize("session", _sizes)
def test_windows_are_compared_by_their_numbers_however_large(session):
    for window in _sizes:
        label = label_of("anna", window, session=session, first_seq=0, last_seq=7)
        frame = encode_published(label, 5)[1]
        for known in _sizes:
            expected = 1 if window <= known else None
            assert count_since([b"other", frame, frame], "anna", session, known) == expected
            assert count_since([frame], "anna", session + 1, known) is None
            assert count_since([frame], "ann", session, known) is None
