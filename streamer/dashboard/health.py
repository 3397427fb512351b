"""How the streamer has fared over the last half hour, from the status that it publishes once a second."""

from collections import deque
from typing import Any

from kinestream.streamer.dashboard.quantiles import quantile_ms
from kinestream.streamer.wire.messages import Label
from kinestream.streamer.wire.status import STAGES, Status

KEPT = 1800
"""Seconds that are kept."""
SERIES = (
    "labels",
    "samples",
    "messages",
    "lost",
    "batch",
    "windows_waiting",
    "backlog_bytes",
    "cpu",
    "memory_bytes",
    "streams",
    *(f"{stage}_{share}" for stage in STAGES for share in ("p50", "p99")),
)
"""What is known of each second: counts are per second, latencies in ms, `cpu` in processors."""

_LOST = (
    "readings_",
    "samples_",
    "messages_",
    "windows_skipped_",
    "requests_malformed_",
    "connections_",
    "subscribers_",
)
_NO_LOSS = {
    "readings_received",
    "readings_used",
    "readings_waiting",
    "readings_unfinished",
    "samples_received",
    "samples_used",
    "samples_held",
    "samples_unfinished",
    "messages_received",
    "messages_taken",
    "messages_waiting",
    "messages_put_off",
}


class Health:
    """The streamer's status, second by second.

    Attributes
    ----------
    status : Status or None
        The newest.
    seconds : int
        How many were noted so far.
    """

    def __init__(self) -> None:
        self.status: Status | None = None
        self.seconds = 0
        self._labels = self._batches = self._ready = 0
        self._points: deque[tuple[float | None, ...]] = deque(maxlen=KEPT)

    def count(self, label: Label) -> None:
        """Note a label; those that were made ready at the same moment are of one batch."""
        self._labels += 1
        if label.t_ready != self._ready:
            self._ready = label.t_ready
            self._batches += 1

    def add(self, status: Status) -> None:
        """Note a second."""
        before, self.status = self.status, status
        if before is None or not 0 < status.t - before.t < 60_000_000_000 or status.uptime_s < before.uptime_s:
            return  # the first, or of another streamer
        passed_s = (status.t - before.t) / 1e9
        batch = round(self._labels / self._batches, 2) if self._batches else None
        self._labels = self._batches = 0
        self._points.append((status.t / 1e6, *_point(before, status, passed_s, batch)))
        self.seconds += 1

    def columns(self, count: int = KEPT) -> dict[str, list[float | None]]:
        """Return the newest seconds by series, and when each was, Unix ms."""
        newest = list(self._points)[-count:] if count else []
        return {name: [point[place] for point in newest] for place, name in enumerate(("t", *SERIES))}

    def newest(self) -> dict[str, float | None]:
        """Return the newest second by series; nothing before the first."""
        return dict(zip(("t", *SERIES), self._points[-1], strict=True)) if self._points else {}

    def losses(self) -> dict[str, int]:
        """Return the counters of what was lost, refused or turned away, those that are not 0."""
        totals = self.status.totals if self.status else {}
        return {name: count for name, count in sorted(totals.items()) if count and is_loss(name)}

    def about(self) -> dict[str, Any] | None:
        """Return what is known of the streamer itself."""
        if self.status is None:
            return None
        known = self.status
        return {
            "version": known.version,
            "bundle": known.bundle,
            "engine": known.engine,
            "uptime_s": round(known.uptime_s),
            "streams": known.streams,
            "connections": known.connections,
            "labels": known.totals.get("windows_labelled", 0),
            "events": known.events,
        }


def is_loss(counter: str) -> bool:
    """Tell whether a counter counts what was lost, refused or turned away."""
    return counter.startswith(_LOST) and counter not in _NO_LOSS


def _point(before: Status, status: Status, passed_s: float, batch: float | None) -> list[float | None]:
    def rate(counter: str) -> float:
        return max(status.totals.get(counter, 0) - before.totals.get(counter, 0), 0) / passed_s

    lost = sum(rate(name) for name in status.totals if is_loss(name))
    point: list[float | None] = [
        round(rate("windows_labelled"), 1),
        round(rate("samples_received") + rate("readings_received"), 1),
        round(rate("messages_received"), 1),
        round(lost, 2),
        batch,
        status.queue.get("windows", 0),
        status.queue.get("backlog_bytes", 0),
        round(max(status.cpu_s - before.cpu_s, 0.0) / passed_s, 3),
        status.memory_bytes or None,
        status.streams,
    ]
    for stage in STAGES:
        old, new = before.latency.get(stage), status.latency.get(stage)
        counts = [] if new is None else new.counts
        if old is not None and new is not None and sum(new.counts) >= sum(old.counts):
            counts = [now - then for now, then in zip(new.counts, old.counts, strict=True)]
        for share in (0.5, 0.99):
            found = quantile_ms(counts, share)
            point.append(None if found is None else round(found, 3))
    return point
