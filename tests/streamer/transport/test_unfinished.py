"""Whoever sends a message without an end is ended, and nobody else."""

import sys
import time

import pytest
import zmq

from kinestream.streamer.transport.connections import Connections, Room
from kinestream.streamer.transport.unfinished import Port, Unfinished
from tests.given.endless import Endless, connected, frame
from tests.given.hostile import PATIENCE_S, until
from tests.given.inlets import Sockets, each_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what was read of a connection")

MARK, LARGEST = 48, 1 << 16
PING = b"\x04\x07\x04PING\x00\x00"


class Watched:
    """A bound socket whose connections are watched."""

    def __init__(self, sockets, way, kind, **options):
        self.socket = sockets.socket(kind)
        self.socket.set(zmq.RCVHWM, MARK)
        self.unfinished = Unfinished()
        changed = self.unfinished.forget
        self.connections = Connections(self.socket, room=Room(), what="the port", on_come=changed, on_gone=changed)
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.inlet = way(self.socket)
        self.unfinished.watch(Port("the port", self.inlet, MARK, LARGEST, **options), self.connections.files)

    def look(self):
        self.connections.update()
        self.unfinished.update()

    def receive(self):
        """Take all that has come; return the frames."""
        frames = []
        self.inlet.receive(frames, 1000, 1 << 30)
        return frames


@pytest.fixture
def watched(way):
    sockets = Sockets()
    made = []

    def make(kind=zmq.PULL, **options):
        made.append(Watched(sockets, way, kind, **options))
        return made[-1]

    yield make
    for each in made:
        each.connections.close()
    sockets.close()


@pytest.fixture
def peers():
    sockets = Sockets()
    yield sockets
    sockets.close()


@pytest.fixture(autouse=True)
def look_often(monkeypatch):
    monkeypatch.setattr("kinestream.streamer.transport.unfinished._INTERVAL_S", 0.0)


@each_way
@pytest.mark.parametrize("size", [0, 60_000])
def test_it_is_ended_whether_or_not_it_sent_something_before(watched, size):
    port = watched()
    with Endless(port.address, "PUSH", size, 2, before=frame(b"hello", more=False) * 20):
        until(lambda: port.receive() or port.look() or port.unfinished.ended >= 4)


@each_way
def test_it_is_ended_where_others_always_have_a_message(watched, peers):
    port = watched()
    with Endless(port.address, "PUSH", 0), peers.socket(zmq.PUSH) as push:
        push.connect(port.address)
        deadline = time.monotonic() + PATIENCE_S
        while not port.unfinished.ended:
            assert time.monotonic() < deadline
            while push.poll(0, zmq.POLLOUT):
                push.send(b"x", zmq.DONTWAIT)
            port.inlet.receive([], 8, 1 << 30)
            port.look()


@each_way
@pytest.mark.parametrize(("size", "frames"), [(LARGEST, 1), (10, 1), (12, 1000)])
def test_messages_that_wait_are_no_reason(watched, peers, size, frames):
    """First nothing is taken for a while, then a message now and then, then all."""
    port = watched()
    pushes = [peers.socket(zmq.PUSH) for _ in range(3)]
    for push in pushes:
        push.set(zmq.SNDHWM, 1)
        push.connect(port.address)
    sent, came = 0, []
    began = time.monotonic()
    while (passed := time.monotonic() - began) < 1.5 or (sent <= MARK * len(pushes) and passed < PATIENCE_S):
        for push in pushes:
            if push.poll(0, zmq.POLLOUT):
                push.send_multipart([bytes(size)] * frames)
                sent += 1
        if passed > 0.5:
            port.inlet.receive(came, 1000 if passed > 1 else 1, 1 << 30)
        port.look()
    until(lambda: came.extend(port.receive()) or port.look() or port.unfinished.ended or len(came) == sent * frames)
    assert sent > MARK * len(pushes)
    assert not port.unfinished.ended


@each_way
def test_heartbeats_are_no_messages(watched):
    port = watched()
    with connected(port.address, "PUSH") as peer:
        answered = 0
        for _ in range(200):
            peer.sendall(PING * 100)
            answered += len(peer.recv(1 << 16))
            port.look()
            port.receive()
        assert 200 * 100 * len(PING) > 2 * LARGEST
        until(lambda: port.look() or not port.receive())
    assert not port.unfinished.ended


@each_way
def test_subscriptions_may_come_as_commands(watched, peers):
    port = watched(zmq.XPUB, heartbeats=0.0, commands=True)
    port.socket.setsockopt(zmq.XPUB_VERBOSER, 1)
    topics = 20_000
    with peers.socket(zmq.SUB) as sub:
        sub.set(zmq.SNDHWM, 0)
        sub.connect(port.address)
        for i in range(topics):
            sub.subscribe(b"%d" % i)
        found = 0

        def all_have_come():
            nonlocal found
            found += len(port.receive())
            port.look()
            return found == topics

        until(all_have_come)
        for _ in range(10):
            port.receive()
            port.look()
        assert not port.unfinished.ended


@each_way
def test_a_number_that_is_another_connections_now_says_nothing_of_it(watched):
    port = watched()
    for _ in range(20):
        with connected(port.address, "PUSH") as peer:
            peer.sendall(frame(bytes(LARGEST), more=False) * 30)
            came = []
            until(lambda came=came: came.extend(port.receive()) or port.look() or len(came) == 30)
            port.look()
    assert not port.unfinished.ended


@each_way
def test_sockets_of_unix_are_let_be(watched, peers, tmp_path):
    port = watched()
    port.socket.bind(f"ipc://{tmp_path}/s")
    with peers.socket(zmq.PUSH) as push:
        push.connect(f"ipc://{tmp_path}/s")
        for _ in range(10):
            push.send(bytes(LARGEST))
        came = []
        until(lambda: came.extend(port.receive()) or port.look() or len(came) == 10)
    assert not port.unfinished.ended
