"""Keeps one streamer of a fleet: starts it, or goes on with one that is there; tells the directory; ends it.

It knows nothing of Ray: what places and restarts it is handed its post, and calls it. The streamer is a process that
outlives it (`kinestream.streamer.fleet.child`), and starts itself again should it die; a keeper starts another where
that has ended, too.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kinestream.model.errors import BundleError, EndpointError, KinestreamError
from kinestream.streamer.client.keeper import reload
from kinestream.streamer.client.watcher import WatchSubscriber
from kinestream.streamer.directory.registration import Registration
from kinestream.streamer.fleet import child as processes
from kinestream.streamer.fleet.child import Child
from kinestream.streamer.fleet.fleetfile import NODE, PORTS_EACH
from kinestream.streamer.fleet.load import LoadMeter
from kinestream.streamer.fleet.orphans import Orphans
from kinestream.streamer.wire.requests import Reloaded
from kinestream.streamer.wire.status import Status

BEAT_S = 1.0
_PAUSE_MOST_S = 10.0
_ASK_EVERY_S = 5.0
_HUNG_S = 90.0
"""So long a streamer may not answer, which restarts itself after a minute, before it is ended and another started."""
_QUIET_S = 2.0
"""A streamer whose streams have moved is given up once nothing has come for so long."""
_COMES = ("messages_received", "readings_received", "samples_received")
_MOVE_S = 30.0
"""So long they may take."""
_END_S = 25.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Post:
    """What a keeper is to keep.

    Parameters
    ----------
    fleet, slot : str
        Names of the fleet and of the slot.
    directory : str
        Where the directory answers.
    bundle : str
        The bundle's folder.
    host : str
        Where the streamer listens; ``node`` for its node's own address.
    ports : (int, int) or None
        Between which ports; None for any that are free.
    options : tuple of str
        More options of ``serve``.
    drain_s : float
        How long the streamer may take to end, see ``serve --drain``.
    state : str
        The fleet's folder on this machine; each node's streamers have their files in one within it.
    keys : str or None
        File of a client's keys with the rights to administer and to watch.
    since : int
        A streamer of the slot that is there and was started since, Unix ms, is gone on with; an older one is another
        keeper's.
    """

    fleet: str
    slot: str
    directory: str
    bundle: str
    host: str = "127.0.0.1"
    ports: tuple[int, int] | None = None
    options: tuple[str, ...] = ()
    drain_s: float = 10.0
    state: str = "."
    keys: str | None = None
    since: int = 0

    def at(self, address: str) -> "Post":
        """Return it as it is on a node of that address."""
        host = address if self.host == NODE else self.host
        return replace(self, host=host, state=str(Path(self.state) / address.replace(":", "-")))


class Keeper:
    """Keeps a streamer in a thread of its own, until `stop` or `leave`.

    Parameters
    ----------
    post : Post
        What it keeps.
    bundle_now : callable, optional
        Returns the bundle that the fleet has taken since; asked whenever a streamer is started.

    Attributes
    ----------
    child : Child or None
        Its streamer, once there is one.
    trouble : str
        Why there is none; empty where there is one.
    restarts : int
        Streamers that were started since the first.
    """

    def __init__(self, post: Post, bundle_now: Callable[[], str | None] = lambda: None) -> None:
        self.child: Child | None = None
        self.trouble = ""
        self.restarts = 0
        self._post, self._bundle_now = post, bundle_now
        self._has_looked = False
        self._folder = Path(post.state)
        self._bundle = post.bundle
        self._registration: Registration | None = None
        self._draining = False
        self._over = threading.Event()
        self._lock = threading.Lock()  # of what is started and ended
        self._meter = LoadMeter()
        self._orphans = Orphans(self._folder, post.directory, post.keys)
        self._answered_at = time.monotonic()
        self._threads = [
            threading.Thread(target=each, name=f"keeper-{each.__name__}", daemon=True)
            for each in (self._keep, self._measure)
        ]
        for thread in self._threads:
            thread.start()

    def status(self) -> dict[str, Any]:
        """Return how it is, as plain data."""
        child, registration, load = self.child, self._registration, self._meter.load
        heard_s = None if registration is None else time.monotonic() - registration.heard_at
        is_known = heard_s is not None and heard_s < 3 * BEAT_S
        return {
            "slot": self._post.slot,
            "host": socket.gethostname(),
            "instance": None if child is None else child.instance,
            "pid": None if child is None else child.pid,
            "addresses": None if child is None else vars(child.addresses),
            "bundle": self._bundle,
            "state": "starting" if child is None else "draining" if self._draining else "serving",
            "is_known": is_known,
            "epoch": 0 if registration is None else registration.epoch,
            "restarts": self.restarts,
            "trouble": self.trouble or ("" if registration is None or is_known else registration.refusal),
            "load": None if load is None else load._asdict(),
        }

    def wait_serving(self, timeout_s: float) -> bool:
        """Wait until the streamer serves and the directory knows; return whether that is so."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            if self.child is not None and self.status()["is_known"]:
                return True
            if self._over.wait(0.05):
                return False
        return False

    def reload(self, bundle: str) -> Reloaded:
        """Have the streamer take another bundle; raises as `kinestream.streamer.client.keeper.reload`."""
        with self._lock:
            if self.child is None:
                raise BundleError(f"{self._post.slot} does not take {bundle}: it does not serve ({self.trouble})")
            done = reload(bundle, self.child.addresses.control, keys=self._post.keys)
            self._bundle = bundle
            return done

    def drain(self) -> bool:
        """Give up the streams to others, and end the streamer once nothing comes any more; return whether it ended.

        The directory tells everybody who has them now; senders that follow send there what was not acknowledged.
        """
        self._draining = True
        if self._registration is not None:
            self._registration.state = "draining"
        until, quiet_since, came = time.monotonic() + _MOVE_S, time.monotonic(), -1
        while self.child is not None and time.monotonic() < until and time.monotonic() - quiet_since < _QUIET_S:
            try:
                health = self.child.health(self._post.keys)
            except KinestreamError:
                break
            counted = sum(count for name, count in health.totals.items() if name in _COMES)
            if counted != came:
                came, quiet_since = counted, time.monotonic()
            time.sleep(0.2)
        return self.stop()

    def stop(self, now: bool = False) -> bool:
        """End the streamer, and keep none any more; return whether it ended by itself."""
        self._over.set()
        with self._lock:
            child, self.child = self.child, None
            ended = True
            if child is not None:
                if not now:
                    child.stop()
                    ended = child.wait(self._post.drain_s + _END_S)
                child.kill()
                child.wait(_END_S)
                child.remove(self._folder)
        return ended

    def leave(self) -> None:
        """Keep nothing any more, and leave the streamer as it is."""
        self._over.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(3 * BEAT_S)

    def _keep(self) -> None:
        pause = BEAT_S
        while not self._over.is_set():
            try:
                self._look()
                self._orphans.look()
                pause = BEAT_S
                self.trouble = ""
            except KinestreamError as error:
                self.trouble = str(error)
                _logger.warning("%s: %s", self._post.slot, error)
                pause = min(2 * pause, _PAUSE_MOST_S)
            self._over.wait(pause)
        if self._registration is not None:
            self._registration.close()

    def _look(self) -> None:
        """Make sure that there is a streamer, and say so."""
        if self.child is not None and not (self.child.is_there and self._answers(self.child)):
            self.restarts += 1
            with self._lock:
                if not self._over.is_set():
                    self.child.kill()
                    self.child.remove(self._folder)
                    self.child = None
        if self.child is None:
            if self._registration is not None:
                self._registration.close()
                self._registration = None
            with self._lock:
                if self._over.is_set():
                    return
                self.child = self._found() or self._started()
        if self._registration is None:
            self._registration = Registration(
                self._post.directory,
                self._post.slot,
                self.child.addresses,
                instance=self.child.instance,
                keys=self._post.keys,
            )
        if self._draining:
            self._registration.state = "draining"
        self._registration.beat()

    def _found(self) -> Child | None:
        """Return a streamer of the slot that is there, the first time."""
        if self._has_looked:
            return None
        self._has_looked = True
        found = processes.adopted(self._post.slot, self._folder, self._post.keys, self._post.since)
        if found is not None:
            _logger.info("%s: goes on with process %d", self._post.slot, found.pid)
            self._bundle = found.bundle
            self._answered_at = time.monotonic()
        return found

    def _started(self) -> Child:
        bundle = self._bundle_now() or self._bundle
        refused: KinestreamError | None = None
        for options in self._addresses():
            try:
                child = processes.start(
                    self._post.slot, bundle, (*self._post.options, "--drain", f"{self._post.drain_s:g}", *options),
                    self._folder,
                )  # fmt: skip
            except EndpointError as error:
                refused = error
                if "in use" not in str(error):
                    raise
            else:
                self._bundle, self._answered_at = bundle, time.monotonic()
                return child
        raise refused or EndpointError(f"{self._post.slot}: no ports are free in {self._post.ports}: give more ports")

    def _addresses(self) -> list[list[str]]:
        """Return the options by which a streamer may be told where to listen, those to be tried first at the front."""
        names = ("--ingest", "--control", "--labels", "--watch")
        at = f"tcp://{f'[{self._post.host}]' if ':' in self._post.host else self._post.host}"
        if self._post.ports is None:
            return [[part for name in names for part in (name, f"{at}:*")]]
        first, last = self._post.ports
        blocks = [range(port, port + PORTS_EACH) for port in range(first, last - PORTS_EACH + 2, PORTS_EACH)]
        return [
            [part for name, port in zip(names, block, strict=True) for part in (name, f"{at}:{port}")]
            for block in blocks
            if all(_is_free(self._post.host, port) for port in block)
        ]

    def _answers(self, child: Child) -> bool:
        """Whether a streamer answers, or did not long ago; it is asked now and then."""
        now = time.monotonic()
        if now - self._answered_at > _ASK_EVERY_S:
            with suppress(EndpointError):
                child.health(self._post.keys, 0.5)
                self._answered_at = time.monotonic()
        return now - self._answered_at < _HUNG_S

    def _measure(self) -> None:
        """Hear what the streamer says of itself."""
        while not self._over.is_set():
            child = self.child
            if child is None:
                self._over.wait(BEAT_S)
                continue
            self._meter = LoadMeter()
            try:
                with WatchSubscriber(child.addresses.watch, status=True, keys=self._post.keys) as watcher:
                    while child is self.child and not self._over.is_set():
                        if isinstance(said := watcher.receive(BEAT_S), Status):
                            self._meter.take(said)
            except KinestreamError as error:
                _logger.warning("%s: it is not known how busy it is: %s", self._post.slot, error)
                self._over.wait(_PAUSE_MOST_S)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
