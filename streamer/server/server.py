"""The streamer's loop: drain what has arrived, name the windows that are due, publish."""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import zmq

from kinestream.model.clock import monotonic_ns, now_ns, wall_clock
from kinestream.model.engine.engine import MANY, Device
from kinestream.model.errors import EndpointError
from kinestream.streamer.keys.folder import KeyFolder
from kinestream.streamer.keys.gate import Gate
from kinestream.streamer.recognizer.batch import Answers, Batch
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.server.access import access_by
from kinestream.streamer.server.administration import Administration, Loaded, ReloadNews
from kinestream.streamer.server.control import Control
from kinestream.streamer.server.descriptions import Descriptions
from kinestream.streamer.server.drain import REASON, Drain
from kinestream.streamer.server.figures import Connected, Figures
from kinestream.streamer.server.history import HISTORY_S, History
from kinestream.streamer.server.inline import inline_limit
from kinestream.streamer.server.notices import Notices
from kinestream.streamer.server.ports import Ports, watch_address
from kinestream.streamer.server.receiver import Receiver
from kinestream.streamer.server.signals import heed
from kinestream.streamer.server.warmup import WarmUp
from kinestream.streamer.server.watching import Watching
from kinestream.streamer.transport.addresses import is_local
from kinestream.streamer.transport.sockets import quick_send
from kinestream.streamer.wire.messages import CONTROL, INGEST, LABELS, Event, Published
from kinestream.streamer.wire.published import encode_published


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
    watch : str, optional
        Address to bind for whoever watches; see `kinestream.streamer.server.ports.watch_address`.
    most_senders : int, optional
        Connections that may send samples; further ones are turned away. Without it, as many as there are files for.
    history : float
        For how many seconds what was published is kept for whoever missed it; 0 for not at all.
    warm_up : bool
        Whether to be awake and warm when a window is expected, rather than asleep until it comes: labels come sooner,
        and the processor works for it. See `kinestream.streamer.server.warmup`.
    io_threads : int
        Threads of libzmq that read and write connections.
    device, threads
        As in `kinestream.model.engine.load.load_engine`, for bundles that are loaded later.
    keys : Path, optional
        The folder of keys: who may do what is known by them, and whoever has none is not let in.
    folder : str, optional
        Where the bundle lies, for `read_again`.
    drain_s : float
        For how long, at most, what goes on coming is served once a stop was asked for.
    on_reload, on_stop : callable, optional
        Called with what becomes of a bundle that is loaded; and once the stop begins that was asked for.
    report : callable, optional
        Called about once a second.

    Attributes
    ----------
    ingest, labels, control, watch : str
        The addresses as bound.
    ports : Ports
        The sockets.
    history : History
        What was published lately.

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
        watch: str | None = None,
        most_senders: int | None = None,
        history: float = HISTORY_S,
        warm_up: bool = tuning.WARM_UP,
        io_threads: int = tuning.IO_THREADS,
        device: Device = "auto",
        threads: int = 1,
        keys: Path | None = None,
        folder: str | None = None,
        drain_s: float = tuning.DRAIN_S,
        on_reload: Callable[[ReloadNews], object] = lambda news: None,
        on_stop: Callable[[], object] = lambda: None,
        report: Callable[["Streamer"], None] | None = None,
    ) -> None:
        self.recognizer, self._batcher = recognizer, recognizer.batcher
        self.counts: Counter[str] = Counter()
        self._report, self._on_stop = report, on_stop
        self._drain = Drain(drain_s)
        self._housekept = self._answered = 0
        self._inference_thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._underway: deque[tuple[Batch, Future[Answers]]] = deque()
        self._inline_limit = inline_limit(recognizer.bundle, recognizer.engine)
        self._context = zmq.Context(io_threads)
        self._gate = None if keys is None else Gate(self._context, KeyFolder(keys))
        self._warm_up = WarmUp(recognizer.bundle, recognizer.engine, self._context) if warm_up else None
        self.ports = ports = Ports(self._context, most_senders=most_senders, gate=self._gate)
        self._send_out = quick_send(ports.labels)
        self.history = History(history)
        recognizer.tracking.history_ns = self.history.duration_ns
        self._notices = Notices()
        recognizer.tell_malformed(self._notices.malformed)
        self._access = access = access_by(self._gate, ports, recognizer, self._notices, self.counts)
        descriptions = Descriptions(recognizer, ports.subscriptions, self._notices, self.counts, access)
        self._administration = Administration(
            recognizer, self.totals, self._forget, device, threads, folder=folder, tell=on_reload
        )
        self._control = Control(
            ports.control,
            descriptions,
            self._notices,
            self.counts,
            self._administration,
            self.history,
            recognizer.tracking,
            access,
        )
        self._receiver = Receiver(
            recognizer,
            ports.samples,
            ports.publishers if subscribe else None,
            hwm=ports.hwm,
            descriptions=descriptions,
            access=access,
        )
        figures = Figures(recognizer, self.totals, self._connected)
        self._watching = Watching(ports.watch, ports.watched, recognizer.tap, figures, self.counts)
        ports.watch_unfinished(self._receiver.inlet, self._control.inlet)
        try:
            bound = ports.open(ingest, subscribe, labels, control, watch_address(watch, labels))
            self.ingest, self.labels, self.control, self.watch = bound
        except EndpointError:
            self.close()
            raise
        self._administration.is_local = access is not None or is_local(self.control)

    def run(self) -> None:
        """Serve until `stop`, then give out what had arrived by then."""
        while not self._drain.asked:
            if not self._receiver.more_waiting and self._underway:
                wait([self._underway[0][1]], timeout=tuning.BATCH_WAIT_S)
            elif not self._receiver.more_waiting and not self.recognizer.backlog_bytes:
                self._wait_for_messages()
            self.ports.check()
            self._receiver.drain()
            self._control.answer()
            self._control.acknowledge()
            self._reload()
            self._infer()
            self._watching.update(len(self._underway))
            self._keep_house()
        self._shut_down()

    def stop(self) -> None:
        """Make `run` return soon; a second time, at once. May be called from a signal handler or another thread."""
        self._drain.ask()

    def read_again(self) -> None:
        """Have the bundle's folder read again, while labels go on; from a signal handler or another thread, too."""
        self._administration.read_again()

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT; on SIGHUP read the bundle again, or stop where the terminal was closed."""
        heed(self.stop, self.read_again)

    @property
    def stalled_s(self) -> float:
        """For how long a batch has been waited for that is being named; 0 where none is."""
        return (monotonic_ns() - self._answered) / 1e9 if self._underway else 0.0

    @property
    def received(self) -> int:
        """Messages received so far."""
        return self._receiver.received

    def totals(self) -> dict[str, int]:
        """Return every counter of the sockets and the recognizer."""
        about = {
            "connections_denied": 0 if self._gate is None else self._gate.denied,
            "connections_endless": self.ports.unfinished.ended,
            "connections_refused": self.ports.turned_away,
            "messages_received": self.received,
            "requests_received": self._control.received,
            "streams": self.recognizer.streams,
            "subscribers_broken": self.ports.subscriptions.broken,
        }
        totals = Counter(self.counts)
        totals.update(self.recognizer.totals())  # some are counted in both
        return dict(sorted({**totals, **about, **self.history.totals()}.items()))

    def close(self) -> None:
        """Close the sockets; what was published is still sent for a second."""
        self._inference_thread.shutdown()
        self._administration.close()
        self.ports.close()
        if self._warm_up is not None:
            self._warm_up.close()
        if self._gate is not None:
            self._gate.close()
        self._context.term()

    def _connected(self) -> Connected:
        ports = self.ports
        return Connected(ports.senders.count, ports.listeners.count, ports.watchers.count, ports.askers.count)

    def _wait_for_messages(self) -> None:
        """Sleep until a message comes; if asked to, be awake and warm when a window is expected."""
        if self._control.is_asked:  # for the history: it is given out in turns
            self.ports.wait(tuning.LOOKUPS_MS)
            return
        due = None
        if self._warm_up is not None:
            due = self.recognizer.next_due(monotonic_ns() - tuning.WARM_UP_LATE_NS)
        if self._warm_up is None or due is None:
            self.ports.wait(self._watching.sleep_ms)
            return
        asleep_ms = (due - tuning.WARM_UP_AHEAD_NS - monotonic_ns()) // 1_000_000
        if not self.ports.wait(min(max(asleep_ms, 0), tuning.POLL_MS)):
            self._warm_up.until(due, self.ports.wait)

    def _infer(self) -> None:
        """Name what is ready: few windows here, many in the inference thread, while further messages are taken.

        Few go to that thread as well when this one has had more messages than it could take for a while: it cannot do
        both. Batches complete one after the other, so that labels leave in order. While one is named the next may wait
        behind it, if it is large enough: else that thread would be idle until this one looks at it again.
        """
        outcomes = self._completed()
        self.recognizer.tell_of_bundle(tuning.TOLD_OF_BUNDLE)
        waiting = self._batcher.waiting
        inline_limit = self._inline_limit if self._receiver.full_drains < tuning.FULL_DRAINS else 0
        if not self._underway and waiting <= inline_limit:
            outcomes += self.recognizer.infer_due()
        elif not self._underway or (len(self._underway) < tuning.BATCHES_UNDERWAY and waiting >= MANY):
            if not self._underway:
                self._answered = monotonic_ns()
            batch = self._batcher.begin()
            self._underway.append((batch, self._inference_thread.submit(self._batcher.recognise, batch)))
        self._publish(outcomes)

    def _reload(self) -> None:
        """Have a bundle that is ready take the place of the one before."""
        if (answer := self._administration.finish(self._change_bundle)) is not None:
            self._control.send(*answer)

    def _change_bundle(self, loaded: Loaded) -> None:
        self._settle()  # what waits is named by the one before
        self.recognizer.change_bundle(loaded.bundle, loaded.engine)
        self._inline_limit = inline_limit(loaded.bundle, loaded.engine)
        if self._warm_up is not None:
            self._warm_up.close()
            self._warm_up = WarmUp(loaded.bundle, loaded.engine, self._context)

    def _forget(self, stream: str) -> dict[str, int]:
        """Remove all that is known of a stream; what of it was due is published before."""
        self._settle()
        removed = self.recognizer.forget(stream)
        self._notices.forget(stream)
        self._publish(self.recognizer.infer_due())
        removed["published_messages"] = self.history.forget(stream)
        return removed

    def _settle(self) -> None:
        """Have all that is due named and published, so that nothing waits."""
        wait([answers for _, answers in self._underway])
        self._publish(self._completed())
        self._publish(self.recognizer.infer_due())

    def _completed(self) -> list[Published]:
        """Return labels and events of the batches that have been named."""
        outcomes: list[Published] = []
        while self._underway and self._underway[0][1].done():
            batch, answers = self._underway.popleft()
            self._answered = monotonic_ns()
            outcomes += self._batcher.finish(batch, answers.result())
        return outcomes

    def _publish(self, outcomes: list[Published]) -> None:
        for outcome in outcomes:
            leaves = now_ns()
            frames = encode_published(outcome, leaves)
            if self._watching.wants_published:
                self._watching.note(outcome, leaves, frames[1])
            if isinstance(outcome, Event) and outcome.event == "refused":
                self._notices.refused(outcome)
            self._send_out(frames[0], zmq.SNDMORE)  # send_multipart would look at each frame once more
            self._send_out(frames[1])
            if self.history.duration_ns:
                self.history.add(outcome.stream, frames[1])

    def _keep_house(self) -> None:
        if self._access is not None:
            self._access.look(self.ports)
        now = monotonic_ns()
        self.history.tidy(now)
        if now - self._housekept < tuning.HOUSEKEEPING_INTERVAL_NS:
            return
        self._housekept = now
        self.recognizer.forget_silent(now)
        wall_clock.offset_ns()  # labels carry its time: a step is logged
        self.ports.subscriptions.forget_unused()
        if self._report is not None:
            self._report(self)

    def _shut_down(self) -> None:
        """Go on with what still comes, for a time, but take no new streams; then close every session."""
        self._administration.state = "draining"
        self.recognizer.admit_no_more(REASON)
        self._on_stop()
        wait([answers for _, answers in self._underway])
        self._publish(self._completed())
        while self._drain.goes_on(self.recognizer.backlog_bytes > 0 or self.ports.samples_come(tuning.QUIET_MS)):
            self.ports.check()
            self._receiver.drain()
            self._control.answer()
            self._publish(self.recognizer.infer_due())
            self._keep_house()
        self._control.answer()
        self.recognizer.close_all()
        self._publish(self.recognizer.infer())
        self._watching.finish()
