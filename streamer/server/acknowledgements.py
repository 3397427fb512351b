"""Tells senders what has come of their tracked messages: when they ask, and at once where something must come again."""

from collections import defaultdict
from collections.abc import Callable

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.recognizer.tracking import Tracking
from kinestream.streamer.wire.tracked import MAX_KEYS, Acknowledgement, AcknowledgeRequest, encode_acknowledged

_URGENT_INTERVAL_NS = 100_000_000
"""Ten a second at most: what is on its way meanwhile would only be asked for twice."""
_MOST_PEERS = 50_000  # keys of which is known who asks


class Acknowledgements:
    """Answers whoever asks what has come of their messages.

    Parameters
    ----------
    tracking : Tracking
        What takes them.
    send : callable
        Sends a peer a message.
    """

    def __init__(self, tracking: Tracking, send: Callable[[bytes, bytes], None]) -> None:
        self._tracking, self._send = tracking, send
        self._peers: dict[int, bytes] = {}  # who asked last, by key
        self._told_at = 0

    def take(self, peer: bytes, request: AcknowledgeRequest) -> None:
        """Answer a peer, which is told of the same keys from now on where that is urgent."""
        for key in request.keys:
            if self._tracking.is_known(key):
                self._peers[key] = peer
        while len(self._peers) > _MOST_PEERS:
            del self._peers[next(iter(self._peers))]
        self._send(peer, encode_acknowledged([self._tracking.acknowledgement(key) for key in request.keys]))

    def update(self) -> None:
        """Note how far some keys have come, and tell senders what is urgent; to be called often."""
        now = monotonic_ns()
        self._tracking.look(now)
        if not self._tracking.urgent or now - self._told_at < _URGENT_INTERVAL_NS:
            return
        self._told_at = now
        urgent, self._tracking.urgent = self._tracking.urgent, set()
        of_peer: defaultdict[bytes, list[Acknowledgement]] = defaultdict(list)
        for key in urgent:
            if (peer := self._peers.get(key)) is not None:
                of_peer[peer].append(self._tracking.acknowledgement(key))
        for peer, keys in of_peer.items():
            for first in range(0, len(keys), MAX_KEYS):
                self._send(peer, encode_acknowledged(keys[first : first + MAX_KEYS]))
