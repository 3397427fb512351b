"""Who takes nothing of what is told, and that nobody else is taken for one."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from kinestream.streamer.server.stalled import Stalled
from kinestream.streamer.transport import tcp

pytestmark = pytest.mark.skipif(not tcp.is_told, reason="only Linux tells")


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return our end of a connection, and the other."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as theirs:
        ours, _ = server.accept()
        with ours:
            yield ours, theirs


def test_whoever_takes_nothing_of_what_waits_is_found_and_let_off_again(connection):
    ours, theirs = connection
    stalled, listening = Stalled(), {ours.fileno(): 1}
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            ours.send(bytes(1 << 16))
    for _ in range(10):
        stalled.look(listening, 0)
    assert not stalled.files  # there was room
    for _ in range(10):
        stalled.look(listening, 1)
    assert stalled.files == {ours.fileno()}
    theirs.recv(1 << 20)
    theirs.recv(1 << 20)
    assert stalled.look(listening, 1)
    assert not stalled.files


def test_whoever_has_taken_all_there_is_does_not_take_nothing_when_others_have_no_room(connection):
    ours, theirs = connection
    ours.sendall(b"a")
    theirs.recv(1)
    stalled = Stalled()
    for overflows in range(10):
        stalled.look({ours.fileno(): 1}, overflows)
    assert not stalled.files
