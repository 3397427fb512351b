"""Pauses, flapping connections, clocks that step and streamers that lie do a subscriber no harm; no socket here."""

import pytest

from kinestream.streamer.client.progress import UNANSWERED
from kinestream.streamer.client.questions import ATTEMPTS
from tests.streamer.client.test_filling import Listener, labels, missed

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
