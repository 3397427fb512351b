"""What comes in by a socket, and how much of it was taken of each connection.

In C (receive.c), or in plain Python where that was not compiled or pyzmq's libzmq is not one that it knows. How much
was taken is what `kinestream.streamer.transport.unfinished` has to know: libzmq tells nobody what it holds.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar

import zmq

try:
    from kinestream.streamer.transport import _receive
except ImportError:
    is_compiled = False
else:
    is_compiled = True

KEPT_FRAMES = 3
"""Of a message of many frames only the first are kept: it is none of ours."""
_FUNCTIONS = ("init", "recv", "data", "size", "more", "gets", "close")
_INSIDE, _MESSAGE, _SHORT = 33, 64, 255  # bytes: see receive.c
_FEW_FRAMES = 2

_T = TypeVar("_T")


class Taken(NamedTuple):
    """What was taken of a connection.

    Attributes
    ----------
    generation : int
        Connections that had the number of its file, as far as is known.
    bytes, messages : int
        So much of this one; bytes on the wire, with their framing.
    last : int
        Messages that had been taken of all connections when its last was.
    spread : float
        Bytes of memory for each byte of its worst message of many frames, at least 1.
    """

    generation: int
    bytes: int
    messages: int
    last: int
    spread: float


_NOTHING = Taken(0, 0, 0, 0, 1.0)


class Inlet(Protocol):
    """Receives what a socket has, without waiting.

    Raises
    ------
    zmq.ZMQError
        Where the socket cannot be read, from every way to receive.
    """

    def receive(
        self, frames: list[bytes], most: int, most_bytes: int, users: list[str | None] | None = None
    ) -> tuple[int, bool]:
        """Add up to so many frames to a list, and none past so many bytes; to `users` whose each is, where it is given.

        Returns
        -------
        tuple of int and bool
            Their bytes, and whether no more waited.
        """
        ...

    def message(self) -> list[bytes] | None:
        """Return the first `KEPT_FRAMES` frames of a message, or None where none waits."""
        ...

    def frame(self) -> tuple[bytes, int] | None:
        """Return a frame and the number of its connection's file, -1 for none; None where none waits."""
        ...

    def user(self, file: int = -1) -> str | None:
        """Return whose a connection is, as far as it has sent anything, or whose the last message was; or None."""
        ...

    def forget_user(self, file: int) -> None:
        """Note that a number is another connection's, which has sent nothing yet."""
        ...

    def totals(self) -> tuple[int, int]:
        """Return how many messages were received, and how many times none was left."""
        ...

    def taken(self, file: int) -> Taken:
        """Return what was taken of a connection, by the number of its file."""
        ...


class CompiledInlet:
    """The way in C.

    Parameters
    ----------
    socket : zmq.Socket
        What comes in by it comes in here only.
    skipped : int
        Frames at the head of every message that libzmq puts there itself.
    overhead : int
        Bytes by which encryption makes each frame longer on the wire; 0 where the socket asks nobody for a key.
    """

    def __init__(self, socket: zmq.Socket[bytes], skipped: int = 0, overhead: int = 0) -> None:
        addresses = _addresses()
        assert addresses is not None
        self._socket = socket  # the number of a closed socket must not be used
        self._inlet = _receive.new(addresses, int(socket.underlying), skipped, overhead)

    def receive(
        self, frames: list[bytes], most: int, most_bytes: int, users: list[str | None] | None = None
    ) -> tuple[int, bool]:
        """Add frames to a list."""
        self._check()
        try:
            return _receive.receive(self._inlet, frames, most, most_bytes, users)
        except OSError as error:
            raise zmq.ZMQError(error.args[0]) from None

    def message(self) -> list[bytes] | None:
        """Return the first frames of a message."""
        return self._one(_receive.message)

    def frame(self) -> tuple[bytes, int] | None:
        """Return a frame and whose it is."""
        return self._one(_receive.frame)

    def user(self, file: int = -1) -> str | None:
        """Return whose a connection or the last message is."""
        return _receive.user(self._inlet, file)

    def forget_user(self, file: int) -> None:
        """Note that a number is another connection's."""
        _receive.forget_user(self._inlet, file)

    def totals(self) -> tuple[int, int]:
        """Return how many messages were received, and how many times none was left."""
        return _receive.totals(self._inlet)

    def taken(self, file: int) -> Taken:
        """Return what was taken of a connection."""
        return Taken(*_receive.taken(self._inlet, file))

    def _one(self, receive: Callable[[Any], _T]) -> _T:
        self._check()
        try:
            return receive(self._inlet)
        except OSError as error:
            raise zmq.ZMQError(error.args[0]) from None

    def _check(self) -> None:
        if self._socket.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)


class PlainInlet:
    """The way in Python.

    It does not see that a number is another connection's from now on: then it counts too much as taken, never too
    little.
    """

    def __init__(self, socket: zmq.Socket[bytes], skipped: int = 0, overhead: int = 0) -> None:
        self._socket, self._skipped, self._overhead = socket, skipped, overhead
        self._user: str | None = None
        self._users: dict[int, str] = {}
        self._of: dict[int, Taken] = {}
        self._messages = self._emptied = 0
        self._frames = self._wire = self._memory = 0  # of the message that is being received

    def receive(
        self, frames: list[bytes], most: int, most_bytes: int, users: list[str | None] | None = None
    ) -> tuple[int, bool]:
        """Add frames to a list."""
        size = 0
        for _ in range(most):
            if size >= most_bytes:
                break
            received = self._receive()
            if received is None:
                return size, True
            frames.append(received[0])
            if users is not None:
                users.append(self._user)
            size += len(received[0])
        return size, False

    def message(self) -> list[bytes] | None:
        """Return the first frames of a message."""
        frames: list[bytes] = []
        more = True
        while more:
            received = self._receive()
            if received is None:
                return None
            frame, _, more = received
            if len(frames) < KEPT_FRAMES:
                frames.append(frame)
        return frames

    def frame(self) -> tuple[bytes, int] | None:
        """Return a frame and whose it is."""
        received = self._receive()
        return None if received is None else received[:2]

    def user(self, file: int = -1) -> str | None:
        """Return whose a connection or the last message is."""
        return self._user if file < 0 else self._users.get(file)

    def forget_user(self, file: int) -> None:
        """Note that a number is another connection's."""
        self._users.pop(file, None)

    def totals(self) -> tuple[int, int]:
        """Return how many messages were received, and how many times none was left."""
        return self._messages, self._emptied

    def taken(self, file: int) -> Taken:
        """Return what was taken of a connection."""
        return self._of.get(file, _NOTHING)

    def _receive(self) -> tuple[bytes, int, bool] | None:
        """Return a frame, whose it is, and whether its message has more of them."""
        try:
            received = self._socket.recv(zmq.DONTWAIT, copy=False)
        except zmq.Again:
            self._emptied += 1
            return None
        try:
            file = int(received.get(zmq.SRCFD))
        except (zmq.ZMQError, ValueError):  # it came over no file
            file = -1
        if self._overhead:
            self._note_user(file, received)
        frame, more = received.bytes, bool(received.more)
        self._count(file, len(frame), more)
        return frame, file, more

    def _note_user(self, file: int, received: zmq.Frame) -> None:
        try:
            self._user = self._users[file] = str(received.get("User-Id"))
        except (zmq.ZMQError, UnicodeDecodeError):  # nobody asked
            self._user = None
            self._users.pop(file, None)

    def _count(self, file: int, size: int, more: bool) -> None:
        sent = size + self._overhead
        wire = sent + (9 if sent > _SHORT else 2)
        self._frames += 1
        if self._frames > self._skipped:
            self._wire += wire
            self._memory += _MESSAGE + (size if size > _INSIDE else 0)
        if more:
            return
        self._messages += 1
        before = self._of.get(file, _NOTHING)
        many = self._frames > _FEW_FRAMES + self._skipped
        spread = max(before.spread, self._memory / self._wire) if many else before.spread
        self._of[file] = Taken(0, before.bytes + self._wire, before.messages + 1, self._messages, spread)
        self._frames = self._wire = self._memory = 0


def new_inlet(socket: zmq.Socket[bytes], skipped: int = 0, overhead: int = 0) -> Inlet:
    """Return the fastest there is; the parameters are those of `CompiledInlet`."""
    way = CompiledInlet if is_compiled and _addresses() else PlainInlet
    return way(socket, skipped, overhead)


@cache
def _addresses() -> tuple[int, ...] | None:
    """Return where libzmq's functions are in the library that pyzmq uses, None where that is not to be had."""
    try:
        from zmq.backend.cython import _zmq

        library = ctypes.CDLL(_zmq.__file__)  # and what it was linked with: that is already here
        version = [ctypes.c_int() for _ in range(3)]
        library.zmq_version(*map(ctypes.byref, version))
        if tuple(each.value for each in version) != zmq.zmq_version_info() or version[0].value != 4:
            return None
        functions = [*(getattr(library, f"zmq_msg_{name}") for name in _FUNCTIONS), library.zmq_errno]
    except (ImportError, OSError, AttributeError):
        return None
    return tuple(ctypes.cast(each, ctypes.c_void_p).value or 0 for each in functions)
