"""The one place that reads the clocks.

Times that leave the process are Unix times in nanoseconds, so that stamps taken by the sensor's sender, the streamer
and a subscriber on one machine can be subtracted from one another. Durations and deadlines use the monotonic clock,
which nobody can set. Whoever needs both asks `WallClock`, which notices when somebody sets the other one.
"""

import logging
import time
from collections import deque
from threading import Lock
from typing import NamedTuple

STEP_NS = 50_000_000
"""The wall clock has been set where it moved by more than this against the monotonic clock."""

_READING_NS = 200_000  # two clocks cannot be read at once: a reading that took longer says nothing
_READINGS = 5
_UNDERWAY_NS = 60_000_000_000  # no stamp is on its way for longer
_REMEMBERED = 16  # steps

_log = logging.getLogger(__name__)


def now_ns() -> int:
    """Return Unix time in nanoseconds; it may step."""
    return time.time_ns()


def monotonic_ns() -> int:
    """Return nanoseconds since some moment; every process of a machine counts from the same one."""
    return time.monotonic_ns()


def thread_ns() -> int:
    """Return the nanoseconds of a processor that this thread has had: none pass while others have it."""
    return time.thread_time_ns()


class Step(NamedTuple):
    """A step of the wall clock: noticed at this monotonic time, in ns; Unix minus monotonic time before and after."""

    noticed: int
    before: int
    after: int


class WallClock:
    """Unix time as the monotonic clock sees it.

    Steps are noticed by whoever looks next, and logged once. A machine that slept looks like one whose clock was set.

    Attributes
    ----------
    steps : deque of Step
        The latest ones.
    """

    def __init__(self) -> None:
        self.steps: deque[Step] = deque(maxlen=_REMEMBERED)
        self._lock = Lock()
        self._offset = _offset_ns()

    def offset_ns(self) -> int:
        """Return Unix time minus monotonic time; the same number again until the wall clock steps."""
        if abs(time.time_ns() - time.monotonic_ns() - self._offset) > STEP_NS:
            with self._lock:
                self._look_again()
        return self._offset

    def now_ns(self) -> int:
        """Return Unix time, as `now_ns` does, and notice a step."""
        self.offset_ns()
        return time.time_ns()

    def age_ns(self, unix_ns: int, monotonic: int) -> int:
        """Return how long before a monotonic time a stamp was taken on this machine, whatever the clock did since.

        Parameters
        ----------
        unix_ns : int
            The stamp, Unix ns. Of another machine's clock, the answer is as wrong as that clock is.
        monotonic : int
            By `monotonic_ns`, not long ago.
        """
        age = monotonic + self.offset_ns() - unix_ns
        if not self.steps:
            return age
        # The stamp may be from before a step: of what it may mean, the least that does not lie in the future is meant.
        ages = (monotonic + step.before - unix_ns for step in self.steps if monotonic - step.noticed < _UNDERWAY_NS)
        return min((each for each in (age, *ages) if each > -STEP_NS), default=age)

    def _look_again(self) -> None:
        offset = _offset_ns()
        step = offset - self._offset
        if abs(step) > STEP_NS:
            self.steps.append(Step(time.monotonic_ns(), self._offset, offset))
            self._offset = offset
            way = "forward" if step > 0 else "back"
            _log.warning("the clock of this machine stepped %s by %.3f s", way, abs(step) / 1e9)


def _offset_ns() -> int:
    """Return Unix minus monotonic time, from the quickest of some readings: the process may be held up within one."""
    best, shortest = 0, None
    for _ in range(_READINGS):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if shortest is None or after - before < shortest:
            best, shortest = wall - (before + after) // 2, after - before
        if shortest < _READING_NS:
            break
    return best


wall_clock = WallClock()
"""The wall clock of this process: all who ask it learn of the same steps."""
