"""UCI HAR's filters: noise out, gravity apart from the body's own acceleration.

Anguita, Ghio, Oneto, Parra, Reyes-Ortiz, ESANN 2013: a median filter, a third-order Butterworth low-pass at 20 Hz, and
a Butterworth low-pass at 0.3 Hz whose output is gravity. The same functions serve a whole recording, as published, and
a window, where the label must depend on nothing else. The authors do not say whether they ran the low-passes both ways;
here they are, so that nothing is delayed.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from kinestream.model.config.training import PreprocessSection
from kinestream.model.recordings.lowpass import low_pass

Array = npt.NDArray[np.float32]


def derived_names(section: PreprocessSection, channels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what a network reads, in UCI HAR's order: body acceleration, the rest, total acceleration.

    Parameters
    ----------
    section : PreprocessSection
        What is derived.
    channels : sequence of str
        Names of the C channels.
    """
    split = section.gravity_channels
    body = [f"body_{name}" for name in channels if name in split]
    return (*body, *(name for name in channels if name not in split), *(f"total_{name}" for name in split))


def derive(signals: Array, section: PreprocessSection, channels: Sequence[str], rate_hz: float) -> Array:
    """Filter signals and split gravity off.

    Parameters
    ----------
    signals : ndarray of float32, shape (..., T, C)
        Without gaps: windows, or a whole recording.
    section : PreprocessSection
        Which filters.
    channels : sequence of str
        Names of the C channels.
    rate_hz : float
        Samples per second.

    Returns
    -------
    ndarray of float32, shape (..., T, D)
        As `derived_names` names them.
    """
    clean = _median(signals) if section.median else signals
    if section.lowpass_hz is not None:
        clean = _low_pass(clean, section.lowpass_hz, rate_hz)
    if not section.gravity_channels:
        return clean
    split = [channels.index(name) for name in section.gravity_channels]
    others = [column for column, name in enumerate(channels) if name not in section.gravity_channels]
    total = clean[..., split]
    body = total - _low_pass(total, section.gravity_hz, rate_hz)
    return np.concatenate([body, clean[..., others], total], axis=-1)


def _median(signals: Array) -> Array:
    """Return the median of each reading and its two neighbours; the ends stay as they are."""
    out = signals.copy()
    a, b, c = signals[..., :-2, :], signals[..., 1:-1, :], signals[..., 2:, :]
    np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c), out=out[..., 1:-1, :])
    return out


def _low_pass(signals: Array, hz: float, rate_hz: float) -> Array:
    if signals.ndim == 2:
        return low_pass(signals, hz, rate_hz).astype(np.float32)
    # Over a window of so few samples the filter is a matrix, and one product for a batch is quicker than a recursion.
    products: Array = np.matmul(_matrix(signals.shape[-2], hz, rate_hz), signals)
    return products


@cache
def _matrix(steps: int, hz: float, rate_hz: float) -> Array:
    """Return what the filter does to a window, shape (T, T)."""
    return low_pass(np.eye(steps), hz, rate_hz).astype(np.float32)
