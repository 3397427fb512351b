"""Reloads under load: two bundles take turns, now and then one that is no good, while wearers send.

``python -m tests.soak.reloads --streams 1000 --reloads 20`` prints what came of it: no window may be missing, none out
of turn, and labels come as soon as ever.
"""

import argparse
import json
import secrets
import shutil
import sys
import tempfile
import time
from array import array
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import zmq

from kinestream.model.bundle.bundle import WEIGHTS, read_bundle
from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.model.errors import BundleError
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.live.load import Load, send
from kinestream.replay.process import started_streamer
from kinestream.streamer.client.keeper import health, reload
from kinestream.streamer.wire.messages import Label
from kinestream.streamer.wire.published import decode_published
from tests.soak.crew import crew

_LEAD_S = 3.0
_QUIET_S = 5.0
_BAD_EVERY = 4  # so many reloads, one of a bundle that is no good


def hear(labels: str, streams: int, ready: Any) -> dict[str, Any]:
    """Count labels until every session has ended, or none comes any more."""
    waits, ended, out_of_turn, heard_at = array("d"), 0, 0, None
    following: dict[str, int] = {}
    models: Counter[str] = Counter()
    events: Counter[str] = Counter()
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 1_000_000)
        socket.set(zmq.LINGER, 0)
        for kind in ("label", "event"):
            socket.subscribe(f"{kind}/")
        socket.connect(labels)
        ready.set()
        while ended < streams:
            if not socket.poll(1000):
                if heard_at is not None and time.monotonic() - heard_at > _QUIET_S:
                    break
                continue
            published = decode_published(socket.recv_multipart())
            if isinstance(published, Label):
                heard_at = time.monotonic()
                waits.append((time.time_ns() - published.t_source) / 1e6)
                out_of_turn += published.window != following.get(published.stream, 0)
                following[published.stream] = published.window + 1
                models[published.model] += 1
            else:
                events[published.event] += 1
                ended += published.event == "end"
    p50, p99, most = np.percentile(waits, (50, 99, 100)).tolist() if waits else (None, None, None)
    return {
        "labels": len(waits),
        "out_of_turn": out_of_turn,
        "models": dict(models),
        "events": dict(events),
        "latency_p50_ms": p50,
        "latency_p99_ms": p99,
        "latency_max_ms": most,
    }


def bundles(folder: Path) -> tuple[Path, Path, Path]:
    """Write two bundles of the same channels and window and one that is damaged; return their folders."""
    return (first := write_bundle(folder / "first", "kinestream")), *others_of(first, folder)


def others_of(first: Path, folder: Path) -> tuple[Path, Path]:
    """Write a bundle that names windows as the first does, but is called otherwise, and one that is damaged."""
    other = read_bundle(first)
    replace(other, description=other.description.model_copy(update={"name": "other"})).write(folder / "second")
    bad = Path(shutil.copytree(first, folder / "bad"))
    weights = bytearray((bad / WEIGHTS).read_bytes())
    weights[-1] ^= 0x40
    (bad / WEIGHTS).write_bytes(weights)
    return folder / "second", bad


def reloads(folder: Path, *, streams: int, count: int, seconds: float) -> dict[str, Any]:
    """Serve so many streams for so long, reload so many times meanwhile, and return what came of it."""
    first, second, bad = bundles(folder)
    about = read_bundle(first)
    load = Load(streams, about.description.rate_hz, about.channels, 1, seconds, about.grid.stride)
    refused, took = [], []
    with started_streamer(first, "--max-senders", "8") as streamer, crew(2, streamer, seconds) as hands:
        heard = hands.start(hear, streamer.addresses.labels, streams, hands.ready)
        hands.ready.wait()
        begin = monotonic_ns() + round(_LEAD_S * 1e9)
        session = secrets.randbits(40)
        sent = hands.start(send, load, streamer.addresses.ingest, session, begin, begin + wall_clock.offset_ns())
        control = streamer.addresses.control
        for number in range(count):
            due = begin / 1e9 + seconds * (number + 1) / (count + 1)
            time.sleep(max(due - time.monotonic(), 0.0))
            if number % _BAD_EVERY == 0:
                try:
                    reload(bad, control)
                except BundleError as error:
                    refused.append(str(error))
            began = time.monotonic()
            reload(first if number % 2 else second, control)
            took.append(time.monotonic() - began)
        served = health(control).bundle
        report = {
            "streams": streams,
            "seconds": seconds,
            "reloads": len(took),
            "reload_max_s": max(took),
            "refused": refused,
            "served": served,
            "labels_expected": streams * about.grid.count(load.messages),
            "heard": heard.result(),
            "sent": asdict(sent.result()),
        }
        streamer.stop()
    return report


def main() -> None:
    """Try it, and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--reloads", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = reloads(Path(folder), streams=asked.streams, count=asked.reloads, seconds=asked.seconds)
    print(json.dumps(report), flush=True)
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "reloads.json").write_text(json.dumps(report, indent=2) + "\n")
    if report["heard"]["labels"] != report["labels_expected"] or report["heard"]["out_of_turn"]:
        sys.exit("labels were lost or came out of turn")


if __name__ == "__main__":
    main()
