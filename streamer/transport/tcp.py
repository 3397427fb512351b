"""What the system knows of a TCP connection: how much was read of it. Only Linux says so."""

import array
import socket as sockets
import struct
import sys
from typing import Any

from kinestream.model.system import fcntl

_receive: Any
try:
    from kinestream.streamer.transport import _receive
except ImportError:
    _receive = None

is_told = sys.platform == "linux"
"""Whether `transferred` ever returns anything."""

_INFO_BYTES = 192
_COUNTERS = struct.Struct("=120xQQ")  # tcpi_bytes_acked and tcpi_bytes_received in linux/tcp.h, since Linux 4.1
_TRIES = 8
_FIONREAD, _TIOCOUTQ = 0x541B, 0x5411  # asm-generic/ioctls.h; not in Python's modules


def transferred(file: int) -> tuple[int, int] | None:
    """Return how many bytes were read of a connection, and how many its peer has acknowledged.

    Parameters
    ----------
    file : int
        The number of its file.

    Returns
    -------
    tuple of int and int, or None
        None where it has gone, is no TCP connection, the system does not tell, or so much comes that it cannot be told
        just now.
    """
    counters: tuple[int, int] | None = _receive.transferred(file) if _receive is not None else _transferred(file)
    return counters


def waits(file: int) -> bool:
    """Tell whether anything that was written to a connection, by the number of its file, is not acknowledged yet."""
    unsent = array.array("i", [0])
    try:
        fcntl.ioctl(file, _TIOCOUTQ, unsent)
    except (OSError, ValueError):
        return False
    return unsent[0] > 0


def _transferred(file: int) -> tuple[int, int] | None:
    if not is_told:
        return None
    try:
        # With its family given nothing is looked up; whatever family it is, the option is TCP's.
        connection = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, 0, fileno=file)
    except OSError:
        return None
    try:
        return _read_of(connection)
    except (OSError, struct.error):  # an old kernel tells less
        return None
    finally:
        connection.detach()


def _read_of(connection: sockets.socket) -> tuple[int, int] | None:
    unread = array.array("i", [0])
    before = -1
    for _ in range(1 + _TRIES):  # as receive.c: what has come and what waits belong together if nothing came in between
        info = connection.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _INFO_BYTES)
        acknowledged, received = _COUNTERS.unpack_from(info)
        if received == before:
            return received - unread[0], acknowledged
        before = received
        fcntl.ioctl(connection.fileno(), _FIONREAD, unread)
    return None
