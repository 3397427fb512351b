"""From recordings to windows: which there are, what their true class is, and what training reads of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.config.training import Cut
from kinestream.model.recordings.recording import UNLABELLED, Recording
from kinestream.model.recordings.samplegrid import exact_rate
from kinestream.model.windows.frozen import NEVER, FrozenRule
from kinestream.model.windows.grid import WindowGrid, continuous_starts, cut, segmented_starts, too_empty
from kinestream.model.windows.prepare import Preparation
from kinestream.model.windows.silent import blank_absent

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


class FullWindows(NamedTuple):
    """Windows as a streamer would cut and keep them, before what is missing in them is filled.

    Attributes
    ----------
    which : ndarray of int, shape (W,)
        Which they are of those asked for: the others miss too many samples.
    windows : ndarray of float32, shape (W, T, C)
        NaN where there is no reading, and where a device counts as absent.
    silent, frozen : ndarray of bool, shape (W, D)
        Which of the recording's devices are silent, and frozen, at the end of each; D is 0 of a recording as published.
    """

    which: npt.NDArray[np.intp]
    windows: npt.NDArray[np.float32]
    silent: npt.NDArray[np.bool_]
    frozen: npt.NDArray[np.bool_]


def full_windows(
    recording: Recording,
    columns: npt.NDArray[np.intp] | None,
    starts: npt.NDArray[np.int64],
    grid: WindowGrid,
    rule: FrozenRule = NEVER,
    factors: npt.NDArray[np.float32] | None = None,
    *,
    at_once: int = _WINDOWS_PER_CUT,
) -> Iterator[FullWindows]:
    """Yield windows as a streamer would keep them: devices absent at their end blanked, too empty ones left out.

    Training, evaluation and the scoring of a replay all cut here, so that none sees what another would not.

    Parameters
    ----------
    recording : Recording
        Whose windows.
    columns : ndarray of int or None
        The C channels to keep, by column; None keeps all as they stand.
    starts : ndarray of int64
        First sample of each that is asked for.
    grid : WindowGrid
        The sliding window.
    rule : FrozenRule
        The bundle's.
    factors : ndarray of float32, shape (C,), optional
        By what each channel that is kept is multiplied.
    at_once : int
        Windows that are cut at a time.
    """
    samples = recording.samples if columns is None else recording.samples[:, columns]
    kept = np.arange(samples.shape[1]) if columns is None else columns
    devices = [np.flatnonzero(np.isin(kept, each)) for each in recording.devices]
    used = [number for number, each in enumerate(devices) if len(each)]
    for first in range(0, len(starts), at_once):
        some = starts[first : first + at_once]
        raw = cut(samples, some, grid.length)
        raw = raw if factors is None else raw * factors
        silent, frozen = np.zeros((2, len(some), len(devices)), np.bool_)
        if devices:
            found = blank_absent(raw, [devices[number] for number in used], exact_rate(recording.rate_hz), rule)
            silent[:, used], frozen[:, used] = found.silent, found.frozen_since >= 0
        full = ~too_empty(raw, grid.max_missing)
        yield FullWindows(first + np.flatnonzero(full), raw[full], silent[full], frozen[full])


def crosses_seam(recording: Recording, starts: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.bool_]:
    """Tell which windows hold both sides of a seam, shape (W,): a streamer does not cut them."""
    crosses = np.zeros(len(starts), np.bool_)
    for behind in recording.seams:
        crosses |= (starts < behind) & (starts + length > behind)
    return crosses


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
    prepare: Preparation,
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
    prepare : callable
        From `kinestream.model.windows.prepare.preparation`.
    inputs : int
        D, features of a sample that the network reads.
    """
    cuts = []
    for recording in recordings:
        starts = window_starts(recording, grid, how)
        cuts.append((recording, starts, truth_of(recording, classes, starts, grid.length)))
    labelled = sum(int((truth != NOT_SCORED).sum()) for _, _, truth in cuts)
    windows = np.empty((labelled, grid.length, inputs), dtype=np.float32)
    truths = np.empty(labelled, dtype=np.int64)
    kept = 0
    for recording, starts, truth in cuts:
        wanted = np.flatnonzero(truth != NOT_SCORED)
        for full in full_windows(recording, columns, starts[wanted], grid):
            ready = windows[kept : kept + len(full.which)]
            ready[:] = prepare(full.windows)
            truths[kept : kept + len(ready)] = truth[wanted[full.which]]
            kept += len(ready)
    unlabelled = sum(len(truth) for _, _, truth in cuts) - labelled
    return WindowSet(windows[:kept], truths[:kept], skipped=labelled - kept, unlabelled=unlabelled)
