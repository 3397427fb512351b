"""What a replay sends into a fleet: each stream to whom it belongs, and elsewhere where that changes."""

from collections.abc import Sequence
from pathlib import Path

from kinestream.streamer.client import Reliable, SampleConnection
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import HEAD, WITH_TIMES, Description


class InFleet:
    """The keys of a replay, in a fleet.

    Parameters
    ----------
    fleet : str
        Where its directory answers.
    timeout_s : float
        How long to wait for a streamer that takes no more.
    reliable : Reliable, optional
        How what is sent is kept until it is acknowledged; without it, nothing is.
    keys : str, Path or ClientKeys, optional
        What is shown there.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(
        self,
        fleet: str,
        timeout_s: float,
        reliable: Reliable | None,
        keys: str | Path | ClientKeys | None,
    ) -> None:
        self._connection = SampleConnection(fleet=fleet, timeout_s=timeout_s, reliable=reliable or False, keys=keys)
        self._close_s = 0.0 if reliable is None else reliable.close_s
        self._ends: dict[int, int] = {}  # where what was sent of each key ends
        self._finished: set[int] = set()

    def describe(self, descriptions: Sequence[bytes]) -> None:
        """Say what keys stand for, and begin with those that are new."""
        for description in descriptions:
            about = decode(description)
            assert isinstance(about, Description)
            if about.key not in self._ends:
                self._ends[about.key] = 0
                self._connection.open(about, description)
            if about.key not in self._finished:
                self._connection.describe(description, key=about.key, stream=about.stream)

    def knows(self, key: int) -> bool:
        """Tell whether a key was begun with."""
        return key in self._ends

    def deliver(self, key: int, message: bytes) -> None:
        """Send a message of a key, as soon as there is room for it.

        Raises
        ------
        EndpointError
            If nobody takes it in time.
        """
        if message.startswith(b"KS"):
            mark, count, _, seq, t = HEAD.unpack_from(message)
            self._ends[key] = max(self._ends[key], t + 1 if mark == WITH_TIMES else seq + count)
        self._connection.deliver(key, message, self._ends[key])

    def finish(self, key: int) -> None:
        """Note that nothing more comes of a key."""
        self._connection.finish(key)
        self._finished.add(key)

    def service(self) -> None:
        """Follow the fleet, and send again what has to be; to be called now and then while nothing is sent."""
        self._connection.service()

    def wait(self) -> int:
        """Wait until all is acknowledged; return how many messages are not."""
        return self._connection.wait_acknowledged(self._close_s)

    def close(self, *, waits: bool) -> None:
        """Close the connection; what it still holds has two seconds to leave, where it waits."""
        if not waits:
            self._connection.wait_no_longer()
        self._connection.close()
