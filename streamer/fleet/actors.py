"""What runs on a cluster's nodes: classes that Ray makes actors of, each around one that knows nothing of it."""

import logging
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from kinestream.model.errors import EndpointError, KinestreamError
from kinestream.model.system import own_version
from kinestream.streamer.directory.directory import Directory
from kinestream.streamer.fleet.autoscale import Patience, wanted
from kinestream.streamer.fleet.child import children
from kinestream.streamer.fleet.fleetfile import FleetFile
from kinestream.streamer.fleet.keeper import Keeper, Post
from kinestream.streamer.fleet.load import Load
from kinestream.streamer.fleet.manager import Manager, Spec
from kinestream.streamer.keys.folder import KeyFolder

_AGAIN_S = 0.2
_BINDS_S = 30.0
_STATUS_S = 10.0

_logger = logging.getLogger(__name__)


class KeeperActor:
    """Keeps a streamer on the node where it is.

    Parameters
    ----------
    post : Post
        What it keeps.
    version : str
        Of kinestream, on the machine that placed it.
    """

    def __init__(self, post: Post, version: str) -> None:
        here = own_version()
        if here != version:
            where = socket.gethostname()
            raise EndpointError(f"{where} has kinestream {here}, not {version}: install the same on every node")
        import ray

        address = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        self._keeper = Keeper(post.at(address), lambda: _bundle_now(post.fleet))

    def status(self) -> dict[str, Any]:
        """Return how it is; see `kinestream.streamer.fleet.keeper.Keeper.status`."""
        return {**self._keeper.status(), "keeper_pid": os.getpid()}

    def wait_serving(self, timeout_s: float) -> bool:
        """Wait until it serves."""
        return self._keeper.wait_serving(timeout_s)

    def reload(self, bundle: str) -> dict[str, str]:
        """Have it take another bundle."""
        return self._keeper.reload(bundle)._asdict()

    def drain(self) -> bool:
        """Give up its streams, and end it."""
        return self._keeper.drain()

    def stop(self, now: bool = False) -> bool:
        """End it."""
        return self._keeper.stop(now)


class DirectoryActor:
    """Tells who serves which stream, from a thread; begins again where its address is still held.

    Parameters
    ----------
    file : dict
        What the fleet file says.
    """

    def __init__(self, file: dict[str, Any]) -> None:
        self._fleet = FleetFile.model_validate(file)
        self._trouble = ""
        self._is_there = threading.Event()
        threading.Thread(target=self._run, name="directory", daemon=True).start()

    def pid(self) -> int:
        """Return its process."""
        return os.getpid()

    def trouble(self) -> str:
        """Return why it does not serve, once it does or cannot; empty where it does."""
        self._is_there.wait(_BINDS_S)
        return self._trouble

    def _run(self) -> None:
        fleet, until = self._fleet, time.monotonic() + _BINDS_S
        while True:
            try:
                directory = Directory(
                    fleet.name,
                    *fleet.bound,
                    keys=None if fleet.keys is None else KeyFolder(Path(fleet.keys)),
                    folder=Path(fleet.state) / fleet.name,
                    patience_s=fleet.failure.patience_s,
                )
            except KinestreamError as error:
                self._trouble = str(error)
                if time.monotonic() > until:
                    self._is_there.set()
                time.sleep(_AGAIN_S)
                continue
            directory.updates = fleet.updates  # as others connect to it
            self._trouble = ""
            self._is_there.set()
            try:
                directory.run(lambda: False)
            finally:
                _logger.exception("the directory has ended: it is started again")
                os._exit(1)


class ManagerActor:
    """Does what the fleet is told to, one thing at a time, and scales it by its rule where that is asked for.

    Parameters
    ----------
    fleet : str
        The fleet's name.
    """

    def __init__(self, fleet: str) -> None:
        from kinestream.streamer.fleet.cluster import RayCluster

        self._fleet, self._cluster = fleet, RayCluster()
        self._manager = Manager(self._cluster, fleet)
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, name="autoscale", daemon=True).start()

    def up(self, spec: dict[str, Any]) -> dict[str, Any]:
        """Begin; see `kinestream.streamer.fleet.manager.Manager`."""
        with self._lock:
            return self._manager.up(Spec(**spec))

    def scale(self, count: int) -> dict[str, Any]:
        """Have so many streamers."""
        with self._lock:
            return self._manager.scale(count)

    def drain(self, node: str) -> dict[str, Any]:
        """Move all slots of a node to others."""
        with self._lock:
            return self._manager.drain(node)

    def reload(self, bundle: str) -> dict[str, Any]:
        """Have all streamers take another bundle."""
        with self._lock:
            return self._manager.reload(bundle)

    def down(self, now: bool) -> dict[str, Any]:
        """End all streamers."""
        with self._lock:
            return self._manager.down(now)

    def _watch(self) -> None:
        patience, every_s = Patience(), _STATUS_S
        while True:
            time.sleep(every_s)
            every_s = _STATUS_S
            try:
                spec = self._cluster.recall(self._fleet)
                if spec is not None and spec.fleet.autoscale.enabled:
                    every_s = spec.fleet.autoscale.every_s
                    with self._lock:
                        self._scale(spec, patience)
            except Exception as error:  # whatever Ray raises while its head is away
                _logger.warning("not scaled by the rule: %s", error)

    def _scale(self, spec: Spec, patience: Patience) -> None:
        keepers = self._cluster.keepers(self._fleet)
        told = [self._cluster.call(self._fleet, each, "status", timeout_s=_STATUS_S)["load"] for each in keepers]
        count = wanted(spec.fleet.autoscale, [None if load is None else Load(**load) for load in told])
        if patience.take(count) and count != len(keepers):
            _logger.warning("%d streamers instead of %d, by the rule", count, len(keepers))
            patience.begin()
            self._manager.scale(count)


def authentication() -> str:
    """Return how this node asks whoever connects who it is: ``token``, or how else."""
    from ray._private.authentication.authentication_utils import get_authentication_mode_name
    from ray._raylet import get_authentication_mode  # type: ignore[attr-defined]

    return str(get_authentication_mode_name(get_authentication_mode()))


def end_all(state: str, now: bool) -> None:
    """End every streamer of a fleet that has its folder on this machine."""
    for folder in Path(state).glob("*/"):
        for child in children(folder):
            if now:
                child.kill()
            else:
                child.stop()


def _bundle_now(fleet: str) -> str | None:
    """Return the bundle that a fleet has taken since; None where the cluster does not tell just now."""
    from kinestream.streamer.fleet.cluster import RayCluster

    try:
        spec = RayCluster().recall(fleet)
    except Exception:  # whatever Ray raises: the head may be away, and labels do not wait for it
        _logger.exception("what the fleet remembers cannot be read")
        return None
    return None if spec is None else spec.bundle
