"""One of a streamer's endpoints, as the dashboard listens to it."""

from collections.abc import Collection, Iterator
from typing import Any

import zmq

from kinestream.model.clock import thread_ns
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect

_HIGH_WATER = 100_000
_AT_ONCE = 16  # messages after which the clock is asked, which takes as long as half a message
_DONTWAIT, _RCVMORE = int(zmq.DONTWAIT), int(zmq.RCVMORE)  # plain numbers, and not `recv_multipart`: half the time
_HEARTBEAT_MS, _HEARTBEAT_TIMEOUT_MS = 5000, 15_000
"""The second is how long our own thread may wait for a processor, besides."""


class Subscription:
    """A socket that is subscribed.

    Parameters
    ----------
    context : zmq.Context
        Where it is made.
    what, endpoint : str
        ``labels`` or ``watch``, and where that is.
    topics : collection of bytes
        What of it.
    most_bytes : int
        Of a message.
    keys : ClientKeys, optional
        What is shown there.

    Attributes
    ----------
    handshakes : Handshakes
        Whether somebody is there.
    endpoint : str
    was_cut : bool
        Whether there may be more than `messages` yielded the last time.

    Raises
    ------
    EndpointError
        If the address cannot be used. That nobody is there is no error: somebody may come.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        what: str,
        endpoint: str,
        topics: Collection[bytes],
        most_bytes: int,
        keys: ClientKeys | None,
    ) -> None:
        self.endpoint = endpoint
        self.was_cut = False
        self._socket: zmq.Socket[bytes] = context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, _HIGH_WATER)
        self._socket.set(zmq.SNDHWM, 0)  # what a subscriber sends are subscriptions: none may be forgotten
        self._socket.set(zmq.LINGER, 0)
        present(self._socket, keys, most_bytes)
        self._socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)  # a machine that vanished says nothing
        self._socket.set(zmq.HEARTBEAT_TIMEOUT, _HEARTBEAT_TIMEOUT_MS)
        for topic in topics:
            self.subscribe(topic)
        self.handshakes = Handshakes(self._socket, what, None if keys is None else keys.client)
        try:
            connect(self._socket, endpoint)
        except BaseException:
            self.close()
            raise

    def subscribe(self, topic: bytes) -> None:
        """Ask for something."""
        self._socket.set(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        """Ask for it no more."""
        self._socket.set(zmq.UNSUBSCRIBE, topic)

    def messages(self, until: int, at_once: int = _AT_ONCE) -> Iterator[list[bytes]]:
        """Yield the frames of what has come, until this time of `thread_ns`, looked at after so many."""
        receive, option = self._socket.recv, self._socket.getsockopt
        try:
            while True:
                for _ in range(at_once):
                    frames = [receive(_DONTWAIT)]
                    while option(_RCVMORE):
                        frames.append(receive(_DONTWAIT))
                    yield frames
                if thread_ns() > until:
                    self.was_cut = True
                    return
        except zmq.Again:
            self.was_cut = False

    def close(self) -> None:
        """Close the socket."""
        self.handshakes.close()
        self._socket.close()
