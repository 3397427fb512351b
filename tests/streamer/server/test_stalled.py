"""Who takes nothing of what is told, and that nobody else is taken for one."""

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest
import zmq

from kinestream.streamer.server.stalled import Stalled
from kinestream.streamer.server.watching import Watching
from kinestream.streamer.transport import tcp
from kinestream.streamer.transport.subscriptions import Subscriptions

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


class _Given:
    """Notices of subscriptions, each with its connection's file, and a tap and figures that are open or not."""

    def __init__(self) -> None:
        self.notices: list[tuple[bytes, int]] = []
        self.is_open = False
        self.closed = 0

    def frame(self) -> tuple[bytes, int] | None:
        return self.notices.pop(0) if self.notices else None

    def open(self, wanted: object) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open, self.closed = False, self.closed + 1

    def leave(self, now: int) -> list[tuple[bytes, bytes]]:
        return []

    def forget_gone(self) -> None:
        pass

    def listen(self, **_: bool) -> None:
        pass


def test_whoever_takes_readings_has_them_while_one_who_takes_none_goes():
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        subscriptions, given = Subscriptions(publisher), _Given()
        subscriptions.inlet = given
        watching = Watching(publisher, subscriptions, given, given, Counter())
        given.notices = [(b"\1signal/", 7)]
        subscriptions.update()
        watching._stalled.files = frozenset({7})
        watching._stalled.look = lambda listening, overflows: False
        watching._look_who_listens()
        assert not given.is_open
        given.notices = [(b"\1signal/anna/", 8)]
        subscriptions.update()
        watching.update(0)
        assert given.is_open
        before = given.closed
        given.notices = [(b"\0signal/", -1)]  # libzmq tells it before it is known whose it was
        subscriptions.update()
        watching.update(0)
        assert given.is_open
        assert given.closed == before
