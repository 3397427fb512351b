"""The grid on which samples lie: sample k at ``origin + k / rate``, exact to the nanosecond however far k counts."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

_SECOND = 1_000_000_000
_FINEST = 1_000_000
"""Largest denominator of a rate in Hz; it keeps all that is multiplied below within 64 bits."""


def exact_rate(rate_hz: float) -> Fraction:
    """Return a rate as a ratio that everybody who was told it arrives at: 49.6 is 248/5, 33.3333333 is 100/3.

    Parameters
    ----------
    rate_hz : float
        Samples per second, above 0.

    Raises
    ------
    ValueError
        Where it is no rate, or slower than one sample in a million seconds.
    """
    exact = Fraction(rate_hz).limit_denominator(_FINEST) if np.isfinite(rate_hz) else Fraction(0)
    if exact <= 0:
        raise ValueError(f"a rate is above 0 Hz, not {rate_hz:g}")
    return exact


@dataclass(frozen=True)
class SampleGrid:
    """Sample k lies at ``origin + k / rate``, rounded to the nearest nanosecond, halves up.

    Parameters
    ----------
    origin : int
        Time of sample 0, in nanoseconds; Unix time for a stream.
    rate : Fraction
        Samples per second, as `exact_rate` returns it.
    """

    origin: int
    rate: Fraction

    @cached_property
    def period_ns(self) -> int:
        """Time from one sample to the next, to the nearest nanosecond."""
        return round(_SECOND / self.rate)

    def time(self, index: int) -> int:
        """Return when a sample lies, in nanoseconds."""
        return self.origin + self._since(index)

    def times(self, first: int, count: int) -> npt.NDArray[np.int64]:
        """Return when samples `first`, `first` + 1, ... lie, in nanoseconds, shape (`count`,)."""
        # All at once in 64 bits would overflow: on a grid anchored at the epoch, k in nanoseconds has 67.
        step, divisor = self._step_and_divisor
        whole, rest = divmod(first * step + divisor // 2, divisor)
        every, more = divmod(step, divisor)
        since: npt.NDArray[np.int64] = np.arange(count, dtype=np.int64)
        since *= every
        if more:
            since += (rest + np.arange(count, dtype=np.int64) * more) // divisor
        since += self.origin + whole
        return since

    def at_or_after(self, time: int) -> int:
        """Return the index of the first sample that does not lie before a time, which is given in nanoseconds."""
        step, divisor = self._step_and_divisor
        index = -((self.origin - time) * divisor // step)
        # The quotient knows nothing of rounding, which may move a sample over the time by half a nanosecond.
        index -= self.time(index - 1) >= time
        return index + (self.time(index) < time)

    @cached_property
    def _step_and_divisor(self) -> tuple[int, int]:
        """From one sample to the next are so many nanoseconds, divided by this, which is even."""
        return 2 * _SECOND * self.rate.denominator, 2 * self.rate.numerator

    def _since(self, index: int) -> int:
        step, divisor = self._step_and_divisor
        return (index * step + divisor // 2) // divisor
