"""A thousand streams send again at once: others, over another connection, must not wait a second for their labels.

::

    python -m tests.soak.resending --streams 1000 --others 100 --out results/soak                  # after an outage
    python -m tests.soak.resending --streams 1000 --others 100 --killed --out results/soak         # after a kill

The thousand are reliable senders. After an outage of their network all that they had to say meanwhile comes at once;
where the streamer was killed, all that it had not acknowledged. The others push their samples, one a message. How late
their labels are counts from when their samples were due; after a kill, of those that were due once the streamer was
ready again.
"""

import argparse
import json
import multiprocessing
import random
import sys
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.replay.bench.live.load import Load, send
from kinestream.replay.run import Addresses
from kinestream.streamer.client import Label, LabelSubscriber, Reliable, SampleConnection, SampleSender
from kinestream.streamer.wire.published import decode_published
from tests.given.proxies import proxy
from tests.given.served import served
from tests.soak.run import BUNDLE

LEAD_S = 5.0
LATE_MS = 1000.0
_CLOSE_S = 60.0
_QUIET_S = 10.0
_AGAIN, _OTHERS = "again-", "wearer-"


class Wearers(NamedTuple):
    """Those who send again from one process, and from when on the monotonic clock they send for how long."""

    first: int
    streams: int
    chunk: int
    began: float
    seconds: float


def send_again(at: Addresses, wearers: Wearers, told: Connection) -> None:
    """Send as so many streams, on time; tell how many windows that were."""
    first, streams, chunk, began, seconds = wearers
    about = read_bundle(BUNDLE)
    rate, messages = about.description.rate_hz, int(seconds * about.description.rate_hz / chunk)
    rows = np.random.default_rng(first).normal(size=(16, chunk, len(about.channels))).astype(np.float32)
    reliable = Reliable(keep_bytes=256 << 20, close_s=_CLOSE_S)
    with SampleConnection(at.ingest, control=at.control, reliable=reliable) as connection:
        senders = [
            SampleSender(f"{_AGAIN}{first + i:05d}", about.channels, rate, connection=connection)
            for i in range(streams)
        ]
        period = chunk / rate
        for number in range(messages):
            for i, sender in enumerate(senders):
                due = began + (number + i / streams) * period
                if (left := due - time.monotonic()) > 0.001:
                    time.sleep(left)
                sender.send(rows[(number + i) % 16], seq=number * chunk)
        for sender in senders:
            sender.end()
    told.send((streams * about.grid.count(messages * chunk), connection.unacknowledged))


def count(at: Addresses, done: Any, told: Connection) -> None:
    """Count the labels of those who send again, each once, until it is over and none comes any more."""
    came: set[tuple[str, int, int]] = set()
    with LabelSubscriber(at.labels, control=at.control, log=False) as subscriber:
        told.send("listening")
        while (message := subscriber.receive(0.5 if not done.is_set() else _QUIET_S)) is not None or not done.is_set():
            if isinstance(message, Label) and message.stream.startswith(_AGAIN):
                came.add((message.stream, message.session, message.window))
    told.send(len(came))


def hear(labels: str, done: Any, told: Connection) -> None:
    """Note of each label of the others when its last sample was due, and how long it took, until it is over."""
    due, waits = [], []
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.set(zmq.RCVHWM, 1_000_000)
        socket.set(zmq.LINGER, 0)
        socket.subscribe(f"label/{_OTHERS}")
        socket.connect(labels)
        told.send("listening")
        while socket.poll(500) or not done.is_set():
            while socket.poll(0):
                label = decode_published(socket.recv_multipart())
                assert isinstance(label, Label)
                due.append(label.t_source)
                waits.append((time.time_ns() - label.t_source) / 1e6)
    told.send((due, waits))


def push(load: Load, ingest: str, begin_ns: int, told: Connection) -> None:
    """Send as the others."""
    sent = send(load, ingest, time.time_ns(), begin_ns, begin_ns + wall_clock.offset_ns())
    told.send(sent.late_p99_ms)


def resending(
    *,
    streams: int,
    others: int,
    outage_s: float = 10.0,
    before_s: float = 10.0,
    after_s: float = 15.0,
    chunk: int = 10,
    processes: int = 2,
    killed: bool = False,
    seed: int = 0,
) -> dict[str, Any]:
    """Have them send again, and return what came of it."""
    about, spawn = read_bundle(BUNDLE), multiprocessing.get_context("spawn")
    seconds = before_s + (0 if killed else outage_s) + after_s
    load = Load(others, about.description.rate_hz, about.channels, 1, seconds, about.grid.stride, connections=1)
    rng, done, started = random.Random(seed), spawn.Event(), []

    def start(job: Any, *arguments: Any) -> Connection:
        ours, theirs = spawn.Pipe()
        started.append(spawn.Process(target=job, args=(*arguments, theirs), daemon=True))
        started[-1].start()
        return ours

    options = ("--max-streams", str(streams + others + 10), "--max-senders", str(processes + 8))
    with ExitStack() as stack:
        streamer = stack.enter_context(served(*options))
        at = streamer.addresses
        ingest, control = (stack.enter_context(proxy(each, rng)) for each in (at.ingest, at.control))
        through = at if killed else Addresses(ingest.address, at.labels, control.address)
        try:
            heard, counted = start(hear, at.labels, done), start(count, at, done)
            assert _told(heard, 60.0) == _told(counted, 60.0) == "listening"
            began = time.monotonic() + LEAD_S
            share = -(-streams // processes)
            sending = [
                start(send_again, through, Wearers(first, min(share, streams - first), chunk, began, seconds))
                for first in range(0, streams, share)
            ]
            pushed = start(push, load, at.ingest, monotonic_ns() + round(LEAD_S * 1e9))
            _until(began + before_s)
            broke_at = time.time_ns()
            if killed:
                streamer.kill()
                streamer.wait_ready(2)
            else:
                for each in (ingest, control):
                    each.hold()
                _until(began + before_s + outage_s)
                for each in (ingest, control):
                    each.release()
            again_at = time.time_ns()
            late_ms = _told(pushed, 2 * seconds + 60.0)
            sent = [_told(each, 2 * seconds + 120.0) for each in sending]
            done.set()
            due, waits = map(np.array, _told(heard, 60.0))
            labels = _told(counted, 60.0)
        finally:
            for process in started:
                process.kill()
    before, again = waits[due < broke_at - 1e9], waits[due >= again_at]  # what was on its way is neither
    return {
        "streams": streams,
        "others": others,
        "how": "killed" if killed else f"outage of {outage_s:g} s",
        "chunk": chunk,
        "windows_expected": sum(windows for windows, _ in sent),
        "labels": labels,
        "unacknowledged": sum(left for _, left in sent),
        "others_late_sent_p99_ms": late_ms,
        "others_labels": {"before": len(before), "again": len(again)},
        **{
            f"{name}_{what}_ms": round(float(np.percentile(of, share)), 1) if len(of) else None
            for name, of in (("before", before), ("again", again))
            for what, share in (("p50", 50), ("p99", 99), ("max", 100))
        },
    }


def broken(report: dict[str, Any]) -> list[str]:
    """Return what does not hold, but for how late labels are."""
    holds = {
        "every label of those who sent again came": report["labels"] == report["windows_expected"],
        "all was acknowledged": not report["unacknowledged"],
        "the others went on": report["others_labels"]["again"] > 0 and report["others_labels"]["before"] > 0,
    }
    return [promise for promise, kept in holds.items() if not kept]


def _until(moment: float) -> None:
    while (left := moment - time.monotonic()) > 0:
        time.sleep(left)


def _told(pipe: Connection, patience_s: float) -> Any:
    if not pipe.poll(patience_s):
        raise TimeoutError(f"a process said nothing for {patience_s:g} s")
    return pipe.recv()


def main() -> None:
    """Try it, and say whether it holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--others", type=int, default=100)
    parser.add_argument("--outage", dest="outage_s", type=float, default=10.0)
    parser.add_argument("--chunk", type=int, default=10, help="samples in a message of those who send again")
    parser.add_argument("--processes", type=int, default=2, help="that they are sent from, a connection each")
    parser.add_argument("--killed", action="store_true", help="the streamer is killed instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = vars(parser.parse_args())
    out = asked.pop("out")
    report = resending(**asked)
    print(json.dumps(report, indent=2))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        name = "resending-killed.json" if asked["killed"] else "resending.json"
        (out / name).write_text(json.dumps(report, indent=2) + "\n")
    wrong = broken(report)
    if report["again_p99_ms"] is None or report["again_p99_ms"] >= LATE_MS:
        wrong.append(f"others' p99 under {LATE_MS:g} ms")
    if wrong:
        sys.exit(f"does not hold: {'; '.join(wrong)}")


if __name__ == "__main__":
    main()
