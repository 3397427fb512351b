"""What is done to a fleet as a whole: begun, grown, moved off a node, given another bundle, ended. It knows no Ray.

Streams follow the directory's table, and their senders send again what was not acknowledged; so all there is to do here
is to have the new streamer serve before the old one ends.
"""

import logging
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kinestream.model.clock import now_ns
from kinestream.model.errors import BundleError, EndpointError, KinestreamError
from kinestream.streamer.directory.registration import set_plan
from kinestream.streamer.directory.table import slot_names
from kinestream.streamer.fleet.fleetfile import FleetFile
from kinestream.streamer.fleet.keeper import Post

SERVES_S = 240.0
"""How long a streamer may take from when it is placed until it serves."""
_ENDS_S = 700.0

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Parameters
    ----------
    id, name, address : str
        As the cluster has them.
    processors, memory_mb : float
        That nothing has taken yet.
    """

    id: str
    name: str
    address: str
    processors: float
    memory_mb: float


@dataclass(frozen=True)
class Placed:
    """A keeper that was placed.

    Parameters
    ----------
    slot : str
        Its slot.
    made : int
        When it was placed, Unix ms; of two of one slot the later one takes over.
    node : str or None
        On which node it is now, by its id; None where it is on none, as while it is started again.
    """

    slot: str
    made: int
    node: str | None = None


@dataclass
class Spec:
    """What is remembered of a fleet where all of the cluster can read it.

    Parameters
    ----------
    file : dict
        What its file says.
    bundle : str
        The bundle that it has now.
    slots : tuple of str
        Its slots.
    drained : list of str
        Nodes, by their ids, on which nothing more is placed.
    """

    file: dict[str, Any]
    bundle: str
    slots: tuple[str, ...] = ()
    drained: list[str] = field(default_factory=list)

    @property
    def fleet(self) -> FleetFile:
        """Its file, as was read."""
        return FleetFile.model_validate(self.file)

    def plain(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**asdict(self), "slots": list(self.slots)}


class Cluster(Protocol):
    """What places keepers."""

    def nodes(self) -> list[Node]:
        """Return the nodes that are there."""

    def keepers(self, fleet: str) -> list[Placed]:
        """Return a fleet's keepers."""

    def place(self, fleet: FleetFile, placed: Placed, post: Post) -> None:
        """Place a keeper on a node, or wherever there is room once that node is no more."""

    def call(self, fleet: str, placed: Placed, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a keeper's method; KinestreamError where it raises one, or does not answer in time."""

    def remove(self, fleet: str, placed: Placed) -> None:
        """Remove a keeper, and leave its streamer as it is."""

    def remember(self, fleet: str, spec: Spec | None) -> None:
        """Remember a fleet, or forget it."""

    def recall(self, fleet: str) -> Spec | None:
        """Return what is remembered of a fleet."""


class Manager:
    """Does what a fleet is told to; one at a time.

    Parameters
    ----------
    cluster : Cluster
        Where it is.
    fleet : str
        Its name.
    """

    def __init__(self, cluster: Cluster, fleet: str) -> None:
        self._cluster, self._fleet = cluster, fleet

    def up(self, spec: Spec) -> dict[str, Any]:
        """Place all streamers, and have the directory tell of them.

        Raises
        ------
        KinestreamError
            Where one does not serve in time; all that were placed are left to come up.
        """
        spec.slots = slot_names(spec.fleet.streamers)
        self._cluster.remember(self._fleet, spec)
        there = {each.slot for each in self._cluster.keepers(self._fleet)}
        placed = self._place([slot for slot in spec.slots if slot not in there], spec)
        self._wait_serving(placed)
        self._plan(spec)
        return {"fleet": self._fleet, "slots": list(spec.slots), "bundle": spec.bundle}

    def scale(self, count: int) -> dict[str, Any]:
        """Have so many streamers; those that are added serve before streams move, those that go end after.

        Raises
        ------
        KinestreamError
            Where one that is added does not serve in time: it is taken away again, and the fleet is as before.
        """
        spec = self._spec()
        before, after = spec.slots, slot_names(count)
        there = {each.slot for each in self._cluster.keepers(self._fleet)}
        if added := [slot for slot in after if slot not in there]:
            placed = self._place(added, spec, since=True)
            try:
                self._wait_serving(placed)
            except KinestreamError:
                self._end(placed, now=True)
                raise
        self._cluster.remember(self._fleet, spec)
        leaving = [each for each in self._cluster.keepers(self._fleet) if each.slot not in after]
        spec.slots = after
        self._plan(spec)
        self._cluster.remember(self._fleet, spec)
        self._drain(leaving)
        return {"fleet": self._fleet, "before": len(before), "streamers": len(after)}

    def drain(self, node: str) -> dict[str, Any]:
        """Move all slots of a node to others, one after the other, and place nothing there any more.

        Raises
        ------
        KinestreamError
            Where there is no such node, or none other has room: what was not moved stays.
        """
        spec = self._spec()
        found = self._node(node)
        if found.id not in spec.drained:
            spec.drained.append(found.id)
        self._cluster.remember(self._fleet, spec)
        moved = {}
        for old in [each for each in self._cluster.keepers(self._fleet) if each.node == found.id]:
            try:
                [new] = self._place([old.slot], spec, since=True)
                self._wait_serving([new])
            except KinestreamError as error:
                spec.drained.remove(found.id)
                self._cluster.remember(self._fleet, spec)
                begun = [each for each in self._cluster.keepers(self._fleet) if each.slot == old.slot]
                self._end([each for each in begun if each.made > old.made], now=True)
                raise EndpointError(f"{old.slot} stays on {found.name}: {error}") from None
            self._drain([old])
            moved[old.slot] = new.node
        names = {each.id: each.name for each in self._cluster.nodes()}
        to = {slot: names.get(str(node)) for slot, node in moved.items()}
        return {"fleet": self._fleet, "node": found.name, "moved": to}

    def reload(self, bundle: str) -> dict[str, Any]:
        """Have all streamers take another bundle, one after the other; the first one tries it.

        Raises
        ------
        BundleError
            Where one refuses it: those before it take the old one again.
        """
        spec = self._spec()
        done: list[Placed] = []
        for placed in self._newest():
            try:
                self._cluster.call(self._fleet, placed, "reload", bundle, timeout_s=150.0)
            except KinestreamError as error:
                for other in done:
                    self._cluster.call(self._fleet, other, "reload", spec.bundle, timeout_s=150.0)
                raise BundleError(f"{error}; all others keep {spec.bundle}") from None
            done.append(placed)
        old, spec.bundle = spec.bundle, bundle
        self._cluster.remember(self._fleet, spec)
        return {"fleet": self._fleet, "old": old, "new": bundle, "streamers": len(done)}

    def down(self, now: bool = False) -> dict[str, Any]:
        """End all streamers."""
        keepers = self._cluster.keepers(self._fleet)
        self._end(keepers, now=now)
        self._cluster.remember(self._fleet, None)
        return {"fleet": self._fleet, "ended": len(keepers)}

    def _spec(self) -> Spec:
        spec = self._cluster.recall(self._fleet)
        if spec is None:
            raise EndpointError(f"no fleet called {self._fleet} is up: 'kinestream fleet up FLEET.yaml' begins it")
        return spec

    def _newest(self) -> list[Placed]:
        newest = {each.slot: each for each in sorted(self._cluster.keepers(self._fleet), key=lambda each: each.made)}
        return [newest[slot] for slot in sorted(newest, key=lambda slot: (len(slot), slot))]

    def _node(self, node: str) -> Node:
        nodes = self._cluster.nodes()
        found = [each for each in nodes if node in (each.name, each.address) or each.id.startswith(node)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{each.name} ({each.id[:8]})" for each in nodes)
        which = "several nodes are" if found else "no node is"
        raise EndpointError(f"{which} called {node}: give one of {known}")

    def _place(self, slots: Iterable[str], spec: Spec, since: bool = False) -> list[Placed]:
        """Place keepers, each where there is most room of those that have fewest."""
        # What is free is asked for once: how soon it tells of what is placed now, nobody knows.
        fleet, placed, free = spec.fleet, list[Placed](), self._cluster.nodes()
        for slot in slots:
            node = self._room(fleet, spec, placed, free)
            made = now_ns() // 1_000_000
            post = Post(
                fleet=fleet.name,
                slot=slot,
                directory=fleet.directory,
                bundle=spec.bundle,
                host=fleet.host,
                ports=fleet.port_range,
                options=(*fleet.serve, "--history", f"{fleet.history:g}", *_key_options(fleet)),
                drain_s=fleet.drain,
                state=str(Path(fleet.state) / fleet.name),
                keys=fleet.keeper_keys,
                since=made if since else 0,
            )
            each = Placed(slot, made, node.id)
            self._cluster.place(fleet, each, post)
            placed.append(each)
        return placed

    def _room(self, fleet: FleetFile, spec: Spec, placed: list[Placed], free: list[Node]) -> Node:
        """Return the node for one more, beside those that were placed since so much was free."""
        begun = {each.slot for each in placed}
        there = Counter(each.node for each in self._cluster.keepers(self._fleet) if each.slot not in begun)
        just = Counter(each.node for each in placed)
        fit = [
            node
            for node in free
            if node.id not in spec.drained
            and node.processors >= fleet.processors * (1 + just[node.id])
            and node.memory_mb >= fleet.memory_mb * (1 + just[node.id])
        ]
        if not fit:
            needs = f"{fleet.processors:g} processors and {fleet.memory_mb} MB"
            raise EndpointError(f"no node has room for another streamer, which takes {needs}: add a node")
        return min(fit, key=lambda node: (there[node.id] + just[node.id], -node.processors, node.id))

    def _wait_serving(self, placed: Iterable[Placed]) -> None:
        for each in placed:
            if not self._cluster.call(self._fleet, each, "wait_serving", SERVES_S, timeout_s=2 * SERVES_S):
                trouble = self._cluster.call(self._fleet, each, "status", timeout_s=10.0)["trouble"]
                raise EndpointError(f"{each.slot} does not serve after {SERVES_S:g} s: {trouble or 'see its log'}")

    def _plan(self, spec: Spec) -> None:
        set_plan(spec.fleet.directory, spec.slots, keys=spec.fleet.keeper_keys)

    def _drain(self, placed: list[Placed]) -> None:
        """Have streamers give up their streams and end, all at once."""
        self._at_once(placed, "drain")

    def _end(self, placed: list[Placed], *, now: bool) -> None:
        self._at_once(placed, "stop", now)

    def _at_once(self, placed: list[Placed], method: str, *arguments: Any) -> None:
        def end(each: Placed) -> None:
            try:
                self._cluster.call(self._fleet, each, method, *arguments, timeout_s=_ENDS_S)
            except KinestreamError as error:
                _logger.warning("%s: %s", each.slot, error)
            self._cluster.remove(self._fleet, each)

        if placed:
            with ThreadPoolExecutor(len(placed)) as pool:
                list(pool.map(end, placed))


def _key_options(fleet: FleetFile) -> tuple[str, ...]:
    return () if fleet.keys is None else ("--keys", fleet.keys)
