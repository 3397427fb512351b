"""The streamer: drain what has arrived, name the windows that are ready, publish."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from types import FrameType

import zmq

from model.clock import now_ns
from model.errors import EndpointError
from streamer.recognizer import BATCH, Recognizer
from streamer.sockets import bind, connect
from streamer.wire import (
    INGEST,
    LABELS,
    Event,
    Label,
    MalformedMessage,
    StreamDescription,
    decode,
    description_fingerprint,
    encode_event,
    encode_label,
    label_topic,
)

# Incoming messages that libzmq holds for us: past that, a PUSH sender waits and a publisher drops.
INGEST_HWM = 10_000
# Labels that libzmq holds for one subscriber: past that, its labels are dropped rather than ours delayed.
LABELS_HWM = 100_000
# Messages taken in one go, so that labels and house-keeping are never kept waiting by messages that complete no window.
DRAIN = 4096
# Time given to subscribers to fetch what is left when the streamer stops.
LINGER_MS = 1000

# A processor that has slept takes up to four times as long for a window: 1.0 against 0.26 ms, measured; its caches
# are gone. So shortly before a window is expected, blank ones are named; then the loop stays awake until it comes.
_WARM_NS = 2_500_000
_QUIET_NS = 400_000  # no more blank ones: the window might have to wait for them
_LATE_NS = 1_500_000

_POLL_MS = 200  # how soon a stop or a silent stream is noticed while nothing arrives
_DRAIN_MS = 50  # quiet after which nothing more is on its way when stopping
_DRAIN_MOST_NS = 2_000_000_000  # senders that go on sending are not waited for
_HOUSEKEEPING_NS = 1_000_000_000


class Streamer:
    """Sockets around a recognizer.

    Parameters
    ----------
    recognizer : Recognizer
        What names the windows.
    ingest : str
        Address to bind for senders that push.
    subscribe : sequence of str
        Addresses of publishers to subscribe to, besides.
    labels : str
        Address to bind for subscribers.
    report : callable, optional
        Called about once a second.

    Raises
    ------
    EndpointError
        Where an address is in use or is none.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        ingest: str = INGEST,
        subscribe: Sequence[str] = (),
        labels: str = LABELS,
        report: Callable[["Streamer"], None] | None = None,
    ) -> None:
        self.recognizer = recognizer
        self.counts: Counter[str] = Counter()
        self._report = report
        self._subscriptions: Counter[bytes] = Counter()
        self._stopping = False
        self._housekept = 0
        self._blank_ns = 0  # what the last blank window took
        self._context = zmq.Context()
        self._pull = self._context.socket(zmq.PULL)
        self._sub = self._context.socket(zmq.SUB)
        self._out = self._context.socket(zmq.XPUB)
        self._poller = zmq.Poller()
        self._inputs = zmq.Poller()
        try:
            self._open(ingest, subscribe, labels)
        except EndpointError:
            self.close()
            raise

    def _open(self, ingest: str, subscribe: Sequence[str], labels: str) -> None:
        self._pull.set_hwm(INGEST_HWM)
        self._sub.set_hwm(INGEST_HWM)
        self._sub.subscribe(b"")
        self._out.set_hwm(LABELS_HWM)
        self._out.linger = LINGER_MS
        # Tell of every subscription, not just the first of each topic: a sender may wait for its subscribers.
        self._out.setsockopt(zmq.XPUB_VERBOSER, 1)
        self.ingest = bind(self._pull, ingest)
        self.labels = bind(self._out, labels)
        for endpoint in subscribe:
            connect(self._sub, endpoint)
        for socket in (self._pull, self._sub):
            self._inputs.register(socket, zmq.POLLIN)
            self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._out, zmq.POLLIN)

    def run(self) -> None:
        """Serve until `stop`, then give out what had arrived by then."""
        while not self._stopping:
            self._wait_warm()
            self._drain()
            self._publish(self.recognizer.infer())
            self._keep_house()
        self._finish()

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler or another thread."""
        self._stopping = True

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT."""

        def stop(signum: int, frame: FrameType | None) -> None:
            self.stop()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    def totals(self) -> dict[str, int]:
        """Return every counter of the sockets and the recognizer."""
        return dict(sorted({**self.counts, **self.recognizer.totals(), "streams": self.recognizer.streams}.items()))

    def close(self) -> None:
        """Close the sockets; what was published is still sent for a second."""
        self._pull.close(linger=0)
        self._sub.close(linger=0)
        self._out.close()
        self._context.term()

    def _wait_warm(self) -> None:
        """Wait for messages; when a window is about to come, be warm."""
        due = self.recognizer.next_due(now_ns() - _LATE_NS)
        asleep_ms = _POLL_MS if due is None else (due - _WARM_NS - now_ns()) // 1_000_000
        if self._wait(min(max(asleep_ms, 0), _POLL_MS)) or due is None:
            return
        while due - _WARM_NS <= now_ns() < due + _LATE_NS and not self._wait(0):
            self._warm_up(until=due - _QUIET_NS)
            os.sched_yield()

    def _warm_up(self, until: int) -> None:
        """Name a blank window, if it will be done by `until`."""
        now = now_ns()
        if now + self._blank_ns < until:
            self.recognizer.warm_up()
            self._blank_ns = now_ns() - now

    def _wait(self, timeout_ms: int) -> bool:
        ready = dict(self._poller.poll(timeout_ms))
        if self._out in ready:
            self._note_subscriptions()
        return self._pull in ready or self._sub in ready

    def _drain(self) -> None:
        """Take what has arrived.

        Of those who push, no more than fills a batch: they wait. Publishers do not, so all of theirs is taken, and what
        is too much to name is skipped.
        """
        self._drain_from(self._pull, lossy=False)
        self._drain_from(self._sub, lossy=True)

    def _drain_from(self, socket: zmq.Socket[bytes], *, lossy: bool) -> None:
        for _ in range(DRAIN):
            if self.recognizer.waiting >= BATCH and not lossy:
                return
            try:
                frame = socket.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            self._take(frame, lossy)

    def _take(self, frame: bytes, lossy: bool) -> None:
        self.counts["messages_received"] += 1
        received = now_ns()
        fingerprint = description_fingerprint(frame)
        if fingerprint is not None and self.recognizer.introduce_again(fingerprint, received, self._listening):
            return
        try:
            message = decode(frame)
            subscribers = self._listening(message.stream) if isinstance(message, StreamDescription) else 0
            self.recognizer.take(message, received, subscribers=subscribers, lossy=lossy)
        except MalformedMessage as reason:
            self.counts[f"messages_malformed_{reason}"] += 1

    def _publish(self, outcomes: list[Label | Event]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Label):
                frames = encode_label(outcome._replace(t_published=now_ns()))
            else:
                frames = encode_event(outcome)
            self._out.send_multipart(frames)

    def _note_subscriptions(self) -> None:
        while True:
            try:
                notice = self._out.recv(zmq.DONTWAIT)
            except zmq.Again:
                return
            if notice[:1] in (b"\0", b"\1"):  # a subscriber may send other things too, which mean nothing here
                self._subscriptions[notice[1:]] += 1 if notice[0] else -1

    def _listening(self, stream: str) -> int:
        self._note_subscriptions()
        topic = label_topic(stream)
        return sum(self._subscriptions.get(topic[:end], 0) for end in range(len(topic) + 1))

    def _keep_house(self) -> None:
        now = now_ns()
        if now - self._housekept < _HOUSEKEEPING_NS:
            return
        self._housekept = now
        self.recognizer.forget_silent(now)
        self._subscriptions += Counter()  # forgets topics nobody listens to
        if self._report is not None:
            self._report(self)

    def _finish(self) -> None:
        """Take what was on its way when the stop came, then close every session."""
        deadline = now_ns() + _DRAIN_MOST_NS
        while self._inputs.poll(_DRAIN_MS) and now_ns() < deadline:
            self._drain()
            self._publish(self.recognizer.infer())
        self.recognizer.close_all()
        self._publish(self.recognizer.infer())
