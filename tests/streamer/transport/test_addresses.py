"""Addresses that cannot be used are refused in one line before anything is touched; those that can be are used."""

import os
import socket
import stat
import time
from pathlib import Path

import numpy as np
import pytest
import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.server import Streamer
from kinestream.streamer.transport.addresses import somebody_listens
from kinestream.streamer.transport.sockets import bind, connect
from tests.given.bundles import random_bundle
from tests.given.streamers import ANY_PORT, running_streamer

WAIT_S = 20.0


def refused(opening: object, endpoint: str) -> str:
    """Open a socket that must be refused in one line; return the line."""
    context = zmq.Context()
    try:
        with pytest.raises(EndpointError) as raised:
            opening(context.socket(zmq.PUSH), endpoint)
    finally:
        context.destroy(linger=0)
    line = str(raised.value)
    assert endpoint in line
    assert "\n" not in line
    return line


@pytest.mark.parametrize("opening", [bind, connect])
@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ("tcp://127.0.0.1:0", "is no port"),
        ("tcp://127.0.0.1:70000", "is no port"),
        ("tcp://127.0.0.1:http", "is no port"),
        ("tcp://127.0.0.1:-1", "is no port"),
        ("tcp://127.0.0.1:\u0665\u0665", "is no port"),
        ("tcp://127.0.0.1", "looks like"),
        ("tcp://:5570", "looks like"),
        ("tcp://127.0.0.1:5570/labels", "looks like"),
        ("tcp:// 127.0.0.1:5570", "looks like"),
        ("127.0.0.1:5570", "looks like"),
        ("tcp://::1:5570", "brackets"),
        ("tcp://[::g]:5570", "no IPv6 address"),
        ("tcp://[::1:5570", "no IPv6 address"),
        ("inproc://labels", "not supported"),
        ("udp://127.0.0.1:5570", "not supported"),
        ("ws://127.0.0.1:5570", "not supported"),
        ("pgm://eth0;239.192.1.1:5570", "not supported"),
        ("TCP://127.0.0.1:5570", "not supported"),
        ("ipc://", "looks like"),
        ("ipc:///no/such/folder/kinestream.sock", "no folder /no/such/folder"),
        ("ipc:///tmp/" + 103 * "x", "too long"),
        ("ipc:///etc/hostname/kinestream.sock", "directory"),
        ("ipc:///tmp", "is no socket"),
    ],
)
def test_what_is_no_address_is_named(opening, endpoint, named):
    assert named in refused(opening, endpoint)


@pytest.mark.parametrize(
    ("endpoint", "named"),
    [
        ("tcp://*:5570", "no host"),
        ("tcp://127.0.0.1:*", "is no port"),
        ("ipc://*", "names no socket"),
        ("tcp://no-such-machine.invalid:5570", "no-such-machine.invalid"),
        (f"tcp://{'x' * 300}:5570", "can be found"),
    ],
)
def test_what_can_be_bound_cannot_always_be_connected_to(endpoint, named):
    assert named in refused(connect, endpoint)


@pytest.mark.parametrize(
    "endpoint", ["tcp://203.0.113.7:5570", "tcp://no-such-machine:5570", "tcp://[2001:db8::7]:5570"]
)
def test_what_another_machine_has_cannot_be_bound(endpoint):
    assert "this machine has no such address" in refused(bind, endpoint)


@pytest.mark.parametrize("opening", [bind, connect])
def test_a_file_that_is_no_socket_is_left_alone(opening, tmp_path):
    precious = tmp_path / "notes.txt"
    precious.write_text("precious")
    assert "is no socket" in refused(opening, f"ipc://{precious}")
    assert precious.read_text() == "precious"
    link = tmp_path / "link"
    link.symlink_to(precious)
    assert "is no socket" in refused(opening, f"ipc://{link}")
    assert link.is_symlink()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_somebody_holds_is_left_to_them(kind, tmp_path):
    path = tmp_path / "held.sock"
    with socket.socket(socket.AF_UNIX, kind) as holder:
        holder.bind(str(path))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        held = path.stat().st_ino
        assert "is in use" in refused(bind, f"ipc://{path}")
        assert path.stat().st_ino == held


@pytest.mark.parametrize("kind", ["tcp://127.0.0.1:*", "ipc://{}/here.sock", "ipc://@{}"])
def test_it_shows_whether_somebody_listens(kind, tmp_path):
    with zmq.Context() as context:
        with context.socket(zmq.PUB) as publisher:
            address = bind(publisher, kind.format(tmp_path))
            assert somebody_listens(address)
        until = time.monotonic() + WAIT_S
        while somebody_listens(address) and time.monotonic() < until:  # libzmq closes it in a thread of its own
            time.sleep(0.01)
        assert not somebody_listens(address)


def test_a_socket_left_over_from_a_streamer_that_was_killed_is_used_again(tmp_path):
    path = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as holder:
        holder.bind(str(path))
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        assert bind(pull, f"ipc://{path}") == f"ipc://{path}"
        assert stat.S_ISSOCK(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    tmp_path.chmod(0o500)
    assert str(tmp_path) in refused(bind, f"ipc://{tmp_path}/x.sock")


@pytest.mark.parametrize("wrong", ["labels", "subscribe"])
def test_a_streamer_touches_nothing_before_all_its_addresses_are_sound(wrong, tmp_path):
    bundle = random_bundle()
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as holder:
        holder.bind(str(left))
    inode = left.stat().st_ino
    addresses = {"ingest": f"ipc://{left}", "labels": ANY_PORT, "subscribe": ()}
    addresses[wrong] = "tcp://nowhere" if wrong == "labels" else ("tcp://nowhere",)
    with pytest.raises(EndpointError, match="nowhere"):
        Streamer(Recognizer(bundle, _engine(bundle)), **addresses)
    assert left.stat().st_ino == inode


def test_one_address_cannot_be_bound_twice(tmp_path):
    bundle, same = random_bundle(), f"ipc://{tmp_path}/same.sock"
    with pytest.raises(EndpointError, match="twice"):
        Streamer(Recognizer(bundle, _engine(bundle)), ingest=same, labels=same)
    assert not list(tmp_path.iterdir())


def _engine(bundle):
    from kinestream.model.engine.load import load_engine

    return load_engine(bundle, "cpu")


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "scheme",
    [
        pytest.param("tcp6", marks=pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6")),
        "ipc",
        "abstract",
    ],
)
def test_samples_and_labels_travel_by_every_kind_of_address(scheme, tmp_path: Path):
    addresses = {
        "tcp6": ("tcp://[::1]:*", "tcp://[::1]:*"),
        "ipc": (f"ipc://{tmp_path}/samples", f"ipc://{tmp_path}/labels"),
        "abstract": (f"ipc://@{tmp_path.name}-samples", f"ipc://@{tmp_path.name}-labels"),
    }[scheme]
    with (
        running_streamer(random_bundle(channels=3, length=8, stride=4), ingest=addresses[0], labels=addresses[1]) as on,
        LabelSubscriber(on.labels, events=True) as subscriber,
        SampleSender("anna", ["c0", "c1", "c2"], 50, endpoint=on.ingest) as sender,
    ):
        message = None
        while not isinstance(message, Event):
            sender.describe()
            message = subscriber.receive(0.05)
        sender.send(np.zeros((8, 3)))
        while not isinstance(message, Label):
            message = subscriber.receive(WAIT_S)
            assert message is not None
