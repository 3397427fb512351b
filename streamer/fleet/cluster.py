"""What Ray is asked for by a fleet, and how what it says is told in a line.

Keepers, the directory and the manager are detached actors: they stay when whoever placed them ends, and Ray starts them
again, a keeper on its node or, where that is no more, on another one.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kinestream.model.cluster import imported
from kinestream.model.errors import AccessError, EndpointError, KinestreamError
from kinestream.model.system import own_version
from kinestream.streamer.fleet import actors
from kinestream.streamer.fleet.fleetfile import FleetFile
from kinestream.streamer.fleet.keeper import Post
from kinestream.streamer.fleet.manager import Node, Placed, Spec

_NAMESPACE = b"kinestream"
_CALLS = 8
"""So many of an actor's methods run at a time: its status is told while it drains."""
_THERE_S = 180.0
_SPARED = {"RAY_kill_child_processes_on_worker_exit": "0"}
"""Else Ray ends streamers with their keepers where a node meets a new head that knows nothing of it."""


class RayCluster:
    """The cluster that this process is connected to, or is part of; see `kinestream.streamer.fleet.manager.Cluster`."""

    def __init__(self) -> None:
        self._ray = imported()

    def nodes(self) -> list[Node]:
        """Return the nodes that are there."""
        free = self._ray._private.state.available_resources_per_node()
        return [
            Node(
                each["NodeID"],
                each["NodeName"],
                each["NodeManagerAddress"],
                float(free.get(each["NodeID"], {}).get("CPU", 0.0)),
                float(free.get(each["NodeID"], {}).get("memory", 0.0)) / (1 << 20),
            )
            for each in self._ray.nodes()
            if each["Alive"]
        ]

    def keepers(self, fleet: str) -> list[Placed]:
        """Return a fleet's keepers."""
        found = []
        for named in self._ray.util.list_named_actors(all_namespaces=True):
            slot, at, made = named["name"].partition("@")
            if named["namespace"] == _namespace(fleet) and at:
                found.append(Placed(slot, int(made), self._where(fleet, named["name"])))
        return found

    def place(self, fleet: FleetFile, placed: Placed, post: Post) -> None:
        """Place a keeper on a node, or wherever there is room once that node is no more."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = {
            "num_cpus": fleet.processors,
            "memory": fleet.memory_mb << 20,
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node_id=str(placed.node), soft=True),
            "runtime_env": {"env_vars": _SPARED},
        }
        self._make(fleet.name, _name(placed), actors.KeeperActor, post, own_version(), **options)

    def call(self, fleet: str, placed: Placed, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a keeper's method; KinestreamError where it raises one, or does not answer in time."""
        return self.ask(fleet, _name(placed), method, *arguments, timeout_s=timeout_s)

    def ask(self, fleet: str, name: str, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a method of one of a fleet's actors."""
        with self._told(name):
            actor = self._ray.get_actor(name, namespace=_namespace(fleet))
            return self._ray.get(getattr(actor, method).remote(*arguments), timeout=timeout_s)

    def remove(self, fleet: str, placed: Placed) -> None:
        """Remove a keeper, and leave its streamer as it is."""
        self.end(fleet, _name(placed))

    def end(self, fleet: str, name: str) -> None:
        """Remove one of a fleet's actors."""
        try:
            self._ray.kill(self._ray.get_actor(name, namespace=_namespace(fleet)), no_restart=True)
        except ValueError:  # it is not there any more
            return

    def remember(self, fleet: str, spec: Spec | None) -> None:
        """Remember a fleet, or forget it; where the cluster keeps its own state, and as long."""
        from ray.experimental import internal_kv

        key = f"fleet/{fleet}".encode()
        if spec is None:
            internal_kv._internal_kv_del(key, namespace=_NAMESPACE)
        else:
            internal_kv._internal_kv_put(key, json.dumps(spec.plain()).encode(), overwrite=True, namespace=_NAMESPACE)

    def recall(self, fleet: str) -> Spec | None:
        """Return what is remembered of a fleet."""
        from ray.experimental import internal_kv

        content = internal_kv._internal_kv_get(f"fleet/{fleet}".encode(), namespace=_NAMESPACE)
        if content is None:
            return None
        told = json.loads(content)
        return Spec(**{**told, "slots": tuple(told["slots"])})

    def begin(self, fleet: FleetFile) -> None:
        """Start a fleet's directory and manager on the head's machine, and wait for them."""
        head = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}
        if not self._is_there(fleet.name, "directory"):
            self._make(fleet.name, "directory", actors.DirectoryActor, fleet.model_dump(mode="json"), **head)
        if trouble := self.ask(fleet.name, "directory", "trouble", timeout_s=_THERE_S):
            self.end(fleet.name, "directory")
            raise EndpointError(f"the directory cannot begin: {trouble}")
        if not self._is_there(fleet.name, "manager"):
            self._make(fleet.name, "manager", actors.ManagerActor, fleet.name, **head)

    def check_guarded(self) -> None:
        """Make sure that every node asks whoever connects for a token: Ray runs what it is sent.

        Raises
        ------
        AccessError
            Where one does not.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote = self._ray.remote(num_cpus=0)(actors.authentication)
        nodes = self.nodes()
        asked = [
            remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=each.id, soft=False)).remote()
            for each in nodes
        ]
        with self._told("a node"):
            modes = self._ray.get(asked, timeout=_THERE_S)
        for node, mode in zip(nodes, modes, strict=True):
            if mode != "token":
                raise AccessError(
                    f"Ray on {node.name} listens on all of its addresses and runs what anybody sends: start every node "
                    "with RAY_AUTH_MODE=token and one token, as docs/fleet.md says"
                )

    def on_every_node(self, function: Any, *arguments: Any) -> None:
        """Call a function once on every node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        remote = self._ray.remote(num_cpus=0)(function)
        asked = [
            remote.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=each.id, soft=False)).remote(
                *arguments
            )
            for each in self.nodes()
        ]
        with self._told("a node"):
            self._ray.get(asked, timeout=_THERE_S)

    def _make(self, fleet: str, name: str, kind: type, *arguments: Any, **options: Any) -> None:
        with self._told(name):
            self._ray.remote(kind).options(
                name=name,
                namespace=_namespace(fleet),
                lifetime="detached",
                max_restarts=-1,
                max_task_retries=0,
                max_concurrency=_CALLS,
                **options,
            ).remote(*arguments)

    def _where(self, fleet: str, name: str) -> str | None:
        try:
            actor = self._ray.get_actor(name, namespace=_namespace(fleet))
        except ValueError:
            return None
        told = self._ray._private.state.actors(actor._actor_id.hex())
        node = (told.get("Address") or {}).get("NodeID")
        return node if node and told.get("State") == "ALIVE" else None

    def _is_there(self, fleet: str, name: str) -> bool:
        try:
            self._ray.get_actor(name, namespace=_namespace(fleet))
        except ValueError:
            return False
        return True

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Tell in a line what goes wrong."""
        errors = self._ray.exceptions
        try:
            yield
        except errors.GetTimeoutError:
            raise EndpointError(f"{name} does not answer in time: see 'kinestream fleet status'") from None
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, KinestreamError):
                raise cause from None
            raise
        except (errors.ActorDiedError, errors.ActorUnavailableError) as error:
            text = " ".join(str(error).split())
            raise EndpointError(f"{name} is not there: {text.rpartition('Error: ')[2]:.300}") from None
        except ValueError as error:
            raise EndpointError(f"{name} is not there: {' '.join(str(error).split()):.200}") from None


def _namespace(fleet: str) -> str:
    return f"kinestream-{fleet}"


def _name(placed: Placed) -> str:
    return f"{placed.slot}@{placed.made}"
