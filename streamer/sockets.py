"""Where a socket meets an address: what ZeroMQ refuses is said in one line."""

import errno
from collections.abc import Callable
from typing import Any

import zmq

from model.errors import EndpointError

AnySocket = zmq.Socket[Any]
"""A socket of `zmq` or of `zmq.asyncio`."""

_ADVICE = {
    errno.EADDRINUSE: "the port is in use: stop what holds it, or give another address (--ingest, --labels)",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.ENODEV: "this machine has no such address",
    errno.EACCES: "this port needs more rights: give one above 1023",
}
_LOOKS_LIKE = "an address looks like tcp://127.0.0.1:5570"


def quick_send(socket: zmq.Socket[bytes]) -> Callable[..., object]:
    """Return a socket's `send` without its look at options that few sockets have: half of what a call takes."""
    return super(zmq.Socket, socket).send


def connect(socket: AnySocket, endpoint: str) -> str:
    """Connect a socket and return the address; whoever is to be reached may come later.

    Raises
    ------
    EndpointError
        If it is no address; the socket is closed.
    """
    try:
        if not _port_exists(endpoint):  # libzmq would find out later, and keep it to itself
            raise zmq.ZMQError(errno.EINVAL)
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise _refused("connect to", endpoint, error) from None
    return endpoint


def bind(socket: AnySocket, endpoint: str) -> str:
    """Bind a socket and return its address, in which a ``*`` for the port has become a number.

    Raises
    ------
    EndpointError
        If it is no address, or one that cannot be had; the socket is closed.
    """
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise _refused("bind", endpoint, error) from None
    bound: bytes = socket.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
    return bound.rstrip(b"\0").decode()


def _port_exists(endpoint: str) -> bool:
    port = endpoint.rpartition(":")[2]
    return not endpoint.startswith("tcp://") or (port.isdecimal() and 0 < int(port) < 1 << 16)


def _refused(what: str, endpoint: str, error: zmq.ZMQError) -> EndpointError:
    return EndpointError(f"cannot {what} {endpoint}: {_ADVICE.get(error.errno or 0, _LOOKS_LIKE)}")
