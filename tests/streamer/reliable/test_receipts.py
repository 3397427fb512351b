"""What a streamer takes of a key, and when it lets the sender forget."""

from kinestream.streamer.reliable.receipts import Receipts, Verdict
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement

TAKEN, ANEW, REPEATED, EARLY = Verdict.TAKEN, Verdict.ANEW, Verdict.REPEATED, Verdict.EARLY


def test_messages_are_taken_in_their_order_each_once():
    receipts = Receipts()
    verdicts = [receipts.take(number, 0) for number in (0, 1, 1, 0, 3, 2, 3)]
    assert verdicts == [TAKEN, TAKEN, REPEATED, REPEATED, EARLY, TAKEN, TAKEN]


def test_where_nothing_is_known_only_the_oldest_begins():
    receipts = Receipts()
    assert [receipts.take(number, 4) for number in (6, 5, 4, 5)] == [EARLY, EARLY, TAKEN, TAKEN]


def test_what_was_given_up_is_not_waited_for():
    receipts = Receipts()
    assert [receipts.take(number, oldest) for number, oldest in ((0, 0), (5, 3), (5, 5), (6, 5))] == [
        TAKEN,
        EARLY,
        ANEW,
        TAKEN,
    ]


def test_the_sender_is_told_once_that_something_came_before_its_turn():
    receipts = Receipts()
    assert receipts.acknowledgement(1) == Acknowledgement(1, UNKNOWN)
    receipts.take(0, 0)
    receipts.take(7, 0)
    assert receipts.acknowledgement(1) == Acknowledgement(1, 1, again=True)
    assert receipts.acknowledgement(1) == Acknowledgement(1, 1)


def test_a_message_there_is_no_room_for_comes_again():
    receipts = Receipts()
    receipts.take(0, 0)
    receipts.take(1, 0)
    receipts.put_back(1)
    assert receipts.acknowledgement(1) == Acknowledgement(1, 1, again=True)
    assert receipts.take(1, 0) is TAKEN


def test_nothing_is_forgotten_before_it_was_published_and_the_history_has_passed_since():
    receipts = Receipts()
    receipts.take(0, 0)
    receipts.note(batch=3, needed=40)
    for now, published in ((0, 2), (100, 2), (110, 3), (209, 5)):
        receipts.settle(now, published, history=100)
        assert receipts.acknowledgement(1) == Acknowledgement(1, 1)
        assert not receipts.is_settled
    receipts.settle(210, 5, history=100)
    assert receipts.acknowledgement(1) == Acknowledgement(1, 1, 1, 40)
    assert receipts.is_settled


def test_what_did_not_change_is_noted_once():
    receipts = Receipts()
    receipts.note(batch=0, needed=0)
    assert receipts.is_settled  # nothing has come
    receipts.take(0, 0)
    for now in (10, 20, 30):
        receipts.note(batch=0, needed=8)
        receipts.settle(now, 0, history=20)
    assert receipts.is_settled
