"""Where windows lie, and when one is too empty to be named; shared by training, evaluation and streaming.

Window k of a stream is samples [k*stride, k*stride + length). Its class is that of its last sample.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import UNLABELLED, Recording


@dataclass(frozen=True)
class WindowGrid:
    """The sliding window of a bundle.

    Parameters
    ----------
    length : int
        Samples in a window (T).
    stride : int
        Samples from the start of one window to the start of the next.
    max_missing : float
        Share of a window's samples that may be missing; a window that misses more is skipped.
    """

    length: int
    stride: int
    max_missing: float = 0.25

    def count(self, samples: int) -> int:
        """Return how many whole windows `samples` consecutive samples hold."""
        return 0 if samples < self.length else (samples - self.length) // self.stride + 1

    def start(self, window: int) -> int:
        """Return the sequence number of the first sample of a window."""
        return window * self.stride

    def first_from(self, seq: int) -> int:
        """Return the first window that lies wholly at or past sample `seq`."""
        return -(-seq // self.stride)


def continuous_starts(recording: Recording, grid: WindowGrid) -> npt.NDArray[np.int64]:
    """Return where the windows of a live stream of this recording start, shape (W,).

    Anchored to the first sample; a recording published as windows gives exactly those that fit the grid's length.
    """
    if recording.window is not None:
        whole = recording.window if recording.window == grid.length else len(recording.samples) + 1
        return np.arange(0, len(recording.samples) - whole + 1, whole, dtype=np.int64)
    return np.arange(grid.count(len(recording.samples)), dtype=np.int64) * grid.stride


def segmented_starts(recording: Recording, grid: WindowGrid) -> npt.NDArray[np.int64]:
    """Return where windows start when they are cut separately in each labelled segment, shape (W,).

    HAPT's and UCI HAR's published figures use this cut (Reyes-Ortiz et al., Neurocomputing 2015); a live stream cannot.
    """
    starts = [
        first + np.arange(grid.count(last - first), dtype=np.int64) * grid.stride
        for first, last in _segments(recording.labels)
    ]
    return np.concatenate(starts) if starts else np.empty(0, dtype=np.int64)


def _segments(labels: npt.NDArray[np.int16]) -> Iterator[tuple[int, int]]:
    """Yield (first, one past last) of each run of one class, unlabelled runs left out."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    bounds = [0, *edges.tolist(), len(labels)]
    for first, last in pairwise(bounds):
        if last > first and labels[first] != UNLABELLED:
            yield first, last


def cut(samples: npt.NDArray[np.float32], starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.float32]:
    """Return the windows that begin at `starts`, copied out, shape (W, length, C)."""
    windows: npt.NDArray[np.float32] = samples[starts[:, None] + np.arange(length)]
    return windows


def too_empty(windows: npt.NDArray[np.float32], max_missing: float) -> npt.NDArray[np.bool_]:
    """Tell which windows miss more than `max_missing` of their samples, shape (W,).

    A sample is missing when none of its channels has a reading, whether it never came or came as NaN or infinity
    throughout: so that the answer depends on the window alone.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        Raw windows, NaN or infinite where there is no reading.
    max_missing : float
        Largest share of missing samples that is let through.
    """
    return missing_shares(windows) > max_missing


def missing_shares(windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the share of each window's samples that are missing, shape (W,); see `too_empty`.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, C)
        Raw windows, NaN or infinite where there is no reading.
    """
    shares = np.zeros(len(windows))
    heard = np.isfinite(windows[:, :, 0])  # most windows have a reading here, and need no closer look
    if heard.all():
        return shares
    suspects = np.flatnonzero(~heard.all(axis=1))
    nothing = ~np.isfinite(windows[suspects]).any(axis=2)  # (suspects, T)
    shares[suspects] = nothing.mean(axis=1)
    return shares
