"""What several streamers of a fleet publish of a stream becomes one: each label once, in order; no socket here."""

import numpy as np

from kinestream.streamer.client.merging import HELD_S, Merging
from kinestream.streamer.wire.messages import Event, Label

OLD, NEW = 1, 2


def label(window: int, epoch: int = 5, session: int = 1) -> Label:
    probs = np.array([1.0], "<f4").tobytes()
    times = (0, 0, 0, 0, 0)
    return Label("anna", session, window, 4 * window, 4 * window + 7, "a", 0, 1.0, probs, {}, "model", *times, epoch)


def event(kind: str, epoch: int, **details: object) -> Event:
    return Event(kind, "anna", 1, {**details, "epoch": epoch} if epoch else dict(details))


class Merged:
    """A merging whose clock stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0
        self.merging = Merging(lambda: self.now)

    def take(self, source: int, *messages: Label | Event) -> list[int | str]:
        """Return the windows of the labels, and the kinds of the events, that are handed out for some messages."""
        for message in messages:
            self.merging.take(message, source)
        self.merging.look()
        handed, self.merging.ready = list(self.merging.ready), type(self.merging.ready)()
        return [each.window if isinstance(each, Label) else each.event for each in handed]

    def wait(self, seconds: float) -> None:
        """Let time pass, and have it looked every half second whether anything has waited for too long."""
        until = self.now + seconds
        while self.now < until:
            self.now += 0.5
            self.merging.look()


def test_what_a_new_owner_publishes_again_comes_once():
    merged = Merged()
    assert merged.take(OLD, *map(label, range(6))) == list(range(6))
    assert merged.take(NEW, *(label(window, 7) for window in range(3, 9))) == [6, 7, 8]
    assert merged.take(OLD, label(6), label(7)) == []
    assert merged.merging.repeated == 5


def test_labels_of_the_old_owner_that_are_still_on_their_way_come_before_those_of_the_new():
    merged = Merged()
    merged.take(OLD, label(0), label(1))
    assert merged.take(NEW, label(4, 7), label(5, 7)) == []
    assert merged.take(OLD, label(2)) == [2]
    assert merged.take(OLD, label(3)) == [3, 4, 5]
    assert merged.take(NEW, label(6, 7)) == [6]
    assert merged.merging.missed == 0


def test_a_stream_waits_for_them_no_longer_than_that_one_is_asked_and_tells_what_it_missed():
    merged = Merged()
    merged.take(OLD, label(0))
    assert merged.take(NEW, label(3, 7)) == []
    merged.wait(HELD_S + 1.0)
    assert merged.take(NEW, label(4, 7)) == ["missed", 3, 4]
    assert merged.merging.missed == 2
    assert merged.take(OLD, label(1), label(2)) == []  # whoever reads has gone on


def test_whoever_was_held_up_himself_finds_what_is_missing_in_his_queue():
    merged = Merged()
    merged.take(OLD, label(0), label(1))
    merged.take(NEW, label(4, 7))
    merged.now += 10 * HELD_S
    merged.merging.look()
    assert merged.take(OLD, label(2), label(3)) == [2, 3, 4]
    assert merged.merging.missed == 0


def test_a_stream_waits_no_longer_for_what_its_other_streamer_cannot_give():
    merged = Merged()
    merged.take(OLD, label(0), label(1))
    assert merged.take(NEW, label(4, 7), label(5, 7)) == []
    assert merged.take(OLD, event("missed", 0, first_window=2, last_window=3, reason="gone")) == ["missed", 4, 5]
    assert merged.merging.missed == 2


def test_events_of_an_owner_that_lost_the_stream_are_left_out_and_its_labels_are_not():
    merged = Merged()
    assert merged.take(OLD, event("accepted", 5), label(0)) == ["accepted", 0]
    assert merged.take(NEW, event("accepted", 7)) == ["accepted"]
    assert merged.take(OLD, event("device", 5), label(1), event("end", 5, reason="idle")) == [1]
    assert merged.take(OLD, event("gap", 0, first_seq=1, last_seq=2)) == []
    assert merged.take(NEW, label(2, 7), event("end", 7, reason="end")) == [2, "end"]
    assert merged.merging.outdated == 3


def test_windows_that_one_streamer_keeps_no_more_and_another_gave_are_not_missed():
    merged = Merged()
    merged.take(OLD, *map(label, range(3)))
    merged.take(NEW, *(label(window, 7) for window in range(3, 9)))
    lacks = event("missed", 0, first_window=3, last_window=8, reason="gone")
    assert merged.take(OLD, lacks, label(9, 9)) == [9]
    assert merged.take(OLD, event("missed", 0, first_window=10, last_window=11, reason="gone"), label(12, 9)) == [
        "missed",
        12,
    ]
    assert merged.merging.missed == 2


def test_the_beginning_of_a_session_that_nobody_gave_is_told_and_so_is_a_whole_session():
    merged = Merged()
    assert merged.take(OLD, label(0), label(1)) == [0, 1]
    assert merged.take(OLD, label(5, session=2)) == [5]
    beginning = Event("missed", "anna", 2, {"first_window": 0, "last_window": 4, "reason": "gone"})
    whole = Event("missed", "anna", 3, {"first_window": 0, "last_window": 7, "reason": "gone"})
    assert merged.take(OLD, beginning, whole) == ["missed", "missed"]
    assert merged.merging.missed == 13


def test_whoever_looks_but_now_and_then_is_not_held_up_for_ever():
    merged = Merged()
    merged.take(OLD, label(0), label(1))
    merged.take(NEW, label(4, 7))
    handed = []
    for _ in range(20):
        merged.now += 1.5
        handed += merged.take(OLD)
    assert handed == ["missed", 4]
