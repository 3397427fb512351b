"""What users import: samples arrive as they were sent, labels come back, mistakes are answered in one line."""

import asyncio

import numpy as np
import pytest
import zmq

from kinestream.model.clock import now_ns
from kinestream.model.errors import ConfigError, EndpointError
from kinestream.streamer.client import AsyncLabelSubscriber, Channel, Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.wire import codec, published
from kinestream.streamer.wire import messages as wire
from tests.given.bundles import random_bundle
from tests.given.streamers import ANY_PORT, free_addresses, running_streamer

WAIT_S = 20.0
PROBS = np.float32([0.5, 0.3, 0.2]).tobytes()


@pytest.fixture
def pull():
    """A socket that takes what senders push, and its address."""
    context = zmq.Context()
    socket = context.socket(zmq.PULL)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVTIMEO, round(1000 * WAIT_S))
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    yield socket, f"tcp://127.0.0.1:{port}"
    context.destroy(linger=0)


@pytest.fixture
def publisher():
    """A socket that publishes to subscribers, and its address."""
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.RCVTIMEO, round(1000 * WAIT_S))
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    yield socket, f"tcp://127.0.0.1:{port}"
    context.destroy(linger=0)


def _label(window: int, stream: str = "anna") -> Label:
    return Label(
        stream, 1, window, window * 4, window * 4 + 7, "walk", 0, 0.5, PROBS, {"sensor": 0.25}, "m-1", 1, 2, 3, 4, 5
    )


def _await_subscriptions(publisher: zmq.Socket, count: int) -> list[bytes]:
    return sorted(publisher.recv() for _ in range(count))


def test_the_description_comes_first_then_numbered_samples_then_the_end(pull):
    socket, address = pull
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    columns = ["a", Channel("b", "g"), "c"]
    with SampleSender("anna", columns, 50, endpoint=address, session=7, device="watch") as sender:
        sender.send(x[:2], t=100)
        sender.send(x[2], t=200)
        sender.send(x[3:], t=300, seq=9)
    messages = [codec.decode(socket.recv()) for _ in range(5)]
    key = messages[0].key
    channels = (Channel("a"), Channel("b", "g"), Channel("c"))
    assert messages[0]._replace(fingerprint=0) == wire.Description("anna", key, 7, 50.0, channels, "watch")
    assert messages[1:4] == [
        wire.Readings(key, 0, 100, 2, b"", x[:2].tobytes()),
        wire.Readings(key, 2, 200, 1, b"", x[2].tobytes()),
        wire.Readings(key, 9, 300, 1, b"", x[3].tobytes()),
    ]
    assert messages[4] == wire.End(key)


def test_samples_without_a_time_are_from_now(pull):
    socket, address = pull
    before = now_ns()
    with SampleSender("anna", ["a"], 50, endpoint=address) as sender:
        sender.send([1.0])
    description, message = (codec.decode(socket.recv()) for _ in range(2))
    assert isinstance(message, wire.Readings)
    assert before <= message.t <= now_ns()
    assert before <= description.session <= message.t


def test_a_new_session_ends_the_old_one_and_counts_from_0(pull):
    socket, address = pull
    with SampleSender("anna", ["a"], 50, endpoint=address, session=7) as sender:
        sender.send([[1.0], [2.0]], t=1)
        sender.new_session()
        sender.send([3.0], t=2)
        second = sender.session
    messages = [codec.decode(socket.recv()) for _ in range(6)]
    before, behind = messages[0], messages[3]
    assert (before.session, behind.session) == (7, second)
    assert second > 7
    assert before.key != behind.key
    assert messages[2] == wire.End(before.key)
    assert messages[4] == wire.Readings(behind.key, 0, 2, 1, b"", np.float32(3).tobytes())
    assert messages[5] == wire.End(behind.key)


def test_more_samples_than_a_message_may_hold_are_sent_in_several(pull):
    socket, address = pull
    x = np.random.default_rng(0).normal(size=(700, 1000)).astype(np.float32)
    with SampleSender("anna", [f"c{i}" for i in range(1000)], 1000, endpoint=address) as sender:
        sender.send(x, t=10_000_000_000)
    frames = [socket.recv() for _ in range(2 + 700 // 16)]
    assert max(map(len, frames)) <= wire.MAX_BYTES
    parts = [message for message in map(codec.decode, frames) if isinstance(message, wire.Readings)]
    assert b"".join(part.x for part in parts) == x.tobytes()
    ends = [part.seq + len(part.x) // 4000 for part in parts]
    assert [part.seq for part in parts] == [0, *ends[:-1]]
    assert [part.t for part in parts] == [10_000_000_000 - (700 - end) * 1_000_000 for end in ends]


def test_a_sender_that_reaches_nobody_says_so(monkeypatch, caplog):
    monkeypatch.setattr("kinestream.streamer.client.sender.DESCRIBE_EVERY_S", 0.0)
    monkeypatch.setattr("kinestream.streamer.client.connection._LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("kinestream.streamer.client.link._LINGER_MS", 0)
    [address] = free_addresses(1)
    with SampleSender("anna", ["a"], 50, endpoint=address) as sender:
        for _ in range(5):
            sender.send([1.0])
    assert caplog.text.count("there is no streamer at") == 1
    assert "took all that was sent" in caplog.text


def test_a_sender_whose_streamer_takes_everything_says_nothing(pull, caplog):
    socket, address = pull
    with SampleSender("anna", ["a"], 50, endpoint=address) as sender:
        caplog.clear()  # that nobody is asked whether the stream is accepted
        sender.send([1.0])
        for _ in range(2):
            socket.recv()
    assert not caplog.text


def test_a_stream_is_described_again_for_a_streamer_that_was_restarted(pull, monkeypatch):
    socket, address = pull
    monkeypatch.setattr("kinestream.streamer.client.sender.DESCRIBE_EVERY_S", 0.0)
    with SampleSender("anna", ["a"], 50, endpoint=address) as sender:
        for _ in range(3):
            sender.send([1.0])
    frames = [socket.recv() for _ in range(8)]
    kinds = [type(codec.decode(frame)) for frame in frames]
    assert kinds == [wire.Description, wire.Readings] * 3 + [wire.Description, wire.End]
    assert len({frame for frame, kind in zip(frames, kinds, strict=True) if kind is wire.Description}) == 1


def test_a_publishing_sender_reaches_those_who_subscribe():
    with SampleSender("anna", ["a"], 50, endpoint=ANY_PORT, publish=True) as sender, zmq.Context() as context:
        socket = context.socket(zmq.SUB)
        socket.set(zmq.SUBSCRIBE, b"")
        socket.set(zmq.LINGER, 0)
        socket.connect(sender.endpoint)
        while not socket.poll(1):  # publishing loses what is sent before the subscription is there
            sender.send([1.0])
        assert isinstance(codec.decode(socket.recv()), wire.Readings | wire.Description)
        socket.close()


@pytest.mark.parametrize("x", [[[1.0, 2.0]], [1.0, 2.0], np.zeros((2, 2, 3)), 1.0, []])
def test_samples_of_another_shape_are_refused(pull, x):
    with SampleSender("anna", ["a", "b", "c"], 50, endpoint=pull[1]) as sender:
        with pytest.raises(ValueError, match="3 channels"):
            sender.send(x)
        sender.send(np.empty((0, 3)))
        assert sender.seq == 0


def test_an_ended_session_takes_no_samples(pull):
    with SampleSender("anna", ["a"], 50, endpoint=pull[1]) as sender:
        sender.end()
        with pytest.raises(ValueError, match=r"new_session\(\)"):
            sender.send([1.0])


def test_everything_wrong_with_a_stream_is_said_at_once():
    with pytest.raises(ConfigError) as raised:
        SampleSender("a/b", [], -1, device="left wrist")
    assert len(raised.value.problems) == 4
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("endpoint", ["nowhere", "http://127.0.0.1:80", "", "tcp://", "://", "tcp"])
def test_what_is_no_address_is_refused_in_one_line(endpoint):
    for opening in (
        lambda: SampleSender("anna", ["a"], 50, endpoint=endpoint),
        lambda: SampleSender("anna", ["a"], 50, endpoint=wire.INGEST, control=endpoint or "nowhere"),
        lambda: LabelSubscriber(endpoint),
        lambda: AsyncLabelSubscriber(endpoint),
    ):
        with pytest.raises(EndpointError, match="looks like tcp://") as raised:
            opening()
        assert "\n" not in str(raised.value)


def test_an_address_in_use_is_refused_in_one_line():
    with (
        SampleSender("anna", ["a"], 50, endpoint=ANY_PORT, publish=True) as first,
        pytest.raises(EndpointError, match="in use"),
    ):
        SampleSender("bert", ["a"], 50, endpoint=first.endpoint, publish=True)


def test_a_sender_that_nobody_serves_gives_up_after_its_timeout(pull):
    socket, address = pull
    socket.unbind(address)
    sender = SampleSender("anna", ["a"], 50, endpoint=address, timeout_s=0.05)
    with pytest.raises(EndpointError, match="kinestream serve"), sender:
        _send_for_ever(sender)


def _send_for_ever(sender: SampleSender) -> None:
    while True:
        sender.send([1.0])


def test_a_subscriber_receives_what_it_asked_for_and_counts_what_it_cannot_read(publisher):
    socket, address = publisher
    gap = Event("gap", "anna", 1, {"first_seq": 4, "last_seq": 5})
    with LabelSubscriber(address, streams=["anna"], events=True) as subscriber:
        assert _await_subscriptions(socket, 2) == [b"\x01event/anna/", b"\x01label/anna/"]
        socket.send_multipart(published.encode_label(_label(0)))
        socket.send_multipart(published.encode_label(_label(1, "annabel")))
        socket.send_multipart([wire.label_topic("anna"), b"garbage"])
        socket.send_multipart([wire.label_topic("anna")])
        socket.send_multipart(published.encode_event(gap))
        socket.send_multipart(published.encode_label(_label(2)))
        messages = iter(subscriber)
        assert [next(messages) for _ in range(3)] == [_label(0), gap, _label(2)]
        assert subscriber.malformed == 2
        assert subscriber.receive(timeout_s=0.0) is None


def test_the_asyncio_subscriber_receives_the_same(publisher):
    socket, address = publisher

    async def listen() -> list[Label | Event]:
        async with AsyncLabelSubscriber(address, log=False) as subscriber:
            await asyncio.to_thread(_await_subscriptions, socket, 1)
            socket.send_multipart([b"label/anna/", b"garbage"])
            for window in range(3):
                socket.send_multipart(published.encode_label(_label(window)))
            received = []
            async for message in subscriber:
                received.append(message)
                if len(received) == 3:
                    break
            assert await subscriber.receive(timeout_s=0.0) is None
            assert subscriber.malformed == 1
            return received

    assert asyncio.run(listen()) == [_label(window) for window in range(3)]


def test_samples_become_labels_through_a_streamer():
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    with (
        running_streamer(random_bundle(channels=3, length=8, stride=4)) as streamer,
        LabelSubscriber(streamer.labels, streams=["anna"], events=True) as subscriber,
        SampleSender("anna", ["c0", "c1", "c2"], 50, endpoint=streamer.ingest) as sender,
    ):
        _described_until_heard(subscriber, sender)
        for row in x:
            sender.send(row)
        sender.end()
        messages = []
        while not (messages and isinstance(messages[-1], Event) and messages[-1].event == "end"):
            message = subscriber.receive(WAIT_S)
            assert message is not None
            messages.append(message)
    assert [message.window for message in messages if isinstance(message, Label)] == list(range(9))


def _described_until_heard(subscriber: LabelSubscriber, sender: SampleSender) -> None:
    """Describe a stream until the streamer counts its subscriber, which takes a moment to reach it."""
    while True:
        sender.describe()
        message = subscriber.receive(0.05)
        if isinstance(message, Event) and message.event == "accepted" and message.details["subscribers"] == 1:
            return


def test_names_that_are_not_a_list_and_channels_that_are_there_twice_are_refused():
    with pytest.raises(ConfigError, match=r"give a list of them: \['anna'\]"):
        LabelSubscriber(streams="anna")
    with pytest.raises(ConfigError, match="give a list of names"):
        SampleSender("anna", "acc_x", 50.0)
    with pytest.raises(ConfigError, match="'acc_x' is there twice"):
        SampleSender("anna", ["acc_x", "acc_y", "acc_x"], 50.0)
