"""What a sender keeps, forgets, and sends again."""

import pytest

from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.wire.tracked import EVERYTHING, UNKNOWN, Acknowledgement, decode_tracked

KEY = 5


def filled(messages: int = 5, sent: int = 5) -> Outbox:
    """Return an outbox of messages that end at 10, 20, ... of which some were sent."""
    outbox = Outbox(KEY)
    for number in range(messages):
        outbox.add(b"%d" % number, 10 * (number + 1))
    for _ in range(sent):
        outbox.posted()
    return outbox


def numbers_to_send(outbox: Outbox) -> list[int]:
    numbers = []
    while (frame := outbox.frame()) is not None:
        numbers.append(decode_tracked(frame).number)
        outbox.posted()
    return numbers


def test_each_message_is_sent_once_with_the_oldest_that_is_kept():
    outbox = filled(3, sent=0)
    frame = outbox.frame()
    assert frame is not None
    assert decode_tracked(frame) == (KEY, 0, 0, b"0", 0)
    assert numbers_to_send(outbox) == [0, 1, 2]
    assert outbox.frame() is None


def test_what_is_needed_is_kept():
    outbox = filled()
    assert not outbox.acknowledge(Acknowledgement(KEY, received=5, number=5, needed=30))
    assert outbox.oldest == 3  # messages 0 to 2 end at 30
    assert [kept.message for kept in outbox.kept] == [b"3", b"4"]
    assert not outbox.is_empty
    assert outbox.is_received


def test_what_came_after_the_count_is_kept_even_if_it_ends_before():
    outbox = filled()
    outbox.acknowledge(Acknowledgement(KEY, received=5, number=2, needed=EVERYTHING))
    assert outbox.oldest == 2


def test_a_streamer_that_knows_nothing_gets_all_that_is_kept():
    outbox = filled()
    outbox.acknowledge(Acknowledgement(KEY, received=5, number=5, needed=20))
    assert outbox.acknowledge(Acknowledgement(KEY, UNKNOWN))
    assert numbers_to_send(outbox) == [2, 3, 4]


def test_what_came_before_its_turn_is_sent_again_from_there():
    outbox = filled()
    assert outbox.acknowledge(Acknowledgement(KEY, received=3, again=True))
    assert numbers_to_send(outbox) == [3, 4]


def test_what_is_on_its_way_is_not_sent_again():
    outbox = filled()
    assert not outbox.acknowledge(Acknowledgement(KEY, received=3))
    assert numbers_to_send(outbox) == []
    outbox.send_again()
    assert numbers_to_send(outbox) == [3, 4]


@pytest.mark.parametrize(
    "said", [Acknowledgement(KEY, received=6), Acknowledgement(KEY, 5, number=6, needed=EVERYTHING)]
)
def test_more_than_was_ever_sent_is_passed_over(said):
    outbox = filled()
    assert not outbox.acknowledge(said)
    assert outbox.oldest == 0
    assert outbox.received == 0


def test_an_old_acknowledgement_forgets_nothing_more():
    outbox = filled()
    outbox.acknowledge(Acknowledgement(KEY, received=5, number=5, needed=40))
    outbox.acknowledge(Acknowledgement(KEY, received=2, number=1, needed=10))
    assert outbox.oldest == 4
    assert outbox.received == 4


def test_all_is_forgotten_once_the_session_has_ended():
    outbox = filled()
    outbox.acknowledge(Acknowledgement(KEY, received=5, number=5, needed=EVERYTHING))
    assert outbox.is_empty
    assert outbox.bytes == 0


def test_the_oldest_is_given_up_for_room_and_the_rest_goes_on():
    outbox = filled(sent=0)
    before = outbox.bytes
    assert outbox.drop_oldest()
    assert outbox.lost == 1
    assert outbox.bytes < before
    frame = outbox.frame()
    assert frame is not None
    assert decode_tracked(frame)[:3] == (KEY, 1, 1)
