"""A hundred thousand streams on a fleet whose streamers die at random, simulated; a million, placed and counted::

python -m tests.soak.simulated --streams 100000 --streamers 50 --deaths 5 --seeds 0 1 2 --out results/fleet
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kinestream.model.machine import machine
from kinestream.replay.planning.burst import burst
from kinestream.replay.planning.scene import Scene, random_deaths
from kinestream.replay.planning.simulation import Simulation

FIRST_S, LAST_S, AFTER_S, BACK_S = 12.0, 22.0, 14.0, 10.0


def simulate(streams: int, slots: int, deaths: int, seed: int) -> dict[str, Any]:
    """Let streamers of a fleet die at random; return what came of it."""
    harm = random_deaths(slots, deaths, FIRST_S, LAST_S, BACK_S, seed)
    scene = Scene(streams, slots, seconds=LAST_S + AFTER_S, deaths=tuple(harm), seed=seed)
    begins, cpu = time.perf_counter(), time.process_time()
    found = Simulation(scene).run()
    return {
        "streams": streams,
        "streamers": slots,
        "seed": seed,
        "deaths": [each._asdict() for each in harm],
        "moved": found.moved,
        "labels": found.labels,
        "lost": found.lost,
        "repeated": found.repeated,
        "resent": found.resent,
        "kept_messages_most": found.kept,
        "caught_up_s": found.caught_up_s,
        "failover_s": _percentiles(found.failover_s),
        "others_s": _percentiles(found.others_s),
        "seconds": round(time.perf_counter() - begins, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }


def _percentiles(values: Any) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": round(float(p50), 4), "p99": round(float(p99), 4), "max": round(float(values.max()), 4)}


def main() -> None:
    """Simulate and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--streamers", type=int, default=50)
    parser.add_argument("--deaths", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    given = (options.streams, options.streamers, options.deaths)
    content: dict[str, Any] = {
        "command": "python -m tests.soak.simulated --streams {} --streamers {} --deaths {} ".format(*given)
        + f"--seeds {' '.join(map(str, options.seeds))} --out {options.out}",
        "machine": machine(("kinestream", "numpy")),
        "million": {},
        "simulated": [],
    }
    million, slots = Scene(1_000_000, 1), 500
    for what, found in {
        "streamer-7 of 500 dies": burst(million, slots, slots, dies=7, outage_s=million.patience_s),
        "501 streamers in place of 500": burst(million, slots, slots + 1),
    }.items():
        content["million"][what] = asdict(found)
    print(json.dumps(content["million"]), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        content["simulated"].append(simulate(*given, seed))
        print(json.dumps(content["simulated"][-1]), flush=True)
        (options.out / "simulated.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
