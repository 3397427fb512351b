"""What descriptions and keys stand for: who is admitted, whose samples wait, whose are turned away."""

import numpy as np
import pytest

from kinestream.model.clock import monotonic_ns
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.wire.codec import decode, encode_description, encode_samples
from kinestream.streamer.wire.messages import End, Label
from tests.given.bundles import random_bundle
from tests.given.fed import introduce, take_in_bulk
from tests.given.keys import described, key_of
from tests.given.live import BUNDLE, about, assert_same, feed, forget, recognizer, samples, signal


def test_columns_are_matched_by_name_and_extra_ones_left_out():
    x = signal(8)
    live = recognizer()
    live.describe("a", [Channel("c2"), Channel("other"), Channel("c0"), Channel("c1")])
    shuffled = np.stack([x[:, 2], np.zeros(8, np.float32), x[:, 0], x[:, 1]], axis=1)
    assert_same(live.push("a", shuffled), recognizer().push("a", x))


@pytest.mark.parametrize(
    ("channels", "rate", "says"),
    [
        ([Channel("c0"), Channel("c1")], 50.0, "missing: c2"),
        ([Channel("c0"), Channel("c1"), Channel("c2"), Channel("c2")], 50.0, "twice: c2"),
        ([Channel("c0"), Channel("c1"), Channel("c2")], 100.0, "100 samples a second"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused_by_name(channels, rate, says):
    live = recognizer()
    answer = introduce(live, described("a", tuple(channels), rate))
    assert (answer.accepted, answer.key, answer.stream) == (False, key_of("a"), "a")
    assert says in answer.details["reason"]
    feed(live, samples("a", 1, 0, signal(1)))
    (event,) = live.infer()
    assert (event.event, event.stream, event.details) == ("refused", "a", answer.details)
    assert live.totals()["messages_refused"] == 1
    assert live.streams == 0
    with pytest.raises(ChannelMismatch, match=says):
        recognizer().describe("a", channels, rate)


def test_another_unit_is_refused():
    bundle = random_bundle(channels=[Channel("x", "g")])
    with pytest.raises(ChannelMismatch, match="x in deg/s instead of g"):
        Recognizer(bundle, load_engine(bundle, "cpu")).describe("a", [Channel("x", "deg/s")])


def test_another_unit_of_the_same_quantity_is_converted():
    bundle = random_bundle(channels=[Channel("x", "g"), Channel("y", "rad/s")], length=8, stride=4)
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    plain = Recognizer(bundle, load_engine(bundle, "cpu")).push("a", x)
    live = Recognizer(bundle, load_engine(bundle, "cpu"))
    live.describe("a", [Channel("y", "deg/s"), Channel("x", "m/s2")])
    converted = live.push("a", x[:, ::-1] * np.array([180 / np.pi, 9.80665]))
    assert len(plain) == 4
    for one, other in zip(plain, converted, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_another_spelling_of_a_unit_is_taken():
    bundle = random_bundle(channels=[Channel("x", "m/s2")])
    live = Recognizer(bundle, load_engine(bundle, "cpu"))
    live.describe("a", [Channel("x", "m/s²")])
    assert live.streams == 1


def test_samples_before_their_description_wait_for_it_and_leave_what_they_would_have():
    live, x = recognizer(), signal(30)
    for seq in range(0, 30, 3):
        feed(live, samples("a", 1, seq, x[seq : seq + 3], t=seq), received=100 + seq)
    assert live.infer() == []
    assert live.totals()["messages_waiting"] == 10
    feed(live, about("a"))
    accepted, *labels = live.infer()
    assert accepted.event == "accepted"
    assert_same(labels, recognizer().push("a", x, session=1))
    assert [label.t_received for label in labels] == [100 + label.last_seq // 3 * 3 for label in labels]
    totals = live.totals()
    assert (totals["messages_taken"], totals["messages_waiting"]) == (11, 0)
    assert "messages_undeclared" not in totals


def test_samples_whose_description_never_comes_are_counted_and_logged_once(caplog):
    live = recognizer()
    for seq in range(3):
        feed(live, samples("a", 1, seq, signal(1)))
    live.forget_silent(monotonic_ns() + 4_000_000_000)
    assert live.totals()["messages_waiting"] == 3
    for turn in (1, 2):
        forget(live)
        assert (live.totals()["messages_waiting"], live.totals()["messages_undeclared"]) == (0, 2 + turn)
        feed(live, samples("a", 1, 3, signal(1)))
    assert live.infer() == []
    (line,) = [record.getMessage() for record in caplog.records]
    assert "3 messages" in line
    assert "describe it before its first samples" in line


def test_what_waits_for_descriptions_is_bounded():
    live, x = recognizer(), signal(5000)
    for seq in range(3):
        feed(live, samples("one key", 1, seq * 5000, x))
    assert live.totals()["messages_waiting"] == 1  # 60 kB of the 64 a key may have
    assert live.totals()["messages_undeclared"] == 2
    for number in range(3000):
        feed(live, samples(f"key {number}", 1, 0, x[:1]))
    totals = live.totals()
    assert totals["messages_waiting"] < 2100  # 1 MB, of which each takes 512 bytes and more
    assert totals["messages_waiting"] + totals["messages_undeclared"] == 3003


def test_samples_of_another_width_are_malformed():
    live = recognizer()
    feed(live, about("a"))
    wide = encode_samples(key_of("a"), 0, 0, np.zeros((1, 4), np.float32))
    assert take_in_bulk(live, [wide]) == {"width": 1}
    assert take_in_bulk(live, [samples("early", 1, 0, signal(2))[:-4] + bytes(12)]) == {}  # not known to be wrong yet
    feed(live, about("early"))
    assert live.totals()["messages_malformed_width"] == 1


def test_samples_that_carry_times_are_malformed_where_none_were_described():
    live = recognizer()
    feed(live, about("a"))
    timed = encode_samples(key_of("a"), 0, 0, signal(1), np.array([5]))
    assert take_in_bulk(live, [timed]) == {"timing": 1}
    assert "samples_received" not in live.totals()


def test_more_streams_than_allowed_are_refused():
    live = recognizer(most_streams=1)
    for name in "ab":
        feed(live, about(name))
    assert [(out.stream, out.event) for out in live.infer()] == [("a", "accepted"), ("b", "refused")]


def test_a_description_that_came_before_is_answered_unread():
    live = recognizer()
    ours = decode(encode_description(about("a")))
    assert live.introduce_again(ours.fingerprint, lambda stream: 7) is None
    feed(live, about("a"))
    answer = live.introduce_again(ours.fingerprint, lambda stream: 7)
    assert (answer.accepted, answer.key, answer.stream, answer.details["subscribers"]) == (True, ours.key, "a", 7)
    assert live.introduce_again(ours.fingerprint, lambda stream: 8, quietly=True).details["subscribers"] == 8
    assert [out.details["subscribers"] for out in live.infer()] == [0, 7]
    refused = decode(encode_description(about("b", channels=BUNDLE.channels[:2])))
    live.introduce(refused)
    assert live.introduce_again(refused.fingerprint, lambda stream: 7) is None
    forget(live)
    assert live.introduce_again(ours.fingerprint, lambda stream: 7) is None
    assert live._registry._by_fingerprint == live._registry.keys == {}


def test_a_key_never_stands_for_another_description():
    live = recognizer()
    feed(live, about("a"))
    answer = introduce(live, about("a", channels=tuple(reversed(BUNDLE.channels))))
    assert not answer.accepted
    assert "its key stands for another description already" in answer.details["reason"]
    stolen = introduce(live, about("mallory")._replace(key=key_of("a")))
    assert not stolen.accepted
    feed(live, samples("a", 1, 0, signal(8)))  # as it was described first
    assert_same([out for out in live.infer() if isinstance(out, Label)], recognizer().push("a", signal(8), session=1))
    assert live.streams == 1


def test_a_description_that_does_not_fit_concerns_nobody_but_its_key():
    live, x = recognizer(), signal(16)
    feed(live, about("a"))
    feed(live, samples("a", 1, 0, x[:6]))
    other = about("a", 2, channels=BUNDLE.channels[:2])
    assert not introduce(live, other).accepted
    assert take_in_bulk(live, [encode_samples(other.key, 0, 0, x[:8, :2])]) == {}
    feed(live, samples("a", 1, 6, x[6:]))
    assert_same([out for out in live.infer() if isinstance(out, Label)], recognizer().push("a", x, session=1))
    totals = live.totals()
    assert (totals["messages_refused"], totals["samples_received"], totals["sessions"]) == (1, 16, 1)
    assert introduce(live, about("a", 2)._replace(key=other.key)).accepted  # once it fits, the same key is served
    feed(live, samples("a", 2, 0, x[:8]))
    assert [out.session for out in live.infer() if isinstance(out, Label)] == [2]


def test_keys_of_one_session_may_name_its_columns_in_their_own_order():
    """As two senders of one stream may, or one that was restarted with another version of its program."""
    live, x = recognizer(), signal(16)
    turned = about("a", channels=tuple(reversed(BUNDLE.channels)))._replace(key=12345)
    feed(live, about("a"))
    feed(live, turned)
    for seq in range(0, 16, 2):
        rows = x[seq : seq + 2]
        frames = [samples("a", 1, seq, rows), encode_samples(turned.key, seq, 0, rows[:, ::-1])]
        feed(live, frames[seq // 2 % 2])
    assert_same([out for out in live.infer() if isinstance(out, Label)], recognizer().push("a", x, session=1))


def test_of_a_stream_the_latest_sixteen_keys_are_known():
    live = recognizer()
    for session in range(1, 30):
        feed(live, about("a", session))
    assert set(live._registry.keys) == {key_of("a", session) for session in range(14, 30)}
    feed(live, samples("a", 29, 0, signal(8)))
    feed(live, samples("a", 3, 0, signal(8)))
    assert [out.session for out in live.infer() if isinstance(out, Label)] == [29]
    assert live.totals()["messages_waiting"] == 1
    feed(live, about("a", 3))  # as its sender repeats it
    assert live.totals()["samples_closed_session"] == 8


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"timing": "grid"}, "has devices whose readings lie by their times already"),
        ({"origin": 7}, "has origin 7, its others 0: give all devices of a session one origin"),
        ({"device": "ankle"}, "devices wrist and ankle of stream a both deliver c0: send each channel from one device"),
        ({"device": "ankle", "channels": (Channel("none"),)}, "needs none of none: it needs c0"),
        ({"device": "ankle", "channels": (Channel("c9"), Channel("c9"), Channel("c1"))}, "twice: c9"),
    ],
)
def test_a_device_that_does_not_go_with_the_others_is_refused_with_what_to_do(changes, reason):
    live = recognizer()
    whole = about("a", timing="times")
    first = whole._replace(device="wrist", channels=whole.channels[:1])
    assert introduce(live, first).accepted
    other = introduce(live, first._replace(key=1, fingerprint=1, **changes))
    assert not other.accepted
    assert reason in other.details["reason"]


def test_a_stream_is_of_one_device_while_its_session_lasts():
    live = recognizer()
    feed(live, about("a", device="wrist"))
    feed(live, samples("a", 1, 0, signal(8)))
    other = introduce(live, about("a", 2, device="ankle"))
    assert "is sent by device wrist already" in other.details["reason"]
    feed(live, End(key_of("a")))
    assert introduce(live, about("a", 2, device="ankle")).accepted
    feed(live, samples("a", 2, 0, signal(8)))
    devices = [list(out.missing) for out in live.infer() if isinstance(out, Label)]
    assert devices == [["wrist"], ["ankle"]]


def test_a_wrong_description_does_not_end_a_session_for_good():
    live = recognizer()
    for number, channels in enumerate((BUNDLE.channels, BUNDLE.channels[:1], BUNDLE.channels)):
        feed(live, about("a", 5, channels)._replace(key=number))
        feed(live, encode_samples(number, 4 * number, 0, signal(8)[:, : len(channels)]))
    assert [out.window for out in live.infer() if isinstance(out, Label)] == [0, 1, 2]
