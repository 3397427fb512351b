"""What is sent of the keys of a stream, and in which order, as a streamer acknowledges, refuses and forgets them."""

import pytest

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.client import deliveries, delivery
from kinestream.streamer.client.deliveries import Deliveries
from kinestream.streamer.client.reliable import LEAST_BYTES, Reliable
from kinestream.streamer.wire.codec import encode_description
from kinestream.streamer.wire.messages import Description
from kinestream.streamer.wire.tracked import EVERYTHING, UNKNOWN, Acknowledgement, decode_tracked, is_tracked

FIRST, SECOND = 11, 12


class Sender:
    """What is kept, where it goes, and a clock.

    Attributes
    ----------
    posted : list of (int, int or None)
        Which message of which key; None for its description.
    inquired : list of int
        Keys of which was asked what becomes of them.
    removed : list of int
        Keys that were let go of.
    """

    def __init__(self, settings: Reliable | None = None) -> None:
        self.now = 1000.0
        self.posted: list[tuple[int, int | None]] = []
        self.inquired: list[int] = []
        self.removed: list[int] = []
        self.all = Deliveries(
            settings or Reliable(),
            self._post,
            lambda keys: None,
            lambda: None,
            lambda description, key, stream: self.inquired.append(key),
        )
        self.all.on_removed = self.removed.append

    def open(self, key: int, messages: int, *, session: int = 1, stream: str = "anna", is_over: bool = True) -> None:
        about = Description(stream, key, session, 50.0, (Channel("ax", "m/s2"),))
        self.all.open(about, encode_description(about))
        for number in range(messages):
            self.all.add(key, b"%d" % number, number + 1)
        if is_over:
            self.all.finish(key)

    def acknowledge(self, key: int, received: int, number: int = 0) -> None:
        self.all.acknowledged([Acknowledgement(key, received, number, EVERYTHING if number else 0)])

    def serve(self, seconds: float = 0.1, times: int = 1) -> list[tuple[int, int | None]]:
        """Let time pass; return what was posted meanwhile."""
        self.posted.clear()
        for _ in range(times):
            self.now += seconds
            self.all.service()
        return list(self.posted)

    def _post(self, key: int, frame: bytes) -> bool:
        self.posted.append((key, decode_tracked(frame).number if is_tracked(frame) else None))
        return True


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> Sender:
    return timed(Sender(), monkeypatch)


def timed(sender: Sender, monkeypatch: pytest.MonkeyPatch) -> Sender:
    for module in (deliveries, delivery):
        monkeypatch.setattr(module.time, "monotonic", lambda: sender.now)
    return sender


def test_of_what_is_refused_nothing_is_sent_but_what_describes_it(sender: Sender):
    sender.open(FIRST, 200)
    sender.all.answered(FIRST, False)
    sender.serve()
    for _ in range(10):
        sender.acknowledge(FIRST, UNKNOWN)
        assert set(sender.serve(times=10)) <= {(FIRST, None)}
    assert len(sender.inquired) <= 7, "it is asked every two seconds"
    sender.all.answered(FIRST, True)
    assert sender.serve()[:64] == [(FIRST, number) for number in range(64)]


def test_where_nothing_tells_that_a_streamer_takes_a_key_only_a_few_messages_are_tried(sender: Sender):
    sender.open(FIRST, 200)
    sender.serve(1.0)
    sender.acknowledge(FIRST, UNKNOWN)
    assert sender.serve(times=10) == [(FIRST, None), *((FIRST, number) for number in range(4))]
    sender.all.answered(FIRST, True)
    assert sender.serve() == [(FIRST, number) for number in range(4, 68)]


def test_a_later_session_goes_on_without_one_that_is_refused_again_after_the_later_was_accepted(sender: Sender):
    sender.open(FIRST, 10)
    sender.all.answered(FIRST, False)
    sender.acknowledge(FIRST, UNKNOWN)
    sender.open(SECOND, 10, session=2)
    assert {number for key, number in sender.serve(times=20) if key == SECOND} == {None}
    sender.all.answered(SECOND, True)
    assert sender.serve(times=20)[0] == (FIRST, None), "what was refused before may be accepted by now"
    assert not [key for key, _ in sender.posted if key == SECOND]
    sender.all.answered(FIRST, False)
    assert [each for each in sender.serve() if each[0] == SECOND] == [(SECOND, number) for number in range(10)]


def test_both_are_taken_in_their_order_once_the_streamer_takes_them(sender: Sender):
    sender.open(FIRST, 10)
    sender.open(SECOND, 10, session=2)
    for key in (FIRST, SECOND):
        sender.all.answered(key, False)
        sender.acknowledge(key, UNKNOWN)
        sender.serve(3.0)
    sender.all.answered(SECOND, True)
    sender.serve()
    sender.all.answered(FIRST, True)
    sender.serve()
    assert not [number for key, number in sender.posted if key == SECOND]
    sender.acknowledge(FIRST, 10)
    assert sender.serve() == [(SECOND, number) for number in range(10)]


def test_an_acceptance_is_in_doubt_where_an_earlier_key_is_refused_that_was_accepted(sender: Sender):
    """As by the next streamer: it may refuse the later one as well."""
    sender.open(FIRST, 10)
    sender.all.answered(FIRST, True)
    sender.open(SECOND, 10, session=2)
    sender.all.answered(SECOND, True)
    sender.acknowledge(FIRST, UNKNOWN)
    sender.serve()
    sender.all.answered(FIRST, False)
    assert sender.serve(times=10) == [(SECOND, None)]
    sender.all.answered(SECOND, False)
    assert not {number for _, number in sender.serve(times=30)} - {None}


def test_a_later_session_waits_until_all_that_is_sent_again_of_the_earlier_has_left(sender: Sender):
    """Where a streamer is killed then, the next one must not have the later session between the earlier one's parts."""
    sender.open(FIRST, 200)
    sender.all.answered(FIRST, True)
    sender.serve(times=5)
    sender.acknowledge(FIRST, 200)
    sender.acknowledge(FIRST, UNKNOWN)
    sender.all.answered(FIRST, True)
    sender.serve()
    sender.acknowledge(FIRST, 200)
    sender.open(SECOND, 1, session=2)
    sender.serve(times=5)
    numbers = [posted for posted in sender.posted if posted[1] is not None]
    assert numbers == [*((FIRST, number) for number in range(64, 200)), (SECOND, 0)]


def test_what_is_left_over_and_given_up_as_a_whole_is_let_go_of(monkeypatch: pytest.MonkeyPatch):
    sender = timed(Sender(Reliable(keep_bytes=LEAST_BYTES, when_full="drop")), monkeypatch)
    sender.open(FIRST, 10)
    sender.open(SECOND, 0, stream="ben", is_over=False)
    for number in range(20):
        sender.all.add(SECOND, bytes(50_000), number + 1)
    sender.all._of[SECOND].outbox.bytes = 0  # whoever keeps most gives up first
    assert sender.all.has_room(bytes(LEAST_BYTES - 20 * 50_200 - 206))
    assert sender.removed == [FIRST]


def test_that_nothing_makes_room_though_a_streamer_answers_is_said_once_a_minute(caplog, monkeypatch):
    sender = timed(Sender(Reliable(keep_bytes=LEAST_BYTES)), monkeypatch)
    sender.open(FIRST, 1, is_over=False)
    large = bytes(LEAST_BYTES)
    for second in range(100):
        sender.now += 1
        assert not sender.all.has_room(large)
        if second < 20:
            continue  # nobody answers: that is told elsewhere
        if second == 20:
            assert not caplog.records
        sender.acknowledge(FIRST, 1)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "keep_bytes" in caplog.text
    assert sender.all.has_room(b"small")
