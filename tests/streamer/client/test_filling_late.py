"""What comes later than it should: after it was told as missed, after what asked for it, after another streamer's."""

from collections.abc import Sequence

import pytest

from kinestream.streamer.client.early import AT_MOST_S
from kinestream.streamer.client.filling import ABSENT_S
from kinestream.streamer.client.progress import GONE, UNANSWERED, Progress
from kinestream.streamer.client.remaking import REMADE_S
from kinestream.streamer.server.history import History
from kinestream.streamer.wire.messages import Event, Label, Published
from kinestream.streamer.wire.published import encode_published
from tests.given.labels import seam_between
from tests.streamer.client.test_filling import A_WHILE_S, LATER_S, Listener, labels, missed, with_a_hole


def end(labelled: int, stream: str = "anna", session: int = 1) -> Event:
    return Event("end", stream, session, {"reason": "end", "windows": {"labelled": labelled, "skipped": 0}})


def of_labels(messages: Sequence[Published]) -> list[Published]:
    return [each for each in messages if isinstance(each, Label)]


def restarted(listener: Listener, **options: int) -> None:
    """Have the streamer killed and started again: it knows nothing of what the one before published."""
    listener.history = History(1000, **options)
    listener.filling.connected()
    listener.hear()


def held_up(listener: Listener) -> None:
    """Have a listener held up for so long that its streams seem silent, and then ask for them."""
    listener.now += 20
    for _ in range(2):
        listener.now += 5
        listener.filling.look(listener.now)
        listener.exchange()


class Queue:
    """What waits in a subscriber's queue, published already and kept or not, until it is taken one by one."""

    def __init__(self, listener: Listener, messages: Sequence[Published]) -> None:
        self._listener = listener
        self._waiting = [
            (each, encode_published(each, each.t_published if isinstance(each, Label) else 0)[1]) for each in messages
        ]
        for message, frame in self._waiting:
            listener.history.add(message.stream, frame)

    def take(self, count: int) -> None:
        for message, frame in self._waiting[:count]:
            if self._listener.filling.take(message, frame):
                self._listener.came.append(message)
            self._listener.take_ready()
        del self._waiting[:count]

    def take_all(self) -> None:
        while self._waiting:
            self.take(1)
            self._listener.exchange()


@pytest.mark.parametrize("absent", [False, True])
def test_what_was_told_as_missed_does_not_come_after_all(absent):
    """Made again too late: whoever reads has gone on, and each window is either told or had."""
    listener = with_a_hole()
    if absent:
        listener.requests.clear()
        listener.wait(ABSENT_S + A_WHILE_S, answered=False, is_there=False)
        listener.requests.clear()
        restarted(listener)
    else:
        listener.history = History(1000)
        listener.wait(REMADE_S + A_WHILE_S)
    listener.publish(*labels(1, 9))
    listener.wait(A_WHILE_S)
    why = UNANSWERED if absent else GONE
    assert listener.came == [*labels(0, 2), missed(3, 4, why), *labels(5, 9)]
    assert listener.filling.missed == 2


def test_where_nobody_answers_what_is_made_again_comes_late_rather_than_never():
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.filling.connected()
    listener.wait(A_WHILE_S, answered=False)
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(*labels(5, 6))
    assert [each.window for each in of_labels(listener.came)] == [0, 1, 2, 5, 6]
    listener.publish(*labels(3, 8))
    assert [each.window for each in of_labels(listener.came)] == [0, 1, 2, 5, 6, 3, 4, 7, 8]


def test_what_was_told_as_missed_counts_as_known():
    had = Progress()
    for label in (*labels(0, 2), *labels(5, 5)):
        had.admit(label, b"", lost=GONE)
    assert not had.is_behind(end(6), joins=True)
    assert had.admit(labels(3, 3)[0], b"", lost=GONE) == (False, [])


@pytest.mark.parametrize("taken", range(1, 18))
def test_what_waits_in_our_own_queue_is_not_missed(taken):
    """A reader that was held up has asked, and the streamer keeps less than what waits."""
    listener = Listener(History(1000, of_stream=4))
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    queue = Queue(listener, labels(5, 20))
    queue.take(taken)
    listener.exchange()
    queue.take_all()
    listener.hear()
    assert listener.came == [*labels(0, 2), missed(3, 4), *labels(5, 20)]
    assert not listener.filling.is_asking


def test_what_waits_in_our_own_queue_is_not_missed_though_nothing_was_lost():
    """A stream that seems silent is asked for, in the middle of what waits."""
    listener = Listener(History(1000, of_stream=3))
    listener.publish(*labels(0, 2))
    listener.wait(1.5)
    queue = Queue(listener, labels(3, 20))
    held_up(listener)
    queue.take_all()
    listener.hear()
    assert listener.came == labels(0, 20)


@pytest.mark.parametrize("of_stream", [1, 2, 3])
def test_what_waits_in_our_own_queue_comes_before_the_end_of_its_session(of_stream):
    """Of what waits, the streamer keeps the end, and maybe what began since."""
    listener = Listener(History(1000, of_stream=of_stream))
    listener.publish(*labels(0, 2))
    listener.wait(1.5)
    behind = [*labels(3, 5), end(6), *labels(0, of_stream - 2, session=2)]
    queue = Queue(listener, behind)
    held_up(listener)
    queue.take_all()
    listener.hear()
    assert listener.came == [*labels(0, 2), *behind]


def test_what_waits_in_our_own_queue_comes_before_what_another_streamer_makes_again():
    listener = Listener()
    listener.publish(*labels(0, 2))
    queue = Queue(listener, labels(3, 20))
    listener.history = History(1000)
    again = Queue(listener, labels(15, 26))
    listener.filling.connected()
    listener.exchange()
    queue.take_all()
    again.take_all()
    listener.hear()
    assert listener.came == labels(0, 26)


def a_put_aside_answer(*kept: Published) -> Listener:
    """Return a listener who lacks windows 3 to 8, of which nothing but what is given is kept; the answer has come."""
    listener = Listener(History(1000, of_stream=len(kept)))
    listener.publish(*labels(0, 2))
    listener.wait(1.5)
    listener.publish(*labels(3, 8), *kept, lost=True)
    for _ in range(2):
        listener.now += 2
        listener.filling.look(listener.now)
        listener.exchange()
    assert listener.came == labels(0, 2)
    assert listener.filling.is_asking, "what lies before the answer may wait in the queue"
    return listener


@pytest.mark.parametrize("stream", ["anna", "ben"])
def test_in_a_busy_queue_what_was_published_later_shows_that_nothing_waits(stream):
    """The queue is never empty: others' labels come all the time."""
    kept = labels(9, 10, t_published=1000)
    listener = a_put_aside_answer(*kept)
    listener.publish(*labels(0, 3, "carl", t_published=900))
    assert listener.of("anna") == labels(0, 2)
    later = labels(11, 11, stream, t_published=1001)
    Queue(listener, later).take_all()
    assert listener.of("anna") == [*labels(0, 2), missed(3, 8), *kept, *(later if stream == "anna" else ())]
    assert of_labels(listener.of("ben")) == ([] if stream == "anna" else later)
    assert listener.filling.missed == 6


def test_in_a_busy_queue_an_answer_without_a_label_is_put_aside_for_some_seconds_only():
    listener = a_put_aside_answer(end(9))
    until = listener.now + AT_MOST_S + 2
    while listener.now < until:
        listener.now += LATER_S
        listener.publish(*labels(0, 0, "ben", session=int(1000 * listener.now), t_published=int(listener.now * 1e9)))
        listener.filling.look(listener.now)
        listener.exchange()
        listener.take_ready()
    assert listener.of("anna") == [*labels(0, 2), missed(3, 8), end(9)]


def test_an_answer_that_is_put_aside_is_asked_for_anew_of_another_streamer():
    listener = Listener(History(1000, of_stream=2))
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    queue = Queue(listener, labels(5, 9))
    queue.take(1)
    listener.exchange()
    assert listener.came == labels(0, 2)
    assert listener.filling.is_asking, "what lies before the answer may wait in the queue"
    listener.history = History(1000)
    listener.filling.connected()
    listener.publish(*labels(2, 10))
    listener.hear()
    assert listener.came == labels(0, 10)


@pytest.mark.parametrize("past", [False, True])
def test_what_lies_before_the_first_that_was_had_is_not_made_again_for_us(past):
    listener = Listener(History(1000, of_stream=3), new=True, past=past)
    listener.publish(*labels(0, 9), lost=True)
    listener.filling.connected()
    listener.wait(A_WHILE_S)
    listener.publish(*labels(10, 12, t_published=1 << 61))
    restarted(listener)
    listener.publish(*labels(5, 16, t_published=1 << 61))
    listener.wait(A_WHILE_S)
    assert [each.window for each in of_labels(listener.came)] == list(range(7 if past else 10, 17))


@pytest.mark.parametrize("is_known", [False, True])
def test_the_beginning_of_a_session_that_only_the_killed_streamer_had_published_is_waited_for(is_known):
    listener = Listener()
    if is_known:
        listener.publish(*labels(0, 3), end(4))
    listener.publish(*labels(0, 9, session=2), lost=True)
    listener.publish(*labels(10, 10, session=2))
    restarted(listener)
    listener.wait(3.0)
    assert not [each for each in of_labels(listener.came) if each.session == 2]
    listener.publish(*labels(0, 12, session=2))
    listener.wait(A_WHILE_S)
    assert [each for each in of_labels(listener.came) if each.session == 2] == labels(0, 12, session=2)


def test_a_session_of_a_stream_that_began_while_we_were_cut_off_is_had():
    listener = Listener()
    listener.publish(*labels(0, 3, "ben"), end(4, "ben"), lost=True)
    listener.filling.connected()
    listener.publish(*labels(0, 1, "ben", session=2))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.of("ben")) == [*labels(0, 3, "ben"), *labels(0, 1, "ben", session=2)]


@pytest.mark.parametrize("session", [1, 2])
def test_a_session_of_which_nothing_but_its_end_came_is_asked_for(session):
    listener = Listener()
    if session == 2:
        listener.publish(*labels(0, 1, "ben"), end(2, "ben"))
    listener.publish(*labels(0, 1, "ben", session=session), lost=True)
    listener.publish(end(2, "ben", session))
    for window in range(40):  # others go on: no silence shows that anything is missing
        listener.publish(*labels(window, window))
        listener.wait(LATER_S)
    expected = [label for each in range(1, session + 1) for label in labels(0, 1, "ben", session=each)]
    assert of_labels(listener.of("ben")) == expected


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_seam_excuses_what_lies_in_it_alone(is_made_again):
    listener = Listener(History(1000, of_stream=2))
    behind = 1000 if is_made_again else 2  # a short one may leave out no window
    seam = seam_between(1, behind)
    listener.publish(*labels(0, 1), seam, *labels(behind, behind + 1))
    listener.hear()
    if is_made_again:
        restarted(listener, of_stream=2)
        listener.publish(*labels(1, 1), seam, *labels(behind, behind + 3))
        listener.wait(REMADE_S + A_WHILE_S)
    else:
        listener.publish(*labels(behind + 2, behind + 3))
    listener.publish(*labels(behind + 4, behind + 10), lost=True)
    listener.publish(*labels(behind + 11, behind + 12))
    listener.wait(A_WHILE_S)
    told = [each.details for each in listener.came if isinstance(each, Event) and each.event == "missed"]
    assert [(each["first_window"], each["last_window"]) for each in told] == [(behind + 4, behind + 10)]


def test_what_a_seam_excused_does_not_come_after_all():
    listener = Listener(History(1000, of_stream=2))
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    seam = seam_between(4, 1000)
    listener.publish(seam, *labels(1000, 1001))
    listener.hear()
    restarted(listener)
    listener.publish(*labels(1, 4), seam, *labels(1000, 1003))
    listener.wait(A_WHILE_S)
    assert of_labels(listener.came) == [*labels(0, 2), *labels(1000, 1003)]


@pytest.mark.parametrize("came", [True, False])
@pytest.mark.parametrize("of_stream", [2, 100])
def test_what_is_missing_beside_a_seam_is_had_or_told(came, of_stream):
    listener = Listener(History(1000, of_stream=of_stream))
    seam = seam_between(4, 1000)
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(seam, lost=not came)
    listener.publish(*labels(1000, 1002), lost=True)
    listener.publish(*labels(1003, 1005))
    listener.wait(A_WHILE_S)
    if of_stream == 100:
        assert listener.came == [*labels(0, 4), seam, *labels(1000, 1005)]
    elif came:
        assert listener.came == [*labels(0, 2), missed(3, 4), seam, missed(1000, 1002), *labels(1003, 1005)]
    else:  # nobody can tell that there was a seam
        assert listener.came == [*labels(0, 2), missed(3, 1002), *labels(1003, 1005)]


def test_what_is_missing_before_a_seam_is_asked_for_at_once():
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(seam_between(4, 1000))
    listener.hear()
    assert listener.came == [*labels(0, 4), seam_between(4, 1000)]


def test_nobody_is_asked_about_windows_that_a_seam_leaves_out():
    listener = Listener()
    listener.publish(*labels(0, 2), seam_between(2, 1000), *labels(1000, 1001))
    assert listener.came == [*labels(0, 2), seam_between(2, 1000), *labels(1000, 1001)]
    assert not listener.requests


def test_the_last_windows_behind_a_seam_that_are_kept_no_more_are_told():
    listener = Listener(History(1000, of_stream=1))
    listener.publish(*labels(0, 2), seam_between(2, 1000))
    listener.publish(*labels(1000, 1002), lost=True)
    listener.publish(end(6))
    listener.wait(A_WHILE_S)
    assert listener.came == [*labels(0, 2), seam_between(2, 1000), missed(1000, 1002), end(6)]


def test_the_last_windows_of_a_session_that_are_kept_no_more_are_told():
    listener = Listener(History(1000, of_stream=1))
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(end(5))
    listener.wait(A_WHILE_S)
    assert listener.came == [*labels(0, 2), missed(3, 4), end(5)]


def test_all_windows_of_a_session_that_are_kept_no_more_are_told():
    listener = Listener(History(1000, of_stream=1))
    listener.publish(*labels(0, 2), end(3))
    listener.publish(*labels(0, 4, session=2), lost=True)
    listener.publish(end(5, session=2))
    listener.wait(A_WHILE_S)
    lost = Event("missed", "anna", 2, {"first_window": 0, "last_window": 4, "reason": GONE})
    assert listener.came == [*labels(0, 2), end(3), lost, end(5, session=2)]


def test_a_stream_that_stays_silent_is_asked_for_again():
    """Its labels are seconds apart, and two of them are lost: the streamer does not keep the first until the third."""
    listener = Listener(History(5.0))
    others = 0

    def go_on(seconds: float) -> None:
        nonlocal others
        for _ in range(int(seconds / LATER_S)):
            listener.publish(*labels(others, others, "ben"))
            others += 1
            listener.wait(LATER_S)
            listener.history.tidy(int(listener.now * 1e9))

    listener.publish(*labels(0, 0))
    go_on(3.5)
    for window in (1, 2):
        listener.publish(*labels(window, window), lost=True)
        go_on(3)
    listener.publish(*labels(3, 3))
    go_on(3)
    assert listener.of("anna") == labels(0, 3)


def test_time_in_which_we_asked_nothing_is_no_silence_of_the_streamer():
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(*labels(5, 6))
    listener.ask()
    listener.requests.clear()  # lost on its way
    listener.now += 6  # our process was stopped
    listener.filling.look(listener.now)
    listener.take_ready()
    listener.wait(A_WHILE_S)
    assert listener.came == labels(0, 6)
