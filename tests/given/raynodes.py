"""A Ray cluster of several nodes on this machine, in a process of its own, which does what it is told.

Each node has an address of its own on the loopback, its processes, and its folder of streamers. Ray stays out of the
tests' process, whose warnings are errors and which other tests share.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from kinestream.model.cluster import connect
from kinestream.model.errors import EndpointError
from kinestream.streamer.fleet.actors import end_all
from kinestream.streamer.fleet.cluster import RayCluster
from kinestream.streamer.fleet.fleet import Fleet
from kinestream.streamer.fleet.local import folder_of, loaded
from tests.given.streamers import free_addresses

ROOT = Path(__file__).parents[2]
_QUIT_S, _RESTARTS_S = 60.0, 60.0
_OBJECTS_BYTES = 80 << 20


class RayNodes:
    """The cluster, seen from the test.

    Parameters
    ----------
    folder : Path
        Where files are written.
    bundle : Path
        What the fleet serves.
    nodes : int
        Besides the head, which takes no streamers.
    **file : object
        What the fleet file says besides.

    Attributes
    ----------
    path : Path
        The fleet file.
    directory : str
        Where the fleet's directory answers.
    """

    def __init__(self, folder: Path, bundle: Path, nodes: int, **file: object) -> None:
        self.directory, updates = free_addresses()
        [head] = free_addresses(1)
        token = folder / "ray.token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self.path = folder / "fleet.yaml"
        self.path.write_text(
            json.dumps(
                {
                    "name": "wards",
                    "bundle": str(bundle),
                    "address": f"127.0.1.1:{head.rpartition(':')[2]}",
                    "token": "ray.token",
                    "state": "state",
                    "directory": self.directory,
                    "updates": updates,
                    "history": 1,
                    "memory_mb": 100,
                    "failure": {"period_s": 0.5, "timeout_s": 1.0, "misses": 3},
                    **file,
                }
            )
        )
        self.environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
        }
        self._log = (folder / "nodes.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.given.raynodes", str(self.path), str(nodes)],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        try:
            self._answer()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, AssertionError):
            self.tell("quit")
        try:
            self._process.wait(_QUIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._log.close()

    def tell(self, what: str, *arguments: object) -> Any:
        """Have it do something: ``add``, ``kill``, ``cut``, or a method of the fleet's; return what came of it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, *arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the cluster has ended: {Path(self._log.name).read_text(errors='replace')[-3000:]}"
        told = json.loads(line)
        assert "error" not in told, told["error"]
        return told["result"]


class _Nodes:
    """The cluster, in its own process."""

    def __init__(self, path: Path, nodes: int) -> None:
        from ray.cluster_utils import Cluster

        self._file = loaded(path)
        assert self._file.address is not None
        head = {
            "node_ip_address": "127.0.1.1",
            "gcs_server_port": int(self._file.address.rpartition(":")[2]),
            "num_cpus": 0,
            "include_dashboard": False,
            "object_store_memory": _OBJECTS_BYTES,
            "_system_config": self._file.system_config,
        }
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self._nodes: dict[str, Any] = {}
        self._last = 1
        for _ in range(nodes):
            self._start()
        self._cluster.wait_for_nodes()
        connect(self._file.address, token=self._file.token)
        self._ray = RayCluster()
        self.fleet = Fleet(self._file, self._ray)

    def add(self) -> str:
        """Add a node, and return its address."""
        address = self._start()
        self._cluster.wait_for_nodes()
        return address

    def kill(self, address: str) -> list[str]:
        """Kill a node with all streamers on it, as a machine that loses its power; return their slots."""
        slots = self._streamers(address)
        for pid in slots.values():
            os.killpg(pid, signal.SIGKILL)
        self.cut(address)
        return list(slots)

    def cut(self, address: str) -> list[str]:
        """Kill what Ray runs on a node, and leave its streamers, as if it were cut off; return their slots."""
        slots = list(self._streamers(address))
        self._cluster.remove_node(self._nodes.pop(address), allow_graceful=False)
        return slots

    def kill_keeper(self, slot: str) -> None:
        """Kill the process that keeps a slot's streamer, and all that is in its group."""
        [pid] = [each["keeper_pid"] for each in self.fleet.status()["streamers"] if each["slot"] == slot]
        os.killpg(pid, signal.SIGKILL)

    def kill_directory(self, empty: bool) -> None:
        """Kill the directory's process, and delete what it has kept."""
        pid = self._asked_pid()
        if empty:
            (folder_of(self._file) / "directory.json").unlink(missing_ok=True)
        os.kill(pid, signal.SIGKILL)

    def _asked_pid(self) -> int:
        """Ask the directory, which Ray may just be starting again."""
        until = time.monotonic() + _RESTARTS_S
        while True:
            try:
                return self._ray.ask(self._file.name, "directory", "pid", timeout_s=30.0)
            except EndpointError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        """End everything."""
        with suppress(Exception):
            self.fleet.down(now=True)
        import ray

        ray.shutdown()
        self._cluster.shutdown()
        end_all(str(folder_of(self._file)), now=True)

    def _start(self) -> str:
        self._last += 1
        address = f"127.0.1.{self._last}"
        self._nodes[address] = self._cluster.add_node(
            wait=False, node_ip_address=address, num_cpus=1, object_store_memory=_OBJECTS_BYTES
        )
        return address

    def _streamers(self, address: str) -> dict[str, int]:
        status = self.fleet.status()
        [node] = [each["id"] for each in status["nodes"] if each["address"] == address]
        return {each["slot"]: each["pid"] for each in status["streamers"] if each["node"] == node and "pid" in each}


def main() -> None:
    """Start it, and do what stdin says until it ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray prints

    def reply(**told: object) -> None:
        print(json.dumps(told), file=replies, flush=True)

    nodes = None
    try:
        nodes = _Nodes(Path(sys.argv[1]), int(sys.argv[2]))
        reply(result="ready")
        for line in sys.stdin:
            what, *arguments = json.loads(line)
            if what == "quit":
                break
            try:
                reply(result=getattr(nodes if hasattr(nodes, what) else nodes.fleet, what)(*arguments))
            except Exception as error:
                traceback.print_exc()
                reply(error=f"{type(error).__name__}: {error}")
    finally:
        if nodes is not None:
            nodes.close()
    reply(result="over")


if __name__ == "__main__":
    main()
