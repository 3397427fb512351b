"""A fleet as its commands see it: connected to, asked how it is, told what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kinestream.model.cluster import connect, disconnect
from kinestream.model.errors import EndpointError, KinestreamError
from kinestream.streamer.directory.registration import fleet_status
from kinestream.streamer.fleet import local
from kinestream.streamer.fleet.fleetfile import NODE, FleetFile
from kinestream.streamer.fleet.manager import Spec
from kinestream.streamer.transport.addresses import is_local

_ASK_S = 5.0
_LONG_S = 3600.0


@contextmanager
def reached(fleet: FleetFile, *, begins: bool = False) -> "Iterator[Fleet]":
    """Connect to a fleet's cluster until the block ends.

    Parameters
    ----------
    fleet : FleetFile
        Which.
    begins : bool
        Whether a local cluster is started where there is none.

    Raises
    ------
    MissingExtra
        Where Ray is not installed.
    AccessError, EndpointError
        Where there is no cluster, or it does not let this process in.
    """
    from kinestream.streamer.fleet.cluster import RayCluster

    address, token, ours = fleet.address, fleet.token, None
    if address is None:
        ours = local.found(fleet) or (local.start(fleet) if begins else None)
        if ours is None:
            raise EndpointError(f"the fleet {fleet.name} is not up: 'kinestream fleet up FLEET.yaml' begins it")
        address, token = ours.address, ours.token
    connect(address, token=token)
    try:
        yield Fleet(fleet, RayCluster(), ours)
    finally:
        disconnect()


class Fleet:
    """A fleet whose cluster this process is connected to.

    Parameters
    ----------
    fleet : FleetFile
        Its file.
    cluster : RayCluster
        The cluster.
    ours : LocalCluster, optional
        What was started for it alone.
    """

    def __init__(self, fleet: FleetFile, cluster: Any, ours: local.LocalCluster | None = None) -> None:
        self._fleet, self._cluster, self._ours = fleet, cluster, ours

    def up(self) -> dict[str, Any]:
        """Begin the fleet.

        Raises
        ------
        AccessError
            Where Ray's ports are open to anybody.
        EndpointError
            Where it is up already, or a streamer does not come up.
        """
        fleet = self._fleet
        if self._cluster.recall(fleet.name) is not None:
            raise EndpointError(
                f"the fleet {fleet.name} is up already: change it by 'scale', 'reload', or end it: 'down'"
            )
        nodes = self._cluster.nodes()
        if fleet.host != NODE and is_local(f"tcp://{fleet.host}:1") and len({each.address for each in nodes}) > 1:
            addresses = [each.address for each in nodes]
            if not all(is_local(f"tcp://{address}:1") for address in addresses):
                raise EndpointError(
                    f"streamers that listen on {fleet.host} cannot be reached from other machines, and the cluster has "
                    f"{len(nodes)}: say 'host: node' in the fleet file"
                )
        self._cluster.check_guarded()
        self._cluster.begin(fleet)
        spec = Spec(fleet.model_dump(mode="json"), fleet.bundle)
        return self._told("up", spec.plain())

    def scale(self, count: int) -> dict[str, Any]:
        """Have so many streamers."""
        return self._told("scale", count)

    def drain(self, node: str) -> dict[str, Any]:
        """Move all streamers of a node to others."""
        return self._told("drain", node)

    def reload(self, bundle: str) -> dict[str, Any]:
        """Have all streamers take another bundle."""
        return self._told("reload", bundle)

    def down(self, now: bool = False) -> dict[str, Any]:
        """End the fleet, those streamers that nobody keeps any more, and the cluster that was started for it."""
        from kinestream.streamer.fleet.actors import end_all

        result = self._told("down", now)
        self._cluster.on_every_node(end_all, str(local.folder_of(self._fleet)), now)
        for name in ("manager", "directory"):
            self._cluster.end(self._fleet.name, name)
        if self._ours is not None:
            local.end(self._fleet, self._ours)
        return result

    def status(self) -> dict[str, Any]:
        """Return how it is, as plain data: ``nodes``, ``streamers``, ``directory``, ``bundle``."""
        spec = self._cluster.recall(self._fleet.name)
        if spec is None:
            raise EndpointError(f"the fleet {self._fleet.name} is not up: 'kinestream fleet up FLEET.yaml' begins it")
        keepers = self._cluster.keepers(self._fleet.name)
        streamers = []
        for each in sorted(keepers, key=lambda each: (len(each.slot), each.slot, each.made)):
            try:
                told = self._cluster.call(self._fleet.name, each, "status", timeout_s=_ASK_S)
            except KinestreamError as error:
                told = {"slot": each.slot, "state": "away", "trouble": str(error), "load": None}
            streamers.append({**told, "node": each.node})
        nodes = [
            {
                "id": each.id,
                "name": each.name,
                "address": each.address,
                "processors_free": each.processors,
                "memory_free_mb": round(each.memory_mb),
                "drained": each.id in spec.drained,
                "slots": sorted(placed.slot for placed in keepers if placed.node == each.id),
            }
            for each in self._cluster.nodes()
        ]
        return {
            "fleet": self._fleet.name,
            "bundle": spec.bundle,
            "slots": list(spec.slots),
            "directory": self._directory(),
            "nodes": nodes,
            "streamers": streamers,
        }

    def _directory(self) -> dict[str, Any]:
        told = {"address": self._fleet.directory, "updates": self._fleet.updates}
        try:
            found = fleet_status(self._fleet.directory, timeout_s=_ASK_S, keys=self._fleet.keeper_keys)
        except KinestreamError as error:
            return {**told, "ready": False, "epoch": 0, "trouble": str(error)}
        return {**told, "ready": found.ready, "epoch": found.epoch, "trouble": ""}

    def _told(self, what: str, *arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self._cluster.ask(self._fleet.name, "manager", what, *arguments, timeout_s=_LONG_S)
        return result
