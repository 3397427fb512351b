"""Watching, the history and acknowledgements take their rights as everything else does, and lose them as fast."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from kinestream import Label, LabelSubscriber, SampleSender
from kinestream.model.errors import AccessError
from kinestream.streamer.client.keeper import annotate, forget
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec
from kinestream.streamer.wire.messages import Remark
from kinestream.streamer.wire.signals import Signal
from kinestream.streamer.wire.status import Status
from kinestream.streamer.wire.tracked import AcknowledgeRequest, decode_acknowledged, encode_acknowledge, encode_tracked
from tests.given.hostile import until
from tests.given.keyholders import file_of, kept_in, keys_of, peer
from tests.given.keys import described, key_of
from tests.given.live import BUNDLE, signal
from tests.given.streamers import running_streamer

RATE = 50.0
WITHIN_S = 1.0


@pytest.fixture
def kept(tmp_path: Path) -> KeyFolder:
    return kept_in(tmp_path / "keys")


@pytest.fixture
def streamer(kept: KeyFolder) -> Iterator[Streamer]:
    with running_streamer(BUNDLE, keys=kept.path) as streamer:
        yield streamer


def sender_of(streamer: Streamer, kept: KeyFolder, name: str, **options: object) -> SampleSender:
    """Return a sender with the gateway's keys."""
    where = {"endpoint": streamer.ingest, "control": streamer.control, "keys": file_of(kept, "gateway")}
    return SampleSender(name, BUNDLE.channels, RATE, **where, **options)


def test_whoever_may_watch_sees_readings_and_figures(streamer, kept):
    with (
        WatchSubscriber(streamer.watch, signals=["anna"], status=True, keys=file_of(kept, "watcher")) as watching,
        sender_of(streamer, kept, "anna") as sender,
    ):
        sender.wait_accepted()
        seen: set[type] = set()
        until(lambda: sender.send(signal(4), seq=sender.seq) or seen.add(type(watching.receive(1))) or len(seen) > 1)
        until(lambda: seen.add(type(watching.receive(1))) or {Signal, Status} <= seen)


def test_whoever_watches_and_is_revoked_is_out_within_a_second(streamer, kept):
    keys = keys_of(kept, "watcher")
    with (
        peer(zmq.SUB, streamer.watch, keys, topics=(b"status/",)) as sub,
        peer(zmq.SUB, streamer.watch, keys, topics=()) as silent,
        WatchSubscriber(streamer.watch, status=True, keys=file_of(kept, "watcher")) as told,
    ):
        until(lambda: sub.socket.poll(100))
        assert silent.outcome() == "let in"
        assert told.receive(20)
        kept.revoke("watcher")
        until(lambda: not streamer.ports.watchers.count, WITHIN_S)
        while sub.socket.poll(0):  # what was on its way
            sub.socket.recv_multipart()
        silent.socket.subscribe(b"")
        assert not silent.socket.poll(2500)  # figures come once a second
        assert not sub.socket.poll(0)
        with pytest.raises(AccessError, match=r"does not accept the key of client watcher .*revoked"):
            until(lambda: told.receive(1) and False)


def test_who_may_read_asks_for_what_it_missed(streamer, kept):
    with sender_of(streamer, kept, "anna") as sender:
        sender.wait_accepted()
        sender.send(signal(40))
        until(lambda: streamer.totals().get("windows_labelled", 0) >= 9)
        with LabelSubscriber(
            streamer.labels, streams=["anna"], control=streamer.control, keys=file_of(kept, "reader")
        ) as late:
            windows = [late.receive(20) for _ in range(9)]
    assert [label.window for label in windows if isinstance(label, Label)] == list(range(9))
    assert late.filled == 9


def test_a_reliable_sender_is_acknowledged(streamer, kept):
    with (
        LabelSubscriber(streamer.labels, streams=["anna"], keys=file_of(kept, "reader")) as labels,
        sender_of(streamer, kept, "anna", reliable=True) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"])
        for _ in range(10):
            sender.send(signal(4), seq=sender.seq)
        assert [labels.receive(20).window for _ in range(9)] == list(range(9))
    until(lambda: not streamer.recognizer._registry.streams["anna"].session)
    assert not streamer.totals().get("messages_not_allowed")


def test_nobody_ends_or_annotates_anothers_stream_by_a_tracked_message(streamer, kept):
    key = key_of("zed")
    tracked = [
        encode_tracked(key, 0, 0, codec.encode_remark(Remark(key, "lying", 1, 2))),
        encode_tracked(key, 0, 0, codec.encode_end(key)),
    ]
    with (
        peer(zmq.PUSH, streamer.ingest, keys_of(kept, "gateway")) as gateway,
        peer(zmq.PUSH, streamer.ingest, keys_of(kept, "phone")) as phone,
    ):
        gateway.socket.send(codec.encode_description(described("zed", BUNDLE.channels, RATE)))
        gateway.socket.send(codec.encode_samples(key, 0, time.time_ns(), signal(8)))
        until(lambda: streamer.totals().get("windows_labelled"))
        for message in tracked:
            phone.socket.send(message)
        until(lambda: streamer.totals().get("messages_not_allowed") == 2)
        known = streamer.recognizer._registry.streams["zed"]
        assert known.session is not None
        gateway.socket.send(tracked[1])
        until(lambda: known.session is None)


def test_what_has_come_of_messages_is_told_to_senders_only(streamer, kept):
    request = encode_acknowledge(AcknowledgeRequest((key_of("anna"),)))
    with (
        peer(zmq.DEALER, streamer.control, keys_of(kept, "reader")) as reader,
        peer(zmq.DEALER, streamer.control, keys_of(kept, "phone")) as phone,
    ):
        for each in (reader, phone):
            each.socket.send(request)
        assert phone.socket.poll(20_000)
        assert [each.key for each in decode_acknowledged(phone.socket.recv())] == [key_of("anna")]
        assert reader.socket.poll(20_000)
        assert b"it needs --send" in reader.socket.recv()


def test_tracked_messages_over_a_quota_are_told_and_come_again(streamer, kept):
    kept.allow("gateway", {"send": ("*",), "read": True, "quota": {"messages_per_s": 15}})
    until(lambda: streamer._gate.allowed.clients["gateway"].quota.messages_per_s)
    with (
        LabelSubscriber(streamer.labels, streams=["anna"], events=True, keys=file_of(kept, "reader")) as labels,
        sender_of(streamer, kept, "anna", reliable=True) as sender,
    ):
        sender.wait_accepted()
        for _ in range(40):
            sender.send(signal(1), seq=sender.seq)
        windows, events = [], []

        def all_came() -> bool:
            message = labels.receive(0.05)
            sender._connection.service()
            if isinstance(message, Label):
                windows.append(message.window)
            elif message is not None:
                events.append(message.event)
            return len(windows) == 9

        until(all_came)
    assert windows == list(range(9))
    assert "quota" in events


def test_a_keeper_forgets_and_a_sender_annotates_its_own(streamer, kept):
    with sender_of(streamer, kept, "anna") as sender:
        sender.wait_accepted()
        sender.send(signal(8))
        until(lambda: streamer.totals().get("windows_labelled"))
        assert annotate("anna", "walking", 1, 2, streamer.control, 20, file_of(kept, "phone")).session
    assert forget("anna", streamer.control, 20, file_of(kept, "keeper")).stream == "anna"
    assert not streamer.recognizer.knows("anna")
