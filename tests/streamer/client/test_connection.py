"""Many senders through one connection, and what a streamer answers them."""

import asyncio
import logging
import time

import numpy as np
import pytest
import zmq

from kinestream import ChannelMismatch, ConfigError, EndpointError, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.client import AsyncLabelSubscriber, LabelSubscriber
from kinestream.streamer.client import inquiry as inquiries
from tests.given.hostile import until
from tests.given.streamers import running_streamer, unserved_addresses

bundle = read_bundle(BUNDLE)
RATE, LENGTH = bundle.description.rate_hz, bundle.grid.length
rows = np.random.default_rng(0).normal(size=(LENGTH, len(bundle.channels)))


def test_many_wearers_share_one_connection():
    with (
        running_streamer(bundle) as streamer,
        LabelSubscriber(streamer.labels) as labels,
        SampleConnection(streamer.ingest, control=streamer.control) as connection,
    ):
        senders = [SampleSender(f"wearer-{i}", bundle.channels, RATE, connection=connection) for i in range(20)]
        for sender in senders:
            while not (answer := sender.wait_accepted())["subscribers"]:
                pass  # a label that is published before the streamer knows of the subscription is lost
            assert answer["bundle"] == bundle.id
            assert sender.accepted
        for sender in senders:
            sender.send(rows)
        heard = [labels.receive(10) for _ in senders]
        assert {label.stream for label in heard} == {sender.stream for sender in senders}
        assert streamer.totals()["messages_received"] >= 40
        assert streamer.ports.senders.count == 1
        senders[0].close()  # it is not this one's to close
        senders[1].send(rows)
        assert labels.receive(10).stream == "wearer-1"


def test_what_is_refused_concerns_one_of_them(caplog):
    with running_streamer(bundle) as streamer, SampleConnection(streamer.ingest, control=streamer.control) as shared:
        good = SampleSender("good", bundle.channels, RATE, connection=shared)
        bad = SampleSender("bad", ["x"], RATE, connection=shared)
        with caplog.at_level(logging.WARNING, "kinestream.sender"):
            with pytest.raises(ChannelMismatch, match="refuses stream bad: channels do not match"):
                bad.wait_accepted()
            good.wait_accepted()
        assert (good.accepted, bad.accepted) == (True, False)
        of_senders = [record.message for record in caplog.records if record.name == "kinestream.sender"]
        assert [message.split(":")[0] for message in of_senders] == ["bad"]


def test_a_connection_has_its_addresses_already():
    with unserved_addresses(1) as (address,), SampleConnection(address) as connection:
        with pytest.raises(ConfigError, match="it has addresses, keys and a timeout already"):
            SampleSender("anna", bundle.channels, RATE, connection=connection, endpoint=address)


def test_a_closed_connection_or_subscriber_says_so():
    with unserved_addresses(2) as (ingest, published):
        connection = SampleConnection(ingest)
        sender = SampleSender("anna", bundle.channels, RATE, connection=connection)
        connection.close()
        with pytest.raises(ValueError, match="is closed: open another"):
            sender.send(rows)
        asking = SampleConnection(ingest, control=published)
        sender = SampleSender("anna", bundle.channels, RATE, connection=asking)
        asking.close()
        with pytest.raises(ValueError, match="is closed: open another"):
            sender.wait_accepted()
        subscriber = LabelSubscriber(published)
        subscriber.close()
        with pytest.raises(ValueError, match="is closed: open another"):
            subscriber.receive(0.1)


@pytest.fixture
def wrong():
    """A streamer's three addresses as its sockets are, each for somebody else."""
    with zmq.Context() as context:
        sockets = {kind: context.socket(kind) for kind in (zmq.PULL, zmq.XPUB, zmq.ROUTER)}
        for socket in sockets.values():
            socket.linger = 0
            socket.bind("tcp://127.0.0.1:*")
        yield {kind: socket.last_endpoint.decode() for kind, socket in sockets.items()}
        context.destroy(linger=0)


def _send_for(seconds: float, sender: SampleSender, pause_s: float = 0.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sender.send([1.0])
        time.sleep(pause_s)


@pytest.mark.parametrize("kind", [zmq.XPUB, zmq.ROUTER])
@pytest.mark.parametrize("pause_s", [0.0, 0.02])
def test_samples_sent_to_another_of_a_streamers_addresses_are_refused(wrong, kind, pause_s):
    sender = SampleSender("anna", ["a"], 50, endpoint=wrong[kind])
    with pytest.raises(EndpointError, match="is no streamer's address for samples"), sender:
        _send_for(20, sender, pause_s)


@pytest.mark.parametrize("kind", [zmq.PULL, zmq.ROUTER])
def test_labels_asked_of_another_of_a_streamers_addresses_are_refused(wrong, kind):
    with (
        LabelSubscriber(wrong[kind]) as subscriber,
        pytest.raises(EndpointError, match="is no streamer's address for labels"),
    ):
        subscriber.receive(20)

    async def listen() -> None:
        async with AsyncLabelSubscriber(wrong[kind]) as subscriber:
            await subscriber.receive(20)

    with pytest.raises(EndpointError, match="is no streamer's address for labels"):
        asyncio.run(listen())


def test_who_is_kept_waiting_learns_for_whom(caplog):
    """A thousand messages leave in no time: then `send` waits, and describes no more."""
    with unserved_addresses(1) as (address,), caplog.at_level(logging.WARNING, "kinestream.sender"):
        sender = SampleSender("anna", ["a"], 50, endpoint=address, timeout_s=4)
        with pytest.raises(EndpointError, match="kinestream serve"), sender:
            _send_for(20, sender)
    assert any(f"anna: there is no streamer at {address}" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    ("endpoint", "control"),
    [
        ("tcp://127.0.0.1:5570", "tcp://127.0.0.1:5572"),
        ("tcp://[::1]:5570", "tcp://[::1]:5572"),
        ("tcp://127.0.0.1:15570", None),
        ("ipc:///tmp/kinestream:5570", None),
    ],
)
def test_answers_come_from_the_usual_port_of_the_same_machine_or_that_they_do_not_is_said(endpoint, control, caplog):
    with caplog.at_level(logging.WARNING, "kinestream.sender"), SampleConnection(endpoint) as connection:
        assert connection.control == control
        assert ("give control=" in caplog.text) is (control is None)


@pytest.mark.parametrize("timeout_s", [-5, float("nan"), "3"])
def test_a_timeout_that_is_none_is_refused(timeout_s):
    with pytest.raises(ConfigError, match="timeout_s"):
        SampleConnection(timeout_s=timeout_s)


@pytest.mark.parametrize(("channels", "rate_hz", "named"), [([1], 50, "channels: 1"), (["a"], "50", "rate_hz: '50'")])
def test_what_is_no_channel_or_rate_is_refused(channels, rate_hz, named):
    with pytest.raises(ConfigError, match=named):
        SampleSender("anna", channels, rate_hz)


@pytest.mark.parametrize("streams", [["a/b"], [1], ["anna", ""]])
def test_a_name_that_no_stream_can_have_is_not_waited_for(streams):
    with pytest.raises(ConfigError, match="is no name"):
        LabelSubscriber(streams=streams)


@pytest.mark.parametrize("reliable", [False, True])
def test_of_sessions_that_have_ended_nothing_is_kept_but_a_few_of_which_no_answer_came(reliable, monkeypatch):
    monkeypatch.setattr(inquiries, "_MOST_FINISHED", 5)  # a streamer that is asked very often leaves some out
    with (
        running_streamer(bundle, history=0.0) as streamer,
        SampleConnection(streamer.ingest, control=streamer.control, reliable=reliable) as connection,
    ):
        inquiry = connection._link.inquiry
        for number in range(30):
            with SampleSender("anna", bundle.channels, RATE, session=number + 1, connection=connection) as sender:
                sender.send(rows[:1])
        until(lambda: connection.service() or inquiry.listen() or not connection.unacknowledged)
        assert inquiry._streams.keys() == inquiry._finished.keys()
        assert len(inquiry._streams) <= 5
        assert not inquiry._answers
