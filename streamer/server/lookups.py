"""Answers requests for the history: in turns, and within a share of the time, so that no label waits for it."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.server.history import History
from kinestream.streamer.server.timeshare import TimeShare
from kinestream.streamer.wire.history import HistoryRequest, decode_history_request, encode_history_answer

ASKERS = 1000
"""Connections whose requests wait; a further one is not heard."""
REQUESTS = 8
"""Requests that wait of each, as many as libzmq holds of its answers; further ones are not heard."""
_TURN_NS = 300_000
"""How long requests may hold up labels at a time: an answer of 60 KB takes some 0.1 ms."""
_TIME_DIVISOR, _BURST_NS = 4, 1_000_000
"""They may take a quarter of the time, or so long at a stretch."""


class Lookups:
    """Requests for the history that wait for their turn.

    Parameters
    ----------
    history : History
        What is asked for.
    send : callable
        Sends a peer an answer.
    counts : Counter
        Where requests are counted.
    """

    def __init__(self, history: History, send: Callable[[bytes, bytes], None], counts: Counter[str]) -> None:
        self._history, self._send, self._counts = history, send, counts
        self._waiting: OrderedDict[bytes, deque[HistoryRequest]] = OrderedDict()
        self._share = TimeShare(_TIME_DIVISOR, _BURST_NS, monotonic_ns())

    @property
    def are_waiting(self) -> bool:
        """Whether any request waits."""
        return bool(self._waiting)

    def take(self, peer: bytes, frame: bytes) -> bool:
        """Take a request of a peer; return whether it was one.

        Raises
        ------
        MalformedMessage
            Where it was one, and is wrong.
        """
        request = decode_history_request(frame)
        if request is None:
            return False
        self._counts["requests_of_history"] += 1
        of_peer = self._waiting.get(peer)
        if of_peer is None and len(self._waiting) < ASKERS:
            of_peer = self._waiting[peer] = deque()
        if of_peer is None or len(of_peer) >= REQUESTS:
            self._counts["history_requests_unheard"] += 1
        else:
            of_peer.append(request)
        return True

    def answer(self) -> None:
        """Answer some of the requests that wait: one of each connection in turn."""
        if not self._waiting:
            return
        began = now = monotonic_ns()
        while self._waiting and now - began < _TURN_NS and self._share.is_left(now):
            peer, requests = next(iter(self._waiting.items()))
            self._send(peer, encode_history_answer(self._history.answer(requests.popleft())))
            if requests:
                self._waiting.move_to_end(peer)
            else:
                del self._waiting[peer]
            before, now = now, monotonic_ns()
            self._share.take(now - before)
