"""The streamer's loop: drain what has arrived, name the windows that are due, publish."""

import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import FrameType

import numpy as np
import zmq

from kinestream.model.clock import monotonic_ns, now_ns, wall_clock
from kinestream.model.engine.engine import MANY
from kinestream.model.errors import EndpointError
from kinestream.streamer.recognizer.batch import Answers, Batch
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.control import Control
from kinestream.streamer.server.descriptions import Descriptions
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.server.receiver import Receiver
from kinestream.streamer.server.warmup import WarmUp
from kinestream.streamer.transport.addresses import check_all
from kinestream.streamer.transport.connections import Connections, Room
from kinestream.streamer.transport.sockets import bind, connect, quick_send
from kinestream.streamer.transport.subscriptions import Subscriptions
from kinestream.streamer.wire.messages import CONTROL, INGEST, LABELS, MAX_BYTES, MAX_NOTICE, Event, Label
from kinestream.streamer.wire.published import encode_event, encode_label


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
    control : str
        Address to bind for whoever asks what becomes of its stream.
    most_senders : int, optional
        Connections that may send samples; further ones are turned away. Without it, as many as there are files for.
    warm_up : bool
        Whether to be awake and warm when a window is expected, rather than asleep until it comes: labels come sooner,
        and the processor works for it. See `streamer.server.warmup`.
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
        control: str = CONTROL,
        most_senders: int | None = None,
        warm_up: bool = tuning.WARM_UP,
        report: Callable[["Streamer"], None] | None = None,
    ) -> None:
        self.recognizer, self._batcher = recognizer, recognizer.batcher
        self.counts: Counter[str] = Counter()
        self._report = report
        self._stopping = False
        self._connections_checked = self._housekept = 0
        self._inference_thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._underway: deque[tuple[Batch, Future[Answers]]] = deque()
        self._inline_limit = max(1, tuning.INLINE_INFERENCE_NS // _window_ns(recognizer))  # windows
        self._context = zmq.Context()
        self._warm_up = WarmUp(recognizer.bundle, recognizer.engine, self._context) if warm_up else None
        self._pull = self._context.socket(zmq.PULL)
        self._sub = self._context.socket(zmq.SUB)
        self._out = self._context.socket(zmq.XPUB)
        self._router = self._context.socket(zmq.ROUTER)
        self._send_out = quick_send(self._out)
        self._subscriptions = Subscriptions(self._out)
        self._notices = Notices()
        room = Room()
        self.room = room.size
        self._hwm = tuning.ingest_hwm(most_senders)
        self._senders = Connections(self._pull, room=room, most=most_senders, what="the samples port")
        self._listeners = Connections(
            self._out,
            room=room,
            what="the labels port",
            on_gone=self._subscriptions.forget,
        )
        self._askers = Connections(self._router, room=room, what="the control port")
        descriptions = Descriptions(recognizer, self._subscriptions, self._notices, self.counts)
        self._control = Control(self._router, descriptions, self._notices, self.counts)
        self._receiver = Receiver(
            recognizer,
            self._pull,
            self._sub if subscribe else None,
            hwm=self._hwm,
            descriptions=descriptions,
            notices=self._notices,
            counts=self.counts,
        )
        self._poller = zmq.Poller()
        self._inputs = zmq.Poller()
        try:
            self._open(ingest, subscribe, labels, control)
        except EndpointError:
            self.close()
            raise

    def _open(self, ingest: str, subscribe: Sequence[str], labels: str, control: str) -> None:
        self._sub.subscribe(b"")
        for socket in (self._pull, self._sub):
            socket.set(zmq.RCVHWM, self._hwm)
            socket.set(zmq.MAXMSGSIZE, MAX_BYTES)
        self._out.set(zmq.SNDHWM, tuning.LABELS_HWM)
        self._out.set(zmq.RCVHWM, tuning.NOTICES_HWM)
        self._out.set(zmq.MAXMSGSIZE, MAX_NOTICE)
        self._out.linger = tuning.LINGER_MS
        # Tell of every subscription, not just the first of each topic: a sender may wait for its subscribers.
        self._out.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._router.set_hwm(tuning.CONTROL_HWM)
        self._router.set(zmq.MAXMSGSIZE, MAX_BYTES)
        self._router.linger = 0
        check_all((ingest, labels, control), subscribe)
        self.ingest = bind(self._pull, ingest)
        self.labels = bind(self._out, labels)
        self.control = bind(self._router, control)
        for endpoint in subscribe:
            connect(self._sub, endpoint)
        for socket in (self._pull, self._sub):
            self._inputs.register(socket, zmq.POLLIN)
            self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self._out, zmq.POLLIN)
        self._poller.register(self._router, zmq.POLLIN)
        self._poller.register(self._senders.events, zmq.POLLIN)

    def run(self) -> None:
        """Serve until `stop`, then give out what had arrived by then."""
        while not self._stopping:
            if not self._receiver.more_waiting and self._underway:
                wait([self._underway[0][1]], timeout=tuning.BATCH_WAIT_S)
            elif not self._receiver.more_waiting and not self.recognizer.backlog_bytes:
                self._wait_for_messages()
            self._check_connections()
            self._receiver.drain()
            self._control.answer()
            self._infer()
            self._keep_house()
        self._shut_down()

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

    @property
    def received(self) -> int:
        """Messages received so far."""
        return self._receiver.received

    def totals(self) -> dict[str, int]:
        """Return every counter of the sockets and the recognizer."""
        about = {
            "connections_refused": self._senders.turned_away + self._listeners.turned_away + self._askers.turned_away,
            "messages_received": self.received,
            "requests_received": self._control.received,
            "streams": self.recognizer.streams,
            "subscribers_broken": self._subscriptions.broken,
        }
        totals = Counter(self.counts)
        totals.update(self.recognizer.totals())  # some are counted in both
        return dict(sorted({**totals, **about}.items()))

    def close(self) -> None:
        """Close the sockets; what was published is still sent for a second."""
        self._inference_thread.shutdown()
        self._senders.close()
        self._listeners.close()
        self._askers.close()
        self._pull.close(linger=0)
        self._sub.close(linger=0)
        self._out.close()
        self._router.close()
        if self._warm_up is not None:
            self._warm_up.close()
        self._context.term()

    def _wait_for_messages(self) -> None:
        """Sleep until a message comes; if asked to, be awake and warm when a window is expected."""
        due = None
        if self._warm_up is not None:
            due = self.recognizer.next_due(monotonic_ns() - tuning.WARM_UP_LATE_NS)
        if self._warm_up is None or due is None:
            self._wait(tuning.POLL_MS)
            return
        asleep_ms = (due - tuning.WARM_UP_AHEAD_NS - monotonic_ns()) // 1_000_000
        if not self._wait(min(max(asleep_ms, 0), tuning.POLL_MS)):
            self._warm_up.until(due, self._wait)

    def _wait(self, timeout_ms: int) -> bool:
        ready = dict(self._poller.poll(timeout_ms))
        if self._out in ready:
            self._subscriptions.update()
        if self._senders.events in ready:  # before anything is taken of somebody there is no room for
            self._senders.update()
        return self._pull in ready or self._sub in ready or self._router in ready

    def _infer(self) -> None:
        """Name what is ready: few windows here, many in the inference thread, while further messages are taken.

        Few go to that thread as well when this one has had more messages than it could take for a while: it cannot do
        both. Batches complete one after the other, so that labels leave in order. While one is named the next may wait
        behind it, if it is large enough: else that thread would be idle until this one looks at it again.
        """
        outcomes = self._completed()
        waiting = self._batcher.waiting
        inline_limit = self._inline_limit if self._receiver.full_drains < tuning.FULL_DRAINS else 0
        if not self._underway and waiting <= inline_limit:
            outcomes += self.recognizer.infer_due()
        elif not self._underway or (len(self._underway) < tuning.BATCHES_UNDERWAY and waiting >= MANY):
            batch = self._batcher.begin()
            self._underway.append((batch, self._inference_thread.submit(self._batcher.recognise, batch)))
        self._publish(outcomes)

    def _completed(self) -> list[Label | Event]:
        """Return labels and events of the batches that have been named."""
        outcomes: list[Label | Event] = []
        while self._underway and self._underway[0][1].done():
            batch, answers = self._underway.popleft()
            outcomes += self._batcher.finish(batch, answers.result())
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

    def _check_connections(self) -> None:
        """Look who has come, gone and subscribed: what a flood of that leaves unread is memory."""
        if (now := monotonic_ns()) - self._connections_checked < tuning.CONNECTIONS_INTERVAL_NS:
            return
        self._connections_checked = now
        self._senders.update()
        self._listeners.update()
        self._askers.update()
        self._subscriptions.update()

    def _keep_house(self) -> None:
        now = monotonic_ns()
        if now - self._housekept < tuning.HOUSEKEEPING_INTERVAL_NS:
            return
        self._housekept = now
        self.recognizer.forget_silent(now)
        wall_clock.offset_ns()  # labels carry its time: a step is logged
        self._subscriptions.forget_unused()
        if self._report is not None:
            self._report(self)

    def _shut_down(self) -> None:
        """Take what was on its way when the stop came, then close every session."""
        wait([answers for _, answers in self._underway])
        self._publish(self._completed())
        deadline = monotonic_ns() + tuning.FINAL_DRAIN_NS
        while (self.recognizer.backlog_bytes or self._inputs.poll(tuning.QUIET_MS)) and monotonic_ns() < deadline:
            self._receiver.drain()
            self._publish(self.recognizer.infer_due())
        self.recognizer.close_all()
        self._publish(self.recognizer.infer())


def _window_ns(recognizer: Recognizer) -> int:
    """Measure how long the engine takes for one window of many."""
    windows = np.zeros((MANY, recognizer.bundle.grid.length, len(recognizer.bundle.channels)), dtype=np.float32)
    begin = monotonic_ns()
    recognizer.engine.probabilities(windows)
    return (monotonic_ns() - begin) // MANY
