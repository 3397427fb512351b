"""Clients that speak CurveZMQ themselves, and say of themselves what is not so: tried by hand, byte by byte."""

import time
from collections.abc import Iterator

import pytest

from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.wire import codec
from tests.given.curve import RawClient, sodium
from tests.given.hostile import until
from tests.given.keyholders import kept_in, keys_of, mistaken, stranger, thief
from tests.given.keys import described, key_of
from tests.given.live import BUNDLE, signal
from tests.given.streamers import running_streamer

pytestmark = pytest.mark.skipif(sodium() is None, reason="this pyzmq has no libsodium of its own")

RATE = 50.0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return kept_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def streamer(kept: KeyFolder) -> Iterator[Streamer]:
    with running_streamer(BUNDLE, keys=kept.path) as streamer:
        yield streamer


def window_of(client: RawClient, name: str) -> bytes:
    """Describe a stream and send its first window; return the samples as they were on the wire."""
    client.send(codec.encode_description(described(name, BUNDLE.channels, RATE)))
    return client.send(codec.encode_samples(key_of(name), 0, time.time_ns(), signal(8)))


def test_whoever_speaks_it_rightly_is_let_in(streamer, kept):
    with RawClient(streamer.ingest, "PUSH", keys_of(kept, "phone")) as client:
        window_of(client, "anna-1")
        until(lambda: streamer.totals().get("windows_labelled"))


@pytest.mark.parametrize("name", ["User-Id", "user-id", "X-User-Id", "__fd", "Peer-Address"])
def test_a_client_that_says_it_is_another_is_who_its_key_says(streamer, kept, name):
    gateway = keys_of(kept, "gateway").pair.public.encode()
    before = streamer.totals().get("descriptions_not_allowed", 0)
    with RawClient(streamer.ingest, "PUSH", keys_of(kept, "phone"), {name: gateway}) as client:
        window_of(client, "zoe")
        until(lambda: streamer.totals().get("descriptions_not_allowed", 0) == before + 1)
        window_of(client, "anna-2")
        until(lambda: streamer.recognizer.knows("anna-2"))
    assert not streamer.recognizer.knows("zoe")


@pytest.mark.parametrize(
    "who", [stranger, lambda kept: thief(keys_of(kept, "gateway")), lambda kept: keys_of(kept, "reader")]
)
def test_whoever_may_not_send_is_told_so_or_hung_up_on(streamer, kept, who):
    with pytest.raises(ConnectionRefusedError):
        RawClient(streamer.ingest, "PUSH", who(kept), {"User-Id": keys_of(kept, "gateway").pair.public.encode()})


def test_whoever_takes_the_streamer_for_another_does_not_get_past_hello(streamer, kept):
    with pytest.raises(ConnectionRefusedError, match="hung up"):
        RawClient(streamer.ingest, "PUSH", mistaken(keys_of(kept, "gateway")))


def test_what_was_recorded_on_the_wire_is_worth_nothing(streamer, kept):
    """A message of an honest client sent again, in its own connection and in another one, is not taken."""
    with (
        RawClient(streamer.ingest, "PUSH", keys_of(kept, "phone")) as client,
        RawClient(streamer.ingest, "PUSH", keys_of(kept, "phone")) as other,
    ):
        received = streamer.totals()["messages_received"] + 2
        recorded = window_of(client, "anna-3")
        until(lambda: streamer.totals()["messages_received"] == received)
        for each in (other, client):
            each.peer.sendall(recorded)
            assert each.hangs_up()
    assert streamer.totals()["messages_received"] == received


def test_one_bit_that_is_changed_on_the_way_ends_the_connection(streamer, kept):
    with RawClient(streamer.ingest, "PUSH", keys_of(kept, "phone")) as client:
        received = streamer.totals()["messages_received"] + 2
        whole = window_of(client, "anna-4")
        until(lambda: streamer.totals()["messages_received"] == received)
        changed = bytearray(whole)
        changed[-1] ^= 1
        client.peer.sendall(changed)
        assert client.hangs_up()
    assert streamer.totals()["messages_received"] == received


def test_an_initiate_of_another_connection_is_refused(streamer, kept):
    """Whoever recorded a handshake cannot begin with it where another one has begun."""
    with RawClient(streamer.ingest, "PUSH", keys_of(kept, "phone")) as honest:
        recorded = honest.initiate

    class Replaying(RawClient):
        def _send_command(self, content: bytes) -> None:
            super()._send_command(recorded if content.startswith(b"\x08INITIATE") else content)

    with pytest.raises(ConnectionRefusedError):
        Replaying(streamer.ingest, "PUSH", stranger(kept))
