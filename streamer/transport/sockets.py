"""Where a socket meets an address: what cannot be used is said in one line, before anything is touched."""

import errno
import os
from collections.abc import Callable
from typing import Any

import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.transport import addresses

AnySocket = zmq.Socket[Any]
"""A socket of `zmq` or of `zmq.asyncio`."""

KEEPALIVE = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 10,
    zmq.TCP_KEEPALIVE_INTVL: 5,
    zmq.TCP_KEEPALIVE_CNT: 4,
}
"""A peer that has been silent for ten seconds is asked whether it is there, and taken for gone after thirty: by the
kernel, in s. A machine that has lost its power says nothing, and who only listens to it would never know."""

_ADVICE = {
    errno.EADDRINUSE: "the port is in use: stop what holds it, or give another address (--ingest, --labels, --control, "
    "--watch)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENODEV: "this machine has no such address",
    errno.EAFNOSUPPORT: "this machine has no such address",
    errno.EACCES: "this port needs more rights: give one above 1023",
}


def quick_send(socket: zmq.Socket[bytes]) -> Callable[..., object]:
    """Return a socket's `send` without its look at options that few sockets have: half of what a call takes."""
    return super(zmq.Socket, socket).send


def connect(socket: AnySocket, endpoint: str) -> str:
    """Connect a socket and return the address; whoever is to be reached may come later, or vanish and come again.

    Raises
    ------
    EndpointError
        If it cannot be used; the socket is closed.
    """
    for option, value in KEEPALIVE.items():
        socket.set(option, value)
    return _open(socket, endpoint, "connect to", addresses.check_connect, socket.connect)


def bind(socket: AnySocket, endpoint: str) -> str:
    """Bind a socket and return its address, in which a ``*`` for the port has become a number.

    Raises
    ------
    EndpointError
        If it cannot be used, or cannot be had; the socket is closed.
    """
    _open(socket, endpoint, "bind", addresses.check_bind, socket.bind)
    bound: bytes = socket.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
    return bound.rstrip(b"\0").decode()


def _open(
    socket: AnySocket, endpoint: str, what: str, check: Callable[[str], None], opening: Callable[[str], object]
) -> str:
    try:
        check(endpoint)
        if addresses.needs_ipv6(endpoint):
            socket.setsockopt(zmq.IPV6, 1)
        opening(endpoint)
    except EndpointError:
        socket.close()
        raise
    except zmq.ZMQError as error:
        socket.close()
        raise EndpointError(f"cannot {what} {endpoint}: {_advice(endpoint, error.errno or 0)}") from None
    return endpoint


def _advice(endpoint: str, reason: int) -> str:
    if endpoint.startswith("ipc://"):
        return os.strerror(reason).lower()
    return _ADVICE.get(reason, addresses.LOOKS_LIKE)
