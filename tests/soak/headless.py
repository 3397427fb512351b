"""A fleet whose head node is killed and started again: whether labels go on, and when the fleet can be managed again.

A head that takes no streamers, a node with them, and senders at their true rate, all on this machine; with Ray's state
in Redis, and without::

    python -m tests.soak.headless --out results/fleet
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

import psutil

from kinestream.model.machine import machine
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.fleet.actors import end_all
from kinestream.streamer.fleet.fleetfile import FleetFile
from kinestream.streamer.transport.addresses import somebody_listens
from tests.given.fleetlabels import RATE_HZ, Heard, assert_undisturbed, expected, samples, sender_to
from tests.given.fleets import until
from tests.given.streamers import free_addresses

STREAMS = tuple(f"wearer-{number}" for number in range(8))
HEAD, NODE = "127.0.1.1", "127.0.1.2"
CHUNK, MOST_S = 25, 900.0
COMMAND_S, TRIES_S = 120.0, 240.0
RAY = str(Path(sys.executable).parent / "ray")
_OBJECTS = "--object-store-memory=83886080"


class Machines:
    """A head and a node, each killed and started on its own.

    Parameters
    ----------
    folder : Path
        Where files are written.
    redis : bool
        Whether Ray's state is in Redis.
    """

    def __init__(self, folder: Path, redis: bool) -> None:
        self.path = folder / "fleet.yaml"
        self.directory, updates, head, store = free_addresses(4)
        self._folder, self._port = folder, head.rpartition(":")[2]
        self._redis = store.rpartition(":")[2] if redis else None
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        token = folder / "ray.token"
        token.write_text(secrets.token_hex(32))
        token.chmod(0o600)
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_enable_metrics_collection": "0",
            "XDG_STATE_HOME": str(folder / "account"),
        }
        file = {"name": "wards", "bundle": str(BUNDLE), "streamers": 2, "state": str(folder / "state")}
        file |= {"address": f"{HEAD}:{self._port}", "token": str(token), "history": 5, "drain": 5}
        file |= {"directory": self.directory, "updates": updates, "processors": 0.2, "memory_mb": 100}
        self.path.write_text(json.dumps(file))
        self._checks = json.dumps(FleetFile.model_validate(file).system_config)

    def __enter__(self) -> Self:
        if self._redis is not None:
            command = ["redis-server", "--port", self._redis, "--bind", "127.0.0.1", "--save", "", "--dir"]
            self._begin("redis", [*command, str(self._folder)], self._environment)
            until(lambda: somebody_listens(f"tcp://127.0.0.1:{self._redis}"), "Redis is there")
        self.start_head()
        self.start_node()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self.fleet("down", "--now")
        for name in list(self._running):
            self.kill(name)
        end_all(str(self._folder / "state/wards"), now=True)

    def start_head(self) -> None:
        """Start the head, always at the same address."""
        # As on a machine of its own: else Ray takes the node's processes, which name the address, for a head.
        (self._folder / "ray/ray_current_cluster").unlink(missing_ok=True)
        command = [
            RAY,
            "start",
            "--head",
            "--block",
            f"--port={self._port}",
            f"--node-ip-address={HEAD}",
            "--num-cpus=0",
        ]
        command += ["--include-dashboard=false", _OBJECTS, f"--system-config={self._checks}"]
        stored = {} if self._redis is None else {"RAY_REDIS_ADDRESS": f"127.0.0.1:{self._redis}"}
        self._begin("head", [*command, f"--temp-dir={self._folder}/ray"], self._environment | stored)
        until(lambda: somebody_listens(f"tcp://{HEAD}:{self._port}"), "the head is there")

    def start_node(self) -> None:
        """Start the node, which takes all streamers."""
        command = [RAY, "start", "--block", f"--address={HEAD}:{self._port}", f"--node-ip-address={NODE}", _OBJECTS]
        self._begin("node", [*command, "--num-cpus=2"], self._environment)

    def is_there(self, name: str) -> bool:
        """Whether what was begun under a name still runs."""
        return self._running[name].poll() is None

    def kill(self, name: str) -> int:
        """Kill all processes of one at once, as where power fails, but for streamers; return how many."""
        process = self._running.pop(name)
        found = [psutil.Process(process.pid)] if process.poll() is None else []
        found += found[0].children(recursive=True) if found else []
        killed = [each for each in found if "serve" not in each.cmdline()]
        for each in killed:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGKILL)
        process.wait()
        return len(killed)

    def fleet(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Give a command of the fleet's."""
        command = [sys.executable, "-P", "-m", "kinestream", "fleet", *words]
        command += [str(self.path)] if words[0] == "up" else ["--fleet", str(self.path)]
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, check=False, timeout=COMMAND_S
        )

    def status(self) -> dict[str, Any] | None:
        """Return the fleet's status where it is well; else None."""
        try:
            done = self.fleet("status", "--json")
        except subprocess.TimeoutExpired:
            return None
        return json.loads(done.stdout) if done.returncode == 0 else None

    def _begin(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
            )


class Wearers(threading.Thread):
    """Sends all streams at their true rate until it is over, and notes how long each was without a label."""

    def __init__(self, directory: str, heard: Heard) -> None:
        super().__init__(daemon=True)
        self.x = samples(int(MOST_S * RATE_HZ))
        self.sent = 0
        self.longest_s = 0.0
        self.over = threading.Event()
        self._directory, self._heard = directory, heard

    def run(self) -> None:
        """Send, until it is over."""
        with ExitStack() as stack:
            senders = [stack.enter_context(sender_to(self._directory, name, reliable=True)) for name in STREAMS]
            began = time.monotonic()
            seen = dict.fromkeys(STREAMS, (0, began + 5))
            while not self.over.is_set() and self.sent + CHUNK <= len(self.x):
                time.sleep(max(0.0, began + (self.sent + CHUNK) / RATE_HZ - time.monotonic()))
                for sender in senders:
                    sender.send(self.x[self.sent : self.sent + CHUNK], seq=self.sent)
                self.sent += CHUNK
                now = time.monotonic()
                for name, (count, at) in seen.items():
                    if (heard := len(self._heard.labels[name])) > count:
                        seen[name] = heard, now
                    self.longest_s = max(self.longest_s, now - at)
            for sender in senders:
                sender.end()

    def since(self) -> float:
        """Return how long any stream was without a label since this was asked last."""
        longest, self.longest_s = self.longest_s, 0.0
        return round(longest, 2)


def awaited(is_so: Callable[[], object], since: float) -> float | None:
    """Return how long after a time something was so; None where it never was."""
    while time.monotonic() - since < TRIES_S:
        if is_so():
            return round(time.monotonic() - since, 1)
        time.sleep(0.2)
    return None


def pids(status: dict[str, Any]) -> dict[str, int]:
    """Return the processes that serve."""
    return {each["slot"]: each["pid"] for each in status["streamers"]}


def measure(redis: bool, away_s: float) -> dict[str, Any]:
    """Kill the head, start it again, and return what came of it."""
    folder = Path(tempfile.mkdtemp(prefix="head", dir="/tmp"))  # Ray's sockets have names of 107 bytes at most
    told: dict[str, Any] = {"redis": redis, "away_s": away_s, "streams": len(STREAMS)}
    with Machines(folder, redis) as machines:
        until(lambda: machines.fleet("up").returncode == 0, "the fleet is up")
        before = pids(machines.status() or {"streamers": []})
        with Heard(machines.directory) as heard:
            wearers = Wearers(machines.directory, heard)
            wearers.start()
            heard.wait(3 * len(STREAMS))
            wearers.since()
            killed_at, count = time.monotonic(), heard.count
            told["processes_killed"] = machines.kill("head")
            told["labels_stood_still_s"] = {}
            time.sleep(max(0.0, killed_at + away_s - time.monotonic()))
            told["labels_while_away"] = heard.count - count
            told["labels_stood_still_s"]["while_away"] = wearers.since()
            told["status_while_away"] = machines.fleet("status").stderr.strip()
            told["node_outlives_it"] = machines.is_there("node")
            machines.start_head()
            begun = time.monotonic()
            if redis:
                told["status_again_s"] = awaited(machines.status, begun)
            else:
                told["node_ends_s"] = awaited(lambda: not machines.is_there("node"), begun)
                told["status_of_a_new_head"] = machines.fleet("status").stderr.strip()
                told["labels_stood_still_s"]["after"] = wearers.since()
                machines.kill("node")
                begun = time.monotonic()
                machines.start_node()
                told["up_again_s"] = awaited(lambda: machines.fleet("up").returncode == 0, begun)
            told["streamers_are_the_same"] = pids(machines.status() or {"streamers": []}) == before
            assert told["streamers_are_the_same"], told
            began = time.monotonic()
            scaled = machines.fleet("scale", "3")
            told["scaled"] = (scaled.stdout or scaled.stderr).strip()
            told["scale_s"] = round(time.monotonic() - began, 1)
            told["labels_stood_still_s"]["managed_again"] = wearers.since()
            wearers.over.set()
            wearers.join()
            wanted = expected(wearers.x[: wearers.sent])
            heard.wait(len(STREAMS) * len(wanted))
            for name in STREAMS:
                assert_undisturbed(heard.labels[name], wanted)
            told["labels"], told["undisturbed"] = heard.count, True
    shutil.rmtree(folder)
    return told


def main() -> None:
    """Measure both, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--away", type=float, default=20.0, help="how long there is no head, s")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    runs = []
    for redis in (True, False):
        runs.append(measure(redis, options.away))
        print(json.dumps(runs[-1]), flush=True)
    content = {
        "command": f"python -m tests.soak.headless --away {options.away:g} --out {options.out}",
        "machine": machine(("kinestream", "numpy", "pyzmq", "ray")),
        "runs": runs,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "headless.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
