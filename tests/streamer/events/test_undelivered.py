"""Channels that no device delivers yet are named by the answer, the sender, the streamer, a bridge and a replay."""

import logging
import os

import numpy as np
import pytest

from kinestream import Channel, Event, Label, LabelSubscriber, SampleConnection, SampleSender
from kinestream.streamer.bridges.bridge import Look
from kinestream.streamer.bridges.check import findings
from kinestream.streamer.events import undelivered
from kinestream.streamer.events.undelivered import UndeliveredChannels, undelivered_text
from kinestream.streamer.events.words import event_text
from kinestream.streamer.watch.tally import Tally
from tests.given.bridged import running_bridge, until, write_rig
from tests.given.bundles import random_bundle
from tests.given.streamers import running_streamer

CHANNELS = (Channel("acc_x", "m/s2"), Channel("acc_y", "m/s2"), Channel("gyro_z", "rad/s"))
BUNDLE = random_bundle(CHANNELS, length=8, stride=4)
LACKS_GYRO = "no device delivers gyro_z: there are no labels until one does"
WAIT_S = 20


@pytest.fixture
def streamer():
    with running_streamer(BUNDLE) as streamer:
        yield streamer


@pytest.fixture
def connection(streamer):
    with SampleConnection(streamer.ingest, control=streamer.control) as connection:
        yield connection


def phone_and_watch(connection):
    about = {"timing": "times", "session": 1, "connection": connection}
    return (
        SampleSender("anna", CHANNELS[:2], 50, device="phone", **about),
        SampleSender("anna", CHANNELS[2:], 50, device="watch", **about),
    )


def acceptance(subscriber):
    while not (isinstance(message := subscriber.receive(WAIT_S), Event) and message.event == "accepted"):
        assert message is not None
    return message


def test_the_answer_and_the_event_name_them_at_once_and_no_more_once_they_are_delivered(streamer, connection):
    phone, watch = phone_and_watch(connection)
    with LabelSubscriber(streamer.labels, streams=["anna"], events=True) as subscriber:
        while not (answer := phone.wait_accepted())["subscribers"]:
            pass
        assert answer["undelivered"] == ["gyro_z"]
        phone.describe()
        event = acceptance(subscriber)
        assert event.details["undelivered"] == ["gyro_z"]
        assert event_text(event) == f"accepted: {LACKS_GYRO}"
        assert watch.wait_accepted()["undelivered"] == phone.wait_accepted()["undelivered"] == []
        while (event := acceptance(subscriber)).details["undelivered"]:
            pass
        assert event_text(event) == "accepted"
        times = np.arange(40) * 20_000_000
        phone.send(np.zeros((40, 2)), times=times)
        watch.send(np.zeros((40, 1)), times=times)
        while isinstance(message := subscriber.receive(WAIT_S), Event):
            pass
        assert isinstance(message, Label)


def test_samples_on_the_grid_have_all_of_them(streamer, connection):
    sender = SampleSender("anna", CHANNELS, 50, connection=connection)
    assert "undelivered" not in sender.wait_accepted()


def test_sender_and_streamer_say_so_once_where_it_lasts(connection, monkeypatch, caplog):
    monkeypatch.setattr(undelivered, "_SOON_S", 0.0)
    phone, _ = phone_and_watch(connection)
    with caplog.at_level(logging.WARNING):
        for name in ("kinestream.sender", "kinestream.streamer.server.notices"):
            until(lambda name=name: phone.describe() or LACKS_GYRO in said_by(caplog, name))
        for _ in range(5):
            phone.wait_accepted()
    assert said_by(caplog, "kinestream.sender").count(LACKS_GYRO) == 1
    assert said_by(caplog, "kinestream.streamer.server.notices").count(f"stream anna: {LACKS_GYRO}") == 1


def test_nobody_says_so_while_a_wearers_devices_are_described_one_after_the_other(connection, caplog):
    with caplog.at_level(logging.WARNING):
        for sender in phone_and_watch(connection):
            sender.describe()
            sender.wait_accepted()
    assert "no device delivers" not in caplog.text


def said_by(caplog, logger):
    return "\n".join(record.message for record in caplog.records if record.name == logger)


def test_what_is_said_again_is_said_of_what_was_delivered_meanwhile(monkeypatch):
    monkeypatch.setattr(undelivered, "_SOON_S", 0.0)
    channels = UndeliveredChannels()
    lacks, whole = {"undelivered": ["gyro_z"]}, {"undelivered": []}
    told = [channels.news("anna", each) for each in (lacks, lacks, whole, lacks)]
    assert told == [LACKS_GYRO, None, None, LACKS_GYRO]
    assert channels.news("ben", {}) is channels.news("ben", {"undelivered": "gyro_z"}) is None


def test_many_channels_are_cut_short_and_names_from_outside_harm_no_terminal():
    bundle = random_bundle(channels=100, length=8, stride=4)
    with running_streamer(bundle) as streamer:
        with SampleConnection(streamer.ingest, control=streamer.control) as connection:
            sender = SampleSender("anna", bundle.channels[:1], 0, timing="times", connection=connection)
            names = sender.wait_accepted()["undelivered"]
    assert names == [f"c{at}" for at in range(1, 65)]
    assert undelivered_text(names).startswith("no device delivers c1, c2, c3, c4, c5, c6, c7, c8 and 56 more: ")
    assert undelivered_text(["\x1b[2J" + "x" * 1000]).isprintable()
    assert len(undelivered_text(["\x1b[2J" + "x" * 1000])) < 150


def test_a_table_of_streams_says_so_until_they_are_delivered():
    tally = Tally()
    for names, said in ((["gyro_z"], f"accepted: {LACKS_GYRO}"), ([], "accepted")):
        tally.add(Event("accepted", "anna", -1, {"undelivered": names}), 0)
        assert tally.streams["anna"].last_event == said


def test_a_bridge_says_so_and_a_check_finds_it(streamer, tmp_path):
    os.mkfifo(tmp_path / "lines")
    board = {"csv": {"path": str(tmp_path / "lines")}, "rate_hz": 50, "channels": {"acc_x": 1, "acc_y": 2}}
    path = write_rig(tmp_path / "rig.yaml", streamer, {"board": board})
    with os.fdopen(os.open(tmp_path / "lines", os.O_RDWR)), running_bridge(path) as running:
        until(lambda: LACKS_GYRO in running.look.problems)
        look = running.look
    assert look.undelivered == ("gyro_z",)
    assert look.as_dict()["undelivered"] == ["gyro_z"]
    assert ("anna", LACKS_GYRO) in [(each.device, each.text) for each in findings(look, running.bridge.tallies)]
    assert LACKS_GYRO not in [each.text for each in findings(Look("anna", ()), [])]
