"""Tracked samples over PUSH and PULL, or over DEALER and ROUTER: what each costs a streamer, in turn.

::

    python -m tests.soak.routed --streams 1000 --seconds 20 --turns 3 --out results/soak

What is acknowledged comes by the control endpoint either way, so only the sockets for samples differ. The streamer is
the one that ships, which in every other turn opens a ROUTER in place of its PULL and leaves the frame that ROUTER puts
before each message, whose sender it names. What a DEALER might save, the other connection, costs nothing for a message.
"""

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.clock import monotonic_ns, wall_clock
from kinestream.replay.bench.bundles import write_bundle
from kinestream.replay.bench.live import load as loading
from kinestream.replay.bench.live.load import Load, Sent
from kinestream.replay.process import OwnStreamer
from kinestream.streamer.server import receiver
from kinestream.streamer.transport.inlet import Inlet, new_inlet
from kinestream.streamer.wire.messages import MAX_BYTES
from tests.soak.crew import crew
from tests.soak.reloads import hear

_LEAD_S = 5.0
_STOP_S = 20.0
_FEW = 16


class RoutedInlet:
    """Receives from a ROUTER what an inlet receives from a PULL."""

    def __init__(self, socket: zmq.Socket[bytes], skipped: int = 0, overhead: int = 0) -> None:
        self._inlet: Inlet = new_inlet(socket, skipped + 1, overhead)

    def receive(
        self, frames: list[bytes], most: int, most_bytes: int, users: list[str | None] | None = None
    ) -> tuple[int, bool]:
        """Add messages to a list, without whose each is."""
        begin = len(frames)
        size, emptied = self._inlet.receive(frames, 2 * most, most_bytes, users)
        if (len(frames) - begin) % 2:  # a message's name, without the message
            size += self._inlet.receive(frames, 1, MAX_BYTES, users)[0]
        del frames[begin::2]
        return size, emptied

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inlet, name)


def serve_routed(options: list[str]) -> None:
    """Run ``kinestream serve`` with a ROUTER for samples."""
    from kinestream.commands.main import main
    from kinestream.streamer.server import ports

    opened = ports.Ports.__init__

    def opens(self: ports.Ports, context: Any, **more: Any) -> None:
        pull = context.socket

        def socket(kind: int) -> zmq.Socket[bytes]:
            made: zmq.Socket[bytes] = pull(zmq.ROUTER if kind == zmq.PULL else kind)
            return made

        context.socket = socket
        try:
            opened(self, context, **more)
        finally:
            context.socket = pull

    def inlet_of(socket: zmq.Socket[bytes], **more: Any) -> Inlet:
        return (RoutedInlet if socket.type == zmq.ROUTER else new_inlet)(socket, **more)

    ports.Ports.__init__ = opens  # type: ignore[method-assign]
    receiver.new_inlet = inlet_of  # type: ignore[assignment]
    sys.argv = ["kinestream", "serve", *options]
    main()


def send(load: Load, routed: bool, ingest: str, session: int, begin_ns: int, begin_unix_ns: int) -> Sent:
    """Send a load, by DEALERs if so."""
    if routed:
        push = loading._connected

        def connected(context: Any, address: str, high_water: int) -> zmq.Socket[bytes]:
            socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
            socket.set(zmq.SNDHWM, high_water)
            socket.set(zmq.LINGER, 10_000)
            socket.connect(address)
            return socket

        assert push.__code__.co_argcount == 3
        loading._connected = connected
    return loading.send(load, ingest, session, begin_ns, begin_unix_ns)


@contextmanager
def _streamer(bundle: Path, load: Load, routed: bool) -> Iterator[OwnStreamer]:
    options = [str(bundle), "--json", "--no-restart", "--max-streams", str(load.streams + 1)]
    if 0 < load.connections <= _FEW:
        options += ["--max-senders", str(load.connections + 2)]
    for option in ("--ingest", "--labels", "--control"):
        options += [option, "tcp://127.0.0.1:*"]
    command = ["-m", "tests.soak.routed", "--serve"] if routed else ["-m", "kinestream", "serve"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, *command, *options], text=True, **pipes) as process:
        try:
            yield OwnStreamer(process)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()


def measure(bundle: Path, load: Load, *, routed: bool) -> dict[str, Any]:
    """Serve a load, and return what it cost the streamer."""
    about = read_bundle(bundle)
    with _streamer(bundle, load, routed) as streamer, crew(2, streamer, load.seconds) as hands:
        process = psutil.Process(streamer.pid)
        heard = hands.start(hear, streamer.addresses.labels, load.streams, hands.ready)
        hands.ready.wait()
        spent = sum(process.cpu_times()[:2])
        begin = monotonic_ns() + round(_LEAD_S * 1e9)
        tracked = replace(load, control=streamer.addresses.control)
        where = (streamer.addresses.ingest, secrets.randbits(40), begin, begin + wall_clock.offset_ns())
        sent = hands.start(send, tracked, routed, *where).result()
        came = heard.result()
        spent = sum(process.cpu_times()[:2]) - spent
        totals = streamer.stop()
    return {
        "us_per_message": 1e6 * spent / sent.messages,
        "cores": spent / sent.seconds,
        "messages": sent.messages,
        "messages_received": totals["messages_received"],
        "labels_expected": load.streams * about.grid.count(load.messages),
        "labels": came["labels"],
        "latency_p50_ms": came["latency_p50_ms"],
        "latency_p99_ms": came["latency_p99_ms"],
    }


def compare(folder: Path, *, streams: int, seconds: float, turns: int, connections: int) -> dict[str, Any]:
    """Measure both ways in turn."""
    bundle = write_bundle(folder / "bundle", "kinestream")
    about = read_bundle(bundle)
    load = Load(streams, about.description.rate_hz, about.channels, 1, seconds, about.grid.stride, connections)
    report: dict[str, Any] = {
        "streams": streams,
        "rate_hz": about.description.rate_hz,
        "channels": len(about.channels),
        "connections": connections or streams,
        "seconds": seconds,
        "turns": [],
    }
    for _ in range(turns):
        turn = {name: measure(bundle, load, routed=name == "router") for name in ("pull", "router")}
        report["turns"].append(turn)
        print(json.dumps(turn), flush=True)
    for name in ("pull", "router"):
        spent = sorted(turn[name]["us_per_message"] for turn in report["turns"])
        report[f"{name}_us_per_message"] = spent[len(spent) // 2]
    report["router_costs_more"] = report["router_us_per_message"] / report["pull_us_per_message"] - 1
    return report


def main() -> None:
    """Measure and print, or be the streamer that is measured."""
    if sys.argv[1:2] == ["--serve"]:
        serve_routed(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--connections", type=int, default=1, help="over which they come; 0: one each")
    parser.add_argument("--out", type=Path)
    asked = vars(parser.parse_args())
    out = asked.pop("out")
    with tempfile.TemporaryDirectory() as folder:
        report = compare(Path(folder), **asked)
    print(json.dumps(report, indent=2))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        each = "" if asked["connections"] else "-a-connection-each"
        (out / f"routed{each}.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
