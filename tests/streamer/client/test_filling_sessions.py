"""Sessions that begin unheard, begin again under their number, or go on after their end."""

from collections.abc import Sequence

import pytest

from kinestream.streamer.client import filling
from kinestream.streamer.server.history import History
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published
from kinestream.streamer.wire.published import encode_published
from tests.given.labels import label_of, seam_between
from tests.streamer.client.test_filling import A_WHILE_S, LATER_S, Listener, labels, missed
from tests.streamer.client.test_filling_late import end, of_labels, restarted

SECOND = 1_000_000_000


def timed(first: int, last: int, begin: int = 0, **others: object) -> list[Label]:
    """Return labels of windows a second apart, of a run that began at a Unix second."""
    return [label_of(window=window, t_source=(begin + window) * SECOND, **others) for window in range(first, last + 1)]


def told(messages: Sequence[Published]) -> list[tuple[int, int, int]]:
    """Return what was told as missed: session, first and last window."""
    return [
        (each.session, each.details["first_window"], each.details["last_window"])
        for each in messages
        if isinstance(each, Event) and each.event == "missed"
    ]


@pytest.mark.parametrize("seen_first", [0, 3])
def test_the_beginning_of_a_session_that_is_kept_no_more_is_told_at_its_end(seen_first):
    listener = Listener(History(1000, of_stream=2))
    listener.publish(*labels(seen_first, seen_first + 2), end(3))
    listener.publish(*labels(0, 4, session=2), lost=True)
    listener.publish(*labels(5, 6, session=2))
    listener.hear()
    listener.publish(*labels(7, 8, session=2))
    listener.publish(end(9, session=2))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*labels(seen_first, seen_first + 2), *labels(5, 8, session=2)]
    assert told(listener.came) == [(2, 0, 4)]
    assert listener.filling.missed == 5


def test_so_are_beginning_and_end_where_both_are_kept_no_more():
    listener = Listener(History(1000, of_stream=2))
    listener.publish(*labels(0, 2), end(3))
    listener.publish(*labels(0, 4, session=2), lost=True)
    listener.publish(*labels(5, 6, session=2))
    listener.hear()
    listener.publish(*labels(7, 10, session=2), lost=True)
    listener.publish(end(11, session=2))
    listener.wait(A_WHILE_S)
    assert sorted(told(listener.came)) == [(2, 0, 4), (2, 7, 9)]


def test_a_session_that_began_later_than_at_its_first_window_lacks_nothing():
    listener = Listener(History(1000, of_stream=2))
    listener.publish(*labels(0, 2), end(3))
    listener.publish(*labels(50, 54, session=2), end(5, session=2))
    listener.wait(A_WHILE_S)
    assert not told(listener.came)
    assert of_labels(listener.came) == [*labels(0, 2), *labels(50, 54, session=2)]


def test_what_was_before_whoever_listens_now_began_to_listen_is_not_told():
    listener = Listener(History(1000, of_stream=2), new=True)
    listener.publish(*labels(0, 4), lost=True)
    listener.filling.connected()
    listener.wait(A_WHILE_S)
    listener.publish(*labels(5, 6), end(7))
    listener.wait(A_WHILE_S)
    assert not told(listener.came)


@pytest.mark.parametrize("reason", ["reset", "idle"])
def test_a_session_that_begins_again_under_its_number_is_handed_out(reason):
    """As of a device that was restarted and has no clock."""
    listener = Listener()
    listener.publish(*timed(0, 5))
    if reason == "reset":
        listener.publish(Event("reset", "anna", 1, {"previous": 1}))
    listener.publish(end(6)._replace(details={"reason": reason, "windows": {"labelled": 6}}))
    listener.publish(*timed(0, 8, begin=100))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*timed(0, 5), *timed(0, 8, begin=100)]
    listener.publish(*timed(9, 10, begin=100), end(11))
    listener.wait(A_WHILE_S)
    assert not told(listener.came)
    assert of_labels(listener.came)[-2:] == timed(9, 10, begin=100)


def test_holes_of_a_session_that_began_again_are_filled():
    listener = Listener()
    listener.publish(*timed(0, 5), Event("reset", "anna", 1, {"previous": 1}), end(6))
    listener.publish(*timed(0, 2, begin=100))
    listener.publish(*timed(3, 4, begin=100), lost=True)
    listener.publish(*timed(5, 7, begin=100))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*timed(0, 5), *timed(0, 7, begin=100)]


@pytest.mark.parametrize("after_s", [0.0, 1000.0])
def test_a_session_that_has_ended_and_is_made_again_does_not_begin_again(after_s):
    listener = Listener()
    listener.publish(*timed(0, 5), end(6))
    restarted(listener)
    listener.wait(after_s)
    listener.publish(*timed(2, 5), end(6))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == timed(0, 5)


def test_a_session_of_which_another_bundle_labels_a_part_once_more_does_not_begin_again():
    listener = Listener()
    listener.publish(*timed(0, 50), end(51))
    restarted(listener)
    listener.publish(*timed(10, 12), *timed(13, 14, model="m-2"), end(51), *timed(30, 50), end(51))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*timed(0, 50), *timed(13, 14, model="m-2")]
    assert not told(listener.came)


def ended(windows: int, reason: str = "end", session: int = 1) -> Event:
    return Event("end", "anna", session, {"reason": reason, "windows": {"labelled": windows, "skipped": 0}})


@pytest.mark.parametrize("skipped", [False, True])
def test_what_was_lost_before_the_end_and_is_made_again_does_not_begin_again(skipped):
    listener = Listener(History(1000, of_stream=1))
    listener.publish(*timed(0, 5))
    if skipped:
        about = {"first_window": 6, "last_window": 20, "reason": "overload"}
        listener.publish(Event("skipped", "anna", 1, about), ended(21))
    else:
        listener.publish(*timed(6, 20), lost=True)
        listener.publish(ended(21))
    listener.wait(A_WHILE_S)
    restarted(listener)
    listener.wait(1000)
    listener.publish(*timed(3, 20), ended(21))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == timed(0, 5)
    assert told(listener.came) == ([] if skipped else [(1, 6, 20)])


@pytest.mark.parametrize("after_s", [0.0, 1000.0])
def test_a_session_in_which_a_clock_was_set_back_and_that_is_made_again_comes_once(after_s):
    listener = Listener()
    said = [*timed(0, 5, begin=1000), seam_between(5, 6), *timed(6, 10, begin=800), ended(11)]
    listener.publish(*said)
    restarted(listener)
    listener.wait(after_s)
    listener.publish(*said)
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == of_labels(said)
    assert not told(listener.came)


def test_what_is_lost_behind_an_end_and_kept_is_had():
    listener = Listener()
    listener.publish(*timed(0, 2), ended(3, "idle"))
    listener.publish(*timed(3, 6, begin=100), lost=True)
    listener.publish(*timed(7, 9, begin=100), ended(7))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*timed(0, 2), *timed(3, 9, begin=100)]
    assert not told(listener.came)


@pytest.mark.parametrize("kept", [1000])
def test_what_lies_before_a_seam_of_a_session_of_which_nothing_came_is_had(kept):
    listener = Listener(History(1000, of_stream=kept))
    listener.publish(*labels(0, 2), end(3))
    listener.publish(*labels(0, 4, session=2), lost=True)
    listener.publish(seam_between(4, 1000, session=2), *labels(1000, 1004, session=2), end(10, session=2))
    listener.wait(A_WHILE_S)
    expected = [*labels(0, 2), *(labels(0, 4, session=2) if kept == 1000 else []), *labels(1000, 1004, session=2)]
    assert of_labels(listener.came) == expected
    assert told(listener.came) == ([] if kept == 1000 else [(2, 0, 4)])


def test_what_is_made_again_of_an_older_session_does_not_make_it_the_newest():
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 3), lost=True)
    listener.publish(*labels(4, 4))
    listener.ask()
    listener.publish(*labels(5, 5), end(6), *labels(0, 2, session=2), lost=True)
    listener.answer()
    listener.deliver()
    listener.publish(*labels(3, 5, session=2), lost=True)
    listener.publish(end(6, session=2))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*labels(0, 5), *labels(0, 5, session=2)]
    assert not told(listener.came)


def test_a_session_that_goes_on_long_after_its_end_has_missed_nothing_in_between():
    listener = Listener(History(1000, of_stream=2))
    idle = Event("end", "anna", 0, {"reason": "idle", "windows": {"labelled": 3}})
    first, later = timed(0, 2, session=0), timed(5000, 5003, session=0)
    listener.publish(*first, idle)
    listener.history = History(1000)  # of so long ago nothing is kept
    listener.publish(*later)
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*first, *later]
    assert not told(listener.came)


def test_where_a_streamer_stopped_what_is_missing_behind_is_told():
    listener = Listener(History(1000, of_stream=2))
    stopped = Event("end", "anna", 1, {"reason": "stopped", "windows": {"labelled": 3}})
    listener.publish(*timed(0, 2), stopped)
    listener.publish(*timed(3, 6), lost=True)
    listener.publish(*timed(7, 9))
    listener.wait(A_WHILE_S)
    assert told(listener.came) == [(1, 3, 6)]


def test_what_is_missing_before_a_page_of_events_is_told():
    """The second page of an answer goes on where the first ends, which says nothing of what was before it."""
    listener = Listener(History(1000, of_stream=602))
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 8), *(Annotation("anna", 1, "walk", at, at + 1) for at in range(600)), lost=True)
    listener.publish(*labels(9, 9), lost=True)
    listener.publish(*labels(10, 10))
    listener.wait(A_WHILE_S)
    assert told(listener.came) == [(1, 3, 8)]
    assert of_labels(listener.came) == [*labels(0, 2), *labels(9, 10)]


@pytest.mark.parametrize("sessions", [20, 100])
def test_many_sessions_that_are_made_again_come_once(sessions):
    listener = Listener()
    said = [
        each for session in range(1, sessions + 1) for each in (*labels(0, 1, session=session), end(2, "anna", session))
    ]
    listener.publish(*said)
    restarted(listener)
    listener.publish(*said)
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == of_labels(said)


def test_a_window_that_was_told_as_skipped_is_not_labelled_behind_later_ones():
    listener = Listener()
    skipped = Event("skipped", "anna", 1, {"first_window": 5, "last_window": 6, "reason": "overload"})
    listener.publish(*labels(0, 4), skipped, *labels(7, 9))
    restarted(listener)
    listener.publish(*labels(4, 12))
    for _ in range(3):
        listener.wait(LATER_S)
    assert [each.window for each in of_labels(listener.came)] == [*range(5), *range(7, 13)]


def test_the_missed_of_a_stream_that_nobody_else_can_give_is_said_once():
    listener = Listener(History(1000, of_stream=1))
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(*labels(5, 6))
    listener.wait(A_WHILE_S)
    assert listener.came == [*labels(0, 2), missed(3, 4), *labels(5, 6)]


@pytest.mark.parametrize("most", [5, 20])
def test_more_than_is_held_back_is_had_all_the_same_while_the_streamer_keeps_it(monkeypatch, most):
    """As after a streamer was killed: all streams are asked for, and thousands of labels come meanwhile."""
    monkeypatch.setattr(filling, "HELD", most)
    names = [f"s{number}" for number in range(10)]
    listener = Listener()
    for name in names:
        listener.publish(*labels(0, 2, name))
        listener.publish(*labels(3, 4, name), lost=True)
    for window in range(5, 30):
        for name in names:
            listener.publish(*labels(window, window, name))
        if window % 10 == 9:
            listener.ask()
            listener.answer()
            listener.deliver()
    listener.wait(A_WHILE_S)
    for name in names:
        assert listener.of(name) == labels(0, 29, name)
    assert listener.filling.missed == listener.filling.unanswered == 0


@pytest.mark.parametrize("ends", [False, True])
def test_what_came_of_a_stream_after_it_was_let_fall_is_asked_for(monkeypatch, ends):
    monkeypatch.setattr(filling, "HELD", 20)
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(*labels(5, 20))
    listener.ask()
    listener.answer()
    if ends:
        listener.publish(*labels(21, 24), end(25), *labels(0, 3, session=2))
    else:
        listener.publish(*labels(21, 30))
    listener.deliver()
    listener.wait(A_WHILE_S)
    later = [*labels(21, 24), *labels(0, 3, session=2)] if ends else labels(21, 30)
    assert of_labels(listener.came) == [*labels(0, 20), *later]
    assert not told(listener.came)


def test_what_was_had_already_is_not_held_back():
    listener = Listener()
    listener.publish(*timed(0, 5))
    listener.publish(*timed(6, 7), lost=True)
    listener.publish(*timed(8, 8))
    for label in timed(2, 5):  # once more, as of a streamer that is sent again what it was sent
        assert not listener.filling.take(label, encode_published(label, 0)[1])
    assert listener.filling._held == 1
    assert listener.filling.repeated == 4
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == timed(0, 8)


def test_what_waits_to_be_made_again_is_given_up_where_too_much_is_held_back(monkeypatch):
    monkeypatch.setattr(filling, "HELD", 20)
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 5), lost=True)
    listener.publish(*labels(6, 6))
    restarted(listener)
    assert of_labels(listener.came) == labels(0, 2)
    listener.publish(*labels(7, 30))
    listener.wait(LATER_S)
    assert of_labels(listener.came) == [*labels(0, 2), *labels(6, 30)]
    assert told(listener.came) == [(1, 3, 5)]


def test_what_is_made_again_in_its_order_is_not_held_back():
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 5), lost=True)
    listener.publish(*labels(6, 6))
    restarted(listener)
    listener.publish(*labels(1, 4))
    assert of_labels(listener.came) == labels(0, 4)
    listener.publish(*labels(5, 9))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == labels(0, 9)
    assert not told(listener.came)
