"""What asks for keys: it says whose each message is, and counts what encryption adds."""

import sys
from collections.abc import Iterator

import pytest
import zmq

from kinestream.streamer.keys.curve import OVERHEAD, largest
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.gate import Gate
from kinestream.streamer.transport.tcp import transferred
from kinestream.streamer.wire.messages import MAX_BYTES
from tests.given.hostile import until
from tests.given.inlets import each_way
from tests.given.keyholders import kept_in, keys_of, peer, stranger

SIZES = (0, 1, 33, 34, 221, 222, 223, 224, 255, 256, 8192, MAX_BYTES)


class Guarded:
    """A socket that asks, and what it asks."""

    def __init__(self, kept: KeyFolder, kind: int, domain: str) -> None:
        self.context = zmq.Context()
        self.gate = Gate(self.context, kept)
        self.socket = self.context.socket(kind)
        self.gate.guard(self.socket, domain)
        self.socket.set(zmq.MAXMSGSIZE, largest(MAX_BYTES))
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"

    def close(self) -> None:
        self.socket.close(linger=0)
        self.gate.close()
        self.context.term()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeyFolder:
    return kept_in(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def pull(kept: KeyFolder) -> Iterator[Guarded]:
    guarded = Guarded(kept, zmq.PULL, "samples")
    yield guarded
    guarded.close()


@each_way
def test_each_message_says_whose_it_is_and_what_it_took_on_the_wire(pull, kept, way):
    inlet = way(pull.socket, overhead=OVERHEAD)
    names = ("phone", "gateway")
    frames: list[bytes] = []
    users: list[str | None] = []

    def received(count: int) -> bool:
        pull.gate.answer()
        inlet.receive(frames, 100, 1 << 30, users)
        return len(frames) == count

    with (
        peer(zmq.PUSH, pull.address, keys_of(kept, "phone")) as one,
        peer(zmq.PUSH, pull.address, keys_of(kept, "gateway")) as other,
    ):
        for each in (one, other):
            each.socket.send(b"first")
        until(lambda: received(2))
        public = [keys_of(kept, name).pair.public for name in names]
        assert sorted(map(str, users)) == sorted(public)
        of_file = {file: inlet.user(file) for file in range(200) if inlet.taken(file).bytes}
        assert sorted(of_file.values()) == sorted(public)
        if sys.platform == "linux":  # the handshakes, which are never more
            before = {file: transferred(file)[0] - inlet.taken(file).bytes for file in of_file}
            assert all(300 < uncounted < 1200 for uncounted in before.values())
        for each in (one, other):
            for size in SIZES:
                each.socket.send(bytes(size))
        until(lambda: received(2 + 2 * len(SIZES)))
        assert users.count(public[0]) == users.count(public[1]) == 1 + len(SIZES)
        assert inlet.user() == users[-1]
        if sys.platform == "linux":
            assert {file: transferred(file)[0] - inlet.taken(file).bytes for file in of_file} == before
        file = next(iter(of_file))
        inlet.forget_user(file)
        assert inlet.user(file) is None


def test_nobody_is_let_in_while_nobody_answers(pull, kept):
    """The loop may be busy, or at its end: libzmq waits for the answer, and does not let anybody in without it."""
    with peer(zmq.PUSH, pull.address, keys_of(kept, "gateway")) as came:
        came.socket.send(b"x")
        assert pull.gate.questions.poll(20_000)
        assert not pull.socket.poll(100)
        pull.gate.answer()
        assert came.outcome() == "let in"
        assert pull.socket.poll(20_000)


def test_who_is_denied_is_counted_and_logged_without_a_key(pull, kept, caplog):
    caplog.set_level("DEBUG")
    who = stranger(kept)
    for _ in range(3):
        with peer(zmq.PUSH, pull.address, who) as came:
            assert pull.gate.questions.poll(20_000)
            pull.gate.answer()
            assert came.outcome() == "denied"
    with peer(zmq.PUSH, pull.address, keys_of(kept, "reader")) as came:
        assert pull.gate.questions.poll(20_000)
        pull.gate.answer()
        assert came.outcome() == "denied"
    assert pull.gate.denied == 4
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 2  # of the stranger once
    assert "a client whose key is not in the list was not let in at samples" in warned[0]
    assert "reader was not let in at samples" in warned[1]
    for key in (who.pair.public, who.pair.secret, keys_of(kept, "reader").pair.public):
        assert key[:10] not in caplog.text


def test_a_change_is_seen_once(pull, kept):
    until(lambda: not pull.gate.look())
    kept.allow("watcher", {"watch": True, "read": True})
    until(pull.gate.look)
    assert pull.gate.allowed.may(keys_of(kept, "watcher").pair.public, ["read"])
    assert not pull.gate.look()
    kept.allow("watcher", {"watch": True})
