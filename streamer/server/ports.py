"""A streamer's sockets: opened together, watched together, closed together."""

from collections.abc import Callable, Sequence
from typing import Any

import zmq

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.keys.curve import OVERHEAD, largest
from kinestream.streamer.keys.gate import Domain, Gate
from kinestream.streamer.server import tuning
from kinestream.streamer.transport.addresses import check_all
from kinestream.streamer.transport.connections import Connections, Room, shut
from kinestream.streamer.transport.inlet import Inlet
from kinestream.streamer.transport.sockets import bind, connect
from kinestream.streamer.transport.subscriptions import Subscriptions
from kinestream.streamer.transport.unfinished import Port, Unfinished
from kinestream.streamer.wire.messages import LABELS, MAX_BYTES, MAX_NOTICE, WATCH

_SAMPLES, _LABELS, _CONTROL, _WATCH = "the samples port", "the labels port", "the control port", "the watch port"
_PUBLISHING: tuple[Domain, ...] = "labels", "watch"
_FREE_PORT = "tcp://127.0.0.1:*"


def watch_address(watch: str | None, labels: str) -> str:
    """Return where to publish to those who watch: beside labels elsewhere than usual, at a free port of this machine.

    So streamers that are given addresses of their own do not meet at the one that is used by default.
    """
    if watch is not None:
        return watch
    return WATCH if labels == LABELS else _FREE_PORT


class Ports:
    """The sockets, and who is connected to them.

    Parameters
    ----------
    context : zmq.Context
        Where they are made.
    most_senders : int, optional
        Connections that may send samples.
    gate : Gate, optional
        What asks for keys, where it is asked for them.

    Attributes
    ----------
    samples, publishers, labels, control, watch : zmq.Socket
        PULL for senders, SUB to publishers of samples, XPUB for subscribers, ROUTER for whoever asks, XPUB for whoever
        watches.
    subscriptions, watched : Subscriptions
        Who listens to what at `labels`, and at `watch`.
    senders, listeners, askers, watchers : Connections
        Who is connected to `samples`, `labels`, `control` and `watch`.
    unfinished : Unfinished
        What ends connections whose message never does.
    room : int
        Connections there are files for.
    hwm : int
        Messages that libzmq holds for us of each connection that sends samples.
    """

    def __init__(self, context: zmq.Context[Any], *, most_senders: int | None = None, gate: Gate | None = None) -> None:
        self._gate = gate
        self.samples = context.socket(zmq.PULL)
        self.publishers = context.socket(zmq.SUB)
        self.labels = context.socket(zmq.XPUB)
        self.control = context.socket(zmq.ROUTER)
        self.watch = context.socket(zmq.XPUB)
        overhead = 0 if gate is None else OVERHEAD
        self.subscriptions = Subscriptions(self.labels, overhead=overhead)
        self.watched = Subscriptions(self.watch, overhead=overhead)
        self.unfinished = Unfinished()
        room = Room()
        self.room = room.size
        self.hwm = tuning.ingest_hwm(most_senders)

        def changed(file: int) -> None:
            self.unfinished.forget(file)
            for _, _, inlet in self._guarded:  # from now on it is another's
                inlet.forget_user(file)

        def on_listener_gone(file: int) -> None:
            self.subscriptions.forget(file)
            changed(file)

        def on_watcher_gone(file: int) -> None:
            self.watched.forget(file)
            changed(file)

        self.senders = Connections(
            self.samples, room=room, most=most_senders, what=_SAMPLES, on_come=changed, on_gone=changed
        )
        self.listeners = Connections(self.labels, room=room, what=_LABELS, on_come=changed, on_gone=on_listener_gone)
        self.askers = Connections(self.control, room=room, what=_CONTROL, on_come=changed, on_gone=changed)
        self.watchers = Connections(
            self.watch,
            room=room,
            most=tuning.MOST_WATCHERS,
            what=_WATCH,
            advice="let one of them pass on what it receives",
            on_come=changed,
            on_gone=on_watcher_gone,
        )
        self._connections = (self.senders, self.listeners, self.askers, self.watchers)
        self._guarded: list[tuple[Domain, Connections, Inlet]] = []
        self._checked_at = 0
        self._poller = zmq.Poller()
        self._inputs = zmq.Poller()

    def open(
        self, ingest: str, subscribe: Sequence[str], labels: str, control: str, watch: str
    ) -> tuple[str, str, str, str]:
        """Set the sockets' limits, bind and connect them.

        Returns
        -------
        (str, str, str, str)
            The addresses of samples, labels, control and watch as bound.

        Raises
        ------
        EndpointError
            Where one is in use or is none.
        """
        self.publishers.subscribe(b"")
        self._guard()
        for socket in (self.samples, self.publishers):
            socket.set(zmq.RCVHWM, self.hwm)
            socket.set(zmq.MAXMSGSIZE, self._largest(MAX_BYTES))
        for publishing, mark in ((self.labels, tuning.LABELS_HWM), (self.watch, tuning.WATCH_HWM)):
            publishing.set(zmq.SNDHWM, mark)
            publishing.set(zmq.RCVHWM, tuning.NOTICES_HWM)
            publishing.set(zmq.MAXMSGSIZE, self._largest(MAX_NOTICE))
            publishing.linger = tuning.LINGER_MS
            # Tell of every subscription, not just the first of each topic: a sender may wait for its subscribers.
            publishing.setsockopt(zmq.XPUB_VERBOSER, 1)
        self.watch.set(zmq.XPUB_NODROP, 1)  # so that is noticed who is too slow
        self.control.set_hwm(tuning.CONTROL_HWM)
        self.control.set(zmq.MAXMSGSIZE, self._largest(MAX_BYTES))
        self.control.linger = 0
        check_all((ingest, labels, control, watch), subscribe)
        bound = (
            bind(self.samples, ingest),
            bind(self.labels, labels),
            bind(self.control, control),
            bind(self.watch, watch),
        )
        for endpoint in subscribe:
            connect(self.publishers, endpoint)
        for socket in (self.samples, self.publishers):
            self._inputs.register(socket, zmq.POLLIN)
            self._poller.register(socket, zmq.POLLIN)
        for socket in (self.labels, self.control, self.watch):
            self._poller.register(socket, zmq.POLLIN)
        self._poller.register(self.senders.events, zmq.POLLIN)
        if self._gate is not None:
            self._poller.register(self._gate.questions, zmq.POLLIN)
        return bound

    def watch_unfinished(self, samples: Inlet, control: Inlet) -> None:
        """Look for messages without an end in what comes in by these, and by the publishing ports."""
        heartbeats = tuning.HEARTBEAT_BYTES if self._gate is None else tuning.HEARTBEAT_BYTES_ENCRYPTED
        notice, request = self._largest(MAX_NOTICE), self._largest(MAX_BYTES)
        self._guarded = [
            ("samples", self.senders, samples),
            ("labels", self.listeners, self.subscriptions.inlet),
            ("control", self.askers, control),
            ("watch", self.watchers, self.watched.inlet),
        ]
        requests = Port(_CONTROL, control, tuning.CONTROL_HWM, request, heartbeats)
        self.unfinished.watch(Port(_SAMPLES, samples, self.hwm, request), self.senders.files)
        published = (_LABELS, self.subscriptions, self.listeners), (_WATCH, self.watched, self.watchers)
        for what, subscriptions, connections in published:
            notices = Port(what, subscriptions.inlet, tuning.NOTICES_HWM, notice, heartbeats, commands=True)
            self.unfinished.watch(notices, connections.files)
        self.unfinished.watch(requests, self.askers.files)

    def check(self, is_quiet: bool = False) -> None:
        """Look who has come, gone and subscribed: what a flood of that leaves unread is memory."""
        if (now := monotonic_ns()) - self._checked_at < tuning.CONNECTIONS_INTERVAL_NS:
            return
        self._checked_at = now
        if self._gate is not None:
            self._gate.answer()
        for connections in self._connections:
            connections.update()
        self.subscriptions.update()
        self.watched.update()
        self.unfinished.update(is_quiet)

    def cut(self, may: Callable[[Domain, str | None], bool]) -> None:
        """Break the connections of whoever may not be there any more; those who may come again, and are let in.

        A connection that has not sent anything yet is not known to be anybody's. At the publishing ports, where it
        could listen, it is broken; elsewhere each message is looked at.
        """
        for connections in self._connections:
            connections.update()
        self.subscriptions.update()
        self.watched.update()
        for domain, connections, inlet in self._guarded:
            for file in tuple(connections.files):
                user = inlet.user(file)
                if not may(domain, user) and (user is not None or domain in _PUBLISHING):
                    shut(file)

    def wait(self, timeout_ms: int) -> bool:
        """Wait until something comes; return whether it is samples or requests."""
        # What is no whole message wakes nobody up, and is memory.
        while not (ready := dict(self._poller.poll(min(timeout_ms, self.unfinished.patience_ms)))):
            self.check(is_quiet=True)
            timeout_ms -= self.unfinished.patience_ms
            if timeout_ms <= 0:
                break
        if self._gate is not None and self._gate.questions in ready:
            self._gate.answer()
        if self.labels in ready:
            self.listeners.update()  # whose number is another's now is known before what that one says
            self.subscriptions.update()
        if self.watch in ready:
            self.watchers.update()
            self.watched.update()
        if self.senders.events in ready:  # before anything is taken of somebody there is no room for
            self.senders.update()
        return self.samples in ready or self.publishers in ready or self.control in ready

    def samples_come(self, timeout_ms: int) -> bool:
        """Wait until samples come; return whether they do."""
        return bool(self._inputs.poll(timeout_ms))

    def close(self) -> None:
        """Close all; what was published is still sent for a second."""
        for connections in self._connections:
            connections.close()
        self.samples.close(linger=0)
        self.publishers.close(linger=0)
        self.labels.close()
        self.control.close()
        self.watch.close()

    def _guard(self) -> None:
        if self._gate is not None:
            domains: tuple[tuple[zmq.Socket[bytes], Domain], ...] = (
                (self.samples, "samples"),
                (self.publishers, "samples"),
                (self.labels, "labels"),
                (self.control, "control"),
                (self.watch, "watch"),
            )
            for socket, domain in domains:
                self._gate.guard(socket, domain)

    def _largest(self, size: int) -> int:
        return size if self._gate is None else largest(size)

    @property
    def turned_away(self) -> int:
        """Connections there was no room for so far."""
        return sum(connections.turned_away for connections in self._connections)
