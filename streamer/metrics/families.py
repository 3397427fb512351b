"""A streamer's status as Prometheus takes it: base units, counters that end in ``_total``, nothing by stream."""

from collections.abc import Iterable, Iterator
from typing import Any

from kinestream.streamer.wire.status import LATENCY_BOUNDS_NS, Latencies, Status

FRESH_NS = 5_000_000_000
"""A status that is older says nothing of now: then the streamer is told to be down, and nothing else of it."""
BUCKETS_APART = 4
"""Of the bounds that a streamer counts by, every fourth is exported: a doubling from one to the next."""

_WAITING = {"samples_held", "readings_waiting", "messages_waiting"}
_WHAT_QUEUES = {
    "windows": "Windows that wait for the next batch",
    "batches": "Batches that are being named",
    "backlog_bytes": "Bytes of messages that wait for their turn",
    "backlog_messages": "Messages that wait for their turn",
}
_THINGS = {
    "connections": "Connections that were ended or turned away",
    "messages": "Messages of senders",
    "readings": "Readings with times, by what became of them",
    "requests": "Requests at the control endpoint",
    "samples": "Samples, by what became of them",
    "sessions": "Sessions",
    "subscribers": "Subscribers that were cut off",
    "watched": "Messages to those who watch",
    "windows": "Windows, by what became of them",
}


def families(status: Status | None, now: int) -> Iterator[Any]:
    """Yield what is known of a streamer at a Unix time in ns, as families of ``prometheus_client``.

    Parameters
    ----------
    status : Status or None
        The newest, if any has come.
    now : int
        Unix ns.
    """
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily

    is_up = status is not None and now - status.t < FRESH_NS
    yield GaugeMetricFamily("kinestream_up", "Whether the streamer tells how it fares", value=float(is_up))
    if status is None or not is_up:
        return
    about = {"version": status.version, "bundle": status.bundle, "engine": status.engine}
    yield InfoMetricFamily("kinestream_streamer", "What runs", value=about)
    yield GaugeMetricFamily("kinestream_uptime_seconds", "How long the streamer has been running", status.uptime_s)
    yield GaugeMetricFamily("kinestream_streams", "Streams that are known now", status.streams)
    yield CounterMetricFamily("kinestream_cpu_seconds", "Processor time that the streamer has taken", status.cpu_s)
    if status.memory_bytes:
        yield GaugeMetricFamily("kinestream_resident_memory_bytes", "Memory of the streamer", status.memory_bytes)
    for name, count in sorted(status.queue.items()):
        text = _WHAT_QUEUES.get(name, "What waits")
        yield GaugeMetricFamily(f"kinestream_queue_{_valid(name)}", text, count)
    connections = GaugeMetricFamily("kinestream_connections", "Connections now, by endpoint", labels=["endpoint"])
    for name, count in sorted(status.connections.items()):
        connections.add_metric([name], count)
    yield connections
    events = CounterMetricFamily("kinestream_events", "Events published, by kind", labels=["event"])
    for name, count in sorted(status.events.items()):
        events.add_metric([name], count)
    yield events
    yield from _counters(status.totals)
    latency = HistogramMetricFamily(
        "kinestream_latency_seconds",
        "How long labels took, by stage; source_published is all of it, from a window's last sample to its label",
        labels=["stage"],
    )
    for stage, counted in sorted(status.latency.items()):
        latency.add_metric([stage], buckets=list(_buckets(counted)), sum_value=counted.sum_s)
    yield latency


def _counters(totals: dict[str, int]) -> Iterator[Any]:
    """Yield a family for each kind of thing that is counted, and one for what waits."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    by_thing: dict[str, list[tuple[str, int]]] = {}
    for name, count in sorted(totals.items()):
        thing, _, outcome = name.partition("_")
        if name not in _WAITING and thing in _THINGS:
            by_thing.setdefault(thing, []).append((outcome, count))
    for thing, outcomes in by_thing.items():
        if outcomes == [("", outcomes[0][1])]:
            yield CounterMetricFamily(f"kinestream_{thing}", _THINGS[thing], value=outcomes[0][1])
            continue
        if received := [count for outcome, count in outcomes if outcome == "received"]:
            text = f"{thing.capitalize()} that came in"
            yield CounterMetricFamily(f"kinestream_{thing}_received", text, value=received[0])
        family = CounterMetricFamily(f"kinestream_{thing}", _THINGS[thing], labels=["outcome"])
        for outcome, count in outcomes:
            if outcome != "received":
                family.add_metric([outcome or "all"], count)
        yield family
    waiting = GaugeMetricFamily("kinestream_waiting", "What is kept until more comes", labels=["what"])
    for name in sorted(_WAITING & totals.keys()):
        waiting.add_metric([name], totals[name])
    yield waiting


def _buckets(counted: Latencies) -> Iterable[tuple[str, float]]:
    total = 0
    for place, count in enumerate(counted.counts[:-1]):
        total += count
        if (place + 1) % BUCKETS_APART == 1:
            yield f"{LATENCY_BOUNDS_NS[place] / 1e9:g}", total
    yield "+Inf", total + counted.counts[-1]


def _valid(name: str) -> str:
    return "".join(character if character.isalnum() and character.isascii() else "_" for character in name)
