"""How many streams at once: a streamer, a load and a listener, each a process, until labels are late or lost."""

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import monotonic_ns, now_ns
from kinestream.replay.bench.live.listener import Heard, listen
from kinestream.replay.bench.live.load import Load, Sent, send
from kinestream.replay.process import OwnStreamer, started_streamer
from kinestream.streamer.client import SampleSender

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


def measure(bundle: Path, streams: int, *, chunk: int, seconds: float, connections: int = 1) -> Point:
    """Serve a bundle to so many streams for so long.

    Parameters
    ----------
    bundle : Path
        What is served; its channels, rate and stride are the load's.
    streams, chunk, seconds, connections
        As in `Load`.
    """
    about = read_bundle(bundle)
    load = Load(streams, about.description.rate_hz, about.channels, chunk, seconds, about.grid.stride, connections)
    options = ["--max-streams", str(streams + 1)]
    if 0 < connections <= _FEW:  # a gateway: more may wait for each
        options += ["--max-senders", str(_SENDERS + connections)]
    with started_streamer(bundle, *options) as streamer:
        process = psutil.Process(streamer.pid)
        idle_mb, idle = process.memory_info().rss / 1e6, sum(process.cpu_times()[:2])
        memory: list[tuple[float, float]] = []
        sent, heard = _play(streamer, load, lambda second: memory.append((second, process.memory_info().rss / 1e6)))
        cpu, rss_mb = sum(process.cpu_times()[:2]) - idle, process.memory_info().rss / 1e6
        totals = streamer.stop()
    expected = streams * _windows(load.messages * chunk, about)
    dropped = ("late", "duplicate", "closed_session")
    return Point(
        streams=streams,
        chunk=chunk,
        connections=connections or streams,
        labels_expected=expected,
        labels_missing=expected - heard.labels,
        samples_lost=sent.samples
        - totals.get("samples_received", 0)
        + sum(totals.get(f"samples_{why}", 0) for why in dropped),
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
    show: Callable[[Point], None],
) -> list[Point]:
    """Measure each number of streams in turn, up to the first that is too much."""
    points = []
    for streams in counts:
        points.append(measure(bundle, streams, chunk=chunk, seconds=seconds, connections=connections))
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
    listener = spawn.Process(target=_listen, args=(theirs, addresses.labels, load.streams), daemon=True)
    listener.start()
    with SampleSender("probe", load.channels, load.rate_hz, endpoint=addresses.ingest) as probe:
        while not ours.poll(0.1):
            probe.describe()
    ours.recv()  # it listens
    sent_here, sent_there = spawn.Pipe()
    # The process starts, then every stream is described.
    begin_ns = monotonic_ns() + 3_000_000_000 + load.streams * 500_000
    generator = spawn.Process(target=_send, args=(sent_there, load, addresses.ingest, begin_ns), daemon=True)
    generator.start()
    while not sent_here.poll(load.seconds / _WATCHED):
        if (since := monotonic_ns() - begin_ns) >= 0:
            watch(since / 1e9)
    sent: Sent = sent_here.recv()
    heard: Heard = ours.recv()
    for process in (generator, listener):
        process.join()
    return sent, heard


def _listen(connection: "Connection[Any, Any]", labels: str, streams: int) -> None:
    connection.send(listen(labels, streams, on_ready=lambda: connection.send(None)))


def _send(connection: "Connection[Any, Any]", load: Load, ingest: str, begin_ns: int) -> None:
    connection.send(send(load, ingest, session=now_ns(), begin_ns=begin_ns))
