"""How long labels took, read off the counts that a streamer publishes."""

from collections.abc import Sequence

from kinestream.streamer.wire.status import LATENCY_BOUNDS_NS


def quantile_ms(counts: Sequence[int], share: float) -> float | None:
    """Return what a share of the labels took at most, in ms; None where there were none.

    Within a bucket they are taken to lie evenly on a logarithmic scale; its bounds are 19% apart.

    Parameters
    ----------
    counts : sequence of int
        How many took up to each of `LATENCY_BOUNDS_NS` and longer than the one before, and how many longer than all.
    share : float
        As 0.99.
    """
    total = sum(counts)
    if total <= 0:
        return None
    wanted, passed = share * total, 0
    for place, count in enumerate(counts):
        if count and passed + count >= wanted:
            upper = LATENCY_BOUNDS_NS[min(place, len(LATENCY_BOUNDS_NS) - 1)]
            lower = LATENCY_BOUNDS_NS[place - 1] if place else upper / 2
            within = max(wanted - passed, 0.0) / count
            return float(lower * (upper / lower) ** within / 1e6)
        passed += count
    return LATENCY_BOUNDS_NS[-1] / 1e6
