"""Whoever is not let in is told why in a line: ZeroMQ itself would be silent."""

import asyncio
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinestream import AsyncLabelSubscriber, LabelSubscriber, SampleConnection, SampleSender
from kinestream.model.errors import AccessError, ChannelMismatch, EndpointError, KinestreamError
from kinestream.replay.play.player import Player
from kinestream.replay.play.take import takes_of
from kinestream.replay.run import Addresses, play_takes
from kinestream.streamer.bridges.bridge import Bridge
from kinestream.streamer.bridges.rig import Rig
from kinestream.streamer.client import Reliable
from kinestream.streamer.client.keeper import annotate, forget, health, reload
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.dashboard.feed import Feed
from kinestream.streamer.dashboard.streamers import Addresses as FeedAddresses
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.keyfile import VARIABLE
from kinestream.streamer.metrics.exporter import Exporter
from kinestream.streamer.record.record import record
from kinestream.streamer.server.exposure import check_unexposed
from kinestream.streamer.server.server import Streamer
from tests.given.hostile import until
from tests.given.keyholders import file_of, kept_in, keys_of, mistaken
from tests.given.live import BUNDLE, signal
from tests.given.replayed import made_up
from tests.given.streamers import running_streamer

RATE = 50.0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return kept_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def streamer(kept: KeyFolder) -> Iterator[Streamer]:
    with running_streamer(BUNDLE, keys=kept.path) as streamer:
        yield streamer


@pytest.fixture(scope="module")
def open_streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE) as streamer:
        yield streamer


def listen(streamer: Streamer, keys: object) -> None:
    with LabelSubscriber(streamer.labels, keys=keys) as labels:
        labels.receive(20)


def listen_in_turn(streamer: Streamer, keys: object) -> None:
    async def wait() -> None:
        async with AsyncLabelSubscriber(streamer.labels, keys=keys) as labels:
            await labels.receive(20)

    asyncio.run(wait())


def send(streamer: Streamer, keys: object) -> None:
    sender = SampleSender(
        "anna", BUNDLE.channels, RATE, endpoint=streamer.ingest, control=streamer.control, keys=keys, timeout_s=20
    )
    try:
        until(lambda: sender.send(signal(4), seq=sender.seq), 20)
    finally:
        sender.close()


def ask(streamer: Streamer, keys: object) -> None:
    with SampleSender(
        "anna", BUNDLE.channels, RATE, endpoint=streamer.ingest, control=streamer.control, keys=keys, timeout_s=0.0
    ) as sender:
        sender.wait_accepted(20)


def fare(streamer: Streamer, keys: object) -> None:
    health(streamer.control, 20, keys)


def take_another(streamer: Streamer, keys: object) -> None:
    reload("/nowhere", streamer.control, 20, keys)


def play(streamer: Streamer, keys: object) -> None:
    takes = takes_of([made_up("anna")], first_session=1)
    play_takes(takes, Addresses(streamer.ingest, streamer.labels), speed="max", timeout_s=20, keys=keys)


def play_reliably(streamer: Streamer, keys: object) -> None:
    takes = takes_of([made_up("anna")], first_session=1)
    addresses = Addresses(streamer.ingest, streamer.labels, streamer.control)
    play_takes(takes, addresses, speed="max", reliable=Reliable(), timeout_s=20, keys=keys)


def watch_it(streamer: Streamer, keys: object) -> None:
    with WatchSubscriber(streamer.watch, status=True, keys=keys) as watching:
        assert watching.receive(20)


def write_down(streamer: Streamer, keys: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), labels=streamer.labels, watch=streamer.watch, seconds=20, keys=keys)


def measure(streamer: Streamer, keys: object) -> None:
    with Exporter(streamer.watch, keys=keys) as exporter:
        threading.Timer(20, exporter.stop).start()
        exporter.run()


def show(streamer: Streamer, keys: object) -> None:
    feed = Feed(FeedAddresses(streamer.labels, streamer.control, streamer.watch, keys))
    try:
        until(feed.take, 20)
    finally:
        feed.close()


def say(streamer: Streamer, keys: object) -> None:
    annotate("anna", "walking", 1, 2, streamer.control, 20, keys)


def remove(streamer: Streamer, keys: object) -> None:
    forget("anna", streamer.control, 20, keys)


EVERY = [
    *(listen, listen_in_turn, send, ask, fare, take_another, play, play_reliably),
    *(watch_it, write_down, measure, show, say, remove),
]


@pytest.mark.parametrize("way", EVERY, ids=lambda way: way.__name__)
def test_without_keys(streamer, way):
    with pytest.raises(AccessError, match=r"asks for a key: give the file .*--keys, keys= or KINESTREAM_KEYS"):
        way(streamer, None)


@pytest.mark.parametrize("way", EVERY, ids=lambda way: way.__name__)
def test_with_another_streamers_key(streamer, kept, way):
    with pytest.raises(AccessError, match=r"hangs up on client gateway: it has another key than the file"):
        way(streamer, mistaken(keys_of(kept, "gateway")))


@pytest.mark.parametrize("way", EVERY, ids=lambda way: way.__name__)
def test_with_keys_where_none_are_asked_for(open_streamer, kept, way):
    with pytest.raises(AccessError, match=r"asks for no keys"):
        way(open_streamer, keys_of(kept, "gateway"))


@pytest.mark.parametrize(
    ("way", "client", "advice"),
    [
        (listen, "phone", "keys allow phone --read"),
        (listen_in_turn, "phone", "keys allow phone --read"),
        (send, "reader", 'keys allow reader --send "STREAM\\*"'),
        (fare, "reader", "no right to ask for that: it needs --watch or --administer"),
        (play, "phone", "keys allow phone --read"),
        (play, "reader", "keys allow reader --send"),
        (watch_it, "reader", "keys allow reader --watch"),
        (write_down, "watcher", "keys allow watcher --read"),
        (write_down, "reader", "keys allow reader --watch"),
        (measure, "reader", "keys allow reader --watch"),
        (show, "reader", "keys allow reader --watch"),
    ],
)
def test_without_the_right(streamer, kept, way, client, advice):
    with pytest.raises(AccessError, match=advice):
        way(streamer, file_of(kept, client))


@pytest.mark.parametrize(
    ("way", "client", "advice"),
    [(say, "reader", "needs --send or --administer"), (remove, "gateway", "needs --administer")],
)
def test_what_keepers_do_is_refused_with_the_reason(streamer, kept, way, client, advice):
    with pytest.raises(KinestreamError, match=advice):
        way(streamer, file_of(kept, client))


def test_a_stream_that_is_not_its_own_is_refused_with_the_reason(streamer, kept):
    """Whichever is heard first: the answer, or that the samples port lets nobody in who sends no stream."""
    answered = r"reader may not send stream anna: 'kinestream keys allow' says which"
    kept_out = r"does not accept the key of client reader .*'kinestream keys allow reader --send \"STREAM\*\"'"
    with pytest.raises((ChannelMismatch, AccessError), match=f"{answered}|{kept_out}"):
        ask(streamer, file_of(kept, "reader"))


def test_the_variable_names_the_keys_of_all(streamer, kept, monkeypatch):
    monkeypatch.setenv(VARIABLE, file_of(kept, "gateway"))
    with (
        LabelSubscriber(streamer.labels, streams=["anna"]) as labels,
        SampleConnection(streamer.ingest, control=streamer.control) as connection,
        SampleSender("anna", BUNDLE.channels, RATE, connection=connection) as sender,
    ):
        until(lambda: sender.wait_accepted()["subscribers"])
        sender.send(signal(8))
        assert labels.receive(20).window == 0
    play(streamer, None)
    with pytest.raises(AccessError, match="asks for a key"):
        listen(streamer, "")


def test_a_bridge_has_the_keys_of_its_rig(streamer, kept):
    where = {"ingest": streamer.ingest, "control": streamer.control, "labels": streamer.labels}
    device = {"csv": {"time": 1}, "channels": {"c0": 2, "c1": 3, "c2": 4}}
    rig = Rig.model_validate(
        {"stream": "anna", "devices": {"board": device}, **where, "keys": file_of(kept, "gateway")}
    )
    with Bridge(rig, []) as bridge:
        bridge._describe()
        until(lambda: bridge.look().accepted)


def test_a_player_that_never_plays_leaves_nothing_open(streamer, kept):
    takes = takes_of([made_up("anna")], first_session=1)
    with Player(streamer.ingest, takes, chunk=1, timeout_s=1, keys=keys_of(kept, "gateway")) as player:
        player.describe(player.streams)
    with pytest.raises(EndpointError, match="cannot connect"):
        Player("tcp://nowhere", takes, chunk=1, timeout_s=1)


@pytest.mark.parametrize(
    ("endpoint", "is_open"),
    [
        ("tcp://127.0.0.1:5570", False),
        ("tcp://127.0.0.1:*", False),
        ("tcp://[::1]:5570", False),
        ("ipc:///tmp/kinestream.sock", False),
        ("tcp://0.0.0.0:5570", True),
        ("tcp://*:5570", True),
        ("tcp://[::]:5570", True),
        ("tcp://192.0.2.1:5570", True),
        ("tcp://eth0:5570", True),
    ],
)
def test_what_other_machines_reach_takes_keys(endpoint, is_open):
    if not is_open:
        check_unexposed([endpoint])
        return
    with pytest.raises(AccessError, match=r"open to other machines.*kinestream keys new NAME.*--insecure"):
        check_unexposed(["tcp://127.0.0.1:5570", endpoint])


def test_what_is_no_address_at_all_is_said_first(tmp_path: Path):
    with pytest.raises(EndpointError, match="an address looks like") as error:
        check_unexposed(["0.0.0.0:5570"])
    assert not isinstance(error.value, AccessError)
