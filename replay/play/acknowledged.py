"""What a replay sends and keeps until it is acknowledged, so that a streamer may be killed in its middle."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from kinestream.streamer.client import Reliable
from kinestream.streamer.client.deliveries import Deliveries
from kinestream.streamer.client.inquiry import Inquiry
from kinestream.streamer.keys.keyfile import ClientKeys
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import HEAD, WITH_TIMES, Description

_ROOM_S = 0.005


class Acknowledged:
    """The messages of all keys of a replay.

    Parameters
    ----------
    context : zmq.Context
        Where a socket to the control endpoint is made.
    control : str
        Where the streamer acknowledges.
    settings : Reliable
        How much is kept, and how long is waited in the end.
    post : callable
        Sends a message to where samples go, if there is room; returns whether there was.
    keys : ClientKeys, optional
        What is shown there.

    Raises
    ------
    EndpointError
        If the address cannot be used.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        control: str,
        settings: Reliable,
        post: Callable[[bytes], bool],
        keys: ClientKeys | None = None,
    ) -> None:
        self._settings = settings
        self._inquiry = Inquiry(context, control, keys)
        inquiry = self._inquiry
        self._deliveries = Deliveries(
            settings,
            lambda key, message: post(message),
            inquiry.ask_acknowledged,
            inquiry.listen,
            lambda description, key, stream: inquiry.ask(description, key=key, stream=stream),
        )
        inquiry.on_acknowledged, inquiry.on_answered = self._deliveries.acknowledged, self._deliveries.answered
        self._deliveries.on_removed = inquiry.finish
        self._ends: dict[int, int] = {}  # where what was sent of each key ends

    def knows(self, key: int) -> bool:
        """Tell whether a key was begun with."""
        return key in self._ends

    def open(self, descriptions: Sequence[bytes]) -> None:
        """Begin with keys, those that were not begun with, before their first messages."""
        for description in descriptions:
            about = decode(description)
            assert isinstance(about, Description)
            if about.key not in self._ends:
                self._ends[about.key] = 0
                self._deliveries.open(about, description)

    def deliver(self, key: int, message: bytes, *, waits: Callable[[], object]) -> None:
        """Send a message of a key; `waits` is called again and again while there is no room for it."""
        if message.startswith(b"KS"):
            mark, count, _, seq, t = HEAD.unpack_from(message)
            self._ends[key] = max(self._ends[key], t + 1 if mark == WITH_TIMES else seq + count)
        while not self._deliveries.has_room(message):
            waits()
            time.sleep(_ROOM_S)
        self._deliveries.add(key, message, self._ends[key])

    def finish(self, key: int) -> None:
        """Note that nothing more comes of a key."""
        self._deliveries.finish(key)

    def service(self) -> None:
        """Send again what has to be; to be called now and then while nothing is sent."""
        self._deliveries.service()

    def wait(self) -> int:
        """Wait until all is acknowledged; return how many messages are not."""
        return self._deliveries.wait(self._settings.close_s)

    def close(self) -> None:
        """Close the socket."""
        self._inquiry.close()
