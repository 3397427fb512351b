"""What a recorder listens to: a streamer at known addresses, or those that a fleet's directory tells of."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zmq

from kinestream.model.errors import EndpointError
from kinestream.streamer.directory.table import Addresses
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.watched import MAX_WATCHED

if TYPE_CHECKING:
    from kinestream.streamer.client.following import Following

HIGH_WATER = 100_000
"""Messages that wait while the disk is slow: some 60 MB. Past that the streamer leaves them out."""
_STAYS_S = 10.0
"""How long a streamer is listened to that the directory tells of no more: what it published may still be on its way."""

_logger = logging.getLogger("kinestream.record")


class Source:
    """One streamer.

    Attributes
    ----------
    number : int
        By which it is known.
    labels, watch : zmq.Socket
        What it publishes.
    trouble : str
        What keeps it from us, where that is known.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        number: int,
        places: tuple[str, str],
        topics: tuple[Sequence[bytes], Sequence[bytes]],
        keys: ClientKeys | None,
    ) -> None:
        self.number, self.trouble = number, ""
        self._handshakes: list[tuple[Handshakes, str]] = []
        self._sockets: list[zmq.Socket[bytes]] = []
        try:
            for what, place, wanted, most in zip(
                ("labels", "watch"), places, topics, (wire.MAX_BYTES, MAX_WATCHED), strict=True
            ):
                socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
                self._sockets.append(socket)
                socket.set(zmq.RCVHWM, HIGH_WATER)
                socket.set(zmq.SNDHWM, 0)  # what a subscriber sends are subscriptions
                socket.set(zmq.LINGER, 0)
                present(socket, keys, most)
                for topic in wanted:
                    socket.set(zmq.SUBSCRIBE, topic)
                self._handshakes.append((Handshakes(socket, what, None if keys is None else keys.client), place))
                connect(socket, place)
        except BaseException:
            self.close()
            raise
        self.labels, self.watch = self._sockets

    def check(self) -> None:
        """Raise EndpointError where something else answers, AccessError where the keys are not accepted."""
        for handshakes, place in self._handshakes:
            handshakes.check(place)

    def close(self) -> None:
        """Close the sockets."""
        for handshakes, _ in self._handshakes:
            handshakes.close()
        for socket in self._sockets:
            socket.close()


class Sources:
    """All that is listened to.

    Parameters
    ----------
    places : (str, str)
        Where a streamer's labels and what may be watched are published.
    fleet : str or None
        Where a fleet's directory answers, in place of those.
    topics : (sequence of bytes, sequence of bytes)
        What of the labels' endpoint, and of the other one.
    keys : ClientKeys, optional
        What is shown there.

    Raises
    ------
    EndpointError
        If an address cannot be used.
    """

    def __init__(
        self,
        places: tuple[str, str],
        fleet: str | None,
        topics: tuple[Sequence[bytes], Sequence[bytes]],
        keys: ClientKeys | None,
    ) -> None:
        self._topics, self._keys = topics, keys
        self._numbers = 0
        self._open: dict[tuple[str, str], Source] = {}
        self._left: dict[tuple[str, str], float] = {}  # since when the directory has not told of them
        self._following: Following | None = None
        self._poller = zmq.Poller()
        self._context: zmq.Context[Any] = zmq.Context()
        try:
            if fleet is None:
                self._add(places)
            else:
                self._following = _following(self._context, fleet, keys)
        except BaseException:
            self.close()
            raise

    def ready(self, timeout_ms: int) -> list[tuple[Source, zmq.Socket[bytes]]]:
        """Return the sockets on which something has come, waiting for the first: of each streamer, readings first.

        Raises
        ------
        EndpointError, AccessError
            Where the streamer, or the directory, is none, or does not accept the keys. Of a fleet's streamers, one that
            cannot be listened to is logged.
        """
        come = dict(self._poller.poll(timeout_ms))
        self._check()
        return [
            (source, socket)
            for source in self._open.values()
            for socket in (source.watch, source.labels)  # readings come before the labels that they led to
            if socket in come
        ]

    def close(self) -> None:
        """Close the sockets."""
        for source in self._open.values():
            source.close()
        if self._following is not None:
            self._following.close()
        self._context.destroy(linger=0)

    def _check(self) -> None:
        if self._following is None:
            for source in self._open.values():
                source.check()
            return
        self._following.check()
        if self._following.update() and self._following.table is not None:
            self._follow(self._following.table.streamers)
        for place in [place for place, left in self._left.items() if time.monotonic() - left > _STAYS_S]:
            self._remove(place)
        for source in self._open.values():
            try:
                source.check()
                source.trouble = ""
            except EndpointError as error:
                if not source.trouble:
                    _logger.warning("%s", error)
                source.trouble = str(error)

    def _follow(self, streamers: Sequence[Addresses]) -> None:
        told = {(each.labels, each.watch) for each in streamers}
        for place in told & self._left.keys():
            self._remove(place)  # who comes back is another one, which a connection that broke does not reach
        for place in self._open.keys() - told:
            self._left.setdefault(place, time.monotonic())
        for place in told - self._open.keys():
            try:
                self._add(place)
            except EndpointError as error:
                _logger.warning("a streamer that the directory tells of is not recorded: %s", error)

    def _add(self, places: tuple[str, str]) -> None:
        source = self._open[places] = Source(self._context, self._numbers, places, self._topics, self._keys)
        self._numbers += 1
        for socket in (source.labels, source.watch):
            self._poller.register(socket, zmq.POLLIN)

    def _remove(self, place: tuple[str, str]) -> None:
        self._left.pop(place, None)
        source = self._open.pop(place)
        for socket in (source.labels, source.watch):
            self._poller.unregister(socket)
        source.close()


def _following(context: zmq.Context[Any], fleet: str, keys: ClientKeys | None) -> "Following":
    from kinestream.streamer.client.following import Following  # all of the clients come with it: it takes a while

    return Following(context, fleet, keys)
