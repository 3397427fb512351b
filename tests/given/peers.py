"""Streamers that no client should have to meet: slow ones, and ones that talk nonsense."""

import random
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import msgpack
import zmq

PATIENCE_MS = 60_000


@contextmanager
def trickling(addresses: Sequence[str]) -> Iterator[list[str]]:
    """Pass connections to the addresses on, both ways, a byte at a time."""

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):  # the other one has gone
            while byte := source.recv(1):
                sink.sendall(byte)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def accept(listener: socket.socket, port: int) -> None:
        near, _ = listener.accept()
        far = socket.create_connection(("127.0.0.1", port))
        for each in (near, far):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=pass_on, args=(far, near))
        back.start()
        pass_on(near, far)
        back.join()
        near.close()
        far.close()

    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in addresses]
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    threads = [threading.Thread(target=accept, args=pair) for pair in zip(listeners, ports, strict=True)]
    for each in threads:
        each.start()
    yield [f"tcp://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    for each in (*threads, *listeners):
        (each.join if isinstance(each, threading.Thread) else each.close)()


@contextmanager
def false_streamer() -> Iterator[tuple[list[str], zmq.Socket[bytes], zmq.Socket[bytes], zmq.Socket[bytes]]]:
    """Open the sockets of a streamer; yield its addresses and those for samples, control and labels."""
    with zmq.Context() as context:
        opened = [context.socket(kind) for kind in (zmq.PULL, zmq.ROUTER, zmq.XPUB)]
        for each in opened:
            each.set_hwm(0)
            each.set(zmq.RCVTIMEO, PATIENCE_MS)
            each.bind("tcp://127.0.0.1:*")
        try:
            yield [each.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode() for each in opened], *opened
        finally:
            context.destroy(linger=0)


def nonsense(message: bytes) -> Iterator[bytes]:
    """Yield what looks like a message: cut short, with bits changed, with more announced than there is."""
    yield from (message[:length] for length in range(len(message)))
    chance = random.Random(1)
    for _ in range(300):
        changed = bytearray(message)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        yield bytes(changed)
    entry = msgpack.packb("other")
    for mark in range(0xC0, 0xE0):  # a number that follows is as large as can be, or there are but zeros
        yield from (b"\x82" + entry + bytes([mark]) + byte * 300 for byte in (b"\xff", b"\0"))
        yield bytes([mark]) + b"\xff" * 300
    yield b"\x82" + entry + b"\x91" * 60_000


@contextmanager
def cutting(address: str, after: Sequence[int]) -> Iterator[tuple[str, list[int]]]:
    """Pass connections to an address on, and cut each once so many bytes have gone through; those after are left.

    Yield an address that stands for it, and how many bytes have gone through each connection so far.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    passed: list[int] = []
    threads: list[threading.Thread] = []

    def pass_back(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while some := source.recv(65_536):
                sink.sendall(some)

    def pass_on(near: socket.socket, connection: int) -> None:
        most = after[connection] if connection < len(after) else 1 << 62
        with near, socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as far:
            back = threading.Thread(target=pass_back, args=(far, near))
            back.start()
            with suppress(OSError):
                while passed[connection] < most and (some := near.recv(min(65_536, most - passed[connection]))):
                    far.sendall(some)
                    passed[connection] += len(some)
            for each in (near, far):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            back.join()

    def accept() -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                near, _ = listener.accept()
                passed.append(0)
                threads.append(threading.Thread(target=pass_on, args=(near, len(passed) - 1)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", passed
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for each in (accepting, *threads):
            each.join()
