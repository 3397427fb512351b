"""Sets a socket up for CURVE, and says by how much encryption makes messages longer."""

from typing import Any

import zmq

from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.keys.pair import check_curve

OVERHEAD = 33
"""Bytes that encryption adds to each frame: its name, half of a nonce, a code of 16 bytes, and flags."""

_HANDSHAKE_BYTES = 1024
"""The longest message of a handshake, INITIATE, with an identity of 255 bytes."""


def largest(size: int) -> int:
    """Return what `zmq.MAXMSGSIZE` must allow so that messages of up to so many bytes come through encrypted."""
    return max(size + OVERHEAD, _HANDSHAKE_BYTES)


def present(socket: zmq.Socket[Any], keys: ClientKeys | None, largest_message: int | None = None) -> None:
    """Have a client's socket show its keys wherever it connects to; None: it has none. Before it does.

    Parameters
    ----------
    socket : zmq.Socket
        One of `zmq` or of `zmq.asyncio`.
    keys : ClientKeys or None
        Its client's.
    largest_message : int, optional
        Bytes of the largest message that it takes.
    """
    if largest_message is not None:
        socket.set(zmq.MAXMSGSIZE, largest_message if keys is None else largest(largest_message))
    if keys is None:
        return
    check_curve()
    socket.setsockopt(zmq.CURVE_SERVERKEY, keys.streamer.encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.pair.public.encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.pair.secret.encode())
