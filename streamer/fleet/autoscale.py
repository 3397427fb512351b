"""When a fleet should have another streamer, or one less: a rule, and nothing else."""

from collections.abc import Sequence

from kinestream.streamer.fleet.fleetfile import AutoscaleSection
from kinestream.streamer.fleet.load import Load

_LOWER = 2 / 3
"""The rest must stay below this share of the limit: else what is taken away now is added again next."""


def wanted(rule: AutoscaleSection, loads: Sequence[Load | None]) -> int:
    """Return how many streamers there should be, one more or less than now at most.

    Parameters
    ----------
    rule : AutoscaleSection
        What holds.
    loads : sequence of Load or None
        How each streamer fares; None where that is not known, as of one that was just started.
    """
    count = len(loads)
    known = [load for load in loads if load is not None]
    if count < rule.least:
        return count + 1
    if count > rule.most:
        return count - 1
    if len(known) < count or not known:
        return count
    processor = sum(load.processor for load in known)
    slow = any(load.p99_ms is not None and load.p99_ms > rule.p99_ms for load in known)
    if processor / count > rule.processor or slow:
        return min(count + 1, rule.most)
    if count > rule.least and processor / (count - 1) < _LOWER * rule.processor:
        return count - 1
    return count


class Patience:
    """Holds back a change until two looks in a row have said the same."""

    def __init__(self) -> None:
        self._last: int | None = None

    def take(self, wanted: int) -> bool:
        """Take what a look said; return whether the one before said the same."""
        same, self._last = wanted == self._last, wanted
        return same

    def begin(self) -> None:
        """Forget what was said: the fleet is another."""
        self._last = None
