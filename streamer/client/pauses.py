"""How many samples a caller left out, by the clock: a pause is a gap, not samples that follow one another.

The problem. Whoever sends the samples of a grid without numbers says nothing of those that are missing. If a sensor is
away for ten seconds and its next sample got the next number, a window would hold both sides of the pause as if they
followed one another. But callers do not keep time to the sample: they are scheduled late, they read twelve samples at
once, their sensor delivers 49.6 or 52 samples a second instead of 50, or they send a recording as fast as it goes.

The rule. Each message may come as long after the one before as its own samples span, at the nominal rate. What passes
beyond that is silence, and silence counts if it is longer than `TOLERANCE_NS`, than `TOLERANCE_PERIODS` samples, and
than each of the two messages: then as many samples are missing as it spans. Less is forgiven and forgotten, so that a
rate that is a little too low never adds up. Whoever sends faster than that is ahead of the clock, and silence counts
from where the clock has caught up; so that a rate that is a little too high does not hide a pause after an hour, being
ahead fades by `FADES` of the time that passes.
"""

TOLERANCE_NS = 500_000_000
"""Silence up to so long is no gap: a garbage collection, a slow disk, a phone's radio."""
TOLERANCE_PERIODS = 5
"""Nor is as long as so many samples take, where they are slow."""
FADES = 0.1
"""Rates up to so much above the nominal one leave nobody ahead of the clock."""


class Pauses:
    """What a caller left out, message by message.

    Parameters
    ----------
    rate_hz : float
        The nominal rate.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_ns = 1e9 / rate_hz
        self._before_ns: int | None = None
        self._before_span_ns = 0.0
        self._ahead_ns = 0.0

    def missing(self, samples: int, clock_ns: int) -> int:
        """Return how many samples are missing before those of a message, 0 for the first one.

        Parameters
        ----------
        samples : int
            How many it holds.
        clock_ns : int
            When its last one was taken; where that is less than before, the clock was set, and says nothing.
        """
        span = samples * self._period_ns
        before, span_before = self._before_ns, self._before_span_ns
        self._before_ns, self._before_span_ns = clock_ns, span
        if before is None or clock_ns < before:
            self._ahead_ns = 0.0
            return 0
        passed = clock_ns - before
        silence = passed - span - self._ahead_ns
        if silence <= max(TOLERANCE_NS, TOLERANCE_PERIODS * self._period_ns, span, span_before):
            self._ahead_ns = max(self._ahead_ns + span - passed * (1 + FADES), 0.0)
            return 0
        self._ahead_ns = 0.0
        return round(silence / self._period_ns)

    def resume(self, clock_ns: int) -> None:
        """Count from here: what passed since the last message was not the caller's, who waited for the streamer."""
        if self._before_ns is not None:
            self._before_ns = clock_ns
