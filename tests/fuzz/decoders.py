"""Millions of messages, bent until every line of the decoders was reached, given to all that reads what strangers send.

Guided by coverage: what reaches a line or branch that nothing before did is bent further. Needs atheris (libFuzzer for
Python)::

    pip install atheris
    python -m tests.fuzz.decoders --frames 10000000 --out results/faults

It ends with the message that broke something, if one does.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def fuzz(name: str, frames: int, seed: int) -> None:
    """Fuzz one decoder in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["kinestream.streamer.wire"]):
        from tests.fuzz.targets import LONGEST_NS, TARGETS, feed, quickest

    target, good = TARGETS[name]

    def one(data: bytes) -> None:
        began = time.perf_counter_ns()
        feed(target, data)
        if time.perf_counter_ns() - began > LONGEST_NS:
            took = quickest(target, data)
            assert took <= LONGEST_NS, f"{len(data)} bytes took {took / 1e6:.0f} ms"

    with tempfile.TemporaryDirectory() as corpus:
        for number, frame in enumerate(good):
            Path(corpus, str(number)).write_bytes(frame)
        arguments = [f"-runs={frames}", f"-seed={seed}", "-max_len=4096", "-rss_limit_mb=512", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *arguments, corpus], one)
        atheris.Fuzz()


def main() -> None:
    """Fuzz each decoder in a process of its own, and write a report."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.decoders", description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000_000, help="messages in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="this decoder, in this process")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    if chosen.only:
        fuzz(chosen.only, chosen.frames, chosen.seed)
        return
    from tests.fuzz.report import commit, write_report
    from tests.fuzz.targets import TARGETS

    each, code = -(-chosen.frames // len(TARGETS)), commit()
    report: dict[str, object] = {"commit": code, "frames": 0, "seed": chosen.seed, "outcome": "nothing found"}

    def write() -> None:
        command = f"python -m tests.fuzz.decoders --frames {chosen.frames} --seed {chosen.seed}"
        if chosen.out is not None:
            write_report(chosen.out / "fuzzed.json", f"{command} --out {chosen.out}", report)

    for number, name in enumerate(TARGETS, 1):
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.fuzz.decoders", "--only", name, "--frames", str(each)]
        command += ["--seed", str(chosen.seed)]
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ), check=False)
        if done.returncode:
            report["outcome"] = f"{name}: {done.stderr[-1000:]}"
            write()
            sys.exit(f"{name}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        stats = dict(line.removeprefix("stat::").split(":", 1) for line in done.stderr.splitlines() if "stat::" in line)
        covered = [line.split("cov: ")[1].split()[0] for line in done.stderr.splitlines() if "cov: " in line]
        report[name] = {
            "frames": int(stats["number_of_executed_units"]),
            "edges": int(covered[-1]) if covered else 0,
            "peak_rss_mb": int(stats["peak_rss_mb"]),
            "seconds": round(time.monotonic() - began),
        }
        print(name, json.dumps(report[name]), flush=True)
        report["frames"] = each * number
        report["peak_mb_of_children"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        write()


if __name__ == "__main__":
    main()
