"""Who is admitted and who is refused, key by key: recognizers that are told what streams are, without a socket."""

import logging
from collections import Counter

import msgpack
import numpy as np
import pytest

from kinestream.model.clock import monotonic_ns
from kinestream.model.engine.load import load_engine
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Description, End, Event, Label, MalformedMessage, Readings
from tests.given.bundles import random_bundle
from tests.given.keys import described, key_of

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
ENGINE = load_engine(BUNDLE, "cpu")
SIX_SECONDS_NS = 6_000_000_000
"""More than samples wait for their description."""


def recognizer(**options: object) -> Recognizer:
    return Recognizer(BUNDLE, ENGINE, **options)


def signal(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def about(stream: str = "a", session: int = 1, **others: object) -> Description:
    """Return a description as it is read from its message, with a fingerprint of its own."""
    written = described(stream, BUNDLE.channels, 50.0, session)._replace(**others)
    read = codec.decode(codec.encode_description(written))
    assert isinstance(read, Description)
    return read


def send(live: Recognizer, x: np.ndarray, *, key: int, seq: int = 0) -> None:
    """Take samples one a message, as the streamer does: in bulk, and one by one what is left over."""
    frames = [codec.encode_samples(key, seq + i, i, row[None]) for i, row in enumerate(x)]
    live.take_frames(frames, 0, lambda frame: live.take(codec.decode_samples(frame), 0))


def windows(outcomes: list[Label | Event]) -> list[int]:
    return [outcome.window for outcome in outcomes if isinstance(outcome, Label)]


def kinds(outcomes: list[Label | Event]) -> Counter[str]:
    return Counter(outcome.event for outcome in outcomes if isinstance(outcome, Event))


def accounted(live: Recognizer, messages: int) -> dict[str, int]:
    """Return what became of so many messages, which is to be all of it."""
    totals = live.totals()
    assert messages == sum(count for name, count in totals.items() if name.startswith("messages_"))
    return totals


# Samples before their description -------------------------------------------------------------------------------------


def test_samples_that_come_before_their_description_are_labelled():
    live, plain = recognizer(), recognizer()
    x = signal(20)
    send(live, x[:12], key=key_of("a"))
    assert live.infer() == []
    assert accounted(live, 12)["messages_waiting"] == 12
    assert live.introduce(about()).accepted
    send(live, x[12:], key=key_of("a"), seq=12)
    labels = [each for each in live.infer() if isinstance(each, Label)]
    assert [(each.window, each.label) for each in labels] == [(e.window, e.label) for e in plain.push("a", x)]
    assert accounted(live, 21)["messages_taken"] == 21


def test_an_end_that_comes_before_its_description_ends_the_session():
    live = recognizer()
    send(live, signal(8), key=key_of("a"))
    live.take(End(key_of("a")), 0)
    live.introduce(about())
    outcomes = live.infer()
    assert windows(outcomes) == [0]
    assert kinds(outcomes) == {"accepted": 1, "end": 1}


def test_samples_that_nobody_describes_are_dropped_after_five_seconds_and_logged_once(caplog):
    live = recognizer()
    send(live, signal(8), key=key_of("a"))
    with caplog.at_level(logging.WARNING):
        live.forget_silent(monotonic_ns())
        assert accounted(live, 8)["messages_waiting"] == 8
        live.forget_silent(monotonic_ns() + SIX_SECONDS_NS)
        send(live, signal(8), key=key_of("b"))
        live.forget_silent(monotonic_ns() + SIX_SECONDS_NS)
    assert accounted(live, 16)["messages_undeclared"] == 16
    assert caplog.text.count("name a key that nobody has described") == 1
    assert live.infer() == []


def test_one_key_that_nobody_describes_leaves_room_for_another():
    live = recognizer()
    for seq in range(0, 100_000, 1000):
        live.take(Readings(1, seq, 0, 1000, b"", bytes(12_000)), 0)
    send(live, signal(8), key=key_of("a"))
    live.introduce(about())
    assert windows(live.infer()) == [0]
    totals = accounted(live, 109)
    assert totals["messages_undeclared"] > 90


@pytest.mark.parametrize("timed", [False, True])
def test_what_waits_for_descriptions_takes_no_more_than_a_megabyte(timed):
    live = recognizer()
    held = 0
    for key in range(10_000):
        message = Readings(key, 0, 0, 300, bytes(2400) if timed else b"", bytes(3600))
        live.take(message, 0)
        held += len(message.x) + len(message.times)
    waiting = accounted(live, 10_000)["messages_waiting"]
    assert 100 < waiting
    assert waiting * held / 10_000 < 1 << 20


def test_samples_of_a_key_that_is_refused_do_not_wait():
    live = recognizer()
    send(live, signal(4), key=key_of("a"))
    assert not live.introduce(about(channels=BUNDLE.channels[:1])).accepted
    send(live, signal(4), key=key_of("a"), seq=4)
    totals = accounted(live, 9)
    assert (totals["messages_refused"], totals["messages_waiting"]) == (8, 0)


# One key, one description ---------------------------------------------------------------------------------------------


def test_a_second_description_of_a_key_is_refused_and_the_first_ones_stream_goes_on():
    live = recognizer()
    assert live.introduce(about()).accepted
    send(live, signal(8), key=key_of("a"))
    assert windows(live.infer()) == [0]
    for other in (
        about(channels=BUNDLE.channels[::-1]),
        about(session=2, key=key_of("a")),
        about("b", key=key_of("a")),
        about(channels=BUNDLE.channels[:1]),
    ):
        answer = live.introduce(other)
        assert (answer.accepted, answer.key, answer.stream) == (False, key_of("a"), other.stream)
        assert "choose a new one" in answer.details["reason"]
    send(live, signal(12)[8:], key=key_of("a"), seq=8)
    outcomes = live.infer()
    assert windows(outcomes) == [1]
    assert kinds(outcomes) == {"refused": 4}
    assert live.streams == 1
    assert live.introduce(about()).accepted  # the first may be repeated


def test_a_description_that_came_before_is_answered_unread():
    live = recognizer()
    description = about()
    assert live.introduce_again(description.fingerprint, lambda _: 0) is None
    first = live.introduce(description, subscribers=3)
    assert live.introduce_again(description.fingerprint, lambda _: 3) == first
    assert kinds(live.infer()) == {"accepted": 2}
    live.introduce_again(description.fingerprint, lambda _: 3, quietly=True)
    live.introduce(description, quietly=True)
    assert live.infer() == []


def test_a_wrong_description_under_a_new_key_disturbs_no_one():
    live = recognizer()
    live.introduce(about())
    send(live, signal(6), key=key_of("a"))
    live.infer()
    wrong = [about(key=1, channels=BUNDLE.channels[:2]), about(key=2, rate_hz=99.0), about(key=3, timing="times")]
    wrong.append(about(key=4, device="another"))
    for description in wrong:
        answer = live.introduce(description)
        assert (answer.accepted, answer.key) == (False, description.key)
        send(live, signal(2), key=description.key)
    send(live, signal(12)[6:], key=key_of("a"), seq=6)
    outcomes = live.infer()
    assert windows(outcomes) == [0, 1]
    assert kinds(outcomes) == {"refused": 4}
    totals = accounted(live, 1 + 6 + 4 * 3 + 6)
    assert (totals["messages_refused"], totals["sessions"]) == (8, 1)


def test_two_keys_of_a_session_each_have_their_own_columns():
    live, plain = recognizer(), recognizer()
    x = signal(12)
    live.introduce(about())
    live.introduce(about(key=7, channels=BUNDLE.channels[::-1]))
    send(live, x[:5], key=key_of("a"))
    send(live, x[5:, ::-1], key=7, seq=5)
    labels = [each for each in live.infer() if isinstance(each, Label)]
    expected = plain.push("a", x)
    assert [(each.window, each.label) for each in labels] == [(each.window, each.label) for each in expected]
    np.testing.assert_allclose([each.p for each in labels], [each.p for each in expected], atol=1e-5)


# Who is refused -------------------------------------------------------------------------------------------------------


def test_refused_streams_take_no_room_from_others():
    live = recognizer(most_streams=3)
    for i in range(100):
        assert not live.introduce(about(f"stranger-{i}", channels=BUNDLE.channels[:1])).accepted
        send(live, signal(1), key=key_of(f"stranger-{i}"))
    assert live.streams == 0
    for name in "abc":
        assert live.introduce(about(name)).accepted
    assert "--max-streams" in live.introduce(about("d")).details["reason"]
    send(live, signal(8), key=key_of("c"))
    assert windows(live.infer()) == [0]
    totals = live.totals()
    assert (totals["messages_refused"], totals.get("messages_undeclared", 0)) == (100, 0)
    assert len(live._registry.refused) <= 3


def test_a_key_that_was_refused_may_be_described_rightly():
    live = recognizer()
    assert not live.introduce(about(channels=BUNDLE.channels[:1])).accepted
    send(live, signal(4), key=key_of("a"))
    assert live.introduce(about()).accepted
    send(live, signal(12)[4:], key=key_of("a"), seq=4)
    assert windows(live.infer()) == [1]


def test_a_refusal_is_no_longer_than_a_line():
    live = recognizer()
    answer = live.introduce(about(channels=tuple(Channel(f"{i}" + "c" * 30) for i in range(1000))))
    assert not answer.accepted
    [refused] = live.infer()
    assert refused.details == answer.details
    assert len(refused.details["reason"]) <= 500


@pytest.mark.parametrize(
    "channel",
    [
        {"name": "c" * 65, "unit": ""},
        {"name": "c0", "unit": "g" * 65},
        {"name": "c0\x1b[2J", "unit": ""},
        {"name": "c0", "unit": "\x9b31m"},
        {"name": "c0\nready", "unit": ""},
        {"name": "c\u202e0", "unit": ""},
    ],
)
def test_names_that_no_terminal_should_show_are_refused(channel):
    content = msgpack.unpackb(codec.encode_description(described("a", BUNDLE.channels, 50.0)))
    codec.decode(msgpack.packb(content))
    with pytest.raises(MalformedMessage, match=r"^channels$"):
        codec.decode(msgpack.packb(content | {"channels": [channel]}))
