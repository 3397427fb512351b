"""Whoever is revoked is out within a second, whatever it is doing; whoever else there is notices nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq

from kinestream import Event, LabelSubscriber, SampleSender
from kinestream.model.errors import AccessError
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec
from tests.given.hostile import until
from tests.given.keyholders import kept_in, keys_of, peer
from tests.given.keys import described, key_of
from tests.given.live import BUNDLE, signal
from tests.given.streamers import running_streamer

RATE = 50.0
WITHIN_S = 1.0
LONG_ENOUGH = 300  # messages that a client goes on sending after that


@pytest.fixture
def kept(tmp_path: Path) -> KeyFolder:
    kept = kept_in(tmp_path / "keys")
    kept.new_client("rogue")
    kept.allow("rogue", {"send": ("rogue*", "shared"), "read": True})
    return kept


@pytest.fixture
def streamer(kept: KeyFolder) -> Iterator[Streamer]:
    with running_streamer(BUNDLE, keys=kept.path) as streamer:
        yield streamer


@contextmanager
def in_a_thread(turn: Callable[[], object]) -> Iterator[list[int]]:
    """Take a turn every few milliseconds until the block ends; yield the number of turns."""
    turns = [0]
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(0.002):
            turn()
            turns[0] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield turns
    finally:
        stopping.set()
        thread.join()


def sending(socket: zmq.Socket[bytes], name: str) -> Callable[[], None]:
    """Return what sends the next samples of a stream, describing it each time, and heeds nothing."""
    about = codec.encode_description(described(name, BUNDLE.channels, RATE))
    x = signal(4)
    seq = 0

    def turn() -> None:
        nonlocal seq
        try:
            socket.send(about, zmq.DONTWAIT)
            socket.send(codec.encode_samples(key_of(name), seq, time.time_ns(), x), zmq.DONTWAIT)
        except zmq.Again:
            return
        seq += 4

    return turn


def of_stream(streamer: Streamer, name: str) -> int:
    """Return how far a stream's windows have come."""
    known = streamer.recognizer._registry.streams.get(name)
    return -1 if known is None or known.session is None else known.session.buffer.next_seq


def labels_in(sub: zmq.Socket[bytes], name: str) -> int:
    """Read what has come; return how much of it was labels of a stream."""
    count = 0
    while sub.poll(0):
        count += sub.recv_multipart()[0] == f"label/{name}/".encode()
    return count


def test_a_sender_that_ignores_everything_is_out_within_a_second(streamer, kept):
    keys = keys_of(kept, "rogue")
    with peer(zmq.PUSH, streamer.ingest, keys) as push, in_a_thread(sending(push.socket, "rogue")) as turns:
        until(lambda: streamer.totals().get("windows_labelled", 0) > 3)
        began = time.monotonic()
        kept.revoke("rogue")
        until(lambda: of_stream(streamer, "rogue") < 0, WITHIN_S)
        assert time.monotonic() - began < WITHIN_S
        until(lambda: not streamer._batcher.waiting)
        before, at = streamer.totals(), turns[0]
        until(lambda: turns[0] > at + LONG_ENOUGH)
        after = streamer.totals()
    for name in ("windows_labelled", "samples_used", "sessions", "streams"):
        assert after.get(name) == before.get(name), name


def test_what_it_described_means_nothing_to_others_either(streamer, kept):
    """A client that is still let in knows the revoked one's key: it may have been told."""
    rogue, gateway = keys_of(kept, "rogue"), keys_of(kept, "gateway")
    with peer(zmq.PUSH, streamer.ingest, rogue) as first, peer(zmq.PUSH, streamer.ingest, gateway) as second:
        turn = sending(first.socket, "rogue")
        until(lambda: turn() or of_stream(streamer, "rogue") > 16)
        kept.revoke("rogue")
        until(lambda: streamer.totals().get("streams_revoked"), WITHIN_S)
        before = streamer.totals().get("samples_used", 0)
        second.socket.send(codec.encode_samples(key_of("rogue"), 0, time.time_ns(), signal(64)))
        until(lambda: streamer.recognizer._intake.early.messages)  # it waits for a description, which nobody gives
        assert streamer.totals().get("samples_used", 0) == before


def test_a_reader_that_ignores_everything_is_out_within_a_second_and_others_miss_nothing(streamer, kept):
    rogue = keys_of(kept, "rogue")
    with (
        peer(zmq.SUB, streamer.labels, rogue) as sub,
        peer(zmq.SUB, streamer.labels, rogue, topics=()) as silent,
        peer(zmq.SUB, streamer.labels, keys_of(kept, "reader")) as honest,
        peer(zmq.PUSH, streamer.ingest, keys_of(kept, "phone")) as push,
        in_a_thread(sending(push.socket, "anna")) as turns,
    ):
        until(lambda: labels_in(sub.socket, "anna"))
        until(lambda: labels_in(honest.socket, "anna"))
        broken = streamer.ports.listeners.count
        kept.revoke("rogue")
        until(lambda: streamer.ports.listeners.count <= broken - 2, WITHIN_S)
        labels_in(sub.socket, "anna")  # what was on its way
        silent.socket.subscribe(b"")
        heard, at = labels_in(honest.socket, "anna"), turns[0]
        until(lambda: turns[0] > at + LONG_ENOUGH)
        heard += labels_in(honest.socket, "anna")
        assert heard > LONG_ENOUGH / 2
        assert labels_in(sub.socket, "anna") == labels_in(silent.socket, "anna") == 0
        assert streamer.totals()["connections_denied"] >= 1


def test_other_readers_get_every_label(streamer, kept):
    with (
        LabelSubscriber(streamer.labels, streams=["anna"], keys=kept.path / "reader.secret") as labels,
        LabelSubscriber(streamer.labels, streams=["anna"], keys=kept.path / "rogue.secret") as rogue,
        SampleSender(
            "anna",
            BUNDLE.channels,
            RATE,
            endpoint=streamer.ingest,
            control=streamer.control,
            keys=kept.path / "phone.secret",
        ) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"] == 2)
        sender.send(signal(8))
        assert rogue.receive(20).window == labels.receive(20).window == 0
        kept.revoke("rogue")
        windows = [0]
        until(
            lambda: (
                sender.send(signal(4), seq=sender.seq)
                or windows.append(labels.receive(20).window)
                or streamer.ports.listeners.count == 1
            )
        )
        sender.send(signal(400), seq=sender.seq)
        windows += [labels.receive(20).window for _ in range(100)]
        assert windows == list(range(len(windows)))
        with pytest.raises(AccessError, match=r"does not accept the key of client rogue .*revoked"):
            until(lambda: rogue.receive(5) and False)


def test_a_client_is_told_why_it_is_out(streamer, kept):
    where = {"endpoint": streamer.ingest, "control": streamer.control, "keys": kept.path / "rogue.secret"}
    sender = SampleSender("rogue", BUNDLE.channels, RATE, **where, timeout_s=20)
    sender.wait_accepted()
    kept.revoke("rogue")
    with pytest.raises(AccessError, match="does not accept the key of client rogue"):
        until(lambda: sender.send(np.zeros((4, 3)), seq=sender.seq))
    sender.close()


def test_a_right_less_takes_what_it_was_for_and_nothing_else(streamer, kept):
    keys = keys_of(kept, "rogue")
    with peer(zmq.PUSH, streamer.ingest, keys) as push:
        turns = [sending(push.socket, name) for name in ("rogue-1", "rogue-2")]
        until(lambda: [turn() for turn in turns] and min(of_stream(streamer, f"rogue-{i}") for i in (1, 2)) > 16)
        kept.allow("rogue", {"send": ("rogue-1",)})
        until(lambda: of_stream(streamer, "rogue-2") < 0, WITHIN_S)
        at = of_stream(streamer, "rogue-1")
        until(lambda: [turn() for turn in turns] and of_stream(streamer, "rogue-1") > at + 64)
        assert of_stream(streamer, "rogue-2") < 0
    with peer(zmq.SUB, streamer.labels, keys) as sub:
        assert sub.outcome() == "denied"


def test_whoever_is_made_anew_has_another_key(streamer, kept):
    before = keys_of(kept, "rogue")
    kept.revoke("rogue")
    kept.new_client("rogue")
    kept.allow("rogue", {"send": ("*",), "read": True})

    def comes_to(keys: ClientKeys) -> str:
        with peer(zmq.PUSH, streamer.ingest, keys) as client:
            return client.outcome()

    until(lambda: comes_to(keys_of(kept, "rogue")) == "let in", WITHIN_S)
    assert comes_to(before) == "denied"


def test_a_list_that_cannot_be_read_leaves_the_one_before_in_force(streamer, kept, caplog):
    text = kept.allowed_path.read_text()
    kept.allowed_path.write_text("clients: [")
    until(lambda: "cannot be read, and the one before stays in force" in caplog.text)
    with peer(zmq.SUB, streamer.labels, keys_of(kept, "reader")) as sub:
        assert sub.outcome() == "let in"
    kept.allowed_path.write_text(text.replace("reader:", "other-name:"))
    until(lambda: streamer._gate.allowed.clients.get("other-name"), WITHIN_S)
    kept.allowed_path.unlink()
    until(lambda: not streamer._gate.allowed.clients, WITHIN_S)
    with peer(zmq.SUB, streamer.labels, keys_of(kept, "reader")) as sub:
        assert sub.outcome() == "denied"


def test_a_device_of_a_stream_that_others_send_too(streamer, kept):
    """Where two clients send a stream's devices, one is retired and the other goes on."""
    events: list[Event] = []
    where = {"endpoint": streamer.ingest, "control": streamer.control, "timing": "times"}
    first, rest = BUNDLE.channels[:1], BUNDLE.channels[1:]
    one = SampleSender("shared", first, RATE, device="a", **where, keys=kept.path / "rogue.secret", timeout_s=0)
    with (
        LabelSubscriber(streamer.labels, events=True, keys=kept.path / "reader.secret") as labels,
        SampleSender("shared", rest, RATE, device="b", **where, keys=kept.path / "gateway.secret") as other,
    ):
        one.wait_accepted()
        other.wait_accepted()
        t0 = time.time_ns() - 10_000_000_000
        times = t0 + 20_000_000 * np.arange(200)
        one.send(np.zeros((200, 1)), times=times)
        other.send(np.zeros((200, 2)), times=times)
        until(lambda: streamer.totals().get("windows_labelled"))
        kept.revoke("rogue")
        until(lambda: not labels.receive(0.01) and not streamer._gate.allowed.clients.get("rogue"))

        def windows() -> int:
            totals = streamer.totals()
            return totals.get("windows_labelled", 0) + totals.get("windows_skipped_missing", 0)

        before = windows()
        for _ in range(3):
            times = times + 4_000_000_000
            other.send(np.zeros((200, 2)), times=times)
        until(lambda: windows() > before + 80)
        events += [each for each in iter(lambda: labels.receive(0.2), None) if isinstance(each, Event)]
    one.close()
    assert "revoked" not in [event.details.get("reason") for event in events]
    silent = [each.details["device"] for each in events if each.event == "device" and each.details.get("silent")]
    assert silent == ["a"]
