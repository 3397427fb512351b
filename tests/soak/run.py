"""A streamer among wearers who are honest and senders who are not: nobody honest may lose a label or wait for it.

``python -m tests.soak.run --seconds 3600 --out results/soak`` is the long form; `tests/test_soak.py` runs a short one.
"""

import argparse
import json
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import zmq

import kinestream.replay.demo
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.process import started_streamer
from tests.soak.crew import crew
from tests.soak.encoder import VersionTwo
from tests.soak.honest import Wearers, hear, play
from tests.soak.mischief import Mischief, misbehave, pester

BUNDLE = Path(kinestream.replay.demo.__file__).parent / "demo_data" / "bundle"
SETTLED_S = 60.0
"""After so long, or a fifth of the time, every stream has begun: the memory then is what it may grow from."""
_LOOK_EVERY_S = 2.0
LATE_MS, GROWTH = 50.0, 0.2
"""What honest labels wait at most (p99), and by how much of itself the memory may grow."""


def soak(
    seconds: float,
    *,
    streams: int = 200,
    connections: int | None = None,
    senders: int = 3,
    per_s: float = 300.0,
    seed: int = 0,
    out: Path | None = None,
) -> dict[str, Any]:
    """Serve honest streams among mischief and return what came of it.

    Parameters
    ----------
    seconds : float
        For how long.
    streams, connections : int
        Honest streams, and how many connections they share; one each by default.
    senders, per_s : int, float
        Senders of nonsense, besides one at the control endpoint, and how many messages a second each sends.
    seed : int
        Of the nonsense.
    out : Path, optional
        Where the report is kept, written anew while it runs.
    """
    bundle = read_bundle(BUNDLE)
    wearers = Wearers(streams, connections or streams, seconds)
    with started_streamer(BUNDLE) as streamer, crew(senders + 4, streamer, seconds) as hands:
        process = psutil.Process(streamer.pid)
        heard = hands.start(hear, streamer.addresses.labels, streams, hands.ready)
        hands.ready.wait()
        played = hands.start(play, wearers, bundle, VersionTwo(), streamer.addresses.ingest)
        mischiefs = [
            hands.start(
                misbehave,
                Mischief(VersionTwo(), bundle.channels, bundle.description.rate_hz, seed + i),
                streamer.addresses.ingest,
                seconds,
                per_s,
            )
            for i in range(senders)
        ]
        mischiefs.append(
            hands.start(
                misbehave,
                Mischief(VersionTwo(), bundle.channels, bundle.description.rate_hz, seed + senders),
                streamer.addresses.control,
                seconds,
                per_s,
                zmq.DEALER,
            )
        )
        pestered = hands.start(pester, streamer.addresses.labels, seconds, seed)
        memory: list[tuple[float, float]] = []
        begin = time.monotonic()
        while not heard.done():
            time.sleep(_LOOK_EVERY_S)
            passed = time.monotonic() - begin
            with suppress(psutil.Error):  # it may have died: whoever waits for it is told
                memory.append((round(passed, 1), round(process.memory_info().rss / 1e6, 2)))
                print(f"{passed:.0f} of {seconds:g} s, {memory[-1][1]:.0f} MB", file=sys.stderr)
            if out is not None and len(memory) % 30 == 0:
                _write(out, {"unfinished": True, "memory_mb": memory[::15]})
        report = {
            "seconds": seconds,
            "streams": streams,
            "connections": wearers.connections,
            "seed": seed,
            "labels_expected": wearers.windows(bundle),
            "heard": heard.result(),
            "played": played.result(),
            "mischief": [each.result() for each in mischiefs],
            "pestered": pestered.result(),
            "streamer_said": [line.strip() for line in streamer.said][:20],
            "totals": streamer.stop(),
        }
    settled = [mb for second, mb in memory if second >= min(SETTLED_S, seconds / 5)]
    report["memory_mb"] = {"settled": settled[0], "end": settled[-1], "most": max(settled)}
    report["memory_over_time"] = memory[:: max(len(memory) // 100, 1)]
    report["unaccounted"] = unaccounted(report["totals"])
    report["broken"] = broken(report)
    if out is not None:
        _write(out, report)
    return report


def broken(report: dict[str, Any]) -> list[str]:
    """Return what a soak shows not to hold."""
    heard, memory = report["heard"], report["memory_mb"]
    holds = {
        "every honest label came": heard["labels"] == report["labels_expected"],
        "in order": not heard["out_of_turn"],
        f"p99 under {LATE_MS:g} ms": heard["latency_p99_ms"] is not None and heard["latency_p99_ms"] < LATE_MS,
        f"memory within {GROWTH:.0%}": abs(memory["end"] - memory["settled"]) <= GROWTH * memory["settled"],
        "all counters add up": not any(report["unaccounted"].values()),
    }
    return [promise for promise, kept in holds.items() if not kept]


def unaccounted(totals: dict[str, int]) -> dict[str, int]:
    """Return what does not add up: messages, requests among them, and samples that came, less what became of them."""
    samples = ("used", "late", "duplicate", "outside", "unfinished", "held", "closed_session")
    messages = ("taken", "undeclared", "refused", "put_off", "unfinished", "waiting")
    unreadable = ("messages_malformed_", "requests_malformed_")
    malformed = sum(count for name, count in totals.items() if name.startswith(unreadable))
    return {
        "samples": totals["samples_received"] - sum(totals.get(f"samples_{what}", 0) for what in samples),
        "messages": totals["messages_received"]
        + totals["requests_received"]
        - malformed
        - sum(totals.get(f"messages_{what}", 0) for what in messages),
    }


def _write(out: Path, report: dict[str, Any]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "soak.json").write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    """Run it and say whether it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--senders", type=int, default=3)
    parser.add_argument("--per-s", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    report = soak(**vars(parser.parse_args()))
    print(json.dumps({key: value for key, value in report.items() if key != "memory_over_time"}, indent=2))
    if report["broken"]:
        sys.exit(f"does not hold: {'; '.join(report['broken'])}")


if __name__ == "__main__":
    main()
