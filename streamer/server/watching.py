"""Publishes readings and status at the watch endpoint, for dashboards, exporters, recorders; labels, too, gathered.

Nobody who watches may hold up labels. So whoever is too slow loses messages, which the numbers of a device's messages
show; so many bytes a second leave at most; and what takes long to say is said a piece at a time, between labels. While
nobody listens nothing is collected, nor for those who listen to all readings and take none.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator

import zmq

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.ingest.tap import Tap
from kinestream.streamer.server import tuning
from kinestream.streamer.server.figures import Figures
from kinestream.streamer.server.gathering import Gathering
from kinestream.streamer.server.stalled import Stalled
from kinestream.streamer.transport.sockets import quick_send
from kinestream.streamer.transport.subscriptions import Subscriptions
from kinestream.streamer.wire.gathered import PUBLISHED_TOPIC
from kinestream.streamer.wire.messages import Published
from kinestream.streamer.wire.signals import signal_topic
from kinestream.streamer.wire.status import STATUS_TOPIC, STREAMS_TOPIC, StreamsStatus, encode_status, encode_streams

_SIGNALS = b"signal/"
_INTERVAL_NS = 1_000_000_000
_SOON_MS = 50
_LOGGED_EVERY_NS = 60_000_000_000

_logger = logging.getLogger(__name__)


class Watching:
    """Publishes to those who watch.

    Parameters
    ----------
    socket : zmq.Socket
        An XPUB.
    subscriptions : Subscriptions
        Who listens to what there.
    tap : Tap
        Where readings come from.
    figures : Figures
        What counts.
    counts : Counter
        Where it is counted what was published, and what was left out.

    Attributes
    ----------
    wants_published : bool
        Whether `note` must be told of what is published.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        subscriptions: Subscriptions,
        tap: Tap,
        figures: Figures,
        counts: Counter[str],
    ) -> None:
        self.wants_published = self._counts_published = False
        self._gathering = Gathering()
        self._socket, self._send_out = socket, quick_send(socket)
        self._subscriptions, self._tap, self._figures, self._counts = subscriptions, tap, figures, counts
        self._changes = 0
        self._wants_status = self._wants_streams = False
        self._pieces: Iterator[StreamsStatus] = iter(())
        self._stalled = Stalled()
        self._is_in_doubt = False  # whether those who take nothing may be others since
        self._due = 0
        self._bytes_left, self._accrued_at = float(tuning.WATCH_BYTES_PER_S), monotonic_ns()
        self._next_log: dict[str, int] = {}  # by what is said

    def note(self, outcome: Published, leaves: int, frame: bytes) -> None:
        """Note what leaves at that Unix time in ns, and its second frame."""
        if self._counts_published:
            self._figures.note(outcome, leaves)
        if self._gathering.is_open:
            self._gathering.add(frame)

    def update(self, batches: int) -> None:
        """Publish what is due; so many batches are being named."""
        if self._changes != self._subscriptions.changes:
            self._changes = self._subscriptions.changes
            # Who has gone is told after what he had subscribed to: until the next look nobody is left out for him.
            self._is_in_doubt = True
            self._look_who_listens()
        if not (self._tap.is_open or self.wants_published or self._stalled.files):
            return
        now = monotonic_ns()
        if self._tap.is_open:
            self._publish(self._tap.leave(now), now)
        if self._gathering.keeps:
            self._publish(self._gathering.leave(now), now)
        piece = next(self._pieces, None)
        if piece is not None:
            self._publish([encode_streams(piece)], now)
        if now >= self._due:
            self._due = now + _INTERVAL_NS
            self._tap.forget_gone()
            self._look_who_takes()
            if self._wants_status:
                self._publish([encode_status(self._figures.status(batches))], now)
            if self._wants_streams and piece is None:
                self._pieces = self._figures.streams()

    @property
    def sleep_ms(self) -> int:
        """How long the loop may sleep where nothing comes: readings that are kept are to leave."""
        return _SOON_MS if self._tap.keeps or self._gathering.keeps else tuning.POLL_MS

    def finish(self) -> None:
        """Publish what has been kept until now."""
        if self._tap.is_open:
            now = monotonic_ns()
            self._publish(self._tap.leave(now, all_of_it=True), now)
        if self._gathering.keeps:
            now = monotonic_ns()
            self._publish(self._gathering.leave(now, all_of_it=True), now)

    def _look_who_takes(self) -> None:
        """Collect no readings for those who ask for all of them and take none."""
        are_others = self._stalled.look(self._subscriptions.to_all_of(_SIGNALS), self._counts["watched_overflows"])
        if are_others or self._is_in_doubt:
            self._is_in_doubt = False
            self._look_who_listens()
            if are_others and self._stalled.files:
                self._counts["watched_stalled"] += 1
                self._log(
                    "somebody who watches all readings takes none, and gets no more until that changes: this began %d "
                    "times",
                    self._counts["watched_stalled"],
                )

    def _look_who_listens(self) -> None:
        """Collect what is listened to, and nothing else."""
        matching = self._subscriptions.matching
        to_all = self._subscriptions.to_all_of(_SIGNALS)
        idle = 0 if self._is_in_doubt else sum(to_all.get(file, 0) for file in self._stalled.files)
        if self._subscriptions.beginning_with(_SIGNALS) > idle:
            self._tap.open(lambda stream: matching(signal_topic(stream)) > idle)
        elif self._tap.is_open:
            self._tap.close()
        self._gathering.open(matching(PUBLISHED_TOPIC) > 0)
        self._wants_status = matching(STATUS_TOPIC) > 0
        self._wants_streams = matching(STREAMS_TOPIC) > 0
        if not self._wants_streams:
            self._pieces = iter(())
        self._counts_published = self._wants_status or self._wants_streams
        self.wants_published = self._counts_published or self._gathering.is_open
        self._figures.listen(of_all=self._wants_status, of_each=self._wants_streams)

    def _publish(self, messages: Iterable[tuple[bytes, bytes]], now: int) -> None:
        most = float(tuning.WATCH_BYTES_PER_S)
        self._bytes_left = min(self._bytes_left + (now - self._accrued_at) / 1e9 * most, most)
        self._accrued_at = now
        for topic, message in messages:
            size = len(topic) + len(message)
            if size > self._bytes_left:
                self._counts["watched_dropped"] += 1
                self._log("more is watched than %d MB a second", tuning.WATCH_BYTES_PER_S >> 20)
                continue
            self._bytes_left -= size
            self._counts["watched_sent"] += 1
            try:
                self._send(topic, message)
            except zmq.Again:
                self._send_to_others(topic, message)

    def _send(self, topic: bytes, message: bytes) -> None:
        self._send_out(topic, zmq.SNDMORE | zmq.DONTWAIT)
        self._send_out(message, zmq.DONTWAIT)

    def _send_to_others(self, topic: bytes, message: bytes) -> None:
        """Send a message for which somebody who watches has no room to all others.

        libzmq leaves out whoever has no room until he has read half of what waits, and does not tell what he misses
        meanwhile: so it is counted how often that begins.
        """
        self._counts["watched_overflows"] += 1
        self._log(
            "somebody who watches is too slow, and misses messages: this began %d times",
            self._counts["watched_overflows"],
        )
        self._socket.set(zmq.XPUB_NODROP, 0)
        try:
            self._send(topic, message)
        finally:
            self._socket.set(zmq.XPUB_NODROP, 1)

    def _log(self, text: str, figure: int) -> None:
        if (now := monotonic_ns()) >= self._next_log.get(text, 0):
            self._next_log[text] = now + _LOGGED_EVERY_NS
            _logger.warning(text, figure)
