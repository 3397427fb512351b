"""Whatever is lost on the way to a subscriber is had from the history, each label once and in order; no socket here."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kinestream.streamer.client import filling
from kinestream.streamer.client.early import EMPTY_S
from kinestream.streamer.client.filling import ABSENT_S, Filling
from kinestream.streamer.client.progress import GONE, UNANSWERED, windows_of
from kinestream.streamer.client.questions import ATTEMPTS, PATIENCE_S
from kinestream.streamer.client.remaking import REMADE_S
from kinestream.streamer.server.history import History
from kinestream.streamer.wire.history import decode_history_request, encode_history_answer
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published
from kinestream.streamer.wire.published import encode_published
from tests.given.labels import label_of, seam_between

LATER_S = 0.25
A_WHILE_S = 10.0


class Listener:
    """Somebody who listens to a streamer over a connection that loses what it is told to lose.

    Unless it is `new`, it has listened for long.
    """

    def __init__(self, history: History | None = None, *, new: bool = False, **options: object) -> None:
        self.filling = Filling(**options)
        self.history = history or History(1000)
        self.published: list[Published] = []
        self.came: list[Published] = []
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self.now = 100.0
        if not new:
            self.filling.connected()
            self.wait(A_WHILE_S)

    def publish(self, *messages: Published, lost: bool = False) -> None:
        for message in messages:
            frame = encode_published(message, message.t_published if isinstance(message, Label) else 0)[1]
            self.published.append(message)
            self.history.add(message.stream, frame)
            if not lost:
                self.take_ready()
                if self.filling.take(message, frame):
                    self.came.append(message)
                self.take_ready()

    def take_ready(self) -> None:
        while self.filling.ready:
            self.came.append(self.filling.ready.popleft()[0])

    def ask(self) -> None:
        self.requests += self.filling.requests(self.now)

    def hear(self) -> None:
        """Have all that was asked for answered, and all that is asked for then; nothing waits in our queue."""
        self.exchange()
        self.filling.empty(self.now)
        while self.filling.empty(self.now + EMPTY_S):
            self.take_ready()
            self.exchange()
            self.filling.empty(self.now)

    def exchange(self) -> None:
        """Have all that was asked for answered, and all that is asked for then."""
        self.ask()
        while self.requests or self.answers:
            self.answer()
            self.deliver()
            self.ask()

    def answer(self) -> None:
        """Have the oldest question answered; the answer is on its way."""
        if self.requests:
            asked = decode_history_request(self.requests.pop(0))
            self.answers.append(encode_history_answer(self.history.answer(asked)))

    def deliver(self) -> None:
        """Have the oldest answer arrive."""
        if self.answers:
            self.filling.hear(self.answers.pop(0), self.now)
            self.take_ready()

    def wait(self, seconds: float, *, answered: bool = True, is_there: bool = True) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += LATER_S
            self.filling.look(self.now, is_there=is_there)
            if answered:
                self.hear()
            else:
                self.ask()
            self.take_ready()

    def of(self, stream: str) -> list[Published]:
        return [message for message in self.came if message.stream == stream]


def labels(first: int, last: int, stream: str = "anna", **others: object) -> list[Label]:
    return [label_of(stream, window, **others) for window in range(first, last + 1)]


def missed(first: int, last: int, reason: str = GONE, stream: str = "anna") -> Event:
    return Event("missed", stream, 1, {"first_window": first, "last_window": last, "reason": reason})


def test_a_hole_is_filled_and_what_comes_meanwhile_waits_for_it():
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 5), lost=True)
    listener.publish(*labels(6, 7), *labels(0, 0, "ben"))
    assert listener.came == [*labels(0, 2), *labels(0, 0, "ben")]
    listener.hear()
    assert listener.of("anna") == labels(0, 7)
    assert listener.filling.missed == 0
    listener.publish(*labels(8, 9))
    assert listener.of("anna") == labels(0, 9)
    assert not listener.filling.is_asking


def test_what_was_said_of_a_stream_comes_once_and_in_its_place():
    gap, late = (Event(kind, "anna", 1, {"first_seq": 4, "last_seq": 5, "count": 1}) for kind in ("gap", "late"))
    said = Annotation("anna", 1, "walk", 0, 9)
    listener = Listener()
    listener.publish(*labels(0, 0), gap, said)
    listener.publish(*labels(1, 1), late, lost=True)
    listener.publish(late._replace(session=2))
    listener.publish(*labels(2, 2), gap._replace(session=3))
    listener.hear()
    between = [*labels(1, 1), late, *labels(2, 2), gap._replace(session=3)]
    assert listener.came == [*labels(0, 0), gap, said, late._replace(session=2), *between]


def test_windows_that_were_skipped_are_no_hole_and_lost_ones_that_were_are_no_loss():
    skipped = Event("skipped", "anna", 1, {"first_window": 1, "last_window": 3, "reason": "missing"})
    again = Event("skipped", "anna", 1, {"first_window": 5, "last_window": 6, "reason": "missing"})
    listener = Listener()
    listener.publish(*labels(0, 0), skipped, *labels(4, 4))
    assert not listener.filling.is_asking
    listener.publish(again, lost=True)
    listener.publish(*labels(7, 8))
    listener.hear()
    assert listener.came == [*labels(0, 0), skipped, *labels(4, 4), again, *labels(7, 8)]
    assert listener.filling.missed == 0


def test_a_seam_lies_between_windows_and_nothing_is_missed_there():
    seam = seam_between(1, 1000)
    listener = Listener()
    listener.publish(*labels(0, 1), seam, *labels(1000, 1001))
    listener.hear()
    other = seam_between(1001, 5000)
    listener.publish(other, *labels(5000, 5000), lost=True)
    listener.publish(*labels(5001, 5001))
    listener.hear()
    assert listener.came == [*labels(0, 1), seam, *labels(1000, 1001), other, *labels(5000, 5001)]
    assert listener.filling.missed == 0


def test_what_is_kept_no_more_is_told_where_it_is_missing():
    listener = Listener(History(1000, of_stream=4))
    listener.publish(*labels(0, 1))
    listener.publish(*labels(2, 9), lost=True)
    listener.publish(*labels(10, 10))
    listener.hear()
    assert listener.came == [*labels(0, 1), missed(2, 6), *labels(7, 10)]
    assert listener.filling.missed == 5


def test_a_streamer_that_keeps_nothing_says_so_at_once():
    listener = Listener(History(0))
    listener.history.add = lambda stream, message: None
    listener.publish(*labels(0, 1))
    listener.publish(*labels(2, 2), lost=True)
    listener.publish(*labels(3, 4))
    listener.hear()
    assert listener.came == [*labels(0, 1), missed(2, 2), *labels(3, 4)]


def test_where_nobody_answers_what_comes_is_held_back_for_a_second_and_then_no_more():
    listener = Listener(new=True)
    listener.filling.connected()
    listener.publish(*labels(0, 1))
    listener.wait(PATIENCE_S / 2, answered=False)
    assert listener.came == []
    listener.wait(PATIENCE_S, answered=False)
    assert listener.came == labels(0, 1)
    listener.publish(*labels(2, 2), lost=True)
    listener.publish(*labels(3, 3))
    assert listener.came[-2:] == [missed(2, 2, UNANSWERED), *labels(3, 3)]
    assert listener.filling.missed == 1
    assert listener.filling.unanswered == 1


def test_a_streamer_that_has_answered_before_is_asked_some_times():
    listener = Listener()
    listener.publish(*labels(0, 1))
    listener.publish(*labels(2, 2), lost=True)
    listener.publish(*labels(3, 3))
    listener.wait(PATIENCE_S * (ATTEMPTS - 1), answered=False)
    asked = [each for each in listener.requests if b"anna" in each]
    assert len(asked) >= 3
    assert len(set(asked)) == 1
    assert listener.came == labels(0, 1)
    listener.hear()  # it was busy
    assert listener.came == labels(0, 3)
    listener.publish(*labels(4, 4), lost=True)
    listener.publish(*labels(5, 5))
    listener.wait(PATIENCE_S * (ATTEMPTS + 2), answered=False)
    assert listener.came[-2:] == [missed(4, 4, UNANSWERED), *labels(5, 5)]


def test_while_the_streamer_is_gone_nothing_is_given_up_for_a_while():
    listener = Listener()
    listener.publish(*labels(0, 1))
    listener.publish(*labels(2, 2), lost=True)
    listener.publish(*labels(3, 3))
    listener.ask()
    listener.requests.clear()
    listener.wait(ABSENT_S - 1, answered=False, is_there=False)
    assert listener.came == labels(0, 1)
    listener.filling.connected()
    listener.hear()
    assert listener.came == labels(0, 3)
    listener.publish(*labels(4, 4), lost=True)
    listener.publish(*labels(5, 5))
    listener.wait(ABSENT_S + PATIENCE_S * (ATTEMPTS + 2), answered=False, is_there=False)
    assert listener.came[-2:] == [missed(4, 4, UNANSWERED), *labels(5, 5)]


def test_a_question_that_is_lost_holds_up_its_stream_only_and_is_asked_again_after_a_second():
    listener = Listener()
    listener.publish(*labels(0, 0), *labels(0, 0, "ben"))
    listener.publish(*labels(1, 1), *labels(1, 1, "ben"), lost=True)
    listener.publish(*labels(2, 2))
    listener.ask()
    listener.requests.clear()
    listener.publish(*labels(2, 2, "ben"))
    listener.now += PATIENCE_S / 2
    listener.hear()
    assert listener.of("ben") == labels(0, 2, "ben")
    assert listener.of("anna") == labels(0, 0)
    listener.wait(PATIENCE_S)
    assert listener.of("anna") == labels(0, 2)


def test_what_was_before_the_first_that_comes_is_had_first():
    end = Event("end", "anna", 1, {"reason": "end", "windows": {"labelled": 4, "skipped": 0}})
    listener = Listener(new=True)
    listener.publish(*labels(0, 3), end, lost=True)
    listener.publish(*labels(0, 0, session=2))  # nothing shows that there was another
    listener.filling.connected()
    listener.publish(*labels(1, 1, session=2))
    listener.hear()
    assert listener.came == [*labels(0, 3), end, *labels(0, 1, session=2)]


def test_what_came_between_the_list_and_the_subscription_is_had_a_little_later():
    listener = Listener(new=True)
    listener.filling.connected()
    listener.hear()
    listener.wait(LATER_S)
    listener.publish(*labels(0, 3), lost=True)
    listener.wait(A_WHILE_S)
    assert listener.came == labels(0, 3)


def test_whoever_joins_late_begins_with_what_is_kept():
    listener = Listener(new=True)
    listener.publish(*labels(0, 9), *labels(0, 3, "ended"), lost=True)
    listener.filling.connected()
    listener.publish(*labels(10, 10))
    listener.hear()
    listener.publish(*labels(11, 11))
    assert listener.of("anna") == labels(0, 11)
    assert listener.of("ended") == labels(0, 3, "ended")
    assert listener.filling.missed == 0


@pytest.mark.parametrize("names", [["anna"], ["anna", *(f"s{number}" for number in range(40))]])
def test_whoever_listens_to_some_asks_for_those(names):
    listener = Listener(new=True, streams=names)
    listener.publish(*labels(0, 2), *labels(0, 3, "ben"), lost=True)
    listener.filling.connected()
    listener.hear()
    assert listener.came == labels(0, 2)


def test_whoever_wants_nothing_of_the_past_begins_with_what_comes():
    listener = Listener(new=True, past=False)
    listener.publish(*labels(0, 2), *labels(0, 2, "ben"), lost=True)
    listener.filling.connected()
    listener.publish(*labels(3, 3, t_published=1 << 61))
    listener.publish(*labels(4, 4, t_published=1 << 61), *labels(3, 3, "ben", t_published=1 << 61), lost=True)
    listener.publish(*labels(5, 5, t_published=1 << 61))
    listener.wait(A_WHILE_S)
    windows = [(message.stream, message.window) for message in listener.came if isinstance(message, Label)]
    assert windows == [("anna", 3), ("anna", 4), ("anna", 5), ("ben", 3)]


def test_a_stream_whose_last_labels_are_lost_is_asked_for_when_it_falls_silent():
    end = Event("end", "anna", 1, {"reason": "end", "windows": {"labelled": 5, "skipped": 0}})
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), end, lost=True)
    listener.wait(A_WHILE_S)
    assert listener.came == [*labels(0, 4), end]
    listener.wait(A_WHILE_S, answered=False)
    assert listener.requests == []


def test_a_label_that_is_lost_right_before_the_end_is_asked_for():
    end = Event("end", "anna", 1, {"reason": "end", "windows": {"labelled": 4, "skipped": 0}})
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 3), lost=True)
    listener.publish(end)
    listener.hear()
    assert listener.came == [*labels(0, 3), end]


def test_a_session_whose_end_was_lost_is_had_before_the_next_one():
    end = Event("end", "anna", 1, {"reason": "end", "windows": {"labelled": 4, "skipped": 0}})
    listener = Listener()
    listener.publish(*labels(0, 1))
    listener.publish(*labels(2, 3), end, *labels(0, 0, session=2), lost=True)
    listener.publish(*labels(1, 2, session=2))
    listener.hear()
    assert listener.came == [*labels(0, 3), end, *labels(0, 2, session=2)]


def test_a_session_that_was_lost_as_a_whole_comes_late():
    def end(session: int) -> Event:
        return Event("end", "anna", session, {"reason": "end", "windows": {"labelled": 2, "skipped": 0}})

    listener = Listener()
    listener.publish(*labels(0, 1), end(1))
    listener.publish(*labels(0, 1, session=2), end(2), lost=True)
    listener.publish(*labels(0, 0, session=3))
    assert listener.came == [*labels(0, 1), end(1), *labels(0, 0, session=3)]
    listener.hear()
    listener.publish(*labels(1, 1, session=3))
    lost = [*labels(0, 1, session=2), end(2)]
    assert listener.came == [*labels(0, 1), end(1), *labels(0, 0, session=3), *lost, *labels(1, 1, session=3)]


def test_a_streamer_that_was_started_again_is_asked_for_what_it_has_labelled_since():
    listener = Listener()
    listener.publish(*labels(0, 5))
    listener.publish(*labels(6, 7), lost=True)
    listener.history = History(1000)  # its history began anew; senders that keep what they sent send it again
    listener.publish(*labels(3, 8), *labels(0, 1, "new"), lost=True)
    listener.filling.connected()  # for the first time, and once more
    listener.filling.connected()
    listener.hear()
    listener.publish(*labels(9, 9))
    assert listener.of("anna") == labels(0, 9)
    assert listener.of("new") == labels(0, 1, "new")
    assert listener.filling.missed == 0


def with_a_hole() -> Listener:
    """Return one who lacks labels, of which the streamer that was started again meanwhile knows nothing."""
    listener = Listener()
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(*labels(5, 6))
    listener.history = History(1000)
    listener.filling.connected()
    return listener


def test_what_a_streamer_that_was_started_again_has_not_made_yet_is_waited_for():
    listener = with_a_hole()
    listener.hear()
    listener.publish(*labels(1, 3))  # a reliable sender has begun to send again
    listener.wait(A_WHILE_S)
    assert listener.came == labels(0, 3)
    listener.publish(*labels(4, 8))
    listener.wait(2 * PATIENCE_S)
    assert listener.came == labels(0, 8)
    assert listener.filling.missed == 0
    assert not listener.filling.is_asking


def test_what_a_streamer_that_was_started_again_has_gone_past_is_lost():
    listener = with_a_hole()
    listener.publish(*labels(9, 11))
    listener.hear()
    assert listener.came == [*labels(0, 2), missed(3, 4), *labels(5, 6), missed(7, 8), *labels(9, 11)]


def test_what_was_made_again_and_is_kept_no_more_has_come_meanwhile():
    listener = with_a_hole()
    listener.history = History(1000, of_stream=4)
    listener.publish(*labels(1, 12))
    listener.hear()
    listener.wait(PATIENCE_S)
    assert listener.came == labels(0, 12)
    assert listener.filling.missed == 0


def test_what_is_not_sent_again_is_lost_though_the_streamer_was_asked_before_it_had_any():
    listener = with_a_hole()
    accepted = Event("accepted", "anna", 0, {})
    listener.publish(accepted)
    listener.hear()
    assert listener.came == [*labels(0, 2), accepted]
    listener.publish(*labels(9, 11))
    listener.wait(PATIENCE_S)
    assert listener.came == [*labels(0, 2), accepted, missed(3, 4), *labels(5, 6), missed(7, 8), *labels(9, 11)]


def test_positions_of_a_streamer_are_forgotten_with_it():
    listener = with_a_hole()
    listener.publish(*labels(0, 2))
    listener.hear()
    listener.history = History(1000)
    listener.filling.connected()
    listener.publish(*labels(0, 8), lost=True)
    listener.publish(*labels(9, 9))
    listener.wait(PATIENCE_S)
    assert listener.came == labels(0, 9)
    assert listener.filling.missed == 0


def test_a_session_that_ended_before_it_was_made_again_is_waited_for():
    listener = Listener()
    end = Event("end", "anna", 1, {"reason": "end", "windows": {"labelled": 5, "skipped": 0}})
    listener.publish(*labels(0, 2))
    listener.publish(*labels(3, 4), lost=True)
    listener.publish(end, *labels(0, 1, session=2))
    listener.history = History(1000)
    listener.filling.connected()
    listener.hear()
    assert listener.came == labels(0, 2)
    listener.publish(*labels(2, 4), end, *labels(0, 3, session=2))
    listener.wait(2 * PATIENCE_S)
    assert [each for each in listener.came if isinstance(each, Label)] == [*labels(0, 4), *labels(0, 3, session=2)]
    assert listener.filling.missed == 0


def test_what_is_never_made_again_is_lost_after_a_while():
    listener = with_a_hole()
    listener.wait(REMADE_S - A_WHILE_S)
    assert listener.came == labels(0, 2)
    listener.wait(2 * A_WHILE_S)
    assert listener.came == [*labels(0, 2), missed(3, 4), *labels(5, 6)]
    assert not listener.filling.is_asking


def test_labels_that_come_again_come_once_but_those_of_another_bundle_are_others():
    listener = Listener()
    listener.publish(*labels(0, 5), *labels(2, 6))
    assert listener.came == labels(0, 6)
    assert listener.filling.repeated == 4
    listener.publish(*labels(4, 7, model="m-2"), *labels(6, 8, model="m-2"))
    assert listener.came == [*labels(0, 6), *labels(4, 8, model="m-2")]


def test_what_was_missing_while_an_answer_came_is_asked_for_too():
    listener = Listener()
    listener.publish(*labels(0, 0))
    listener.publish(*labels(1, 1), lost=True)
    listener.publish(*labels(2, 2))
    listener.ask()
    answer = encode_history_answer(listener.history.answer(decode_history_request(listener.requests.pop())))
    listener.publish(*labels(3, 3), lost=True)
    listener.publish(*labels(4, 5))
    listener.filling.hear(answer, listener.now)
    listener.take_ready()
    assert listener.came == labels(0, 2)
    listener.hear()
    assert listener.came == labels(0, 5)


def test_what_is_held_back_is_bounded(monkeypatch):
    monkeypatch.setattr(filling, "HELD", 10)
    listener = Listener()
    listener.publish(*labels(0, 0))
    listener.publish(*labels(1, 1), lost=True)
    for window in range(2, 21):
        listener.publish(*labels(window, window))
        assert listener.filling._held <= 10
    listener.hear()
    assert listener.came == labels(0, 20)


def test_streams_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(filling, "STREAMS", 3)
    listener = Listener()
    for number in range(10):
        listener.publish(*labels(0, 1, f"s{number}"))
    assert len(listener.filling._streams) == 3
    assert len(listener.came) == 20


def tells_of_windows(message: Published) -> bool:
    return isinstance(message, Label) or (isinstance(message, Event) and message.event == "skipped")


def is_seam(message: Published) -> bool:
    return isinstance(message, Event) and message.event == "seam"


def windows_in(message: Published) -> set[tuple[int, int]]:
    """Return the windows that a message tells of, by session and number."""
    first, last = windows_of(message) or (0, -1)
    return {(message.session, window) for window in range(first, last + 1)}


_lost = st.sampled_from([False] * 3 + [True])
_steps = st.lists(
    st.tuples(
        st.sampled_from(["anna", "ben"]),
        st.sampled_from(["label"] * 8 + ["skipped", "gap", "seam", "seam", "end", "hear", "wait", "connected"]),
        _lost,
    ),
    max_size=120,
)


@settings(max_examples=100)
@example(steps=[("anna", what, False) for what in ("gap", "hear", "label", "end", "end")], of_stream=5)
@example(steps=[("anna", "hear", False), ("anna", "end", True), ("anna", "seam", False)], of_stream=10_000)
@given(steps=_steps, of_stream=st.sampled_from([2, 5, 10_000]))
def test_each_label_comes_once_in_its_order_or_is_told_to_be_missed(steps, of_stream):
    listener = Listener(History(1000, of_stream=of_stream))
    listener.filling.connected()
    at = {"anna": [1, 1, 1], "ben": [1, 1, 1]}  # session, next window, windows so far
    for stream in at:
        listener.publish(label_of(stream, 0))
    for number, (stream, what, lost) in enumerate(steps):
        session, window, count = at[stream]
        if what == "label":
            listener.publish(label_of(stream, window, session=session), lost=lost)
            at[stream] = [session, window + 1, count + 1]
        elif what == "skipped":
            about = {"first_window": window, "last_window": window + 1, "reason": "missing", "number": number}
            listener.publish(Event("skipped", stream, session, about), lost=lost)
            at[stream] = [session, window + 2, count + 2]
        elif what == "end":
            about = {"reason": "end", "windows": {"labelled": count, "skipped": 0}, "number": number}
            listener.publish(Event("end", stream, session, about), lost=lost)
            at[stream] = [session + 1, 0, 0]
        elif what in ("gap", "seam"):
            about = {"first_seq": 1, "last_seq": 2, "number": number}
            if what == "seam":
                about |= {"last_window": window - 1, "next_window": window + 100}
            listener.publish(
                Event(what, stream, session, about), lost=lost and what == "seam"
            )  # nothing tells of a gap
            at[stream][1] += 100 * (what == "seam")
        elif what == "hear":
            listener.hear()
        elif what == "wait":
            listener.wait(0.5)
        else:
            listener.filling.connected()
    for stream, (session, window, _) in at.items():
        listener.publish(label_of(stream, window, session=session))
    listener.wait(A_WHILE_S)
    for stream in at:
        published = [message for message in listener.published if message.stream == stream]
        told = [each for each in listener.of(stream) if isinstance(each, Event) and each.event == "missed"]
        came = [message for message in listener.of(stream) if message not in told]
        assert len(came) == len(set(map(repr, came)))
        assert all(message in published for message in came)
        for each in range(1, session + 1):
            of_session = [message for message in came if message.session == each and tells_of_windows(message)]
            assert of_session == [message for message in published if message in of_session]
        if of_stream == 10_000:
            assert sorted(map(repr, came)) == sorted(map(repr, published))
            assert not told
        had = {(each.session, each.window) for each in came if isinstance(each, Label)}
        lost_windows = {
            (each.session, window)
            for each in told
            for window in range(each.details["first_window"], each.details["last_window"] + 1)
        }
        assert not had & lost_windows
        known = {each for message in published for each in windows_in(message)}
        accounted = lost_windows.union(*map(windows_in, came))
        for each in range(1, session + 1):
            first = min((window for number, window in accounted if number == each), default=0)
            last = max((window for number, window in accounted if number == each), default=-1)
            assert {at for at in known if at[0] == each and first <= at[1] <= last} <= accounted
            if all(seam in came for seam in published if seam.session == each and is_seam(seam)):
                assert {at for at in lost_windows if at[0] == each} <= known


_late_steps = st.lists(
    st.tuples(
        st.sampled_from(["anna", "ben"]),
        st.sampled_from(["label"] * 8 + ["ask", "answer", "deliver"] * 3 + ["end", "look", "connected", "joined"]),
        _lost,
    ),
    max_size=120,
)


@settings(max_examples=150)
@given(steps=_late_steps)
def test_whoever_joins_at_any_moment_has_all_labels_however_late_answers_come(steps):
    listener = Listener(new=True)
    at = {"anna": [1, 0], "ben": [1, 0]}  # session, next window
    joined = False
    for number, (stream, what, lost) in enumerate(steps):
        session, window = at[stream]
        if what == "label":
            listener.publish(label_of(stream, window, session=session), lost=lost or not joined)
            at[stream] = [session, window + 1]
        elif what == "end":
            about = {"reason": "end", "windows": {"labelled": window, "skipped": 0}, "number": number}
            listener.publish(Event("end", stream, session, about), lost=lost or not joined)
            at[stream] = [session + 1, 0]
        elif what == "look":
            if not (listener.requests or listener.answers):
                listener.wait(LATER_S)
        elif what == "joined":
            joined = True
            listener.filling.connected()
        elif what == "connected":
            listener.filling.connected()
        else:
            {"ask": listener.ask, "answer": listener.answer, "deliver": listener.deliver}[what]()
    listener.filling.connected()
    listener.hear()
    for stream, (session, window) in at.items():
        listener.publish(label_of(stream, window, session=session))
    listener.wait(A_WHILE_S)
    for stream in at:
        published, came = (
            [(each.session, each.window) for each in messages if each.stream == stream and isinstance(each, Label)]
            for messages in (listener.published, listener.came)
        )
        assert sorted(came) == published
        for session in {session for session, _ in published}:
            assert [each for each in came if each[0] == session] == [each for each in published if each[0] == session]
