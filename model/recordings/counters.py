"""Counters that wrap: a device that numbers its readings with 8, 16 or 32 bits and says nothing else of time."""

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.clocks import COUNTER, ClockMap, Step

Numbers = npt.NDArray[np.int64]


def unwrap(counts: Numbers, bits: int, after: int | None = None) -> Numbers:
    """Return numbers that go on where a counter wraps.

    Parameters
    ----------
    counts : ndarray of int64, shape (M,)
        What the counter said, from 0 to 2 ** `bits` - 1, in the order in which readings were taken. Between two
        readings fewer than half of what it can count may be lost; more looks like a step back.
    bits : int
        How wide the counter is.
    after : int, optional
        The unwrapped number before the first, where there is one; without it the first stays as it is.

    Returns
    -------
    ndarray of int64, shape (M,)
    """
    if not len(counts):
        return counts.astype(np.int64)
    half, turn = 1 << (bits - 1), 1 << bits
    before = int(counts[0]) if after is None else after
    numbers = np.append(np.int64(before), counts.astype(np.int64))
    steps: Numbers = (numbers[1:] - numbers[:-1] + half) % turn - half
    return before + np.cumsum(steps)


class CounterMap:
    """Says when numbered readings were taken on the wearer's clock, as they arrive.

    Parameters
    ----------
    period_ns : int
        Time between two readings by the device's nominal rate, in nanoseconds; its true rate may be 2% off.
    bits : int
        How wide the counter is.
    delay_ns : int
        The least delay of the device's link in nanoseconds, where it is known.
    """

    def __init__(self, period_ns: int, bits: int, delay_ns: int = 0) -> None:
        self._period = period_ns
        self._bits = bits
        self._map = ClockMap(COUNTER, delay_ns)
        self._last: tuple[int, int] | None = None  # number and arrival of the last reading

    def take(self, counts: Numbers, arrival: int) -> tuple[Numbers, tuple[Step, ...]]:
        """Map readings that arrived together.

        Where nothing arrived for longer than the counter takes to go round once and a half, how many readings were lost
        can only be guessed from that time; a link that merely stalled would look the same. That is a step.

        Parameters
        ----------
        counts : ndarray of int64, shape (M,)
            What the counter said, in the order in which the readings were taken.
        arrival : int
            When they arrived, in nanoseconds of the wearer's clock.

        Returns
        -------
        times, steps
            As `ClockMap.take` returns them.
        """
        numbers = unwrap(counts, self._bits, None if self._last is None else self._last[0])
        turns = 0
        if self._last is not None and len(numbers):
            expected = (arrival - self._last[1]) / self._period
            turns = max(round((expected - int(numbers[-1] - self._last[0])) / (1 << self._bits)), 0)
            numbers += turns << self._bits
        if len(numbers):
            self._last = int(numbers[-1]), arrival
        times, steps = self._map.take(numbers * self._period, arrival)
        if turns and not steps:
            steps = (Step(0, 0),)
        return times, steps
