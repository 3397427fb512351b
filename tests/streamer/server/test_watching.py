"""The watch endpoint of a running streamer: what whoever watches is told, and that nobody else notices."""

import time
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
import zmq

from kinestream import Label, LabelSubscriber, SampleSender
from kinestream.model.errors import ConfigError, EndpointError
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.server import tuning
from kinestream.streamer.server.ports import watch_address
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire.gathered import PUBLISHED_TOPIC, Gathered
from kinestream.streamer.wire.messages import LABELS, WATCH, Annotation, Event
from kinestream.streamer.wire.published import decode_published
from kinestream.streamer.wire.signals import Signal
from kinestream.streamer.wire.status import STAGES, Status, StreamsStatus
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.streamers import running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
RATE, WAIT_S = 50.0, 30.0


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


def sender_of(streamer: Streamer, stream: str = "anna", **options: object) -> SampleSender:
    addresses = {"endpoint": streamer.ingest, "control": streamer.control}
    sender = SampleSender(stream, BUNDLE.channels, RATE, **addresses, **options)
    sender.wait_accepted()
    return sender


def wait_for_watchers(streamer: Streamer, topic: bytes, count: int = 1) -> None:
    until(lambda: streamer.ports.watched.matching(topic) == count)


def stalled_watcher(context: "zmq.Context[zmq.Socket[bytes]]", streamer: Streamer, topic: bytes) -> "zmq.Socket[bytes]":
    """Subscribe as somebody who has hardly any room, and reads nothing by himself."""
    socket = context.socket(zmq.SUB)
    socket.set(zmq.RCVHWM, 1)
    socket.set(zmq.RCVBUF, 1 << 12)
    socket.subscribe(topic)
    socket.connect(streamer.watch)
    return socket


def received(subscriber: WatchSubscriber, readings: int) -> list[Signal]:
    """Return signals until they hold so many readings."""
    found: list[Signal] = []
    while sum(each.size for each in found) < readings:
        message = subscriber.receive(WAIT_S)
        assert isinstance(message, Signal), message
        found.append(message)
    return found


def test_readings_come_as_they_were_sent_each_once_and_without_a_key(streamer):
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    with WatchSubscriber(streamer.watch, signals=["anna"]) as watching, sender_of(streamer) as sender:
        wait_for_watchers(streamer, b"signal/anna/")
        for first in range(0, 100, 5):
            sender.send(x[first : first + 5], seq=first)
        seen = received(watching, 100)
    np.testing.assert_array_equal(np.concatenate([each.readings for each in seen]), x)
    assert [each.first_seq for each in seen] == np.cumsum([0, *(each.size for each in seen)])[:-1].tolist()
    assert [each.message for each in seen] == list(range(len(seen)))
    assert all(each.channels == BUNDLE.channels for each in seen)


def test_a_stream_that_nobody_asked_for_is_not_published(streamer):
    with WatchSubscriber(streamer.watch, signals=["ben"]) as watching:
        wait_for_watchers(streamer, b"signal/ben/")
        with sender_of(streamer, "anna") as anna, sender_of(streamer, "ben") as ben:
            for seq in range(0, 40, 4):
                anna.send(np.zeros((4, 3)), seq=seq)
                ben.send(np.ones((4, 3)), seq=seq)
            assert {each.stream for each in received(watching, 40)} == {"ben"}
        wait_s = tuning.POLL_MS / 1000
        assert watching.receive(2 * wait_s) is None
    until(lambda: not streamer.recognizer.tap.is_open)


def gathered(watching: WatchSubscriber, until_ended: int) -> list[Gathered]:
    """Return what is gathered until so many sessions have ended."""
    found: list[Gathered] = []
    while sum(b"\xa5event\xa3end" in frame for each in found for frame in each.frames) < until_ended:
        message = watching.receive(WAIT_S)
        assert isinstance(message, Gathered), message
        found.append(message)
    return found


def test_what_is_published_comes_gathered_in_its_order_as_it_comes_by_itself(streamer):
    with (
        LabelSubscriber(streamer.labels, control=streamer.control, events=True, annotations=True, fill=False) as each,
        WatchSubscriber(streamer.watch, published=True) as watching,
    ):
        wait_for_watchers(streamer, PUBLISHED_TOPIC)
        until(lambda: streamer.ports.subscriptions.matching(b"label/anna/") > 0)
        for stream in ("anna", "ben"):
            with sender_of(streamer, stream) as sender:
                for seq in range(0, 400, 10):
                    sender.send(np.zeros((10, 3)), seq=seq)
                sender.annotate("walking", 0, 1)
        seen = gathered(watching, 2)
        expected = []
        while sum(isinstance(message, Event) and message.event == "end" for message in expected) < 2:
            expected.append(each.receive(WAIT_S))
    assert [decode_published([b"", frame]) for piece in seen for frame in piece.frames] == expected
    assert [each.message for each in seen] == list(range(len(seen)))
    assert max(len(each.frames) for each in seen) > 1
    assert sum(isinstance(message, Label) for message in expected) == 2 * 99
    assert any(isinstance(message, Annotation) for message in expected)


def test_what_is_gathered_leaves_soon_and_nothing_is_while_nobody_listens(streamer):
    with sender_of(streamer) as sender:
        sender.send(np.zeros((40, 3)), seq=0)
        until(lambda: streamer.totals().get("windows_labelled") == 9)
        assert not streamer._watching._gathering.keeps
        for _ in range(2):  # whoever is the first counts from 0
            with WatchSubscriber(streamer.watch, published=True) as watching:
                wait_for_watchers(streamer, PUBLISHED_TOPIC)
                begun = time.monotonic()
                sender.annotate("walking", 0, 1)
                message = watching.receive(WAIT_S)
                assert time.monotonic() - begun < 1
                assert isinstance(message, Gathered)
                assert (message.message, len(message.frames)) == (0, 1)
            until(lambda: not streamer._watching._gathering.is_open)


def test_what_is_gathered_and_has_not_left_leaves_when_the_streamer_stops():
    with running_streamer(BUNDLE) as streamer, WatchSubscriber(streamer.watch, published=True) as watching:
        wait_for_watchers(streamer, PUBLISHED_TOPIC)
        sender = sender_of(streamer)
        sender.send(np.zeros((40, 3)), seq=0)
        until(lambda: streamer.totals().get("windows_labelled") == 9)
        streamer.stop()
        (frames,) = {frame for each in gathered(watching, 1) for frame in each.frames if b"\xa3end" in frame}
        assert decode_published([b"", frames]).details["reason"] == "stopped"
        sender.close()


def test_whoever_takes_nothing_that_is_gathered_holds_up_nobody(streamer, monkeypatch):
    monkeypatch.setattr("kinestream.streamer.server.gathering._INTERVAL_NS", 0)
    with (
        zmq.Context() as context,
        stalled_watcher(context, streamer, PUBLISHED_TOPIC),
        WatchSubscriber(streamer.watch, published=True) as watching,
    ):
        wait_for_watchers(streamer, PUBLISHED_TOPIC, 2)
        with sender_of(streamer) as sender:
            for seq in range(0, 40_000, 4):
                sender.send(np.zeros((4, 3)), seq=seq)
        seen = gathered(watching, 1)
        assert sum(len(each.frames) for each in seen) >= 9_999
        assert [each.message for each in seen] == list(range(len(seen)))


def test_status_says_how_it_fares_in_whole(streamer):
    with WatchSubscriber(streamer.watch, status=True) as watching, sender_of(streamer) as sender:
        first = watching.receive(WAIT_S)
        assert isinstance(first, Status)
        assert (first.bundle, first.rate_hz, first.length, first.stride) == (BUNDLE.id, RATE, 8, 4)
        assert first.classes == BUNDLE.description.classes
        sender.send(np.zeros((40, 3)))
        until(lambda: streamer.totals().get("windows_labelled") == 9)
        later = first
        while sum(later.latency["received_ready"].counts) < 9:
            later = watching.receive(WAIT_S)
            assert isinstance(later, Status)
    assert later.streams == 1
    assert later.totals["windows_labelled"] == 9
    assert set(later.latency) == set(STAGES)
    assert all(sum(each.counts) == 9 for each in later.latency.values())
    assert later.latency["received_ready"].sum_s >= 0
    assert (later.connections["senders"], later.connections["watchers"]) == (1, 1)
    assert later.uptime_s > first.uptime_s
    assert later.cpu_s > 0
    assert later.memory_bytes > 1 << 20
    assert 0.5 < (later.t - first.t) / 1e9


def test_each_stream_is_told_of_in_pieces(streamer, monkeypatch):
    monkeypatch.setattr("kinestream.streamer.server.figures.PIECE_STREAMS", 2)
    senders = [sender_of(streamer, name) for name in "abcde"]
    with WatchSubscriber(streamer.watch, streams=True) as watching:
        wait_for_watchers(streamer, b"streams/")
        for sender in senders:
            sender.send(np.full((12, 3), 0.5))
        told: dict[int, list[StreamsStatus]] = {}
        rows: dict = {}
        while not (len(rows) == 5 and all(row.label and row.measured_hz >= 0 for row in rows.values())):
            message = watching.receive(WAIT_S)
            assert isinstance(message, StreamsStatus)
            told.setdefault(message.turn, []).append(message)
            assert len(message.streams) <= 2
            rows |= {row.stream: row for row in message.streams}
    for pieces in list(told.values())[:-1]:
        assert [each.piece for each in pieces] == [0, 1, 2]
        assert {each.pieces for each in pieces} == {3}
    row = rows["c"]
    assert row.label in BUNDLE.description.classes
    assert row.missing == 0.0
    (device,) = row.devices
    assert (device.device, device.silent, device.frozen) == ("sensor", False, False)
    for sender in senders:
        sender.close()


def test_status_alone_brings_no_rows_of_streams(streamer):
    with WatchSubscriber(streamer.watch, status=True) as watching, sender_of(streamer):
        assert all(isinstance(watching.receive(WAIT_S), Status) for _ in range(2))


def test_whoever_watches_too_slowly_misses_messages_and_labels_go_on(monkeypatch):
    monkeypatch.setattr(tuning, "WATCH_HWM", 200)
    with (
        running_streamer(BUNDLE) as streamer,
        zmq.Context() as context,
        LabelSubscriber(streamer.labels, streams=["anna"], log=False) as labels,
        WatchSubscriber(streamer.watch, signals=["anna"]) as quick,
    ):
        _stalled = stalled_watcher(context, streamer, b"signal/anna/")
        wait_for_watchers(streamer, b"signal/anna/", 2)
        with sender_of(streamer) as sender:
            sent = 0
            while streamer.counts["watched_overflows"] == 0:  # until the kernel has no room for him either
                sender.send(np.zeros((20_000, 3)), seq=sent)
                sent += 20_000
                assert sum(each.size for each in received(quick, 20_000)) == 20_000  # he misses nothing
                assert sent < 10_000_000
                while labels.receive(0) is not None:
                    pass
            sender.send(np.zeros((8, 3)), seq=sent)
            label = labels.receive(WAIT_S)
            while isinstance(label, Label) and label.last_seq < sent + 7:
                label = labels.receive(WAIT_S)
            assert isinstance(label, Label)
        assert streamer.counts["watched_sent"] > 10
        context.destroy(linger=0)


def test_for_whoever_asks_for_all_readings_and_takes_none_none_are_collected(monkeypatch, caplog):
    monkeypatch.setattr(tuning, "WATCH_HWM", 200)
    monkeypatch.setattr("kinestream.streamer.server.watching._INTERVAL_NS", 50_000_000)
    with running_streamer(BUNDLE) as streamer, zmq.Context() as context, sender_of(streamer) as sender:
        stalled = stalled_watcher(context, streamer, b"signal/")
        wait_for_watchers(streamer, b"signal/anna/", 1)
        tap, sent = streamer.recognizer.tap, 0

        def send() -> None:
            nonlocal sent
            sender.send(np.zeros((2000, 3)), seq=sent)
            sent += 2000
            time.sleep(0.001)

        while tap.is_open:
            send()
            assert sent < 100_000_000
        until(lambda: "takes none" in caplog.text)  # in the streamer's thread, right after
        assert streamer.counts["watched_stalled"] == 1
        with WatchSubscriber(streamer.watch, signals=["anna"]) as watching:  # whoever does has them all the same
            wait_for_watchers(streamer, b"signal/anna/", 2)
            until(lambda: tap.is_open)
            send()
            assert received(watching, 2000)
        until(lambda: not tap.is_open)
        while not tap.is_open:  # and so has he, once he reads
            with suppress(zmq.Again):
                stalled.recv_multipart(zmq.DONTWAIT)
        before = streamer.counts["watched_sent"]
        until(lambda: send() or streamer.counts["watched_sent"] > before)
        context.destroy(linger=0)


def test_more_than_may_leave_in_a_second_is_left_out_and_the_numbers_show_it(monkeypatch):
    monkeypatch.setattr(tuning, "WATCH_BYTES_PER_S", 20_000)
    with running_streamer(BUNDLE) as streamer, WatchSubscriber(streamer.watch, signals=None) as watching:
        wait_for_watchers(streamer, b"signal/anna/")
        with sender_of(streamer) as sender:
            sender.send(np.zeros((10_000, 3)))
            until(lambda: streamer.counts["watched_dropped"] > 2)
            begun = time.monotonic()
            missed, before = 0, -1
            while missed < 3 or missed != streamer.counts["watched_dropped"]:
                sender.send(np.zeros((4, 3)))
                message = watching.receive(0.1)
                if isinstance(message, Signal):
                    missed += message.message - before - 1
                    before = message.message
                assert time.monotonic() - begun < WAIT_S


def test_no_more_than_so_many_may_watch(monkeypatch):
    monkeypatch.setattr(tuning, "MOST_WATCHERS", 2)
    with running_streamer(BUNDLE) as streamer:
        watchers = [WatchSubscriber(streamer.watch, status=True) for _ in range(2)]
        assert all(isinstance(each.receive(WAIT_S), Status) for each in watchers)
        with WatchSubscriber(streamer.watch, status=True):
            until(lambda: streamer.ports.turned_away > 0)
        for each in watchers:
            each.close()


def test_the_address_follows_that_of_the_labels():
    assert watch_address(None, LABELS) == WATCH
    assert watch_address(None, "tcp://10.0.0.1:5571") == "tcp://127.0.0.1:*"
    assert watch_address("ipc:///tmp/watch", LABELS) == "ipc:///tmp/watch"


def test_what_cannot_be_watched_is_told(streamer):
    with pytest.raises(ConfigError, match="give a list"):
        WatchSubscriber(streamer.watch, signals="anna")
    with pytest.raises(ConfigError, match="is no name"):
        WatchSubscriber(streamer.watch, signals=["a/b"])
    with pytest.raises(EndpointError):
        WatchSubscriber("nowhere", status=True)
    with WatchSubscriber(streamer.ingest, status=True) as watching, pytest.raises(EndpointError, match="watch"):
        watching.receive(WAIT_S)
