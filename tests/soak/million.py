"""A million windows: memory, files and threads are in the end what they were after the first 50,000.

``python -m tests.soak.million --windows 1000000 --out results/soak`` is the long form; `tests/test_soak.py` runs a
short one. Streams send session after session, all at one pace, but no faster than their labels come. What was published
is kept for a second, so that the history is full long before memory is looked at first; how much that is depends on the
pace.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.process import started_streamer
from tests.soak.encoder import VersionTwo
from tests.soak.run import BUNDLE

FIRST = 50_000
GROWTH = 0.05
_ON_THEIR_WAY = 5_000
_SESSION = 500  # windows of a session
_QUIET_S = 30.0
_LOOK_EVERY_S = 0.5
_PREFIX = b"label/million-"
PACE = 6_000
"""Windows a second."""


def send(ingest: str, streams: int, windows: int, pace: float, heard: Any, told: Connection) -> None:
    """Send so many windows in all, a stride a message, so many a second, and no faster than they are heard."""
    about, encoder = read_bundle(BUNDLE), VersionTwo()
    grid, rate = about.grid, about.description.rate_hz
    rows = np.random.default_rng(0).normal(size=(64, grid.stride, len(about.channels))).astype(np.float32)
    first = np.random.default_rng(1).normal(size=(grid.length - grid.stride, len(about.channels))).astype(np.float32)
    sent, began = 0, time.time_ns()

    def stream(number: int) -> Iterator[list[bytes]]:
        """Yield the messages that make another window each time."""
        name, before = f"million-{number:04d}", list[bytes]()
        for session in range(began, 1 << 62):
            before.append(encoder.describe(name, session, rate, about.channels))
            before.append(encoder.samples(name, session, 0, time.time_ns(), first))
            for window in range(_SESSION):
                at, x = len(first) + window * grid.stride, rows[(number + window) % len(rows)]
                yield [*before, encoder.samples(name, session, at, time.time_ns(), x)]
                before = []
            before = [encoder.end(name, session)]

    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.LINGER, 60_000)
        socket.connect(ingest)
        going = [stream(number) for number in range(streams)]
        begins = time.monotonic()
        while sent < windows:
            time.sleep(max(begins + sent / pace - time.monotonic(), 0.0))
            for each in going[: windows - sent]:
                for message in next(each):
                    socket.send(message)
                sent += 1
            while sent - heard.value > _ON_THEIR_WAY and sent < windows:
                time.sleep(0.001)
    told.send(sent)


def hear(labels: str, windows: int, heard: Any, told: Connection) -> None:
    """Count labels until there are so many, or none comes any more."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.LINGER, 0)
        socket.subscribe(_PREFIX)
        socket.connect(labels)
        told.send("listening")
        count = 0
        while count < windows and socket.poll(1000 * _QUIET_S):
            socket.recv_multipart()
            count += 1
            heard.value = count
    told.send(count)


def million(windows: int = 1_000_000, *, first: int = FIRST, streams: int = 200, pace: float = PACE) -> dict[str, Any]:
    """Have so many windows named, and return what that left behind."""
    spawn = multiprocessing.get_context("spawn")
    heard, processes = spawn.Value("q", 0, lock=False), []

    def start(job: Any, *arguments: Any) -> Connection:
        ours, theirs = spawn.Pipe()
        processes.append(spawn.Process(target=job, args=(*arguments, heard, theirs), daemon=True))
        processes[-1].start()
        return ours

    looks: list[tuple[int, float, int, int]] = []
    with started_streamer(BUNDLE, "--history", "1", "--max-streams", str(streams + 1)) as streamer:
        process = psutil.Process(streamer.pid)

        def look() -> None:
            with process.oneshot():
                rss = round(process.memory_info().rss / 1e6, 2)
                looks.append((heard.value, rss, process.num_fds(), process.num_threads()))

        try:
            listening = start(hear, streamer.addresses.labels, windows)
            if not listening.poll(60) or listening.recv() != "listening":
                raise TimeoutError("nobody listens")
            sending, began = start(send, streamer.addresses.ingest, streams, windows, pace), time.monotonic()
            while not listening.poll(_LOOK_EVERY_S):
                look()
            look()
            seconds, labels = time.monotonic() - began, listening.recv()
            if not sending.poll(60):
                raise TimeoutError("not all is sent")
            sent = sending.recv()
        finally:
            for each in processes:
                each.kill()
        totals = streamer.stop()
    settled = [each for each in looks if each[0] >= first]
    report = {
        "windows": windows,
        "sent": sent,
        "labels": labels,
        "windows_labelled": totals["windows_labelled"],
        "streams": streams,
        "sessions": totals["sessions"],
        "seconds": round(seconds, 1),
        "first": settled[0][0],
        "memory_mb": {
            "first": settled[0][1],
            "end": settled[-1][1],
            "most": max(each[1] for each in settled),
        },
        "files": {"first": settled[0][2], "end": settled[-1][2]},
        "threads": {"first": settled[0][3], "end": settled[-1][3]},
        "over_time": looks[:: max(len(looks) // 50, 1)],
    }
    report["broken"] = broken(report)
    return report


def broken(report: dict[str, Any]) -> list[str]:
    """Return what does not hold."""
    memory, files, threads = report["memory_mb"], report["files"], report["threads"]
    holds = {
        "every label came": report["labels"] == report["sent"] == report["windows"] == report["windows_labelled"],
        f"memory within {GROWTH:.0%}": abs(memory["end"] - memory["first"]) <= GROWTH * memory["first"],
        "no more files": files["end"] <= files["first"],  # whoever sends has its last said, and may be gone
        "as many threads": threads["first"] == threads["end"],
    }
    return [promise for promise, kept in holds.items() if not kept]


def main() -> None:
    """Run it and say whether it holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.million", description=__doc__)
    parser.add_argument("--windows", type=int, default=1_000_000)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    report = million(asked.windows, streams=asked.streams)
    print(json.dumps({key: value for key, value in report.items() if key != "over_time"}, indent=2))
    if asked.out is not None:
        asked.out.mkdir(parents=True, exist_ok=True)
        (asked.out / "million.json").write_text(json.dumps(report, indent=2) + "\n")
    if report["broken"]:
        sys.exit(f"does not hold: {'; '.join(report['broken'])}")


if __name__ == "__main__":
    main()
