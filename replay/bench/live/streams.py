"""How many streams at once: a streamer, a load and a listener, each a process, until labels are late or lost."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import monotonic_ns, now_ns, wall_clock
from kinestream.replay.bench.live.listener import Heard, Needed, listen
from kinestream.replay.bench.live.load import Load, Sent, send
from kinestream.replay.bench.live.worn import Devices
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.streamer.client import SampleSender
from kinestream.streamer.server.tuning import IO_THREADS

LATE_MS = 100.0
"""A p99 of latency past which a number of streams is too much."""

_SENDERS = 3  # connections besides those that carry the streams
_FEW = 16
_WATCHED = 50  # times that the streamer's memory is looked at


@dataclass(frozen=True)
class Point:
    """One number of streams.

    Parameters
    ----------
    streams, chunk, connections : int
        The load.
    labels_expected, labels_missing : int
        Windows of all streams, and those that got no label.
    samples_lost : int
        Samples sent that no window of the streamer ever held or that it dropped.
    sent : Sent
        The load, with what it cost.
    heard : Heard
        What came back, with what listening cost.
    streamer_cpu : float
        Cores the streamer kept busy.
    rss_idle_mb, rss_mb : float
        Its resident memory before there was any stream, and at the end.
    rss_over_time : list of (float, float)
        The same while the load went on: seconds since its begin, and MB.
    """

    streams: int
    chunk: int
    connections: int
    labels_expected: int
    labels_missing: int
    samples_lost: int
    sent: Sent
    heard: Heard
    streamer_cpu: float
    rss_idle_mb: float
    rss_mb: float
    rss_over_time: list[tuple[float, float]]

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and labels came in time."""
        p99 = self.heard.latency_p99_ms
        return not self.labels_missing and not self.samples_lost and p99 is not None and p99 <= LATE_MS

    @property
    def rss_growth_mb(self) -> float | None:
        """What the resident memory grew by from a tenth of the time on, when every stream has long begun."""
        settled = [mb for second, mb in self.rss_over_time if second >= self.sent.seconds / 10]
        return settled[-1] - settled[0] if settled else None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self) | {"holds": self.holds, "rss_growth_mb": self.rss_growth_mb}


def measure(
    bundle: Path,
    streams: int,
    *,
    chunk: int,
    seconds: float,
    connections: int = 1,
    devices: int = 0,
    device_rate_hz: float = 100.0,
    io_threads: int = IO_THREADS,
    reliable: bool = False,
) -> Point:
    """Serve a bundle to so many streams for so long.

    Parameters
    ----------
    bundle : Path
        What is served; its channels, rate and stride are the load's.
    streams, chunk, seconds, connections
        As in `Load`.
    devices : int
        Devices of each wearer, on clocks of their own; 0: samples lie on the grid.
    device_rate_hz : float
        Readings a second of each of those.
    io_threads : int
        Threads of the streamer that read and write connections.
    reliable : bool
        Whether messages are tracked, and what has come of them is asked for.
    """
    about = read_bundle(bundle)
    rate_hz, grid = about.description.rate_hz, about.grid
    worn = None
    if devices:
        messages = int(seconds * device_rate_hz / chunk)
        shape = streams, devices, device_rate_hz, chunk, messages
        worn = Devices(*shape, about.channels, rate_hz, grid.length, grid.stride)
    load = Load(streams, rate_hz, about.channels, chunk, seconds, grid.stride, connections, worn=worn)
    options = ["--max-streams", str(streams + 1), "--io-threads", str(io_threads)]
    if 0 < connections <= _FEW:  # a gateway: more may wait for each
        options += ["--max-senders", str(_SENDERS + connections)]
    with started_streamer(bundle, *options) as streamer:
        load = replace(load, control=streamer.addresses.control if reliable else None)
        process = psutil.Process(streamer.pid)
        idle_mb, idle = process.memory_info().rss / 1e6, sum(process.cpu_times()[:2])
        memory: list[tuple[float, float]] = []
        sent, heard = _play(streamer, load, lambda second: memory.append((second, process.memory_info().rss / 1e6)))
        cpu, rss_mb = sum(process.cpu_times()[:2]) - idle, process.memory_info().rss / 1e6
        totals = streamer.stop()
    expected = worn.windows() if worn else streams * _windows(load.messages * chunk, about)
    what = "readings" if worn else "samples"
    dropped = ("late", "duplicate", "closed_session")
    return Point(
        streams=streams,
        chunk=chunk,
        connections=connections or streams,
        labels_expected=expected,
        labels_missing=expected - heard.labels,
        samples_lost=sent.samples
        - totals.get(f"{what}_received", 0)
        + sum(totals.get(f"{what}_{why}", 0) for why in dropped),
        sent=sent,
        heard=heard,
        streamer_cpu=cpu / sent.seconds,
        rss_idle_mb=idle_mb,
        rss_mb=rss_mb,
        rss_over_time=memory,
    )


def sweep(
    bundle: Path,
    counts: Sequence[int],
    *,
    chunk: int,
    seconds: float,
    connections: int = 1,
    devices: int = 0,
    device_rate_hz: float = 100.0,
    io_threads: int = IO_THREADS,
    reliable: bool = False,
    show: Callable[[Point], None],
) -> list[Point]:
    """Measure each number of streams in turn, up to the first that is too much."""
    points = []
    for streams in counts:
        points.append(
            measure(
                bundle,
                streams,
                chunk=chunk,
                seconds=seconds,
                connections=connections,
                devices=devices,
                device_rate_hz=device_rate_hz,
                io_threads=io_threads,
                reliable=reliable,
            )
        )
        show(points[-1])
        if not points[-1].holds:
            break
    return points


def _windows(samples: int, bundle: Bundle) -> int:
    return max((samples - bundle.grid.length) // bundle.grid.stride + 1, 0)


def _play(streamer: OwnStreamer, load: Load, watch: Callable[[float], None]) -> tuple[Sent, Heard]:
    """Send a load and hear its labels; `watch` is called with the seconds that have passed, some fifty times."""
    addresses = streamer.addresses
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    listener = spawn.Process(target=_listen, args=(theirs, addresses.labels, load), daemon=True)
    listener.start()
    with SampleSender(
        "probe", load.channels, load.rate_hz, endpoint=addresses.ingest, control=addresses.control, keys=""
    ) as probe:
        while not ours.poll(0.1):
            probe.describe()
    ours.recv()  # it listens
    sent_here, sent_there = spawn.Pipe()
    # The process starts, then every stream is described.
    begin_ns = monotonic_ns() + 3_000_000_000 + load.streams * 500_000
    begin_unix_ns = begin_ns + wall_clock.offset_ns()
    ours.send(begin_unix_ns)
    began = begin_ns, begin_unix_ns
    generator = spawn.Process(target=_send, args=(sent_there, load, addresses.ingest, *began), daemon=True)
    generator.start()
    while not sent_here.poll(load.seconds / _WATCHED):
        if (since := monotonic_ns() - begin_ns) >= 0:
            watch(since / 1e9)
    sent: Sent = sent_here.recv()
    heard: Heard = ours.recv()
    for process in (generator, listener):
        process.join()
    return sent, heard


def _listen(connection: "Connection[Any, Any]", labels: str, load: Load) -> None:
    worn = load.worn

    def needed() -> Needed:
        assert worn is not None, "else nobody asks"
        began: int = connection.recv()
        return lambda streams, ends: _since(worn.needed(streams, ends - began), began)

    heard = listen(labels, load.streams, lambda: connection.send(None), needed if worn else None)
    connection.send(heard)


def _since(moments: npt.NDArray[np.int64], began: int) -> npt.NDArray[np.int64]:
    return np.where(moments < 0, -1, began + moments)


def _send(connection: "Connection[Any, Any]", load: Load, ingest: str, begin_ns: int, begin_unix_ns: int) -> None:
    connection.send(send(load, ingest, now_ns(), begin_ns, begin_unix_ns))
