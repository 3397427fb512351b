"""Many senders through one connection, and what a streamer answers them."""

import logging

import numpy as np
import pytest

from kinestream import ChannelMismatch, ConfigError, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.client import LabelSubscriber
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
            assert sender.wait_accepted()["bundle"] == bundle.id
            assert sender.accepted
        for sender in senders:
            sender.send(rows)
        heard = [labels.receive(10) for _ in senders]
        assert {label.stream for label in heard} == {sender.stream for sender in senders}
        assert streamer.totals()["messages_received"] >= 40
        assert streamer._senders.count == 1
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
        with pytest.raises(ConfigError, match="it has addresses and a timeout already"):
            SampleSender("anna", bundle.channels, RATE, connection=connection, endpoint=address)


def test_a_closed_connection_or_subscriber_says_so():
    with unserved_addresses(2) as (ingest, published):
        connection = SampleConnection(ingest)
        sender = SampleSender("anna", bundle.channels, RATE, connection=connection)
        connection.close()
        with pytest.raises(ValueError, match="is closed: open another"):
            sender.send(rows)
        subscriber = LabelSubscriber(published)
        subscriber.close()
        with pytest.raises(ValueError, match="is closed: open another"):
            subscriber.receive(0.1)
