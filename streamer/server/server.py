"""The streamer: drain what has arrived, name the windows that are ready, publish."""

import gc
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType

import numpy as np
import zmq

from kinestream.model.clock import monotonic_ns, now_ns, wall_clock
from kinestream.model.engine.engine import BATCH, MANY
from kinestream.model.errors import EndpointError
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.server.warmup import Rehearsal
from kinestream.streamer.streams.session import Answers, Batch
from kinestream.streamer.transport.addresses import check_all
from kinestream.streamer.transport.connections import Connections, Room
from kinestream.streamer.transport.sockets import bind, connect, quick_send
from kinestream.streamer.transport.subscriptions import Subscriptions
from kinestream.streamer.wire.codec import decode, encode_event, encode_label, is_description
from kinestream.streamer.wire.messages import INGEST, LABELS, MAX_BYTES, MAX_NOTICE, Event, Label, MalformedMessage

# Messages that libzmq holds for us of each connection, 3 MiB at most: past that, a PUSH sender waits and a publisher
# drops. Where few connections are allowed each may have more, of the same 300 MiB in all: one that carries thousands of
# streams needs that, since libzmq's thread must wait for its turn on a busy processor. To change a mark while peers
# come and go crashes libzmq 4.3, so it does not follow how many there are.
INGEST_HWM, INGEST_HWM_MOST = 48, 1000
INGEST_BYTES = 300 << 20
# Labels that libzmq holds for one subscriber, some 4 MB: past that, its labels are dropped rather than ours delayed.
LABELS_HWM = 4000
# Subscriptions that wait from one subscriber. Whatever waits is remembered by libzmq at a stroke, before it is counted
# here: so it must be little.
NOTICES_HWM = 2
# Messages taken in one go, some two milliseconds', and their bytes: then it is looked whether a batch has been named.
DRAIN, DRAIN_LEAST = 512, 2
_GO = 16  # messages that are received before their bytes are counted
_DRAIN_LONG_NS = 3_000_000
_COSTLY_NS = 8_000  # for a message; most take a quarter
DRAIN_BYTES = 256 << 10
# What may wait to be taken in turns, in bytes: past that, nothing more is read.
BACKLOG_BYTES = 4 << 20
# Windows that are cut from it at a time, and only while fewer wait: whoever comes next waits for as many.
TURN_WINDOWS = MANY
# Time given to subscribers to fetch what is left when the streamer stops.
LINGER_MS = 1000

# A processor that has slept takes up to four times as long for a window: 1.0 against 0.26 ms, measured in ONNX Runtime;
# its caches are gone. So shortly before a window is expected, others are rehearsed, each a little faster than the one
# before; then the loop stays awake until it comes.
_WARM_NS = 10_000_000
_COLD = 4  # an engine that takes too long for that is left alone: a window might have to wait for it
_QUIET_NS = 400_000  # no more of them: the window might have to wait
_LATE_NS = 1_500_000

# Inference that is done at once: a thread beside would wake up for it, on a processor that messages need, too.
_AT_ONCE_NS = 3_000_000
_BEHIND = 4  # times that `DRAIN` messages were there, one after the other: by then it is no mere burst
# Batches on their way at a time: one is named while another waits behind it, if it has windows enough to be named well.
_FLIGHTS = 2
_IN_FLIGHT_S = 0.003  # messages wait so long at most while a batch is named: to take them a few at a time costs more
# How long one thread keeps another from going on: Python's own 5 ms are as long as a batch takes.
_SWITCH_S = 0.0001

# Descriptions that were not there before may take a quarter of the time, or so long at a stretch: 10,000 streams of a
# hundred channels that all begin at once.
_READING_SHARE = 4
_READING_MOST_NS = 2_000_000_000

_POLL_MS = 200  # how soon a stop or a silent stream is noticed while nothing arrives
_DRAIN_MS = 50  # quiet after which nothing more is on its way when stopping
_DRAIN_MOST_NS = 2_000_000_000  # senders that go on sending are not waited for
_NOTING_NS = 1_000_000  # how often it is looked who has come, gone and subscribed
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
    most_senders : int, optional
        Connections that may send samples; further ones are turned away. Without it, as many as there are files for.
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
        most_senders: int | None = None,
        report: Callable[["Streamer"], None] | None = None,
    ) -> None:
        self.recognizer = recognizer
        self.counts: Counter[str] = Counter()
        self.received = 0
        self._report = report
        self._stopping = False
        self._noted = self._housekept = 0
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._flights: deque[tuple[Batch, Future[Answers]]] = deque()
        self._reading_ns, self._read_at = _READING_MOST_NS, monotonic_ns()  # time there is for descriptions, since when
        self._more = False  # whether messages are known to be there
        self._drain_most = DRAIN
        self._behind = 0  # for how many rounds they have been
        self._few = max(1, _AT_ONCE_NS // _window_ns(recognizer))  # windows
        self._context = zmq.Context()
        self._rehearsal = Rehearsal(recognizer.bundle, recognizer.engine, self._context)
        self._pull = self._context.socket(zmq.PULL)
        self._sub = self._context.socket(zmq.SUB)
        self._out = self._context.socket(zmq.XPUB)
        self._send_out = quick_send(self._out)
        self._subscriptions = Subscriptions(self._out)
        self._notices = Notices()
        room = Room()
        self.room = room.size
        self._hwm = ingest_hwm(most_senders)
        self._senders = Connections(self._pull, room=room, most=most_senders, what="the samples port")
        self._listeners = Connections(
            self._out,
            room=room,
            what="the labels port",
            on_gone=self._subscriptions.forget,
        )
        self._poller = zmq.Poller()
        self._inputs = zmq.Poller()
        try:
            self._open(ingest, subscribe, labels)
        except EndpointError:
            self.close()
            raise

    def _open(self, ingest: str, subscribe: Sequence[str], labels: str) -> None:
        self._sub.subscribe(b"")
        for socket in (self._pull, self._sub):
            socket.set(zmq.RCVHWM, self._hwm)
            socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
        self._out.set(zmq.SNDHWM, LABELS_HWM)
        self._out.set(zmq.RCVHWM, NOTICES_HWM)
        self._out.set(zmq.MAXMSGSIZE, MAX_NOTICE)
        self._out.linger = LINGER_MS
        # Tell of every subscription, not just the first of each topic: a sender may wait for its subscribers.
        self._out.setsockopt(zmq.XPUB_VERBOSER, 1)
        check_all((ingest, labels), subscribe)
        self.ingest = bind(self._pull, ingest)
        self.labels = bind(self._out, labels)
        for endpoint in subscribe:
            connect(self._sub, endpoint)
        self._listens = bool(subscribe)
        for socket in (self._pull, self._sub):
            self._inputs.register(socket, zmq.POLLIN)
            self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._out, zmq.POLLIN)

    def run(self) -> None:
        """Serve until `stop`, then give out what had arrived by then."""
        sys.setswitchinterval(_SWITCH_S)
        gc.freeze()  # what was loaded stays: to look through it for garbage holds up labels
        while not self._stopping:
            if not self._more and self._flights:
                wait([self._flights[0][1]], timeout=_IN_FLIGHT_S)
            elif not self._more and not self.recognizer.backlog_bytes:
                self._wait_warm()
            self._drain()
            self._infer()
            self._note_connections()
            self._keep_house()
        self._finish()

    def stop(self) -> None:
        """Make `run` return soon; may be called from a signal handler or another thread."""
        self._stopping = True

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM, SIGINT and, where there is one, SIGHUP."""

        def stop(signum: int, frame: FrameType | None) -> None:
            self.stop()

        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks
                signal.signal(number, stop)

    def totals(self) -> dict[str, int]:
        """Return every counter of the sockets and the recognizer."""
        about = {
            "connections_refused": self._senders.turned_away + self._listeners.turned_away,
            "messages_received": self.received,
            "streams": self.recognizer.streams,
            "subscribers_broken": self._subscriptions.broken,
        }
        totals = Counter(self.counts)
        totals.update(self.recognizer.totals())  # some are counted in both
        return dict(sorted({**totals, **about}.items()))

    def close(self) -> None:
        """Close the sockets; what was published is still sent for a second."""
        self._beside.shutdown()
        self._senders.close()
        self._listeners.close()
        self._pull.close(linger=0)
        self._sub.close(linger=0)
        self._out.close()
        self._rehearsal.close()
        self._context.term()

    def _wait_warm(self) -> None:
        """Wait for messages; when a window is about to come, be warm."""
        due = self.recognizer.next_due(monotonic_ns() - _LATE_NS)
        asleep_ms = _POLL_MS if due is None else (due - _WARM_NS - monotonic_ns()) // 1_000_000
        if self._wait(min(max(asleep_ms, 0), _POLL_MS)) or due is None:
            return
        expected_ns = _COLD * self._rehearsal.least_ns
        while due - _WARM_NS <= (now := monotonic_ns()) < due + _LATE_NS and not self._wait(0):
            if now + expected_ns < due - _QUIET_NS:
                self._rehearsal.run()
                expected_ns = self._rehearsal.took_ns
            os.sched_yield()

    def _wait(self, timeout_ms: int) -> bool:
        ready = dict(self._poller.poll(timeout_ms))
        if self._out in ready:
            self._subscriptions.update()
        return self._pull in ready or self._sub in ready

    def _drain(self) -> None:
        """Take what has arrived, or the first of it, and note whether there is more.

        Of those who push, no more than fills a batch: they wait. Publishers do not, so what is too much to name is
        skipped. Nothing is read while what has been read waits for its turn.
        """
        self._more = False
        if self.recognizer.backlog_bytes < BACKLOG_BYTES:
            if self.recognizer.waiting < BATCH:
                self._more = self._drain_from(self._pull, lossy=False)
            if self._listens:
                self._more |= self._drain_from(self._sub, lossy=True)
        if self.recognizer.backlog_bytes and self.recognizer.waiting < TURN_WINDOWS:
            self.recognizer.take_queued(TURN_WINDOWS)
            self._more |= self.recognizer.waiting < TURN_WINDOWS
        self._behind = self._behind + 1 if self._more else 0

    def _drain_from(self, socket: zmq.Socket[bytes], *, lossy: bool) -> bool:
        frames: list[bytes] = []
        receive, take = socket.recv, frames.append
        # Where one connection always has a message ready, libzmq looks who else has one at every hundredth receipt,
        # unless it is asked.
        socket.get(zmq.EVENTS)
        left, looked = DRAIN_BYTES, 0
        while left > 0 and len(frames) < self._drain_most:
            begin = len(frames)
            try:
                for _ in range(min(_GO, self._drain_most)):
                    take(receive(zmq.DONTWAIT))
            except zmq.Again:
                # Where a connection had all it may have waiting, libzmq's thread is at it to hand over more.
                if len(frames) - looked < self._hwm // 2:
                    break
                looked = len(frames)
                os.sched_yield()
            left -= sum(map(len, frames[begin:]))
        else:
            left = 0
        if frames:
            self.received += len(frames)
            otherwise = self._take_lossy if lossy else self._take
            began = monotonic_ns()
            self.recognizer.take_frames(frames, now_ns(), otherwise, lossy=lossy)
            self._pace_drains(len(frames), monotonic_ns() - began)
        return left == 0

    def _pace_drains(self, count: int, took_ns: int) -> None:
        """Take fewer messages in one go while they take long: some cost a hundred times what others do."""
        if took_ns > max(_DRAIN_LONG_NS, count * _COSTLY_NS):
            self._drain_most = max(min(count, self._drain_most) // 2, DRAIN_LEAST)
        else:
            self._drain_most = min(self._drain_most + self._drain_most // 2, DRAIN)  # the next may cost as much again

    def _take_lossy(self, frame: bytes) -> None:
        self._take(frame, lossy=True)

    def _take(self, frame: bytes, lossy: bool = False) -> None:
        try:
            if is_description(frame):
                self._take_description(frame)
            else:
                self.recognizer.take(decode(frame), now_ns(), lossy=lossy)
        except MalformedMessage as reason:
            self.counts[f"messages_malformed_{reason}"] += 1
            self._notices.malformed(str(reason))

    def _take_description(self, frame: bytes) -> None:
        """Take what may be a description; one that came before is answered unread.

        To read one takes up to a thousand times as long as a sample. Whoever sends them without pause gets a share of
        the time; past that they are put off, since every sender repeats its own.
        """
        if self.recognizer.introduce_again(hash(frame), self._subscriptions.listening):
            return
        began = monotonic_ns()
        self._reading_ns = min(self._reading_ns + (began - self._read_at) // _READING_SHARE, _READING_MOST_NS)
        self._read_at = began
        if self._reading_ns <= 0:
            self.counts["messages_put_off"] += 1
            self._notices.put_off()
            return
        try:
            self._introduce(frame)
        finally:
            self._reading_ns -= monotonic_ns() - began

    def _introduce(self, frame: bytes) -> None:
        message = decode(frame)
        self._subscriptions.update()  # whoever hears the answer should be counted in it
        self.recognizer.take(message, now_ns(), subscribers=self._subscriptions.listening(message.stream))

    def _infer(self) -> None:
        """Name what is ready: few windows at once, many in a thread beside, while further messages are taken.

        Few go beside as well when this thread has not been done with messages for a while: it is not enough for all.
        Batches land one after the other, so that labels leave in order. While one is named the next may wait behind it,
        if it is worth it: else that thread would have nothing to do until this one looks at it again.
        """
        landed = self._landed()
        waiting = self.recognizer.waiting
        few = self._few if self._behind < _BEHIND else 0
        if not self._flights and waiting <= few:
            landed += self.recognizer.infer_due()
        elif not self._flights or (len(self._flights) < _FLIGHTS and waiting >= MANY):
            batch = self.recognizer.begin()
            self._flights.append((batch, self._beside.submit(self.recognizer.recognise, batch)))
        self._publish(landed)

    def _landed(self) -> list[Label | Event]:
        """Return what came of the batches that have been named."""
        outcomes: list[Label | Event] = []
        while self._flights and self._flights[0][1].done():
            batch, answers = self._flights.popleft()
            outcomes += self.recognizer.finish(batch, answers.result())
        return outcomes

    def _publish(self, outcomes: list[Label | Event]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Label):
                frames = encode_label(outcome, now_ns())
            else:
                frames = encode_event(outcome)
                if outcome.event == "refused":
                    self._notices.refused(outcome)
            self._send_out(frames[0], zmq.SNDMORE)  # send_multipart would look at each frame once more
            self._send_out(frames[1])

    def _note_connections(self) -> None:
        """Look who has come, gone and subscribed: what a flood of that leaves unread is memory."""
        if (now := monotonic_ns()) - self._noted < _NOTING_NS:
            return
        self._noted = now
        self._senders.update()
        self._listeners.update()
        self._subscriptions.update()

    def _keep_house(self) -> None:
        now = monotonic_ns()
        if now - self._housekept < _HOUSEKEEPING_NS:
            return
        self._housekept = now
        self.recognizer.forget_silent(now)
        wall_clock.offset_ns()  # labels carry its time: a step is logged
        self._subscriptions.forget_unused()
        if self._report is not None:
            self._report(self)

    def _finish(self) -> None:
        """Take what was on its way when the stop came, then close every session."""
        wait([answers for _, answers in self._flights])
        self._publish(self._landed())
        deadline = monotonic_ns() + _DRAIN_MOST_NS
        while (self.recognizer.backlog_bytes or self._inputs.poll(_DRAIN_MS)) and monotonic_ns() < deadline:
            self._drain()
            self._publish(self.recognizer.infer_due())
        self.recognizer.close_all()
        self._publish(self.recognizer.infer())


def ingest_hwm(most_senders: int | None) -> int:
    """Return how many messages may wait of each of so many connections."""
    if most_senders is None:
        return INGEST_HWM
    return min(max(INGEST_BYTES // (most_senders * MAX_BYTES), INGEST_HWM), INGEST_HWM_MOST)


def _window_ns(recognizer: Recognizer) -> int:
    """Measure how long the engine takes for one window of many."""
    windows = np.zeros((MANY, recognizer.bundle.grid.length, len(recognizer.bundle.channels)), dtype=np.float32)
    begin = monotonic_ns()
    recognizer.engine.probabilities(windows)
    return (monotonic_ns() - begin) // MANY
