"""Senders and subscribers that follow a fleet: its streams change hands, and no label is lost."""

import os
import time
from collections.abc import Iterator

import pytest

from kinestream import SampleSender
from kinestream.replay.demo import BUNDLE
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.directory.table import slot_names
from tests.given.fleetlabels import (
    CHANNELS,
    RATE_HZ,
    SESSION,
    Heard,
    assert_undisturbed,
    expected,
    samples,
    sender_to,
)
from tests.given.fleets import Fleet, addresses_of, children, until

STREAMS = [f"wearer-{index}" for index in range(24)]
X = samples(600)
CHUNK = 20


@pytest.fixture(scope="module")
def streamers() -> Iterator[list[OwnStreamer]]:
    with children(BUNDLE, 4, "--history", "1") as started:
        yield started


def test_no_label_is_lost_where_a_fleet_grows_and_shrinks(streamers):
    wanted = expected(X)
    with Fleet() as fleet:
        for slot, streamer in zip(slot_names(4), streamers, strict=True):
            fleet.register(slot, addresses_of(streamer))
        fleet.plan(2)
        with Heard(fleet.address) as heard:
            senders = [sender_to(fleet.address, stream, reliable=True) for stream in STREAMS]
            for part, slots in enumerate((4, 3, 3)):
                for first in range(200 * part, 200 * (part + 1), CHUNK):
                    for sender in senders:
                        sender.send(X[first : first + CHUNK], seq=first)
                fleet.plan(slots)
            for sender in senders:
                sender.end()
            for sender in senders:
                sender.close()
            heard.wait(len(STREAMS) * len(wanted))
        for stream in STREAMS:
            assert_undisturbed(heard.labels[stream], wanted)


def test_nobody_notices_a_directory_that_is_gone_and_begins_anew_knowing_nothing(streamers):
    wanted = expected(X)
    with Fleet() as fleet:
        for slot, streamer in zip(slot_names(2), streamers, strict=False):
            fleet.register(slot, addresses_of(streamer))
        before = fleet.plan(2)
        with Heard(fleet.address) as heard, sender_to(fleet.address, "anna", reliable=True) as sender:
            sender.send(X[:200])
            heard.wait(1)
            fleet.stop_directory()
            sender.send(X[200:400], seq=200)
            had = heard.count
            heard.wait(had + 1)  # while there is none
            fleet.start_directory()
            until(lambda: fleet.table.serving == before.serving, "the new one tells what the old one did")
            assert fleet.table.epoch > before.epoch
            sender.send(X[400:], seq=400)
            heard.wait(len(wanted))
        assert_undisturbed(heard.labels["anna"], wanted)
        told = {(event.event, event.details.get("reason")) for event in heard.events if event.event != "accepted"}
        assert told == {("end", "end")}
        epochs = {label.epoch for label in heard.labels["anna"]}
        assert epochs == {before.epoch}, "its streamer is the same, and has it as of when it had"


def test_an_old_owner_that_goes_on_is_harmless(streamers):
    """Its slot was given to another streamer, and it does not know; somebody who does not know either sends there."""
    seconds = 30.0 if os.environ.get("KINESTREAM_LONG") else 4.0
    old, new = streamers[:2]
    x = samples(int(seconds * RATE_HZ) + 200)
    wanted = expected(x)
    with Fleet() as fleet:
        fleet.register("streamer-0", addresses_of(old))
        fleet.plan(1)
        with Heard(fleet.address) as heard, sender_to(fleet.address, "ben", reliable=True) as sender:
            sender.send(x[:100])
            heard.wait(1)
            stale = SampleSender(
                "ben", CHANNELS, RATE_HZ, session=SESSION, endpoint=old.addresses.ingest, control=old.addresses.control
            )
            with stale:
                stale.send(x[:100])
                fleet.register("streamer-0", addresses_of(new))
                until(lambda: fleet.table.serving == {"streamer-0": addresses_of(new)}, "another has the slot")
                epoch = fleet.table.epoch  # rises again once the old one is forgotten, which changes nobody's owner
                began = time.monotonic()
                for first in range(100, len(x), 10):  # both serve the same stream, at its true rate
                    for each in (sender, stale):
                        each.send(x[first : first + 10], seq=first)
                    due = began + (first - 90) / RATE_HZ
                    until(lambda due=due: time.monotonic() >= due, "it is time for the next")
                stale.end()
                sender.end()
                heard.wait(len(wanted))
        assert_undisturbed(heard.labels["ben"], wanted)
        owners = [label.epoch for label in heard.labels["ben"]]
        assert epoch in owners  # the old owner may be the first to name a window all the same
        ends = [event for event in heard.events if event.event == "end"]
        assert {event.details["epoch"] for event in ends} == {epoch}, "nor does the old owner's end show"


def test_a_stream_that_comes_back_begins_anew_where_it_was(streamers):
    wanted = expected(X)
    with Fleet() as fleet:
        for slot, streamer in zip(slot_names(2), streamers, strict=False):
            fleet.register(slot, addresses_of(streamer))
        both = fleet.plan(2)
        stream = next(name for name in STREAMS if both.slot_of(name) == "streamer-1")
        with Heard(fleet.address) as heard, sender_to(fleet.address, stream, reliable=True) as sender:
            for part, slots in enumerate((1, 2, 2)):
                sender.send(X[200 * part : 200 * (part + 1)], seq=200 * part)
                heard.wait(part * 8 + 1)
                fleet.plan(slots)
            sender.end()
            heard.wait(len(wanted))
        assert_undisturbed(heard.labels[stream], wanted)
        assert {event.event for event in heard.events} <= {"accepted", "end", "device"}
