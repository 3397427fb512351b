"""Pauses, flapping connections, clocks that step and streamers that lie do a subscriber no harm; no socket here."""

from collections.abc import Callable
from itertools import count

import pytest

from kinestream.streamer.client import filling
from kinestream.streamer.client.awaited import Asked, Listened
from kinestream.streamer.client.early import MOST, Early, EarlyAnswers
from kinestream.streamer.client.progress import UNANSWERED
from kinestream.streamer.client.questions import ATTEMPTS
from kinestream.streamer.client.remaking import AT_MOST_S
from kinestream.streamer.server.history import History
from kinestream.streamer.wire.history import (
    ANSWER_STREAMS,
    HistoryAnswer,
    HistoryRequest,
    Kept,
    decode_history_request,
    encode_history_answer,
)
from tests.streamer.client.test_filling import A_WHILE_S, Listener, labels, missed, with_a_hole

PAUSE_S = 3.0


@pytest.mark.parametrize("pauses", [1, ATTEMPTS])
@pytest.mark.parametrize("new", [False, True])
def test_an_answer_that_comes_as_soon_as_a_pause_is_over_is_heard(new, pauses):
    listener = Listener(new=new)
    listener.publish(*labels(0, 9), lost=True)
    if new:
        listener.filling.connected()
    listener.publish(*labels(10, 10))
    listener.ask()
    while listener.requests:
        listener.answer()
    for _ in range(pauses):
        listener.now += PAUSE_S
        listener.filling.look(listener.now)
    listener.hear()
    assert listener.came == labels(0, 10)


def test_whoever_looks_now_and_then_is_held_up_for_a_while_only_where_nobody_answers():
    listener = Listener(new=True)
    listener.filling.connected()
    listener.publish(*labels(1, 3))
    for _ in range(3 * ATTEMPTS):
        listener.now += PAUSE_S
        listener.filling.look(listener.now)
        listener.ask()
        listener.take_ready()
    assert listener.came == labels(1, 3)
    listener.publish(*labels(5, 5))
    assert listener.came[3:] == [missed(4, 4, UNANSWERED), *labels(5, 5)]


class Lying(History):
    """A history whose lists of streams are made up."""

    def __init__(self, listed: Callable[[], list[Kept]]) -> None:
        super().__init__(1000)
        self.lists = 0
        self._made_up = listed

    def answer(self, request: HistoryRequest) -> HistoryAnswer:
        answer = super().answer(request)
        if request.stream:
            return answer
        self.lists += 1
        return answer._replace(more=True, position=request.position + 1, streams=self._made_up())


def test_a_list_without_an_end_ends_and_its_streams_are_bounded(monkeypatch):
    monkeypatch.setattr(filling, "STREAMS", 1000)
    numbers = count()
    history = Lying(lambda: [Kept(f"s{next(numbers)}", 1, 5) for _ in range(ANSWER_STREAMS)])
    listener = Listener(history, new=True)
    listener.publish(*labels(0, 0))
    listener.filling.connected()
    for _ in range(5000):
        listener.ask()
        listener.answer()
        listener.deliver()
    assert 100 < history.lists < 2000
    assert len(listener.filling._streams) <= 1000
    listener.wait(A_WHILE_S, answered=False)
    listener.publish(*labels(1, 1))
    assert listener.came == labels(0, 1)


@pytest.mark.parametrize("name", ["x" * 65, "a/b", ""])
def test_a_list_with_a_name_that_nothing_can_have_is_passed_over(name):
    listener = Listener(Lying(lambda: [Kept(name, 1, 5)]), new=True)
    listener.filling.connected()
    listener.wait(A_WHILE_S)
    assert not listener.filling._streams


def test_answers_that_are_put_aside_are_bounded():
    listener = Listener(History(1000, of_stream=4))
    streams = [f"s{number}" for number in range(2 * MOST)]
    for stream in streams:
        listener.publish(*labels(0, 0, stream))
        listener.publish(*labels(1, 9, stream), lost=True)
    listener.now += 20
    for _ in range(2):
        listener.now += 5
        listener.filling.look(listener.now)
        listener.exchange()
        assert len(listener.filling._early.waiting) <= MOST
    listener.hear()
    assert all([each.window for each in listener.of(stream)[-4:]] == [6, 7, 8, 9] for stream in streams)


def test_an_answer_about_another_stream_is_none():
    listener = Listener()
    listener.publish(*labels(0, 0), *labels(0, 2, "ben"))
    listener.publish(*labels(1, 1), lost=True)
    listener.publish(*labels(2, 2))
    listener.ask()
    question = decode_history_request(listener.requests[-1])
    assert question.stream == "anna"
    wrong = listener.history.answer(question._replace(stream="ben", session=-1, window=-1))
    listener.filling.hear(encode_history_answer(wrong), listener.now)
    listener.take_ready()
    assert listener.came == [*labels(0, 0), *labels(0, 2, "ben")]
    listener.hear()
    assert listener.of("anna") == labels(0, 2)


def test_a_connection_that_breaks_again_and_again_holds_a_stream_up_for_a_while_only():
    listener = with_a_hole()
    listener.history.add = lambda stream, message: None
    for _ in range(round(AT_MOST_S / 60) + 1):
        assert listener.came == labels(0, 2)
        listener.filling.connected()
        listener.wait(60.0)
    assert listener.came == [*labels(0, 2), missed(3, 4), *labels(5, 6)]


def test_a_pause_is_no_empty_queue():
    early = EarlyAnswers()
    [label] = labels(0, 0)
    asked = Asked("anna")
    answer = HistoryAnswer(1, "anna", 1, False, False, 0, [], [])
    early.waiting.append(Early(Listened(), asked, answer, (1, 5), label.t_published, 100.0))
    assert early.after_empty(100.0) == []
    assert early.after_empty(103.0) == []
    assert len(early.after_empty(103.1)) == 1
