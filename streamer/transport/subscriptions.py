"""Who listens to what: counted for senders who wait for subscribers, and bounded.

libzmq keeps every topic that anybody subscribes to for as long as its connection lasts, and takes fifty bytes for each
byte of it. So when all topics take too much, the connection that has the most of them is broken.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import zmq

from kinestream.streamer.transport.connections import shut
from kinestream.streamer.transport.inlet import new_inlet
from kinestream.streamer.wire.messages import label_topic

_logger = logging.getLogger(__name__)

MAX_BYTES = 64 << 20
"""What all topics may take: 10,000 streams by name take 20 MB, and 1.5 MB more for every further subscriber."""
_LETTER_BYTES = 50  # of libzmq's memory for each byte of a topic that is new: measured, for topics that share nothing
_SUBSCRIBER_BYTES = 64  # for each further subscriber of one
_WIDE_BYTES = 8  # no stream's topic is so short
_LOGGED_EVERY_S = 60.0
_NOTICES_PER_CALL = 100  # a millisecond's worth at most: then it is time for samples and labels


class Subscriptions:
    """The subscriptions of a publishing socket.

    Parameters
    ----------
    socket : zmq.Socket
        An XPUB that tells of every one: ``XPUB_VERBOSER``.
    overhead : int
        As in `kinestream.streamer.transport.inlet.CompiledInlet`.

    Attributes
    ----------
    inlet : Inlet
        What comes in by the socket.
    arrivals : int
        Subscriptions that have come so far, those that have gone again among them.
    changes : int
        How often that has been, or one has gone.
    broken : int
        Connections that were broken, since they subscribed to too much.
    may_listen : callable, optional
        Tells of whose a connection is whether they may subscribe; else it is broken.
    """

    def __init__(self, socket: zmq.Socket[Any], overhead: int = 0) -> None:
        self.arrivals = self.changes = self.broken = 0
        self.inlet = new_inlet(socket, overhead=overhead)
        self.may_listen: Callable[[str | None], bool] | None = None
        self._topics: Counter[bytes] = Counter()
        self._lengths: set[int] = set()  # how long the topics are
        self._bytes: Counter[int] = Counter()  # of the topics, by the file of the connection that brought them
        self._wide: dict[int, Counter[bytes]] = {}  # topics that are whole kinds of messages, by the file likewise
        self._log_due = 0.0
        self._total = 0
        self._leaving = 0  # of that, what goes with connections that were broken

    def update(self) -> None:
        """Note what has been subscribed to, and what no more; the first of it, if there is very much."""
        for _ in range(_NOTICES_PER_CALL):
            notice = self.inlet.frame()
            if notice is None:
                return
            text, connection = notice
            if text[:1] not in (b"\0", b"\1"):
                continue  # a subscriber may send other things too, which mean nothing here
            topic, sign = text[1:], 1 if text[0] else -1
            if sign > 0 and self.may_listen is not None and not self.may_listen(self.inlet.user()):
                shut(connection)  # it was let in, and has lost the right since
            if sign < 0 and not self._topics.get(topic):
                continue  # nobody had subscribed to it
            self.arrivals += sign > 0
            self.changes += 1
            self._topics[topic] += sign
            self._lengths.add(len(topic))
            if len(topic) <= _WIDE_BYTES and connection >= 0:  # of one that has gone, nobody tells which it was
                wide = self._wide.setdefault(connection, Counter())
                wide[topic] += sign
                if wide[topic] <= 0:
                    del wide[topic]
            new = self._topics[topic] == (1 if sign > 0 else 0)
            self._add(connection, sign * (_SUBSCRIBER_BYTES + new * _LETTER_BYTES * len(topic)))

    def listening(self, stream: str) -> int:
        """Return how many subscriptions match a stream's labels."""
        return self.matching(label_topic(stream))

    def beginning_with(self, topics: bytes) -> int:
        """Return how many subscriptions match topics that begin so, some or all of them."""
        return sum(
            count
            for topic, count in self._topics.items()
            if count > 0 and (topic.startswith(topics) or topics.startswith(topic))
        )

    def to_all_of(self, topics: bytes) -> dict[int, int]:
        """Return how many subscriptions match all topics that begin so, by the file of the connection they came by."""
        return {
            connection: count
            for connection, wide in self._wide.items()
            if (count := sum(n for topic, n in wide.items() if n > 0 and topics.startswith(topic)))
        }

    def matching(self, topic: bytes) -> int:
        """Return how many subscriptions match a topic."""
        ends = (end for end in self._lengths if end <= len(topic))
        return sum(self._topics.get(topic[:end], 0) for end in ends)

    def forget_unused(self) -> None:
        """Let go of topics that nobody listens to any more."""
        self._topics += Counter()
        self._lengths = set(map(len, self._topics))
        self._bytes += Counter()
        self._total = sum(_LETTER_BYTES * len(topic) + _SUBSCRIBER_BYTES * n for topic, n in self._topics.items())

    def forget(self, connection: int) -> None:
        """Note that a connection has gone, whose file may be another's from now on."""
        del self._bytes[connection]
        self._wide.pop(connection, None)

    def _add(self, connection: int, size: int) -> None:
        self._bytes[connection] += size
        self._total += size
        if size < 0:
            self._leaving = max(self._leaving + size, 0)
        elif self._total - self._leaving > MAX_BYTES:
            greatest, held = max(self._bytes.items(), key=lambda entry: (entry[0] >= 0, entry[1]))
            if greatest < 0:
                return
            self._leaving += held
            del self._bytes[greatest]
            self.broken += 1
            now = time.monotonic()
            if now >= self._log_due:
                self._log_due = now + _LOGGED_EVERY_S
                _logger.warning("a subscriber to topics that take %d MB was disconnected: subscribe to all", held >> 20)
            shut(greatest)
