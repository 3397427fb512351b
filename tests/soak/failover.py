"""A small fleet, a streamer of it killed: how many streams move and how late their labels are, measured and simulated.

A directory and streamers as they ship, each streamer a process; reliable senders at their true rate. What says that a
streamer is there is silent from when that is killed, as where a machine dies; with ``--ray``, a node of a cluster dies,
and Ray starts the streamer on another::

    python -m tests.soak.failover --streamers 2 --streams 40 --rounds 5 --out results/fleet
    python -m tests.soak.failover --streamers 2 --streams 40 --rounds 5 --ray --out results/fleet
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kinestream import Label, LabelSubscriber, SampleConnection, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.machine import machine
from kinestream.replay.demo import BUNDLE
from kinestream.replay.planning.scene import Death, Scene
from kinestream.replay.planning.simulation import Simulation
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.client import Reliable
from kinestream.streamer.directory.directory import Directory
from kinestream.streamer.directory.messages import Told, Where
from kinestream.streamer.directory.registration import Registration, ask, set_plan
from kinestream.streamer.directory.table import Addresses, Table, slot_names
from tests.given.raynodes import RayNodes
from tests.given.streamers import free_addresses

BEAT_S, NAMES, STOP_S, WAIT_S = 1.0, "wearer-{}", 20.0, 40.0
CHUNK, RATE_HZ = 25, 50.0
KEEPS = Reliable(close_s=0)  # labels are heard before anything closes


@contextmanager
def streamers(count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Run so many ``kinestream serve`` until the block ends, or they were killed."""
    command = [sys.executable, "-P", "-m", "kinestream", "serve", str(BUNDLE), "--json", "--no-restart"]
    for option in ("--ingest", "--control", "--labels", "--watch"):
        command += [option, "tcp://127.0.0.1:*"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


class Beats:
    """A directory, and what says to it that streamers are there, each in turn; all in a thread."""

    def __init__(self, at: Sequence[Addresses]) -> None:
        front, updates = free_addresses()
        self.directory = Directory("small", front, updates)
        self.address = front
        self.silent: set[int] = set()
        self.beats: list[float] = [0.0] * len(at)
        self._over = threading.Event()
        self._kept = [Registration(front, name, each) for name, each in zip(slot_names(len(at)), at, strict=True)]
        self._threads = [
            threading.Thread(target=self.directory.run, args=(self._over.is_set,)),
            threading.Thread(target=self._beat),
        ]

    def __enter__(self) -> "Beats":
        for thread in self._threads:
            thread.start()
        set_plan(self.address, slot_names(len(self._kept)))
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _beat(self) -> None:
        step = BEAT_S / len(self._kept)
        turn = 0
        while not self._over.wait(step):
            turn = (turn + 1) % len(self._kept)
            if turn not in self.silent:
                self._kept[turn].beat()
                self.beats[turn] = time.monotonic()
        for each in self._kept:
            each.close()


class OnRay:
    """A fleet on a cluster of Ray, each streamer on a node of its own, and one node to spare."""

    def __init__(self, nodes: RayNodes) -> None:
        self._nodes, self.address = nodes, nodes.directory
        nodes.tell("up")
        told = nodes.tell("status")
        self._at = {each["id"]: each["address"] for each in told["nodes"]}
        self._streamers = {each["slot"]: each for each in told["streamers"]}

    def kill(self, victim: int) -> None:
        """Kill a streamer with what keeps it, and then the rest of its node, which takes longer."""
        each = self._streamers[slot_names(victim + 1)[victim]]
        for pid in (each["pid"], each["keeper_pid"]):
            os.killpg(pid, signal.SIGKILL)
        self._rest = threading.Thread(target=self._nodes.tell, args=("cut", self._at[each["node"]]))
        self._rest.start()

    def close(self) -> None:
        """Wait until the node is gone, and its streamer serves on another: what is half started is ended slowly."""
        self._rest.join()
        until = time.monotonic() + WAIT_S
        while any(each["state"] != "serving" for each in self._nodes.tell("status")["streamers"]):
            assert time.monotonic() < until, "the streamer serves nowhere"
            time.sleep(0.5)


class ByThemselves:
    """A fleet of a directory and streamers, and nothing that starts them again."""

    def __init__(self, beats: Beats, processes: list[subprocess.Popen[str]]) -> None:
        self._beats, self._processes, self.address = beats, processes, beats.address
        self.last_beat = 0.0

    def kill(self, victim: int) -> None:
        """Kill a streamer, and say no more that it is there."""
        self._beats.silent.add(victim)
        os.kill(self._processes[victim].pid, signal.SIGKILL)
        self.last_beat = self._beats.beats[victim]

    def close(self) -> None:
        """Do nothing: all is gone."""


@contextmanager
def fleet(slots: int, *, on_ray: bool) -> Iterator[OnRay | ByThemselves]:
    """Run a fleet of so many streamers."""
    with ExitStack() as stack:
        if on_ray:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            yield OnRay(stack.enter_context(RayNodes(folder, BUNDLE, slots + 1, streamers=slots, processors=0.6)))
            return
        processes = stack.enter_context(streamers(slots))
        own = [OwnStreamer(process) for process in processes]
        at = [Addresses(o.addresses.ingest, o.addresses.control, o.addresses.labels, o.watch) for o in own]
        yield ByThemselves(stack.enter_context(Beats(at)), processes)


class Listener(threading.Thread):
    """Notes when each label came, first."""

    def __init__(self, fleet: str, came: dict[tuple[str, int], float]) -> None:
        super().__init__()
        self.over = threading.Event()
        self._fleet, self._came = fleet, came

    def run(self) -> None:
        """Listen until it is over."""
        with LabelSubscriber(fleet=self._fleet, log=False) as subscriber:
            while not self.over.is_set():
                message = subscriber.receive(0.1)
                if isinstance(message, Label):
                    self._came.setdefault((message.stream, message.window), time.monotonic())


class Without(threading.Thread):
    """Asks for the table until a slot serves no more."""

    def __init__(self, fleet: str, slot: str) -> None:
        super().__init__()
        self._fleet, self._slot = fleet, slot
        self.table: Table | None = None
        self.noticed_at = 0.0

    def run(self) -> None:
        """Ask."""
        while self._slot in (table := table_of(self._fleet)).serving:
            time.sleep(0.05)
        self.table, self.noticed_at = table, time.monotonic()


def table_of(fleet: str) -> Table:
    """Return what a fleet's directory tells; without slots where it does not yet."""
    answer = ask(fleet, Where(), timeout_s=WAIT_S)
    return answer.table if isinstance(answer, Told) else Table("small", 0)


def measure(
    slots: int, streams: int, *, on_ray: bool = False, before_s: float = 6.0, after_s: float = 9.0
) -> dict[str, Any]:
    """Kill a streamer and return what came of it."""
    bundle = read_bundle(BUNDLE)
    names = [NAMES.format(number) for number in range(streams)]
    length, stride = bundle.grid.length, bundle.grid.stride
    came: dict[tuple[str, int], float] = {}
    left: dict[tuple[str, int], float] = {}
    with ExitStack() as stack:
        running = stack.enter_context(fleet(slots, on_ray=on_ray))
        listener = Listener(running.address, came)
        listener.start()
        stack.callback(listener.join)
        stack.callback(listener.over.set)
        table = _awaited(lambda: found if len((found := table_of(running.address)).serving) == slots else None)
        victim, dead = 0, slot_names(slots)[0]
        without = Without(running.address, dead)
        mine = [name for name in names if table.slot_of(name) == dead]
        connection = stack.enter_context(SampleConnection(fleet=running.address, reliable=KEEPS))
        senders = {
            name: SampleSender(name, bundle.channels, RATE_HZ, session=1, connection=connection) for name in names
        }
        row = np.zeros((CHUNK, len(bundle.channels)), np.float32)
        begins = time.monotonic() + 0.5
        killed_at = None
        messages = round((before_s + after_s) * RATE_HZ / CHUNK)
        phases = np.random.default_rng(0).uniform(0, CHUNK / RATE_HZ, streams)
        turns = sorted(
            (number * CHUNK / RATE_HZ + phases[which], number, name)
            for which, name in enumerate(names)
            for number in range(messages)
        )
        for due, number, name in turns:
            while (now := time.monotonic()) < begins + due:
                connection.service()
                time.sleep(min(max(begins + due - now, 0), 0.02))
            if killed_at is None and due > before_s:
                killed_at = time.monotonic()
                running.kill(victim)
                without.start()
            senders[name].send(row)
            left[name, number] = begins + due
        windows = (messages * CHUNK - length) // stride + 1
        wanted = [(name, window) for name in names for window in range(windows)]
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until and any(each not in came for each in wanted):
            connection.service()
            time.sleep(0.02)
        without.join()
        running.close()
        moved = [name for name in names if table.slot_of(name) != without.table.slot_of(name)]
    worst: defaultdict[str, float] = defaultdict(float)
    others = []
    for name, window in wanted:
        if (name, window) not in came:
            continue
        number = (window * stride + length - 1) // CHUNK
        latency = came[name, window] - left[name, number]
        if name not in mine:
            others.append(latency)
        elif came[name, window] > killed_at:
            worst[name] = max(worst[name], latency)
    return {
        "streams": streams,
        "slots": slots,
        "length": length,
        "stride": stride,
        "moved": len(moved),
        "missing": sum(each not in came for each in wanted),
        "since_beat_s": round(killed_at - running.last_beat, 4) if isinstance(running, ByThemselves) else None,
        "noticed_s": round(without.noticed_at - killed_at, 4),
        "before_s": before_s,
        "after_s": after_s,
        "failover_s": _spread(list(worst.values())),
        "others_s": _spread(others),
    }


def simulate(measured: dict[str, Any], channels: int) -> dict[str, Any]:
    """Return what the simulation says of the same; the beat before the death is where it was, the rest is chance."""
    scene = Scene(
        streams=measured["streams"],
        slots=measured["slots"],
        channels=channels,
        rate_hz=RATE_HZ,
        chunk=CHUNK,
        length=measured["length"],
        stride=measured["stride"],
        seconds=measured["before_s"] + measured["after_s"] + 5,
        deaths=(Death(measured["before_s"], 0, None),),
        beat_s=BEAT_S,
        since_beat_s=measured["since_beat_s"],
        names=NAMES,
    )
    found = Simulation(scene).run()
    return {
        "moved": found.moved[0],
        "missing": found.lost,
        "failover_s": _spread(found.failover_s.tolist()),
        "others_s": _spread(found.others_s.tolist()),
    }


def _spread(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4), "max": round(max(values), 4)}


def _awaited(look: Any) -> Any:
    until = time.monotonic() + WAIT_S
    while (found := look()) is None:
        assert time.monotonic() < until, "no table"
        time.sleep(0.02)
    return found


def main() -> None:
    """Measure and simulate, a few times, and write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streamers", type=int, default=2)
    parser.add_argument("--streams", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ray", action="store_true", help="on a cluster of Ray")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    channels = len(read_bundle(BUNDLE).channels)
    rounds = []
    for number in range(options.rounds):
        measured = measure(options.streamers, options.streams, on_ray=options.ray)
        rounds.append({"measured": measured, "simulated": simulate(measured, channels)})
        print(f"round {number + 1}: {json.dumps(rounds[-1])}", flush=True)
    command = f"python -m tests.soak.failover --streamers {options.streamers} --streams {options.streams}"
    command += " --ray" * options.ray
    content = {
        "command": f"{command} --rounds {options.rounds} --out {options.out}",
        "machine": machine(("kinestream", "numpy", "pyzmq", *["ray"] * options.ray)),
        "rounds": rounds,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    name = "failover-ray.json" if options.ray else "failover.json"
    (options.out / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
