"""Whichever way messages are received, the same comes in, and as much is counted as was on the wire."""

import socket
import sys
import threading
from contextlib import closing, suppress

import pytest
import zmq

from kinestream.streamer.transport import inlet as module
from kinestream.streamer.transport.inlet import KEPT_FRAMES, PlainInlet, new_inlet
from kinestream.streamer.transport.tcp import transferred
from tests.given.endless import connected, frame
from tests.given.hostile import until
from tests.given.inlets import Sockets, each_way

SIZES = (0, 1, 33, 34, 255, 256, 8192, 70_000)
HANDSHAKE_BYTES = 128  # at most
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what was read of a connection")


@pytest.fixture
def context():
    sockets = Sockets()
    yield sockets
    sockets.close()


def bound(context, kind):
    socket = context.socket(kind)
    return socket, f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"


def received(inlet, count):
    frames = []
    until(lambda: inlet.receive(frames, count, 1 << 30) and len(frames) == count)
    return frames


def of_anybody(inlet):
    return [(file, taken) for file in range(10_000) if (taken := inlet.taken(file)).bytes]


@each_way
def test_all_comes_in_its_order(context, way):
    pull, address = bound(context, zmq.PULL)
    inlet = way(pull)
    sent = [bytes([i]) * size for i, size in enumerate(SIZES)]
    with connected(address, "PUSH") as peer:
        peer.sendall(b"".join(frame(each, more=False) for each in sent))
        assert received(inlet, len(sent)) == sent
        assert inlet.receive([], 10, 10) == (0, True)
        assert inlet.totals()[0] == len(sent)
        [(file, taken)] = of_anybody(inlet)
        assert (taken.messages, taken.last, taken.spread) == (len(sent), len(sent), 1.0)
        on_wire = sum(len(frame(each, more=False)) for each in sent)
        assert taken.bytes == on_wire
        if sys.platform == "linux":
            read, _ = transferred(file)
            assert on_wire < read <= on_wire + HANDSHAKE_BYTES


@each_way
def test_no_more_comes_than_was_asked_for(context, way):
    pull, address = bound(context, zmq.PULL)
    inlet = way(pull)
    with connected(address, "PUSH") as peer:
        peer.sendall(frame(bytes(100), more=False) * 10)
        frames = []
        until(lambda: pull.poll(100))
        until(lambda: inlet.receive(frames, 2, 1 << 30) == (200, False))
        while len(frames) % 5:
            inlet.receive(frames, 1, 1)
        until(lambda: inlet.receive(frames, 100, 250) == (300, False))


@each_way
def test_what_a_router_puts_before_a_message_is_not_counted(context, way):
    router, address = bound(context, zmq.ROUTER)
    inlet = way(router, skipped=1)
    with connected(address, "DEALER") as peer:
        message = frame(b"", more=True) * 50 + frame(b"end", more=False)
        peer.sendall(message)
        found = []
        until(lambda: found.append(inlet.message()) or found[-1])
        assert len(found[-1]) == KEPT_FRAMES
        assert found[-1][1:] == [b"", b""]
        [(_, taken)] = of_anybody(inlet)
        assert (taken.bytes, taken.messages) == (len(message), 1)
        assert taken.spread > 20  # an empty frame takes 64 bytes for 2


@each_way
def test_a_frame_says_whose_it_is(context, way):
    xpub, address = bound(context, zmq.XPUB)
    inlet = way(xpub)
    with connected(address, "SUB") as peer:
        peer.sendall(frame(b"\1topic", more=False))
        found = []
        until(lambda: found.append(inlet.frame()) or found[-1])
        text, file = found[-1]
        assert text == b"\1topic"
        assert inlet.taken(file).messages == 1


@each_way
def test_a_closed_socket_is_an_error(context, way):
    pull, _ = bound(context, zmq.PULL)
    inlet = way(pull)
    pull.close()
    for receive in (lambda: inlet.receive([], 1, 1), inlet.message, inlet.frame):
        with pytest.raises(zmq.ZMQError):
            receive()


@each_way
def test_what_comes_over_no_file_is_nobodys(context, way):
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    pull.bind("inproc://here")
    push.connect("inproc://here")
    push.send(b"x")
    inlet = way(pull)
    assert inlet.frame() == (b"x", -1)
    assert not of_anybody(inlet)


@pytest.mark.skipif(not module.is_compiled, reason="there is one way only")
def test_another_libzmq_is_read_in_python(context, monkeypatch):
    monkeypatch.setattr(module, "_addresses", lambda: None)
    assert isinstance(new_inlet(context.socket(zmq.PULL)), PlainInlet)


@needs_linux
@pytest.mark.parametrize("is_compiled", [True, False])
def test_what_comes_while_it_is_asked_for_is_not_taken_off_what_was_read(monkeypatch, is_compiled):
    if not is_compiled:
        monkeypatch.setattr("kinestream.streamer.transport.tcp._receive", None)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        ends = threading.Event()
        sender = threading.Thread(target=_send_without_pause, args=(server.getsockname(), ends))
        sender.start()
        peer, _ = server.accept()
        with closing(peer):
            read = told = 0
            while told < 10_000:
                read += len(peer.recv(1 << 16))
                if (counters := transferred(peer.fileno())) is not None:
                    assert counters[0] == read
                    told += 1
            ends.set()
        sender.join()


def _send_without_pause(address, ends):
    with closing(socket.create_connection(address)) as connection, suppress(OSError):
        while not ends.is_set():
            connection.sendall(bytes(3_000))


@needs_linux
def test_both_ways_ask_the_system_alike(context, monkeypatch):
    pull, address = bound(context, zmq.PULL)
    inlet = new_inlet(pull)
    with connected(address, "PUSH") as peer:
        peer.sendall(frame(bytes(1000), more=False))
        received(inlet, 1)
        [(file, _)] = of_anybody(inlet)
        answer = transferred(file)
        assert answer is not None
        monkeypatch.setattr("kinestream.streamer.transport.tcp._receive", None)
        assert transferred(file) == answer
        assert transferred(1 << 19) is None
