"""Without the right key: no sample in, no label out, no state changed; docs/security.md lists what is tried."""

import socket as sockets
import time
from collections.abc import Iterator
from contextlib import suppress

import msgpack
import numpy as np
import pytest
import zmq

from kinestream import Label, LabelSubscriber, SampleSender
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec, requests
from tests.given.hostile import until
from tests.given.keyholders import kept_in, keys_of, mistaken, peer, stranger, thief
from tests.given.keys import described, key_of
from tests.given.live import BUNDLE, signal
from tests.given.streamers import running_streamer

RATE = 50.0
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return kept_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def revoked(kept: KeyFolder) -> ClientKeys:
    kept.new_client("revoked")
    kept.allow("revoked", {"send": ("*",), "read": True, "watch": True, "administer": True})
    keys = keys_of(kept, "revoked")
    kept.revoke("revoked")
    return keys


@pytest.fixture
def streamer(kept: KeyFolder, revoked: ClientKeys) -> Iterator[Streamer]:
    with running_streamer(BUNDLE, keys=kept.path) as streamer:
        yield streamer


def shown(how: str, kept: KeyFolder, revoked: ClientKeys) -> ClientKeys | tuple[str, str] | None:
    match how:
        case "no key":
            return None
        case "a name and a password":
            return "admin", "admin"
        case "a key nobody knows":
            return stranger(kept)
        case "a known public key without its secret":
            return thief(keys_of(kept, "gateway"))
        case "another streamer's public key":
            return mistaken(keys_of(kept, "gateway"))
        case "a revoked key":
            return revoked
    return keys_of(kept, how)


_OUT = {"mechanism", "hung up"}  # it may hang up before it has said how it speaks
WAYS = {
    "no key": _OUT,
    "a name and a password": _OUT,
    "a key nobody knows": {"denied"},
    "a known public key without its secret": {"hung up"},
    "another streamer's public key": {"hung up"},
    "a revoked key": {"denied"},
}
"""How somebody comes who has no right to anything, and how that ends."""


def attempts(name: str) -> list[bytes]:
    """Return what describes a stream and sends its first window, and what asks for things."""
    about = described(name, BUNDLE.channels, RATE)
    samples = codec.encode_samples(key_of(name), 0, time.time_ns(), signal(64))
    return [
        codec.encode_description(about),
        samples,
        codec.encode_end(key_of(name)),
        requests.encode_request(requests.HealthRequest()),
        requests.encode_request(requests.ReloadRequest("/nowhere")),
        b"",
        b"\x00" * 100,
    ]


def honest_labels(streamer: Streamer, kept: KeyFolder, name: str, count: int = 3) -> list[Label]:
    """Send as a client that may, and return the labels that another one, which may read, has got."""
    where = {"endpoint": streamer.ingest, "control": streamer.control}
    with (
        LabelSubscriber(streamer.labels, streams=[name], keys=kept.path / "reader.secret") as labels,
        SampleSender(name, BUNDLE.channels, RATE, keys=kept.path / "gateway.secret", **where) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"])
        sender.send(signal(8 + 4 * (count - 1)))
        return [labels.receive(20) for _ in range(count)]


def seen(streamer: Streamer) -> dict[str, int]:
    """Return what would change if anything came in."""
    totals = streamer.totals()
    ignored = ("connections", "streams", "subscribers")
    return {name: count for name, count in totals.items() if not name.startswith(ignored)}


@pytest.mark.parametrize("how", list(WAYS))
def test_nothing_comes_in_and_nothing_goes_out(streamer, kept, revoked, how):
    keys = shown(how, kept, revoked)
    before = seen(streamer)
    with (
        peer(zmq.PUSH, streamer.ingest, keys) as push,
        peer(zmq.DEALER, streamer.control, keys) as dealer,
        peer(zmq.SUB, streamer.labels, keys) as sub,
        peer(zmq.SUB, streamer.watch, keys) as watching,
    ):
        for message in attempts("mallory"):
            for each in (push, dealer):
                with suppress(zmq.Again):  # it is out by now
                    each.socket.send(message, zmq.DONTWAIT)
        assert {each.outcome() for each in (push, dealer, sub, watching)} <= WAYS[how]
        assert seen(streamer) == before
        assert not streamer.recognizer.knows("mallory")
        name = f"honest-{how.replace(' ', '-')}"
        labels = honest_labels(streamer, kept, name[:64].replace("'", ""))
        assert [label.window for label in labels] == [0, 1, 2]
        assert not sub.socket.poll(0)
        assert not watching.socket.poll(0)
        assert not dealer.socket.poll(0)
    assert not streamer.recognizer.knows("mallory")


@pytest.mark.parametrize(
    ("client", "port", "outcome"),
    [
        ("reader", "ingest", "denied"),
        ("watcher", "ingest", "denied"),
        ("keeper", "ingest", "denied"),
        ("phone", "labels", "denied"),
        ("watcher", "labels", "denied"),
        ("keeper", "labels", "denied"),
        ("phone", "watch", "denied"),
        ("reader", "watch", "denied"),
        ("keeper", "watch", "denied"),
        ("watcher", "watch", "let in"),
        ("phone", "ingest", "let in"),
        ("reader", "labels", "let in"),
        ("keeper", "control", "let in"),
        ("phone", "control", "let in"),
    ],
)
def test_each_right_opens_its_own_port(streamer, kept, client, port, outcome):
    kind = {"ingest": zmq.PUSH, "labels": zmq.SUB, "watch": zmq.SUB, "control": zmq.DEALER}[port]
    with peer(kind, getattr(streamer, port), keys_of(kept, client)) as came:
        assert came.outcome() == outcome


def asked(dealer: zmq.Socket[bytes], message: bytes) -> bytes:
    dealer.send(message)
    assert dealer.poll(20_000)
    return dealer.recv()


def test_who_may_read_describes_no_stream(streamer, kept):
    with peer(zmq.DEALER, streamer.control, keys_of(kept, "reader")) as dealer:
        answer = codec.decode_answer(
            asked(dealer.socket, codec.encode_description(described("anna", BUNDLE.channels, RATE)))
        )
    assert not answer.accepted
    assert "reader may not send stream anna" in answer.details["reason"]
    assert not streamer.recognizer.knows("anna")


def test_a_client_describes_its_own_streams_only(streamer, kept):
    before = streamer.totals()
    with (
        peer(zmq.DEALER, streamer.control, keys_of(kept, "phone")) as dealer,
        peer(zmq.PUSH, streamer.ingest, keys_of(kept, "phone")) as push,
    ):
        for name, accepted in (("annabel", True), ("zoe", False)):
            message = codec.encode_description(described(name, BUNDLE.channels, RATE))
            assert codec.decode_answer(asked(dealer.socket, message)).accepted is accepted
            push.socket.send(message)
            push.socket.send(codec.encode_samples(key_of(name), 0, time.time_ns(), signal(8)))
        until(lambda: streamer.totals()["messages_received"] == before["messages_received"] + 4)
        until(lambda: streamer.totals().get("windows_labelled", 0) > before.get("windows_labelled", 0))
    assert streamer.recognizer.knows("annabel")
    assert not streamer.recognizer.knows("zoe")
    assert streamer.totals()["descriptions_not_allowed"] == before.get("descriptions_not_allowed", 0) + 2


def test_a_client_that_knows_anothers_description_is_not_taken_for_it(streamer, kept):
    message = codec.encode_description(described("zed", BUNDLE.channels, RATE))
    with (
        peer(zmq.DEALER, streamer.control, keys_of(kept, "gateway")) as gateway,
        peer(zmq.DEALER, streamer.control, keys_of(kept, "phone")) as phone,
        peer(zmq.PUSH, streamer.ingest, keys_of(kept, "phone")) as push,
    ):
        for _ in range(2):  # the second time it is known byte for byte
            assert codec.decode_answer(asked(gateway.socket, message)).accepted
        assert not codec.decode_answer(asked(phone.socket, message)).accepted
        before = streamer.totals().get("messages_not_allowed", 0)
        push.socket.send(codec.encode_end(key_of("zed")))
        until(lambda: streamer.totals().get("messages_not_allowed", 0) == before + 1)


@pytest.mark.parametrize(
    ("client", "request_", "reason"),
    [
        ("phone", requests.HealthRequest(), "--watch or --administer"),
        ("reader", requests.HealthRequest(), "--watch or --administer"),
        ("watcher", requests.HealthRequest(), None),
        ("keeper", requests.HealthRequest(), None),
        ("phone", requests.ReloadRequest("/nowhere"), "--administer"),
        ("watcher", requests.ReloadRequest("/nowhere"), "--administer"),
        ("keeper", requests.ReloadRequest("/nowhere"), "/nowhere"),
    ],
)
def test_requests_take_their_rights(streamer, kept, client, request_, reason):
    with peer(zmq.DEALER, streamer.control, keys_of(kept, client)) as dealer:
        reply = requests.decode_reply(asked(dealer.socket, requests.encode_request(request_)))
    if reason is None:
        assert isinstance(reply, requests.Health)
    else:
        assert isinstance(reply, requests.Refused)
        assert reason in reply.reason


@pytest.mark.parametrize(
    ("client", "asked_for", "needed"),
    [
        ("phone", {"kind": "history", "stream": "anna"}, "--read"),
        ("watcher", {"kind": "history"}, "--read"),
        ("keeper", {"kind": "history", "stream": "anna"}, "--read"),
        ("phone", {"kind": "annotate", "stream": "zoe"}, "--send or --administer"),
        ("reader", {"kind": "annotate", "stream": "anna"}, "--send or --administer"),
        ("gateway", {"kind": "forget", "stream": "anna"}, "--administer"),
        ("gateway", {"kind": "what nobody knows yet"}, "--administer"),
        ("gateway", {}, "--administer"),
    ],
)
def test_what_is_asked_for_is_looked_at_before_anything_else_is_done(streamer, kept, client, asked_for, needed):
    """Whatever it is: what is not known is nobody's right but the keeper's."""
    with peer(zmq.DEALER, streamer.control, keys_of(kept, client)) as dealer:
        reply = requests.decode_reply(asked(dealer.socket, msgpack.packb({"v": 2, **asked_for})))
    assert isinstance(reply, requests.Refused)
    assert f"it needs {needed} of 'kinestream keys allow'" in reply.reason


def test_samples_do_not_come_in_by_another_port(streamer, kept):
    with peer(zmq.DEALER, streamer.control, keys_of(kept, "reader")) as dealer:
        message = codec.encode_samples(key_of("anna"), 0, time.time_ns(), signal(8))
        reply = requests.decode_reply(asked(dealer.socket, message))
    assert "it needs --send" in reply.reason


@pytest.mark.parametrize("port", ["ingest", "labels", "control", "watch"])
@pytest.mark.parametrize(
    "said",
    [
        GREETING + b"NULL" + bytes(16) + b"\x00" + bytes(31),
        GREETING + b"CURVE" + bytes(15) + b"\x00" + bytes(31) + b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04PUSH",
        GREETING + b"CURVE" + bytes(15) + b"\x00" + bytes(31) + b"\x00\x05hello",
        GREETING + b"CURVE" + bytes(15) + b"\x00" + bytes(31) + b"\x04\xc8\x05HELLO\x01\x00" + bytes(192),
        GREETING + b"CURVE" + bytes(15) + b"\x00" + bytes(31) + b"\x02" + (1 << 40).to_bytes(8, "big"),
    ],
    ids=["NULL", "ready at once", "a message at once", "an empty hello", "a terabyte"],
)
def test_whoever_speaks_the_protocol_wrongly_is_hung_up_on(streamer, port, said):
    host, _, number = getattr(streamer, port).removeprefix("tcp://").rpartition(":")
    before = seen(streamer)
    with sockets.create_connection((host, int(number)), timeout=20) as raw:
        raw.sendall(said)
        with suppress(ConnectionResetError):
            while raw.recv(4096):
                pass
    assert seen(streamer) == before


def test_every_message_size_comes_through_encrypted(streamer, kept):
    """64 KiB of samples is 33 bytes more on the wire; and what a port counts must be what was on it."""
    rows = ((1 << 16) - 32) // 12
    before = streamer.totals()
    with SampleSender(
        "large", BUNDLE.channels, RATE, keys=kept.path / "gateway.secret", endpoint=streamer.ingest
    ) as sender:
        x = np.zeros((rows, 3), np.float32)
        sender.send(x)
        for _ in range(20_000):  # uncounted, 33 bytes of each would be taken for a message without an end
            sender.send(x[:1], seq=sender.seq)
        # To ask for all counters while it takes samples, from another thread, would change them.
        until(lambda: streamer.received >= 20_002)
    until(lambda: streamer.recognizer._registry.streams["large"].session is None)
    assert streamer.totals()["samples_received"] == rows + 20_000
    assert streamer.totals()["connections_endless"] == before["connections_endless"]


def test_publishers_show_keys_too(kept):
    """The streamer connects to them, and asks all the same."""
    public = {"endpoint": "tcp://127.0.0.1:*", "publish": True}
    with (
        SampleSender("anna", BUNDLE.channels, RATE, **public) as keyless,
        SampleSender("anna", BUNDLE.channels, RATE, **public, keys=kept.path / "reader.secret") as reader,
        SampleSender("annabel", BUNDLE.channels, RATE, **public, keys=kept.path / "phone.secret") as phone,
    ):
        addresses = [each.endpoint for each in (keyless, reader, phone)]
        with running_streamer(BUNDLE, keys=kept.path, subscribe=addresses) as streamer:
            until(lambda: streamer.totals()["connections_denied"])
            until(
                lambda: (
                    [each.send(signal(4)) for each in (keyless, reader, phone)]
                    and streamer.totals().get("windows_labelled")
                )
            )
            assert streamer.recognizer.knows("annabel")
            assert not streamer.recognizer.knows("anna")
