"""Clients of a streamer that asks for keys: those it knows, and strangers of each sort, with nothing but pyzmq."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.keyfile import ClientKeys, read_client
from kinestream.streamer.keys.pair import KeyPair, new_pair

RIGHTS: dict[str, dict[str, Any]] = {
    "phone": {"send": ("anna*",)},
    "gateway": {"send": ("*",), "read": True},
    "reader": {"read": True},
    "watcher": {"watch": True},
    "keeper": {"administer": True},
}
"""The clients that there are, and what they may do."""

Shown = ClientKeys | tuple[str, str] | None
PATIENCE_MS = 20_000
FAILED = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "denied",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "mechanism",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "hung up",
}
"""How a connection can come to nothing."""


def kept_in(folder: Path) -> KeyFolder:
    """Return a folder of keys in which all of these clients are known."""
    kept = KeyFolder(folder)
    for name, rights in RIGHTS.items():
        kept.new_client(name)
        kept.allow(name, rights)
    return kept


def keys_of(kept: KeyFolder, name: str) -> ClientKeys:
    """Return what a client was given; before it is revoked, which deletes it here."""
    return read_client(kept.path / f"{name}.secret")


def file_of(kept: KeyFolder, name: str) -> str:
    """Return the path of the same."""
    return str(kept.path / f"{name}.secret")


def stranger(kept: KeyFolder) -> ClientKeys:
    """Return the keys of somebody whom the streamer does not know, but who knows the streamer."""
    return ClientKeys("stranger", new_pair(), kept.streamer().public)


def mistaken(keys: ClientKeys) -> ClientKeys:
    """Return a client's keys with the public key of another streamer."""
    return replace(keys, streamer=new_pair().public)


def thief(keys: ClientKeys) -> ClientKeys:
    """Return what somebody has who saw a client's public key, but not the secret one."""
    return replace(keys, pair=KeyPair(keys.pair.public, new_pair().secret))


class Peer:
    """A socket that does what it is told and heeds no refusal.

    Parameters
    ----------
    kind : int
        As `zmq.PUSH`.
    address : str
        Where it connects to.
    keys : ClientKeys or tuple of str, optional
        What it shows; a name and a password for the mechanism PLAIN; nothing without it.
    topics : sequence of bytes
        What a subscriber subscribes to before it connects; to all without it.
    """

    def __init__(self, kind: int, address: str, keys: Shown = None, topics: Sequence[bytes] = (b"",)) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(kind)
        self.socket.set(zmq.LINGER, 0)
        for topic in topics if kind == zmq.SUB else ():
            self.socket.set(zmq.SUBSCRIBE, topic)
        if isinstance(keys, ClientKeys):
            self.socket.curve_serverkey = keys.streamer.encode()
            self.socket.curve_publickey = keys.pair.public.encode()
            self.socket.curve_secretkey = keys.pair.secret.encode()
        elif keys is not None:
            self.socket.plain_username, self.socket.plain_password = (each.encode() for each in keys)
        self._monitor = self.socket.get_monitor_socket()
        self.socket.connect(address)

    def outcome(self) -> str:
        """Wait until the connection is made or comes to nothing, and return how."""
        while self._monitor.poll(PATIENCE_MS):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                return "let in"
            if event in FAILED:
                return FAILED[event]
        raise AssertionError("nothing has happened")

    def close(self) -> None:
        """Close it."""
        self._context.destroy(linger=0)


@contextmanager
def peer(kind: int, address: str, keys: Shown = None, topics: Sequence[bytes] = (b"",)) -> Iterator[Peer]:
    """Open a `Peer` until the block ends."""
    made = Peer(kind, address, keys, topics)
    try:
        yield made
    finally:
        made.close()
