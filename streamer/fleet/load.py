"""How busy a streamer is and how long its labels take, by what it publishes of itself once a second."""

from collections import deque
from typing import NamedTuple

from kinestream.streamer.wire.status import LATENCY_BOUNDS_NS, Status

SPAN_S = 20.0
"""Over how long what counts up is compared."""
_STAGE = "source_published"


class Load(NamedTuple):
    """How a streamer fares.

    Attributes
    ----------
    streams : int
        That are known now.
    processor : float
        Share of a processor that it takes.
    memory_mb : float
        Resident.
    labels_per_s : float
        That leave.
    p99_ms : float or None
        99 of 100 labels left within this after their window's last sample was taken; None where none did.
    """

    streams: int
    processor: float
    memory_mb: float
    labels_per_s: float
    p99_ms: float | None


class LoadMeter:
    """Compares what a streamer said last with what it said some seconds ago."""

    def __init__(self) -> None:
        self._said: deque[Status] = deque()

    def take(self, status: Status) -> None:
        """Take what it says; one that was started again, and counts anew, is measured anew."""
        if self._said and status.uptime_s < self._said[-1].uptime_s:
            self._said.clear()
        self._said.append(status)
        while status.uptime_s - self._said[0].uptime_s > SPAN_S:
            self._said.popleft()

    @property
    def load(self) -> Load | None:
        """What is known; None where nothing is yet."""
        if len(self._said) < 2:
            return None
        first, last = self._said[0], self._said[-1]
        seconds = max(last.uptime_s - first.uptime_s, 1e-3)
        before, after = first.latency[_STAGE].counts, last.latency[_STAGE].counts
        left = [new - old for old, new in zip(before, after, strict=True)]
        return Load(
            last.streams,
            round((last.cpu_s - first.cpu_s) / seconds, 3),
            round(last.memory_bytes / 1e6, 1),
            round(sum(left) / seconds, 1),
            _p99_ms(left),
        )


def _p99_ms(counts: list[int]) -> float | None:
    most, so_far = 0.99 * sum(counts), 0
    for count, bound in zip(counts, (*LATENCY_BOUNDS_NS, LATENCY_BOUNDS_NS[-1]), strict=True):
        so_far += count
        if count and so_far >= most:
            return round(bound / 1e6, 2)
    return None
