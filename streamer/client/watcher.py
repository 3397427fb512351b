"""Receives what a streamer publishes at its watch endpoint: readings as they come in, its status, labels gathered."""

import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import zmq

from kinestream.model.errors import ConfigError
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.keys.curve import present
from kinestream.streamer.keys.keyfile import ClientKeys, found_keys
from kinestream.streamer.transport.handshakes import Handshakes
from kinestream.streamer.transport.sockets import connect
from kinestream.streamer.wire import messages as wire
from kinestream.streamer.wire.gathered import PUBLISHED_TOPIC
from kinestream.streamer.wire.messages import MalformedMessage
from kinestream.streamer.wire.signals import Signal, signal_topic
from kinestream.streamer.wire.status import STATUS_TOPIC, STREAMS_TOPIC
from kinestream.streamer.wire.watched import MAX_WATCHED, Watched, decode_watched

HIGH_WATER = 20_000
"""Messages that wait in a watcher before the streamer leaves them out: some 10 MB."""

_LOOK_EVERY_S = 1.0  # while nothing comes, whether anything can
_HEARTBEAT_MS = 5000
_MOST_DEVICES = 50_000  # of which the channels are remembered


class WatchSubscriber:
    """Receives readings and figures as a streamer publishes them; iterating waits for the next message.

    Parameters
    ----------
    endpoint : str
        Where the streamer publishes them.
    signals : sequence of str or None
        The streams whose readings to receive; None for all, none by default.
    status, streams : bool
        Whether to receive, once a second, how the streamer fares, and how each of its streams does.
    published : bool
        Whether to receive all that it publishes, a tenth of a second's together.
    keys : str, Path or ClientKeys, optional
        The file of your keys, where the streamer asks for them; that which `KINESTREAM_KEYS` names by default.

    Attributes
    ----------
    malformed : int
        Messages that could not be read and were passed over.

    Raises
    ------
    ConfigError
        If `signals` is a text, whose letters would be names, or holds what no stream can be called.
    EndpointError
        If the address cannot be used. That nobody publishes there is no error: somebody may yet.
    AccessError
        If the keys cannot be used; from `receive`, if the streamer does not accept them, or no longer.
    """

    def __init__(
        self,
        endpoint: str = wire.WATCH,
        *,
        signals: Sequence[str] | None = (),
        status: bool = False,
        streams: bool = False,
        published: bool = False,
        keys: str | Path | ClientKeys | None = None,
    ) -> None:
        self.malformed = 0
        who = found_keys(keys)
        topics = _topics(signals) + [STATUS_TOPIC] * status + [STREAMS_TOPIC] * streams + [PUBLISHED_TOPIC] * published
        self._channels: OrderedDict[tuple[str, int, str], tuple[Channel, ...]] = OrderedDict()
        self._endpoint = endpoint
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, HIGH_WATER)
        self._socket.set(zmq.SNDHWM, 0)  # what a subscriber sends are subscriptions
        self._socket.set(zmq.LINGER, 0)
        present(self._socket, who, MAX_WATCHED)
        self._socket.set(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)  # a machine that vanished says nothing
        for topic in topics:
            self._socket.set(zmq.SUBSCRIBE, topic)
        self._handshakes = Handshakes(self._socket, "watch", None if who is None else who.client)
        try:
            connect(self._socket, endpoint)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout_s: float | None = None) -> Watched | None:
        """Return the next message, or None if none came within `timeout_s` seconds.

        A signal tells its channels, as soon as its device's were told once.
        """
        if self._socket.closed:
            raise ValueError("this subscriber is closed: open another")
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            try:
                return self._complete(decode_watched(self._socket.recv_multipart(zmq.DONTWAIT)))
            except zmq.Again:
                left = min(deadline - time.monotonic(), _LOOK_EVERY_S)
                if self._socket.poll(max(0, math.ceil(1000 * left))):
                    continue
                self._handshakes.check(self._endpoint)
            except MalformedMessage:
                self.malformed += 1
            if time.monotonic() > deadline:
                return None

    def close(self) -> None:
        """Close the socket."""
        self._handshakes.close()
        self._context.destroy(linger=0)

    def _complete(self, message: Watched) -> Watched:
        """Add to a signal what was told of its device's channels before."""
        if not isinstance(message, Signal):
            return message
        device = message.stream, message.session, message.device
        if message.channels is None:
            known = self._channels.get(device)
            return message if known is None or len(known) != message.width else message._replace(channels=known)
        self._channels[device] = message.channels
        self._channels.move_to_end(device)
        if len(self._channels) > _MOST_DEVICES:
            self._channels.popitem(last=False)
        return message

    def __iter__(self) -> Iterator[Watched]:
        while True:
            message = self.receive()
            if message is not None:
                yield message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _topics(signals: Sequence[str] | None) -> list[bytes]:
    if isinstance(signals, str):
        raise ConfigError("this subscriber", [f"signals: {signals!r} is one name; give a list of them: [{signals!r}]"])
    wrong = [name for name in signals or () if not isinstance(name, str) or not wire.name_is_valid(name)]
    if wrong:
        what = f"{wrong[0]!r} is no name; use 1 to 64 letters, digits and _ . : @ + -"
        raise ConfigError("this subscriber", [f"signals: {what}"])
    return [b"signal/"] if signals is None else [signal_topic(stream) for stream in signals]
