"""A directory over real sockets: what it answers, publishes and keeps, and that nothing that comes in ends it."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import pytest
import zmq

from kinestream.model.errors import AccessError, ConfigError, EndpointError
from kinestream.streamer.client.following import Following
from kinestream.streamer.directory import messages
from kinestream.streamer.directory.directory import Directory
from kinestream.streamer.directory.messages import Gathering, Register, SetPlan, Told, Where
from kinestream.streamer.directory.registration import Registration, ask, fleet_status, set_plan
from kinestream.streamer.directory.table import Addresses, slot_names
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.wire.messages import MalformedMessage
from tests.given.fleets import PATIENCE_S, until
from tests.given.keyholders import keys_of
from tests.given.streamers import ANY_PORT

AT = Addresses(*(f"tcp://127.0.0.1:{port}" for port in (1, 2, 3, 4)))


@contextmanager
def running(**options: object) -> Iterator[Directory]:
    directory = Directory("wards", ANY_PORT, ANY_PORT, **options)
    over = threading.Event()
    thread = threading.Thread(target=directory.run, args=(over.is_set,))
    thread.start()
    try:
        yield directory
    finally:
        over.set()
        thread.join()


def registered(directory: Directory, slot: str, addresses: Addresses = AT, **options: object) -> Registration:
    registration = Registration(directory.endpoint, slot, addresses, **options)
    registration.beat()
    assert registration.wait(PATIENCE_S)
    return registration


def test_it_tells_who_serves_once_it_knows_and_publishes_each_change():
    context: zmq.Context = zmq.Context()
    with running() as directory:
        assert isinstance(ask(directory.endpoint, Where()), Gathering)
        set_plan(directory.endpoint, slot_names(1))
        following = Following(context, directory.endpoint)
        try:
            registration = registered(directory, "streamer-0")
            until(lambda: following.update() or following.table, "it has told")
            assert following.table.owner("anna") == AT
            other = Addresses(*(address + "0" for address in vars(AT).values()))
            registered(directory, "streamer-0", other, instance=registration.instance + 1).close()
            until(lambda: following.update() and following.table.owner("anna") == other, "it is told of a change")
            status = fleet_status(directory.endpoint)
            assert status.ready
            assert [each.slot for each in status.streamers] == ["streamer-0", "streamer-0"]
            registration.close()
        finally:
            following.close()
            context.term()


def test_plan_and_epoch_are_kept_in_a_folder(tmp_path):
    with running(folder=tmp_path) as directory:
        set_plan(directory.endpoint, slot_names(1))
        registered(directory, "streamer-0").close()
        before = ask(directory.endpoint, Where())
    with running(folder=tmp_path) as directory:
        assert fleet_status(directory.endpoint).plan.slots == slot_names(1)
        registered(directory, "streamer-0").close()
        after = ask(directory.endpoint, Where())
    assert isinstance(before, Told)
    assert isinstance(after, Told)
    assert after.table.epoch > before.table.epoch
    with pytest.raises(ConfigError, match="another fleet"):
        Directory("others", ANY_PORT, ANY_PORT, folder=tmp_path)
    (tmp_path / "directory.json").write_text("{")
    with pytest.raises(ConfigError, match="damaged"):
        Directory("wards", ANY_PORT, ANY_PORT, folder=tmp_path)


def hostile() -> Iterator[bytes]:
    """Yield messages that are none, or no good ones."""
    yield from (
        b"",
        b"junk",
        bytes(1000),
        b"\x8a" + bytes(1000),
        b"\xc1",
        b"\x91" * 100_000,
        b"K" * messages.MAX_REQUEST,
    )
    good = [messages.encode_request(Register("streamer-9", 1, AT)), messages.encode_request(SetPlan(slot_names(3)))]
    rng = random.Random(5)
    for frame in good:
        content = msgpack.unpackb(frame)
        for name in content:
            for wrong in (
                None,
                -1,
                1 << 63,
                "",
                "a/b",
                "x" * 300,
                [],
                [[]],
                [1],
                {},
                {"a": 1},
                1.5,
                True,
                b"\xff",
                ["a"] * 2,
            ):
                if wrong != content[name]:
                    yield msgpack.packb({**content, name: wrong})
            yield msgpack.packb({key: value for key, value in content.items() if key != name})
        yield msgpack.packb({**content, "more": 1})
        yield msgpack.packb({**content, 5: 1})
        for _ in range(300):
            changed = bytearray(frame)
            for _ in range(rng.randint(1, 4)):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            yield bytes(changed)


def test_nothing_that_comes_in_ends_it_or_changes_what_it_tells():
    with running() as directory:
        set_plan(directory.endpoint, slot_names(1))
        registered(directory, "streamer-0").close()
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket, context.socket(zmq.SUB) as listener:
            socket.linger = listener.linger = 0
            socket.connect(directory.endpoint)
            listener.connect(directory.updates)
            listener.subscribe(b"\xff" * 200)
            for number, frame in enumerate(hostile()):
                try:
                    taken = messages.decode_request(frame)
                except MalformedMessage:
                    pass
                else:  # changed at random, and still a request: it may be taken
                    assert taken is not None
                    continue
                socket.send_multipart([frame] if number % 3 else [frame, b"more"])
            socket.send(bytes(messages.MAX_REQUEST + 1))  # ends the connection
            context.destroy(linger=0)
        told = ask(directory.endpoint, Where(), timeout_s=PATIENCE_S)
        assert isinstance(told, Told)
        assert told.table.serving.keys() <= {"streamer-0"}
        assert [each.slot for each in fleet_status(directory.endpoint).streamers] in ([], ["streamer-0"])
        until(lambda: directory.counts["malformed"] > 100, "what cannot be read is counted")


def test_with_keys_whoever_may_connect_may_ask_and_who_administers_may_plan_and_register(tmp_path: Path):
    kept = KeyFolder(tmp_path / "keys")
    for name, rights in (("phone", {"send": ("*",)}), ("keeper", {"administer": True})):
        kept.new_client(name)
        kept.allow(name, rights)
    phone, keeper = keys_of(kept, "phone"), keys_of(kept, "keeper")
    with running(keys=kept) as directory:
        with pytest.raises(AccessError, match="administer"):
            set_plan(directory.endpoint, slot_names(1), keys=phone)
        set_plan(directory.endpoint, slot_names(1), keys=keeper)
        denied = registered_or_refused(directory, phone)
        assert "administer" in denied.refusal
        denied.close()
        registered(directory, "streamer-0", keys=keeper).close()
        assert isinstance(ask(directory.endpoint, Where(), keys=phone), Told)
        with pytest.raises(EndpointError):
            ask(directory.endpoint, Where(), timeout_s=2.0)


def registered_or_refused(directory: Directory, keys: object) -> Registration:
    registration = Registration(directory.endpoint, "streamer-0", AT, keys=keys)
    registration.beat()
    until(lambda: registration.wait(0.1) or registration.refusal, "it is answered")
    return registration
