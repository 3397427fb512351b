"""The streamer over real sockets."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import msgpack
import numpy as np
import pytest
import zmq

from kinestream.model.engine.engine import Engine
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import EndpointError
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.messages import Event, Label
from kinestream.streamer.wire.published import decode_published
from tests.given.bundles import random_bundle
from tests.given.keys import described, key_of
from tests.given.streamers import ANY_PORT, running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
PATIENCE_MS = 10_000


class Peer:
    """A sender and a subscriber that speak the wire by hand."""

    def __init__(self, streamer: Streamer) -> None:
        self.context = zmq.Context()
        self.push = self.context.socket(zmq.PUSH)
        self.push.linger = 0
        self.push.connect(streamer.ingest)
        self.sub = self.context.socket(zmq.SUB)
        self.sub.connect(streamer.labels)
        self.descriptions = 0

    def subscribe(self, stream: str, subscribers: int = 1) -> Event:
        """Listen to a stream and describe it until the streamer's answer shows that the subscription has arrived."""
        self.sub.subscribe(wire.label_topic(stream))
        self.sub.subscribe(wire.event_topic(stream))
        return self.describe(stream, subscribers)

    def describe(self, stream: str, subscribers: int = 1) -> Event:
        """Describe a stream until the streamer's answer counts so many subscribers, or more."""
        description = description_of(stream)
        for _ in range(100):
            self.push.send(description)
            self.descriptions += 1
            if self.sub.poll(100):
                answer = decode_published(self.sub.recv_multipart())
                if answer.event == "accepted" and answer.details["subscribers"] >= subscribers:
                    return answer
        raise AssertionError("the streamer does not answer")

    def receive(self) -> Label | Event:
        """Return the next label or event but answers to descriptions, of which more than one may have been sent."""
        while True:
            assert self.sub.poll(PATIENCE_MS), "nothing came"
            received = decode_published(self.sub.recv_multipart())
            if isinstance(received, Label) or received.event != "accepted":
                return received

    def until_end(self) -> list[Label | Event]:
        received = [self.receive()]
        while getattr(received[-1], "event", None) != "end":
            received.append(self.receive())
        return received

    def close(self) -> None:
        self.context.destroy(linger=0)


def description_of(stream: str, session: int = 1) -> bytes:
    return codec.encode_description(described(stream, BUNDLE.channels, 50.0, session))


def samples_of(stream: str, seq: int, t: int, x: np.ndarray) -> bytes:
    return codec.encode_samples(key_of(stream), seq, t, np.atleast_2d(x))


def end_of(stream: str) -> bytes:
    return codec.encode_end(key_of(stream))


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


@pytest.fixture
def peer(streamer: Streamer) -> Iterator[Peer]:
    peer = Peer(streamer)
    yield peer
    peer.close()


def signal(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def test_samples_in_labels_out(peer):
    peer.subscribe("a")
    x = signal(30)
    for seq in range(30):
        peer.push.send(samples_of("a", seq, 1000 + seq, x[seq]))
    peer.push.send(end_of("a"))
    *labels, end = peer.until_end()
    expected = Recognizer(BUNDLE, load_engine(BUNDLE, "cpu")).push("a", x)
    assert [(label.window, label.label) for label in labels] == [(e.window, e.label) for e in expected]
    np.testing.assert_allclose([label.p for label in labels], [e.p for e in expected], atol=1e-5)
    assert [label.t_source for label in labels] == [1000 + label.last_seq for label in labels]
    for label in labels:
        assert label.t_received <= label.t_ready <= label.t_inferred <= label.t_published
    assert end.details["windows"] == {"labelled": 6, "skipped": 0}


class LeisurelyEngine(Engine):
    """One that takes its time, so that batches pile up behind it."""

    name = "leisurely"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def prepare(self, windows: np.ndarray) -> np.ndarray:
        return self.engine.prepare(windows)

    def answer(self, prepared: np.ndarray) -> np.ndarray:
        time.sleep(0.03)
        return self.engine.answer(prepared)


@pytest.mark.parametrize("hurries", [True, False])
def test_under_a_flood_each_streams_labels_leave_in_order(hurries):
    """Hundreds of windows come due at once, more than one batch, while further messages come."""
    engine = load_engine(BUNDLE, "cpu")
    with running_streamer(Recognizer(BUNDLE, engine if hurries else LeisurelyEngine(engine))) as streamer:
        peer = Peer(streamer)
        check_a_flood(peer)
        peer.close()


def check_a_flood(peer: Peer) -> None:
    peer.sub.subscribe(b"")
    names, x = [f"w{i}" for i in range(300)], signal(40)
    peer.subscribe(names[0])
    for name in names[1:]:
        peer.push.send(description_of(name))
    for seq in range(0, 40, 4):
        for name in names:
            peer.push.send(samples_of(name, seq, seq, x[seq : seq + 4]))
    for name in names:
        peer.push.send(end_of(name))
    windows: dict[str, list[int]] = {name: [] for name in names}
    ended = set()
    while len(ended) < len(names):
        received = peer.receive()
        if isinstance(received, Label):
            assert received.stream not in ended
            windows[received.stream].append(received.window)
        elif received.event == "end":
            assert received.details["windows"] == {"labelled": 9, "skipped": 0}
            ended.add(received.stream)
    assert all(each == list(range(9)) for each in windows.values())


def test_one_streams_labels_do_not_reach_anothers_subscriber(peer):
    peer.subscribe("a")
    for name in ("ab", "a"):
        peer.push.send(description_of(name))
        peer.push.send(samples_of(name, 0, 0, signal(8)))
        peer.push.send(end_of(name))
    assert {out.stream for out in peer.until_end()} == {"a"}


def test_the_answer_to_a_description_counts_the_labels_subscribers(streamer, peer):
    assert peer.subscribe("a").details["subscribers"] == 1
    other = Peer(streamer)
    try:
        # Samples and subscriptions take different ways: the first answer may be older than the subscription.
        assert other.subscribe("a", subscribers=2).details["subscribers"] == 2
    finally:
        other.close()


def test_a_publisher_is_listened_to():
    context = zmq.Context()
    publisher = context.socket(zmq.XPUB)
    publisher.bind(ANY_PORT)
    with running_streamer(BUNDLE, subscribe=[publisher.last_endpoint.decode()]) as streamer:
        assert publisher.recv() == b"\x01"  # the streamer's subscription to everything
        peer = Peer(streamer)
        peer.subscribe("a")
        publisher.send(samples_of("a", 0, 0, signal(8)))
        publisher.send_multipart([b"a topic of its own", end_of("a")])
        label, _ = peer.until_end()
        assert label.window == 0
        peer.close()
    context.destroy(linger=0)


def malformed(rng: random.Random) -> bytes:
    """Return random bytes, or a valid message with something broken."""
    valid = samples_of("a", rng.randrange(100), 0, signal(1))
    kind = rng.randrange(5)
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return valid[: rng.randrange(len(valid))]
    if kind == 2:
        message = msgpack.unpackb(rng.choice((description_of("a"), end_of("a"))))
        message[rng.choice(sorted(message))] = rng.choice([None, -1, "", b"12345", [], {}, 1.5, True])
        return msgpack.packb(message)
    if kind == 3:  # count, the number of the first reading, and the time of the last, as they cannot be
        head = [b"KS\x02\x01", 1, key_of("a"), 0, 0]
        at, value = rng.choice([(0, b"KS\x01\x01"), (0, b"KS\x02\x03"), (1, 0), (1, 5), (3, 2**63), (4, -1)])
        head[at] = value
        return wire.HEAD.pack(*head) + bytes(12)
    return msgpack.packb({"v": 2, "kind": rng.choice(["describe", "end", "samples", 7]), "stream": "a/b"})


def test_ten_thousand_malformed_messages_leave_it_serving(streamer, peer):
    rng = random.Random(0)
    peer.subscribe("a")
    for _ in range(10_000):
        peer.push.send(malformed(rng))
    peer.push.send(description_of("a", session=2))
    peer.push.send(codec.encode_samples(key_of("a", 2), 0, 0, signal(8)))
    peer.push.send(codec.encode_end(key_of("a", 2)))
    outcomes = peer.until_end()
    while outcomes[-1].session != 2:
        outcomes = peer.until_end()
    assert [out.window for out in outcomes if isinstance(out, Label)][-1] == 0
    totals = streamer.totals()
    malformed_ones = sum(count for name, count in totals.items() if name.startswith("messages_malformed_"))
    others = ("messages_taken", "messages_waiting", "messages_undeclared", "messages_refused")
    assert totals["messages_received"] == peer.descriptions + 10_003
    assert totals["messages_received"] == malformed_ones + sum(totals.get(name, 0) for name in others)
    assert malformed_ones > 9_000


def test_what_a_subscriber_sends_besides_subscriptions_means_nothing(streamer, peer):
    with peer.context.socket(zmq.XSUB) as other:
        other.linger = 0
        other.connect(streamer.labels)
        for _ in range(3):
            other.send(b"\x05label/a/")
        other.send(b"\x01label/a/")
        assert peer.subscribe("a", subscribers=2).details["subscribers"] == 2


def test_those_who_push_without_pause_do_not_keep_publishers_from_being_heard(peer, streamer):
    with peer.context.socket(zmq.PUB) as publisher:
        publisher.linger = 0
        publisher.bind(ANY_PORT)
        with running_streamer(BUNDLE, subscribe=[publisher.last_endpoint.decode()]) as busy:
            stop = threading.Event()

            def push() -> None:
                with peer.context.socket(zmq.PUSH) as pushing:
                    pushing.linger = 0
                    pushing.sndtimeo = 100
                    pushing.connect(busy.ingest)
                    pushing.send(description_of("b"))
                    seq = 0
                    while not stop.is_set():
                        with suppress(zmq.Again):
                            pushing.send(samples_of("b", seq, 0, signal(400)))
                            seq += 400

            pusher = threading.Thread(target=push)
            pusher.start()
            listener = Peer(busy)
            try:
                listener.subscribe("a")
                seq = 0
                message = None
                while not isinstance(message, Label):
                    publisher.send(samples_of("a", seq, 0, signal(8)))
                    seq += 8
                    message = decode_published(listener.sub.recv_multipart()) if listener.sub.poll(5) else None
                assert message.stream == "a"
            finally:
                stop.set()
                pusher.join()
                listener.close()


def test_a_port_in_use_is_one_line(streamer):
    recognizer = Recognizer(BUNDLE, load_engine(BUNDLE, "cpu"))
    with pytest.raises(EndpointError, match="port is in use: stop what holds it"):
        Streamer(recognizer, ingest=streamer.ingest, labels=ANY_PORT, control=ANY_PORT)
    with pytest.raises(EndpointError, match=r"port is in use: .*--control"):
        Streamer(recognizer, ingest=ANY_PORT, labels=ANY_PORT, control=streamer.control)
    with pytest.raises(EndpointError, match="an address looks like"):
        Streamer(recognizer, ingest="tcp//nonsense", labels=ANY_PORT, control=ANY_PORT)
    with pytest.raises(EndpointError, match="cannot connect to"):
        Streamer(recognizer, ingest=ANY_PORT, labels=ANY_PORT, control=ANY_PORT, subscribe=["tcp://127.0.0.1:99999"])


def test_stopping_gives_out_what_had_arrived():
    with running_streamer(BUNDLE) as streamer:
        peer = Peer(streamer)
        peer.subscribe("a")
        peer.push.send(samples_of("a", 0, 0, signal(9)))
        while not streamer.recognizer.totals().get("windows_labelled"):
            assert peer.sub.poll(PATIENCE_MS)
        streamer.stop()
        label, end = peer.until_end()
        assert label.window == 0
        assert (end.details["reason"], end.details["samples_unfinished"]) == ("stopped", 1)
        peer.close()
