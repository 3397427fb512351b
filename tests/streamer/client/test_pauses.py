"""A pause of the caller is a gap; jitter, bursts and rates a little off are none; a clock set back is followed."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinestream import Event, Label, LabelSubscriber, SampleConnection, SampleSender
from kinestream.streamer.client.pauses import TOLERANCE_NS, Pauses
from kinestream.streamer.wire.messages import Description
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.streamers import running_streamer

SECOND = 1_000_000_000
RATE = 50
PERIOD = SECOND // RATE
WAIT_S = 60.0
BUNDLE = random_bundle(channels=3, length=8, stride=4)
ORIGIN = 1_700_000_000_000_000_000


def missing(pauses: Pauses, moments: np.ndarray, samples: int) -> list[int]:
    return [pauses.missing(samples, int(moment)) for moment in moments]


@given(
    rate=st.sampled_from([49.0, 49.6, 50.0, 52.0, 54.9]),
    samples=st.sampled_from([1, 5, 12, 50]),
    jitter_ms=st.integers(0, 400),
    seed=st.integers(0, 1 << 30),
    pause_s=st.floats(2.0, 3600.0),
)
def test_rates_a_little_off_and_late_callers_make_no_gap_and_a_pause_after_them_does(
    rate, samples, jitter_ms, seed, pause_s
):
    rng = np.random.default_rng(seed)
    count = max(2000 // samples, 10)
    moments = np.arange(count) * samples * SECOND / rate + rng.uniform(0, jitter_ms * 1e6, count)
    pauses = Pauses(RATE)
    assert not any(missing(pauses, np.maximum.accumulate(moments), samples))
    last = int(moments.max()) + jitter_ms * 1_000_000
    found = pauses.missing(samples, last + int((pause_s + samples / RATE) * SECOND))
    assert found == pytest.approx(pause_s * RATE, abs=(0.4 + 0.4 + samples / RATE) * RATE)


def test_silence_counts_as_soon_as_it_is_longer_than_the_tolerance():
    pauses = Pauses(RATE)
    assert missing(pauses, np.array([0, PERIOD + TOLERANCE_NS]), 1) == [0, 0]
    assert pauses.missing(1, 2 * PERIOD + 2 * TOLERANCE_NS + 1) == 25
    slow = Pauses(0.5)
    assert missing(slow, np.array([0, 12, 25]) * SECOND, 1) == [0, 0, 6]


def test_what_is_sent_faster_than_it_was_taken_follows_for_as_long_as_it_is_ahead():
    pauses = Pauses(RATE)
    assert not any(missing(pauses, np.arange(100) * PERIOD // 10, 1))  # ten times as fast
    assert pauses.missing(1, 100 * PERIOD // 10 + SECOND) == 0
    assert pauses.missing(1, 100 * PERIOD // 10 + 10 * SECOND) == pytest.approx(8.2 * RATE, abs=RATE)
    upload = Pauses(RATE)
    assert missing(upload, np.array([0, 1, 2, 100, 150]) * SECOND, 60 * RATE) == [0, 0, 0, 0, 0]
    assert upload.missing(1, 260 * SECOND) == 0  # the upload before it may have been of that


def test_a_clock_that_is_set_says_nothing():
    pauses = Pauses(RATE)
    assert missing(pauses, np.array([3600 * SECOND, 0, PERIOD]), 1) == [0, 0, 0]
    assert pauses.missing(1, 10 * SECOND) == 498


def heard(subscriber: LabelSubscriber) -> list[Label | Event]:
    messages = []
    while not (messages and isinstance(messages[-1], Event) and messages[-1].event == "end"):
        messages.append(subscriber.receive(WAIT_S))
        assert messages[-1] is not None
    return messages


def described(subscriber: LabelSubscriber, *senders: SampleSender) -> None:
    """Have the streamer know the senders, and the subscriber hear of them."""
    for sender in senders:
        until(lambda sender=sender: sender.describe() or subscriber.receive(0.1))


class Hands:
    """A clock that a test sets."""

    now = 0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    hands = Hands()
    monkeypatch.setattr("kinestream.streamer.client.sender.monotonic_ns", hands)
    return hands


@pytest.mark.parametrize("by_t", [False, True])
def test_a_pause_of_the_caller_is_a_gap_and_no_label_is_across_it(clock, by_t):
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        SampleSender("anna", BUNDLE.channels, RATE, endpoint=streamer.ingest, control=streamer.control) as sender,
    ):
        described(subscriber, sender)
        for i, row in enumerate(x):
            clock.now += PERIOD if i != 40 else 10 * SECOND + PERIOD
            sender.send(row, t=ORIGIN + clock.now if by_t else None)
        assert sender.seq == 80 + 10 * RATE
        sender.end()
        messages = heard(subscriber)
    (gap,) = [each for each in messages if isinstance(each, Event) and each.event == "gap"]
    assert gap.details == {"first_seq": 40, "last_seq": 39 + 10 * RATE}
    labels = [each for each in messages if isinstance(each, Label)]
    assert len(labels) > 12
    # A quarter of a window may be missing.
    assert not [each for each in labels if each.first_seq < 39 and each.last_seq > 41]
    assert not [each for each in labels if each.first_seq < 538 and each.last_seq >= 540]
    assert {each.last_seq > 540 for each in labels} == {True, False}


def test_who_says_that_samples_follow_is_believed_and_waiting_for_the_streamer_is_no_pause(clock):
    sent = []

    class Slow:
        """A connection that takes a minute for a message."""

        endpoint, control, successors = "nowhere", None, {}

        def open(self, about: Description, description: bytes) -> None:
            pass

        def announce(self, description: bytes, key: int) -> None:
            self.deliver(0, description, 0)

        def deliver(self, key: int, message: bytes, end: int) -> None:
            sent.append(message)
            clock.now += 60 * SECOND

        def finish(self, key: int) -> None:
            pass

        def describe(self, description: bytes, *, key: int, stream: str) -> None:
            pass

        def forget(self, key: int) -> None:
            pass

        def answer(self, key: int) -> None:
            pass

    sender = SampleSender("anna", ["a"], RATE, connection=Slow())
    for _ in range(5):
        sender.send([1.0])
    assert sender.seq == 5
    clock.now += 60 * SECOND
    sender.send([1.0], seq=sender.seq)
    assert sender.seq == 6
    clock.now += 60 * SECOND + PERIOD
    sender.send([1.0])
    assert sender.seq == 7 + 60 * RATE
    clock.now += 60 * SECOND
    sender.new_session()
    sender.send([1.0])
    assert sender.seq == 1


@pytest.mark.parametrize("session", [0, 7])
@pytest.mark.parametrize("within", [False, True])
def test_a_clock_that_is_set_back_ends_the_session_and_the_sender_begins_the_next(session, within, caplog):
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    times = ORIGIN + np.arange(80) * PERIOD
    times[40:] -= 3600 * SECOND
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        SampleSender(
            "anna",
            BUNDLE.channels,
            RATE,
            timing="times",
            session=session,
            endpoint=streamer.ingest,
            control=streamer.control,
        ) as sender,
    ):
        described(subscriber, sender)
        with caplog.at_level(logging.WARNING, "kinestream.sender"):
            for first, end in [(0, 80)] if within else [(0, 40), (40, 80)]:
                sender.send(x[first:end], times=times[first:end])
        following = sender.session
        sender.end()
        messages = heard(subscriber) + heard(subscriber)
        while (message := subscriber.receive(1)) is not None:
            messages.append(message)
    assert (following > session) == bool(session)
    assert caplog.text.count("was set back by 3599.980 s") == 1
    events = [each for each in messages if isinstance(each, Event) and each.event != "accepted"]
    # In session 0, a window of the two readings that show the step may be due before the device begins anew.
    told = [(each.event, each.session) for each in events]
    assert list(dict.fromkeys(told)) == list(dict.fromkeys([("seam", session), ("end", session), ("end", following)]))
    assert len(told) == 3 or not session
    assert (events[0].details["before"], events[0].details["after"]) == (times[39], times[40])
    assert events[1].details["reason"] == "clock"
    labels = [each for each in messages if isinstance(each, Label)]
    before = [each for each in labels if each.t_source > ORIGIN - SECOND]
    assert len(before) > 5
    assert len(labels) - len(before) > 5
    assert {each.session for each in before} == {session}
    assert {each.session for each in labels[len(before) :]} == {following}


def test_devices_of_a_stream_that_share_a_connection_go_over_together():
    x = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    times = ORIGIN + np.arange(80) * PERIOD
    times[40:] -= 3600 * SECOND
    with (
        running_streamer(BUNDLE) as streamer,
        LabelSubscriber(streamer.labels, events=True) as subscriber,
        SampleConnection(streamer.ingest, control=streamer.control) as connection,
    ):
        senders = [
            SampleSender(
                "anna",
                BUNDLE.channels[part],
                RATE,
                device=name,
                timing="times",
                origin=ORIGIN,
                session=7,
                connection=connection,
            )
            for name, part in (("phone", slice(0, 2)), ("watch", slice(2, 3)))
        ]
        described(subscriber, *senders)
        for first in range(0, 80, 10):
            senders[0].send(x[first : first + 10, :2], times=times[first : first + 10])
            senders[1].send(x[first : first + 10, 2:], times=times[first : first + 10])
        assert senders[0].session == senders[1].session > 7
        for sender in senders:
            sender.end()
        messages = heard(subscriber) + heard(subscriber)
    labels = [each for each in messages if isinstance(each, Label)]
    assert {each.session for each in labels} == {7, senders[0].session}
    assert all(share <= 0.25 for each in labels for share in each.missing.values())
    assert sum(isinstance(each, Event) and each.event == "seam" for each in messages) == 1
