"""The one place that reads the clock.

Everything that leaves the process carries Unix time in nanoseconds, so that stamps taken by the sensor's sender, the
streamer and a subscriber on one machine can be subtracted from one another.
"""

import time


def now_ns() -> int:
    """Return Unix time in nanoseconds."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Return nanoseconds since some moment, on a clock that nobody sets: for durations and deadlines."""
    return time.monotonic_ns()
