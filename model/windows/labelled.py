"""From recordings to windows: which there are, what their true class is, and what training reads of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.config.training import Cut
from kinestream.model.recordings.recording import UNLABELLED, Recording
from kinestream.model.recordings.samplegrid import exact_rate
from kinestream.model.windows.grid import WindowGrid, continuous_starts, cut, segmented_starts, too_empty
from kinestream.model.windows.prepare import Preparation
from kinestream.model.windows.silent import blank_silent, silent_samples

NOT_SCORED = -1
"""Truth of a window whose last sample has no class, or one that the bundle does not know."""

_WINDOWS_PER_CUT = 4096  # so that the windows cut at a time take little memory compared with a long recording


@dataclass(frozen=True)
class WindowSet:
    """Windows with their classes, as training reads them.

    Parameters
    ----------
    windows : ndarray of float32, shape (W, T, D)
        What the network reads: unscaled, until `scale` has been called.
    truth : ndarray of int64, shape (W,)
        Index into the classes.
    skipped : int
        Windows left out because too many of their samples are missing.
    unlabelled : int
        Windows left out because they have no class among those trained on.
    """

    windows: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    skipped: int
    unlabelled: int

    def scale(self, means: npt.NDArray[np.float32], factors: npt.NDArray[np.float32]) -> None:
        """Make every value (value - mean) * factor, in place; both of shape (D,)."""
        np.subtract(self.windows, means, out=self.windows)
        np.multiply(self.windows, factors, out=self.windows)


def window_starts(recording: Recording, grid: WindowGrid, how: Cut = "continuous") -> npt.NDArray[np.int64]:
    """Return where a recording's windows start, shape (W,); one published as windows keeps its own."""
    if how == "segmented" and recording.window is None:
        return segmented_starts(recording, grid)
    return continuous_starts(recording, grid)


def raw_windows(
    recording: Recording, columns: npt.NDArray[np.intp] | None, starts: npt.NDArray[np.int64], length: int
) -> npt.NDArray[np.float32]:
    """Return windows as a streamer would cut them, devices that are silent at their end blanked, shape (W, length, C).

    Parameters
    ----------
    recording : Recording
        Whose windows.
    columns : ndarray of int or None
        The C channels to keep, by column; None keeps all as they stand.
    starts : ndarray of int64, shape (W,)
        First sample of each.
    length : int
        T, samples in a window.
    """
    raw = cut(recording.samples, starts, length)
    raw = raw if columns is None else raw[:, :, columns]
    if recording.devices:
        kept = np.arange(raw.shape[2]) if columns is None else columns
        devices = [np.flatnonzero(np.isin(kept, each)) for each in recording.devices]
        tail = silent_samples(exact_rate(recording.rate_hz))
        blank_silent(raw, [each for each in devices if len(each)], tail)
    return raw


def truth_of(
    recording: Recording, classes: Sequence[str], starts: npt.NDArray[np.int64], length: int
) -> npt.NDArray[np.int64]:
    """Return the true class of windows: that of their last sample.

    Parameters
    ----------
    recording : Recording
        Whose windows.
    classes : sequence of str
        The bundle's classes; the recording's are matched to them by name.
    starts : ndarray of int64, shape (W,)
        First sample of each window.
    length : int
        T, samples in a window.

    Returns
    -------
    ndarray of int64, shape (W,)
        Index into `classes`, or `NOT_SCORED`.
    """
    known = {name: i for i, name in enumerate(classes)}
    # One entry more, which index -1 (UNLABELLED) finds.
    ours = np.array([*(known.get(name, NOT_SCORED) for name in recording.classes), NOT_SCORED], dtype=np.int64)
    return ours[recording.labels[starts + length - 1]]


def foreign_classes(
    recording: Recording, classes: Sequence[str], starts: npt.NDArray[np.int64], length: int
) -> dict[str, int]:
    """Count the windows of each class that is not among `classes`."""
    labels = recording.labels[starts + length - 1]
    counts = np.bincount(labels[labels != UNLABELLED], minlength=len(recording.classes))
    return {
        name: int(count) for name, count in zip(recording.classes, counts, strict=True) if count and name not in classes
    }


def window_set(
    recordings: Sequence[Recording],
    classes: Sequence[str],
    columns: npt.NDArray[np.intp] | None,
    grid: WindowGrid,
    how: Cut,
    prepared: Preparation,
    inputs: int,
) -> WindowSet:
    """Cut the labelled windows of recordings and make of them what the network reads.

    Parameters
    ----------
    recordings : sequence of Recording
        Whose windows.
    classes : sequence of str
        K classes to keep.
    columns : ndarray of int or None
        The C channels to keep, by column; None keeps all as they stand.
    grid : WindowGrid
        The sliding window.
    how : {"continuous", "segmented"}
        How windows are cut.
    prepared : callable
        From `model.windows.prepare.preparation`.
    inputs : int
        D, features of a sample that the network reads.
    """
    cuts = []
    for recording in recordings:
        starts = window_starts(recording, grid, how)
        truth = truth_of(recording, classes, starts, grid.length)
        cuts.append((recording.samples if columns is None else recording.samples[:, columns], starts, truth))
    labelled = sum(int((truth != NOT_SCORED).sum()) for _, _, truth in cuts)
    windows = np.empty((labelled, grid.length, inputs), dtype=np.float32)
    truths = np.empty(labelled, dtype=np.int64)
    kept = 0
    for samples, starts, truth in cuts:
        wanted = np.flatnonzero(truth != NOT_SCORED)
        for some in np.split(wanted, range(_WINDOWS_PER_CUT, len(wanted), _WINDOWS_PER_CUT)):
            raw = cut(samples, starts[some], grid.length)
            full = ~too_empty(raw, grid.max_missing)
            ready = windows[kept : kept + int(full.sum())]
            ready[:] = prepared(raw[full])
            truths[kept : kept + len(ready)] = truth[some[full]]
            kept += len(ready)
    unlabelled = sum(len(truth) for _, _, truth in cuts) - labelled
    return WindowSet(windows[:kept], truths[:kept], skipped=labelled - kept, unlabelled=unlabelled)
