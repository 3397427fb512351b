"""The control endpoint: descriptions are answered, and nobody who asks harms those who send."""

import statistics
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from kinestream.replay.process import started_streamer
from kinestream.streamer.client import LabelSubscriber, SampleSender
from kinestream.streamer.server.control import Control
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Answer, Description, Event, Label
from kinestream.streamer.wire.published import decode_published
from tests.given import hostile
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.keys import described, key_of
from tests.given.streamers import running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
PATIENCE_MS = 20_000
HALF_A_GIGABYTE = 512e6
LOOKS = 160
"""Times that the memory is looked at, twenty a second."""
ON_TIME_NS = 500_000_000
"""On a machine that does as much besides."""


class Peer:
    """Somebody who asks, sends over two connections and listens to everything."""

    def __init__(self, streamer: Streamer) -> None:
        self.context = zmq.Context()
        self.ask, self.push, self.other, self.sub = map(self.context.socket, (zmq.DEALER, zmq.PUSH, zmq.PUSH, zmq.SUB))
        for socket, address in (
            (self.ask, streamer.control),
            (self.push, streamer.ingest),
            (self.other, streamer.ingest),
            (self.sub, streamer.labels),
        ):
            socket.linger = 0
            socket.connect(address)
        self.sub.subscribe(b"")
        until(lambda: self.answer(about("listener")).details["subscribers"] == 1)
        self.asked = 0

    def answer(self, description: Description | bytes) -> Answer:
        """Ask and return the answer."""
        frame = description if isinstance(description, bytes) else codec.encode_description(description)
        self.ask.send(frame)
        assert self.ask.poll(PATIENCE_MS), "no answer"
        return codec.decode_answer(self.ask.recv())

    def send(self, x: np.ndarray, *, key: int, seq: int = 0) -> None:
        self.push.send(codec.encode_samples(key, seq, 0, x))

    def until(self, window: int) -> list[Label | Event]:
        """Return what is published up to a window's label, but for the listener's own stream."""
        received: list[Label | Event] = []
        while not (received and isinstance(received[-1], Label) and received[-1].window == window):
            assert self.sub.poll(PATIENCE_MS), f"window {window} does not come"
            received.append(decode_published(self.sub.recv_multipart()))
        return [each for each in received if each.stream != "listener"]


def about(stream: str = "a", session: int = 1, **others: object) -> Description:
    return described(stream, BUNDLE.channels, 50.0, session)._replace(**others)


def signal(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def told(received: list[Label | Event]) -> list[int | str]:
    return [each.window if isinstance(each, Label) else each.event for each in received]


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


@pytest.fixture
def peer(streamer: Streamer) -> Iterator[Peer]:
    peer = Peer(streamer)
    yield peer
    peer.context.destroy(linger=0)


def unaccounted(totals: dict[str, int]) -> int:
    became = sum(count for name, count in totals.items() if name.startswith(("messages_", "requests_")))
    return 2 * (totals["messages_received"] + totals["requests_received"]) - became


def test_what_becomes_of_a_description_is_told_once_and_again_to_who_has_come_since(peer, streamer):
    fits, unfit = (codec.encode_description(each) for each in (about(), about("b", channels=BUNDLE.channels[:2])))
    for frame in [unfit, fits] * 3:
        peer.push.send(frame)
    peer.send(signal(8), key=key_of("a"))
    assert told(peer.until(0)) == ["refused", "accepted", 0]
    late = peer.context.socket(zmq.SUB)
    late.linger = 0
    late.subscribe(b"event/a/")
    late.connect(streamer.labels)
    while not late.poll(50):
        peer.push.send(fits)
    for _ in range(3):
        peer.push.send(fits)
    peer.send(signal(4), key=key_of("a"), seq=8)
    peer.push.send(codec.encode_end(key_of("a")))
    heard = []
    while not (heard and heard[-1].event == "end"):
        assert late.poll(PATIENCE_MS)
        heard.append(decode_published(late.recv_multipart()))
    late.close()
    assert told(heard) == ["accepted", "end"]
    assert told(peer.until(1)) == ["accepted", 1]


def test_a_stream_that_was_described_here_only_is_labelled(streamer, peer):
    answer = peer.answer(about())
    assert (answer.accepted, answer.key, answer.stream) == (True, key_of("a"), "a")
    assert answer.details["bundle"] == BUNDLE.id
    assert answer.details["columns"] is None
    for _ in range(5):  # who asks again is answered; subscribers are not told again
        assert peer.answer(about()) == answer
    peer.send(signal(8), key=key_of("a"))
    assert told(peer.until(0)) == ["accepted", 0]
    assert unaccounted(streamer.totals()) == 0


def test_a_refusal_says_why_to_who_asks_and_to_who_listens(peer):
    answer = peer.answer(about(channels=BUNDLE.channels[:1]))
    assert not answer.accepted
    assert "c1" in answer.details["reason"]
    peer.answer(about("b"))
    peer.send(signal(8), key=key_of("b"))
    refused, *others = peer.until(0)
    assert (refused.event, refused.stream, refused.details) == ("refused", "a", answer.details)
    assert told(others) == ["accepted", 0]


def test_samples_that_come_before_their_description_over_another_connection_are_labelled(streamer, peer):
    peer.other.send(codec.encode_samples(key_of("a"), 0, 0, signal(8)))
    until(lambda: streamer.totals()["messages_waiting"] == 1)
    peer.push.send(codec.encode_description(about()))
    assert told(peer.until(0)) == ["accepted", 0]
    peer.other.send(codec.encode_samples(key_of("a"), 8, 0, signal(4)))
    assert told(peer.until(1)) == [1]
    assert unaccounted(streamer.totals()) == 0


@pytest.mark.parametrize("here", [True, False])
def test_a_key_that_is_described_otherwise_is_refused_while_the_first_ones_stream_goes_on(streamer, peer, here):
    peer.answer(about())
    peer.send(signal(8), key=key_of("a"))
    assert told(peer.until(0)) == ["accepted", 0]
    second = about("b", key=key_of("a"), channels=BUNDLE.channels[::-1])
    if here:
        answer = peer.answer(second)
        assert (answer.accepted, answer.key, answer.stream) == (False, key_of("a"), "b")
    else:
        peer.push.send(codec.encode_description(second))
    peer.send(signal(12)[8:], key=key_of("a"), seq=8)
    received = peer.until(1)
    assert told(received) == ["refused", 1]
    assert [each.stream for each in received] == ["b", "a"]
    assert peer.answer(about()).accepted


def test_a_wrong_description_under_a_new_key_does_not_disturb_who_sends_the_stream(streamer, peer):
    peer.answer(about())
    for step in range(5):
        answer = peer.answer(about(key=step, channels=BUNDLE.channels[:2]))
        assert (answer.accepted, answer.key) == (False, step)
        peer.other.send(codec.encode_samples(step, 0, 0, signal(8)[:, :2]))
        peer.send(signal(40)[8 * step : 8 * step + 8], key=key_of("a"), seq=8 * step)
    received = peer.until(8)
    assert [each.window for each in received if isinstance(each, Label)] == list(range(9))
    assert {each.event for each in received if isinstance(each, Event)} == {"accepted", "refused"}
    until(lambda: streamer.totals().get("messages_refused") == 5)
    assert unaccounted(streamer.totals()) == 0


def test_what_is_no_description_is_counted_and_the_next_is_answered(streamer, peer):
    before = streamer.totals()["requests_received"]
    wrong = [b"", b"junk", bytes(1000), b"\x8a" + bytes(1000), codec.encode_samples(1, 0, 0, signal(1))]
    wrong += [codec.encode_description(about())[:-1], codec.encode_description(about("a" * 65))]
    for frame in wrong:
        peer.ask.send(frame)
    peer.ask.send_multipart([codec.encode_description(about())] * 2)
    peer.ask.send_multipart([b"x"] * 1000)
    peer.answer(about())
    peer.send(signal(8), key=key_of("a"))
    peer.until(0)
    peer.ask.send(codec.encode_end(key_of("a")))  # may be said here, too, and is not answered
    totals: dict[str, int] = {}
    until(lambda: totals.update(streamer.totals()) or totals["requests_received"] == before + len(wrong) + 4)
    malformed = {name: count for name, count in totals.items() if name.startswith("requests_malformed_")}
    assert malformed == {
        "requests_malformed_msgpack": 5,
        "requests_malformed_kind": 1,
        "requests_malformed_stream": 1,
        "requests_malformed_frames": 2,
    }
    assert unaccounted(totals) == 0


def test_what_takes_long_to_read_does_not_hold_up_labels():
    """Once the time for a go is over, what is left waits for the next."""

    class Slow:
        taken = 0

        def take(self, frame: bytes, user: None, *, quietly: bool) -> None:
            self.taken += 1
            time.sleep(0.01)

    with zmq.Context() as context, context.socket(zmq.ROUTER) as router, context.socket(zmq.DEALER) as ask:
        router.linger = ask.linger = 0
        router.bind("inproc://control")
        ask.connect("inproc://control")
        for _ in range(5):
            ask.send(b"a question")
        slow = Slow()
        control = Control(router, slow, Notices(), Counter())
        assert [control.answer() and slow.taken for _ in range(5)] == [1, 2, 3, 4, 5]
        assert not control.answer()


def test_a_hundred_hostile_connections_hold_up_no_label_and_take_less_than_half_a_gigabyte():
    """All of them ask, and none of them reads its answers."""
    stride = hostile.BUNDLE.grid.stride
    labels: list[Label] = []
    with started_streamer(hostile.DEMO) as streamer:
        where = streamer.addresses
        with (
            LabelSubscriber(where.labels, streams=["honest"]) as subscriber,
            SampleSender(
                "honest", hostile.BUNDLE.channels, 50.0, endpoint=where.ingest, control=where.control
            ) as honest,
        ):
            until(lambda: honest.wait_accepted()["subscribers"] == 1)
            with (
                hostile.watched_memory(streamer.pid) as memory,
                hostile.Hostile(zmq.DEALER, where.control, 20, hostile.junk(60_000)),
                hostile.Hostile(zmq.DEALER, where.control, 10, hostile.junk(1_000_000)),
                hostile.Hostile(zmq.DEALER, where.control, 20, hostile.descriptions()),
                hostile.Hostile(zmq.DEALER, where.control, 20, hostile.questions()),
                hostile.Hostile(zmq.DEALER, where.control, 20, hostile.many_frames()),
                hostile.Hostile(zmq.DEALER, where.control, 9, iter(lambda: [b"", b"as REQ asks"], None)),
                hostile.Hostile(zmq.PUSH, where.control, 1, hostile.junk(100)),
            ):
                while len(memory) < LOOKS:
                    honest.send(hostile.signal_of(stride))
                    if isinstance(received := subscriber.receive(0.1), Label):
                        labels.append(received)
            windows = hostile.BUNDLE.grid.count(honest.seq)
            while len(labels) < windows:
                labels.append(subscriber.receive(hostile.PATIENCE_S))
        totals = streamer.stop()
    assert [label.window for label in labels] == list(range(windows))
    assert statistics.median(label.t_published - label.t_source for label in labels) < ON_TIME_NS
    assert max(memory) < HALF_A_GIGABYTE
    assert totals["requests_received"] > 1000
    assert totals["requests_malformed_frames"] > 0
    assert unaccounted(totals) == 0
