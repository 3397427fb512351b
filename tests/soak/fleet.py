"""A fleet of four streamers on three nodes, disturbed at random: whether its labels are those of one streamer's run.

``python -m tests.soak.fleet --minutes 10 --seed 0 --out results/fleet`` kills a node with its streamers and adds one
in its place, cuts one off (Ray dies there, its streamers go on), drains one, scales, and kills the directory, which
begins anew, every second time knowing nothing. It also cuts all connections between a streamer and its senders and
subscribers: by a packet filter, for which it must be root, they fall silent for seconds, or are broken off. Each round
plays the demo's recordings under names and sessions of its own; `tests/streamer/fleet/test_cluster.py` is the short
form.

It tells how late labels were, from when their window's last sample was sent, of streams whose node had just died and of
all others; see `LATE_S`.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from kinestream import Label, LabelSubscriber
from kinestream.streamer.directory.placement import owner
from kinestream.streamer.directory.registration import fleet_status
from tests.faults.killed import BUNDLE, undisturbed
from tests.given.raynodes import RayNodes
from tests.given.severed import can_sever, severed
from tests.given.wearers import Feed, takes_once, wearers

STREAMERS, NODES = 4, 3
LATE_S = 30.0
"""Labels whose window ended within so long after a node's death count as those of the dead node, or of the others."""
HISTORY_S = 5
"""As long as labels are remembered by default: a subscriber that was cut off asks for what it missed."""
_SERVES_S = 120.0


class Heard:
    """Every label, when it came and how late it was.

    Attributes
    ----------
    labels : dict of (str, bytes) by (str, int, int)
        As `tests.faults.killed.Heard` has them.
    times : list of (str, float, float)
        Stream, Unix time of the window's last sample, and how much later its label came, s.
    """

    def __init__(self, fleet: str) -> None:
        self.labels: dict[tuple[str, int, int], tuple[str, bytes]] = {}
        self.times: list[tuple[str, float, float]] = []
        self.twice = self.out_of_turn = 0
        self._last: dict[tuple[str, int], int] = {}
        self._fleet = fleet
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Heard":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        with LabelSubscriber(fleet=self._fleet, log=False) as subscriber:
            while not self._over.is_set():
                if isinstance(label := subscriber.receive(0.1), Label):
                    self._take(label)

    def _take(self, label: Label) -> None:
        now, session = time.time(), (label.stream, label.session)
        key = (*session, label.window)
        self.twice += key in self.labels
        self.out_of_turn += label.window <= self._last.get(session, -1)
        self._last[session] = label.window
        self.labels[key] = (label.label, label.probs)
        self.times.append((label.stream, label.t_source / 1e9, now - label.t_source / 1e9))


class Disturbance:
    """What is done to a fleet, one thing after the other."""

    def __init__(self, nodes: RayNodes, rng: random.Random) -> None:
        self.done: list[dict[str, Any]] = []
        self.deaths: list[tuple[float, frozenset[str]]] = []  # when, and which slots it took
        self._nodes, self._rng = nodes, rng
        self._count = STREAMERS

    def once(self) -> None:
        """Do one thing, and wait until all slots are served again."""
        what = self._rng.choice(["kill", "cut", "drain", "scale", "directory", *(["sever"] * 3 if can_sever else [])])
        began = time.monotonic()
        told = getattr(self, f"_{what}")()
        until = time.monotonic() + _SERVES_S
        while len(self._serving()) < self._count and time.monotonic() < until:
            time.sleep(0.2)
        self.done.append({"what": what, **told, "seconds": round(time.monotonic() - began, 1)})
        print(json.dumps(self.done[-1]), file=sys.stderr, flush=True)

    def _kill(self) -> dict[str, Any]:
        return self._lose("kill")

    def _cut(self) -> dict[str, Any]:
        return self._lose("cut")

    def _lose(self, how: str) -> dict[str, Any]:
        self._nodes.tell("add")
        node = self._rng.choice(sorted(set(self._serving().values())))
        at = time.time()
        slots = self._nodes.tell(how, node)
        if how == "kill":
            self.deaths.append((at, frozenset(slots)))
        until = time.monotonic() + _SERVES_S
        while any(self._serving().get(slot, node) == node for slot in slots) and time.monotonic() < until:
            time.sleep(0.2)
        return {"node": node, "slots": slots}

    def _drain(self) -> dict[str, Any]:
        self._nodes.tell("add")
        node = self._rng.choice(sorted(set(self._serving().values())))
        return {"moved": self._nodes.tell("drain", node)["moved"], "removed": self._nodes.tell("cut", node)}

    def _sever(self) -> dict[str, Any]:
        slot, reset = self._rng.choice(sorted(self._serving())), self._rng.random() < 0.5
        seconds = round(self._rng.uniform(0.2, 0.5) if reset else self._rng.uniform(1.0, 8.0), 1)
        found = [each for each in fleet_status(self._nodes.directory).streamers if each.slot == slot]
        where = max(found, key=lambda each: each.state == "serving").addresses
        with severed([where.samples, where.control, where.labels], reset=reset):
            time.sleep(seconds)
        return {"slot": slot, "reset": reset, "for_s": seconds}

    def _scale(self) -> dict[str, Any]:
        self._count = self._rng.choice([each for each in (2, 3, 4, 5) if each != self._count])
        self._nodes.tell("scale", self._count)
        return {"streamers": self._count}

    def _directory(self) -> dict[str, Any]:
        empty = self._rng.random() < 0.5
        self._nodes.tell("kill_directory", empty)
        return {"empty": empty}

    def _serving(self) -> dict[str, str]:
        status = self._nodes.tell("status")
        addresses = {each["id"]: each["address"] for each in status["nodes"]}
        return {
            each["slot"]: addresses[each["node"]]
            for each in status["streamers"]
            if each["state"] == "serving" and each["node"] in addresses and each["is_known"]
        }


def latencies(heard: Heard, deaths: list[tuple[float, frozenset[str]]], slots: tuple[str, ...]) -> dict[str, Any]:
    """Return p50 and p99 of labels on dead nodes, of the others at that time, and at all other times, s.

    At all other times streamers are cut off, stopped and moved all the same: only no node has died.
    """
    of: dict[str, list[float]] = {"dead": [], "others": [], "elsewhen": []}
    for stream, t, late in heard.times:
        near = [lost for at, lost in deaths if at - 1 <= t <= at + LATE_S]
        which = "elsewhen" if not near else "dead" if owner(stream, slots) in near[-1] else "others"
        of[which].append(late)
    return {
        name: {
            "labels": len(all_),
            "p50": round(float(np.median(all_)), 3),
            "p99": round(float(np.quantile(all_, 0.99)), 3),
        }
        for name, all_ in of.items()
        if all_
    }


def main() -> None:
    """Disturb, and write a report."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.fleet", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--times", type=int, default=4, help="how often each of the demo's wearers is played beside")
    parser.add_argument("--out", type=Path, help="folder for the report")
    chosen = parser.parse_args()
    rng, recordings = random.Random(chosen.seed), wearers(chosen.times)
    expected_once = undisturbed(takes_once(recordings))
    began, rounds = time.monotonic(), 0
    with (
        tempfile.TemporaryDirectory() as folder,
        RayNodes(Path(folder), BUNDLE, NODES, streamers=STREAMERS, processors=0.5, history=HISTORY_S) as nodes,
    ):
        slots = tuple(nodes.tell("up")["slots"])
        disturbance = Disturbance(nodes, rng)
        with Heard(nodes.directory) as heard:
            while time.monotonic() - began < 60 * chosen.minutes:
                rounds += 1
                with Feed(nodes.directory, recordings, 1.0, session=rounds) as feed:
                    while not feed.is_over.wait(rng.uniform(2.0, 10.0)):
                        disturbance.once()
            until = time.monotonic() + 30
            while len(heard.labels) < rounds * len(expected_once) and time.monotonic() < until:
                time.sleep(0.2)
    expected = {
        (stream, session, window): named
        for session in range(1, rounds + 1)
        for (stream, _, window), named in expected_once.items()
    }
    found = heard.labels
    report = {
        "seed": chosen.seed,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "rounds": rounds,
        "streams": len(recordings),
        "expected": len(expected),
        "missing": len(expected.keys() - found.keys()),
        "wrong": sum(expected[key] != found[key] for key in expected.keys() & found.keys()),
        "strangers": len(found.keys() - expected.keys()),
        "twice": heard.twice,
        "out_of_turn": heard.out_of_turn,
        "late_s": latencies(heard, disturbance.deaths, slots),
        "done": disturbance.done,
    }
    is_right = not any(report[each] for each in ("missing", "wrong", "strangers", "twice", "out_of_turn"))
    report["is_right"] = is_right
    print(json.dumps({name: value for name, value in report.items() if name != "done"}))
    if chosen.out is not None:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "disturbed.json").write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
