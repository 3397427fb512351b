"""CurveZMQ spoken by hand, with libsodium alone, so that it can be spoken wrongly: see RFC 26 of ZeroMQ."""

import ctypes
import socket as sockets
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import zmq
from zmq.utils import z85

from kinestream.streamer.keys.keyfile import ClientKeys
from tests.given.endless import frame

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15) + b"\x00" + bytes(31)
_COMMAND = 4
_MAC = 16


def sodium() -> Any | None:
    """Return the libsodium that pyzmq brings along; None where it has none of its own."""
    beside = Path(zmq.__file__).parent.parent / "pyzmq.libs"
    found = sorted(beside.glob("libsodium*.so*"))
    return ctypes.CDLL(str(found[0])) if found else None


class RawClient:
    """A connection that shakes hands as a CURVE client does.

    Parameters
    ----------
    address : str
        Whom to.
    kind : str
        What kind of socket it says it is.
    keys : ClientKeys
        Its keys.
    metadata : mapping of str to bytes, optional
        What it says of itself besides.
    """

    def __init__(self, address: str, kind: str, keys: ClientKeys, metadata: Mapping[str, bytes] | None = None) -> None:
        self._sodium = sodium()
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        self.peer = sockets.create_connection((host, int(port)), timeout=20)
        self._count = 0
        self.initiate = b""
        try:
            self._shake_hands(kind, keys, metadata or {})
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, kind: str, keys: ClientKeys, metadata: Mapping[str, bytes]) -> None:
        public, secret = z85.decode(keys.pair.public), z85.decode(keys.pair.secret)
        server = z85.decode(keys.streamer)
        short_public, self._short = self._pair()
        self.peer.sendall(_GREETING)
        self._read(64)
        box = self._box(bytes(64), b"CurveZMQHELLO---" + self._next(), server, self._short)
        self._send_command(b"\x05HELLO\x01\x00" + bytes(72) + short_public + self._counted() + box)
        welcome = self._read_command(b"\x07WELCOME")
        opened = self._open(welcome[16:], b"WELCOME-" + welcome[:16], server, self._short)
        self._theirs, cookie = opened[:32], opened[32:]
        random = bytes(range(16))
        vouch = self._box(short_public + server, b"VOUCH---" + random, self._theirs, secret)
        said = {"Socket-Type": kind.encode(), **metadata}
        about = b"".join(
            bytes([len(name)]) + name.encode() + struct.pack(">I", len(value)) + value for name, value in said.items()
        )
        box = self._box(public + random + vouch + about, b"CurveZMQINITIATE" + self._next(), self._theirs, self._short)
        self.initiate = b"\x08INITIATE" + cookie + self._counted() + box
        self._send_command(self.initiate)
        self._read_command(b"\x05READY")

    def close(self) -> None:
        """Close it."""
        self.peer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, content: bytes) -> bytes:
        """Send a message of one frame; return it as it was on the wire."""
        box = self._box(b"\x00" + content, b"CurveZMQMESSAGEC" + self._next(), self._theirs, self._short)
        on_wire = frame(b"\x07MESSAGE" + self._counted() + box, more=False)
        self.peer.sendall(on_wire)
        return on_wire

    def hangs_up(self) -> bool:
        """Wait until the other side does."""
        try:
            while self.peer.recv(4096):
                pass
        except ConnectionError:
            return True
        return True

    def _next(self) -> bytes:
        self._count += 1
        return self._counted()

    def _counted(self) -> bytes:
        return struct.pack(">Q", self._count)

    def _send_command(self, content: bytes) -> None:
        long = len(content) > 255
        size = len(content).to_bytes(8 if long else 1, "big")
        self.peer.sendall(bytes([_COMMAND | (2 if long else 0)]) + size + content)

    def _read_command(self, name: bytes) -> bytes:
        flags = self._read(1)[0]
        size = int.from_bytes(self._read(8 if flags & 2 else 1), "big")
        content = self._read(size)
        if not content.startswith(name):
            raise ConnectionRefusedError(content[:8])
        return content[len(name) :]

    def _read(self, size: int) -> bytes:
        read = b""
        while len(read) < size:
            some = self.peer.recv(size - len(read))
            if not some:
                raise ConnectionRefusedError("it has hung up")
            read += some
        return read

    def _pair(self) -> tuple[bytes, bytes]:
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
        self._sodium.crypto_box_keypair(public, secret)
        return public.raw, secret.raw

    def _box(self, plain: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes:
        out = ctypes.create_string_buffer(len(plain) + _MAC)
        assert not self._sodium.crypto_box_easy(out, plain, ctypes.c_ulonglong(len(plain)), nonce, public, secret)
        return out.raw

    def _open(self, box: bytes, nonce: bytes, public: bytes, secret: bytes) -> bytes:
        out = ctypes.create_string_buffer(len(box) - _MAC)
        assert not self._sodium.crypto_box_open_easy(out, box, ctypes.c_ulonglong(len(box)), nonce, public, secret)
        return out.raw
