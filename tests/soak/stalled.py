"""A subscriber that is stopped for a while beside many streams: the others must not notice, and it must catch up.

``python -m tests.soak.stalled --stall 60 --streams 500 --out results/soak`` is the long form;
`tests/streamer/client/test_stalled.py` stops one for a moment.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.process import started_streamer
from kinestream.streamer.client import Event, Label, LabelSubscriber
from kinestream.streamer.wire.published import decode_published
from tests.soak.crew import crew
from tests.soak.encoder import VersionTwo
from tests.soak.honest import PREFIX, Wearers, play
from tests.soak.run import BUNDLE

BEFORE_S, AFTER_S = 30.0, 20.0
"""How long all is well before somebody is stopped, and after."""
SETTLED_S = 10.0
"""After so long every stream has begun."""
LONGER = 0.2
"""By how much of itself the others' p99 may grow."""
HISTORY_MB = 128
_QUIET_S = 10.0


def listen(labels: str, control: str, streams: int, told: Connection) -> None:
    """Count every label until so many sessions have ended, or nothing comes any more; send what came of it.

    As in life it does not take the processors of those that it is compared with: it makes way for them.
    """
    os.nice(19)
    came: dict[tuple[str, int], list[int]] = {}
    sessions_ended, filled_at, filled_labels, quiet = 0, 0.0, 0, 0
    with LabelSubscriber(labels, control=control, events=True, past=False) as subscriber:
        told.send("listening")
        while sessions_ended < streams:
            before = subscriber.filled
            message = subscriber.receive(_QUIET_S)
            quiet = quiet + 1 if message is None else 0
            if quiet > 1:  # once may be the time that it was stopped
                break
            if subscriber.filled > before:
                filled_at = time.monotonic()
                filled_labels += isinstance(message, Label)
            if isinstance(message, Label):
                came.setdefault((message.stream, message.session), []).append(message.window)
            elif isinstance(message, Event):
                sessions_ended += message.event == "end"
        told.send(
            {
                "labels": sum(map(len, came.values())),
                "twice": sum(len(windows) - len(set(windows)) for windows in came.values()),
                "out_of_turn": sum(windows != sorted(windows) for windows in came.values()),
                "ended": sessions_ended,
                "missed": subscriber.missed,
                "filled": filled_labels,
                "last_filled_at": filled_at,
                "memory_mb": round(psutil.Process().memory_info().rss / 1e6, 1),
            }
        )


def hear_all(labels: str, streams: int, ready: Any) -> dict[str, Any]:
    """Note when each label came and how long that took, until every session has ended or none comes any more."""
    moments, waits, ended = [], [], 0
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 1_000_000)
        socket.set(zmq.LINGER, 0)
        for kind in ("label", "event"):
            socket.subscribe(f"{kind}/{PREFIX}")
        socket.connect(labels)
        ready.set()
        while ended < streams:
            if not socket.poll(round(1000 * _QUIET_S)):
                if moments:
                    break
                continue
            published = decode_published(socket.recv_multipart())
            if isinstance(published, Label):
                moments.append(time.monotonic())
                waits.append((time.time_ns() - published.t_source) / 1e6)
            elif isinstance(published, Event):
                ended += published.event == "end"
    return {"moments": moments, "waits_ms": waits, "ended": ended}


def stalled(
    stall_s: float, *, streams: int, history_s: float, connections: int, chunk: int, out: Path | None
) -> dict[str, Any]:
    """Stop one subscriber of two for so long while so many streams are served; return what came of it."""
    bundle = read_bundle(BUNDLE)
    seconds = BEFORE_S + stall_s + AFTER_S
    wearers = Wearers(streams, connections, seconds, chunk)
    spawn = multiprocessing.get_context("spawn")
    memory: list[tuple[float, float]] = []
    with (
        started_streamer(BUNDLE, "--history", f"{history_s:g}") as streamer,
        crew(3, streamer, seconds) as hands,
    ):
        process = psutil.Process(streamer.pid)
        ours, theirs = spawn.Pipe()
        addresses = streamer.addresses
        stopped = spawn.Process(target=listen, args=(addresses.labels, addresses.control, streams, theirs))
        stopped.start()
        assert ours.recv() == "listening"
        heard = hands.start(hear_all, addresses.labels, streams, hands.ready)
        hands.ready.wait()
        began = time.monotonic()
        played = hands.start(play, wearers, bundle, VersionTwo(), addresses.ingest)

        def until(moment: float) -> None:
            while (left := moment - time.monotonic()) > 0:
                time.sleep(min(left, 1.0))
                with suppress(psutil.Error):
                    passed = round(time.monotonic() - began, 1)
                    memory.append((passed, round(process.memory_info().rss / 1e6, 1)))

        until(began + BEFORE_S)
        stopped_at = time.monotonic()
        assert stopped.pid is not None
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            until(stopped_at + stall_s)
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
        continued_at = time.monotonic()
        heard_by_all = heard.result()
        until(time.monotonic() + 1.0)
        caught_up = ours.recv()
        filled_at = caught_up.pop("last_filled_at")
        caught_up["caught_up_s"] = _rounded(filled_at - continued_at) if filled_at else None
        stopped.join()
        report = {
            "streams": streams,
            "stall_s": stall_s,
            "history_s": history_s,
            "chunk": chunk,
            "labels_expected": wearers.windows(bundle),
            "played": played.result(),
            "others": _by_phase(heard_by_all, began + SETTLED_S, stopped_at, continued_at),
            "stalled": caught_up,
            "totals": streamer.stop(),
            "said": [line.strip() for line in streamer.said][:20],
        }
    report["memory_mb"] = {
        "before": max(mb for passed, mb in memory if SETTLED_S <= passed <= BEFORE_S),
        "most": max(mb for _, mb in memory),
        "over_time": memory[:: max(len(memory) // 50, 1)],
    }
    report["broken"] = broken(report)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "stalled.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def broken(report: dict[str, Any]) -> list[str]:
    """Return what does not hold."""
    others, stalled, memory = report["others"], report["stalled"], report["memory_mb"]
    expected = report["labels_expected"]
    holds = {
        "the others had every label": others["labels"] == expected,
        f"their p99 grew by less than {LONGER:.0%}": others["during_p99_ms"] < (1 + LONGER) * others["before_p99_ms"],
        f"and by less than {LONGER:.0%} while the other caught up": others["after_p99_ms"]
        < (1 + LONGER) * others["before_p99_ms"],
        "who was stopped had every label": stalled["labels"] == expected and not stalled["missed"],
        "once": not stalled["twice"],
        "in order": not stalled["out_of_turn"],
        "some of them from the history": stalled["filled"] > 0,
        "memory within its bound": memory["most"] - memory["before"] <= HISTORY_MB,
    }
    return [promise for promise, kept in holds.items() if not kept]


def _by_phase(heard: dict[str, Any], settled: float, stopped: float, continued: float) -> dict[str, Any]:
    moments, waits = np.array(heard["moments"]), np.array(heard["waits_ms"])
    phases = {
        "before": (settled, stopped),
        "during": (stopped, continued),
        "after": (continued, continued + AFTER_S / 2),
    }
    report: dict[str, Any] = {"labels": len(waits), "ended": heard["ended"]}
    for name, (begin, end) in phases.items():
        own = waits[(moments >= begin) & (moments < end)]
        for what, percent in (("p50", 50), ("p99", 99), ("max", 100)):
            report[f"{name}_{what}_ms"] = _rounded(np.percentile(own, percent)) if len(own) else None
    return report


def _rounded(value: float) -> float:
    return round(float(value), 3)


def main() -> None:
    """Run it and say whether it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stall", dest="stall_s", type=float, default=60.0)
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--history", dest="history_s", type=float, default=90.0)
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--chunk", type=int, default=5, help="samples in a message")
    parser.add_argument("--out", type=Path)
    report = stalled(**vars(parser.parse_args()))
    print(json.dumps(report, indent=2))
    if report["broken"]:
        sys.exit(f"does not hold: {'; '.join(report['broken'])}")


if __name__ == "__main__":
    main()
