"""A third-order Butterworth low-pass, run forwards and backwards, so that nothing is delayed.

It is two sections of the second order in a row (the first of them really of the first order), each a recursion over
samples. NumPy is slow sample by sample, so each section runs a block of samples at a time: within a block its output is
a matrix of the block's inputs plus a matrix of the two numbers that it carries over from the block before. A streamer
filters windows of its bundle with this, and for that need not have SciPy, whose ``butter`` and ``sosfiltfilt`` give the
same.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_BLOCK = 64
_PAD = 15
"""Samples that a signal is continued by at either end, mirrored: SciPy's choice for two sections."""


@dataclass(frozen=True)
class _Section:
    """``y = x*b0 + z0; z0 = x*b1 - y*a1 + z1; z1 = x*b2 - y*a2``, the transposed direct form II."""

    b: tuple[float, float, float]
    a: tuple[float, float]

    @property
    def steady(self) -> Array:
        """What it carries over where its input has always been 1, shape (2,)."""
        gain = sum(self.b) / (1 + sum(self.a))
        last = self.b[2] - self.a[1] * gain
        return np.array([self.b[1] - self.a[0] * gain + last, last])

    def run(self, signals: Array) -> Array:
        """Filter shape (N, C) forwards, as if its first sample had always been."""
        responses = self._responses(_BLOCK)
        carried, out = self.steady[:, None] * signals[0], np.empty_like(signals)
        for first in range(0, len(signals), _BLOCK):
            block = signals[first : first + _BLOCK]
            n = len(block)
            both = responses @ np.concatenate([np.pad(block, ((0, _BLOCK - n), (0, 0))), carried])
            out[first : first + n], carried = both[:n], both[_BLOCK:]
        return out

    def _responses(self, block: int) -> Array:
        """Return what `block` outputs and the two numbers after them are of `block` inputs and the two before them."""
        state = np.concatenate([np.zeros((2, block)), np.eye(2)], axis=1)
        rows = []
        for x in np.eye(block, block + 2):
            y = self.b[0] * x + state[0]
            state = np.array([self.b[1] * x - self.a[0] * y + state[1], self.b[2] * x - self.a[1] * y])
            rows.append(y)
        return np.array([*rows, *state])


def low_pass(signals: npt.NDArray[np.floating[Any]], hz: float, rate_hz: float) -> Array:
    """Take out what is faster than a frequency.

    Parameters
    ----------
    signals : ndarray of float, shape (N, C)
        Without gaps; continued at both ends, mirrored about the first and the last sample, as far as N allows.
    hz : float
        Where half of the amplitude is left; less than half of `rate_hz`.
    rate_hz : float
        Samples per second.

    Returns
    -------
    ndarray of float64, shape (N, C)

    Raises
    ------
    ValueError
        Where no signal of this rate has such a frequency.
    """
    if not 0 < hz < rate_hz / 2:
        raise ValueError(f"a low-pass at {hz:g} Hz needs more than {2 * hz:g} samples a second, not {rate_hz:g}")
    x = signals.astype(np.float64)
    pad = min(_PAD, len(x) - 1)
    x = np.concatenate([2 * x[0] - x[pad:0:-1], x, 2 * x[-1] - x[-2 : -2 - pad : -1]])
    for _ in ("forwards", "backwards"):
        for section in _sections(hz, rate_hz):
            x = section.run(x)
        x = x[::-1]
    return x[pad : len(x) - pad]


def _sections(hz: float, rate_hz: float) -> tuple[_Section, _Section]:
    """Return 1/(s + 1) and 1/(s² + s + 1) by the bilinear transform, the corner where it is asked for."""
    k = math.tan(math.pi * hz / rate_hz)
    first, second = 1 / (1 + k), 1 / (1 + k + k * k)
    return (
        _Section((k * first, k * first, 0.0), ((k - 1) * first, 0.0)),
        _Section(
            (k * k * second, 2 * k * k * second, k * k * second), (2 * (k * k - 1) * second, (1 - k + k * k) * second)
        ),
    )
