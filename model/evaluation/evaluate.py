"""Evaluation: a bundle classifies the windows of recordings as the streamer would, and is scored on the truth."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.config.training import Cut
from kinestream.model.datasets import Recording
from kinestream.model.engine.engine import Device, Engine
from kinestream.model.engine.load import load_engine
from kinestream.model.evaluation.selection import as_delivered, joined, open_for, select
from kinestream.model.progress import Progress, ProgressCallback, ignore_progress
from kinestream.model.scores.calibration import Calibration, calibrate
from kinestream.model.scores.metrics import Scores, score
from kinestream.model.scores.timeline import Timeline, TimelineScores, lay_out, score_timelines
from kinestream.model.windows.grid import too_empty
from kinestream.model.windows.labelled import NOT_SCORED, foreign_classes, raw_windows, truth_of, window_starts

_BATCH = 256  # windows in one call of the engine


@dataclass(frozen=True)
class RecordingLabels:
    """A bundle's labels for one recording, with the truth.

    Parameters
    ----------
    recording, person : str
        Whose windows.
    windows : ndarray of int64, shape (W,)
        Which windows were recognised, counted from the recording's first; skipped ones are missing.
    last : ndarray of int64, shape (W,)
        Each window's last sample, the one that decides its true class.
    labels : ndarray of int64, shape (W,)
        The most probable class, as an index into the bundle's.
    probabilities : ndarray of float32, shape (W, K)
        Of each class.
    truth : ndarray of int64, shape (W,)
        The true class, or -1 where the window is not scored.
    sample_truth : ndarray of int64, shape (N,)
        The same of each sample of the recording.
    skipped : int
        Windows that are skipped because too many samples are missing.
    foreign : dict of str to int
        Windows of classes that the bundle does not know; they are recognised, not scored.
    rate_hz : float
        Samples a second.
    timeline : Timeline or None
        The label of each sample; None where windows share no time line, because they were cut separately in each
        labelled segment or published as windows.
    """

    recording: str
    person: str
    windows: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    truth: npt.NDArray[np.int64]
    sample_truth: npt.NDArray[np.int64]
    skipped: int
    foreign: dict[str, int]
    rate_hz: float
    timeline: Timeline | None


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a bundle on recordings.

    Parameters
    ----------
    bundle : str
        Id of the bundle.
    dataset, task : str
        What was evaluated on.
    chosen : str
        Whose recordings, in words.
    cut : {"continuous", "segmented"}
        How windows were cut.
    engine : str
        What ran the bundle.
    recordings : tuple of RecordingLabels
        In the source's order.
    scores : Scores or None
        Over all windows; None where none has a class that the bundle knows.
    calibration : Calibration or None
        Whether their probabilities mean what they say; None likewise.
    timeline : TimelineScores or None
        By the sample, by the event, and how soon; None likewise, and where recordings have no time line.
    """

    bundle: str
    dataset: str
    task: str
    chosen: str
    cut: Cut
    engine: str
    recordings: tuple[RecordingLabels, ...]
    scores: Scores | None
    calibration: Calibration | None = None
    timeline: TimelineScores | None = None

    @property
    def windows(self) -> int:
        """Windows recognised."""
        return sum(len(labels.windows) for labels in self.recordings)

    @property
    def skipped(self) -> int:
        """Windows that are skipped because too many samples are missing."""
        return sum(labels.skipped for labels in self.recordings)

    @property
    def not_scored(self) -> int:
        """Windows recognised whose true class is unknown, or unknown to the bundle."""
        return sum(int((labels.truth == NOT_SCORED).sum()) for labels in self.recordings)

    @property
    def foreign(self) -> dict[str, int]:
        """Windows of classes that the bundle does not know, by class."""
        return dict(sum((Counter(labels.foreign) for labels in self.recordings), Counter()))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON takes them, without the labels."""
        counts = {
            "bundle": self.bundle,
            "dataset": self.dataset,
            "task": self.task,
            "chosen": self.chosen,
            "cut": self.cut,
            "engine": self.engine,
            "recordings": [labels.recording for labels in self.recordings],
            "windows_recognised": self.windows,
            "windows_skipped": self.skipped,
            "windows_not_scored": self.not_scored,
            "foreign_classes": self.foreign,
        }
        scores = self.scores.as_dict() if self.scores else {"windows": 0}
        line = self.timeline.as_dict() if self.timeline else dict.fromkeys(("samples", "events", "delay"))
        return counts | scores | line | {"calibration": self.calibration.as_dict() if self.calibration else None}


def evaluate(
    bundle: Bundle | str | Path,
    source: str | Path,
    *,
    recordings: Sequence[str] | None = None,
    people: Sequence[str] | None = None,
    split: str | None = None,
    task: str | None = None,
    cut: Cut = "continuous",
    device: Device = "auto",
    join_recordings: bool = False,
    devices: bool = False,
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Evaluate a bundle on recordings.

    Parameters
    ----------
    bundle : Bundle, str or Path
        The model, or its folder.
    source : str or Path
        A dataset's zip, folder or name, or a YAML file that describes it.
    recordings, people : sequence of str, optional
        Only these. Without either, and without `split`, the recordings that were held out as test where the bundle was
        trained on this dataset, else all.
    split : {"train", "test"}, optional
        Only this part of the split the dataset was published with.
    task : str, optional
        Which labels; without it, those the bundle was trained on, or the dataset's first.
    cut : {"continuous", "segmented"}
        How windows are cut: as in a live stream, or separately in each labelled segment.
    device : {"auto", "cpu", "cuda"}
        What runs the bundle.
    join_recordings : bool
        Join the recordings into one, as the figures published for Opportunity did; windows then span their seams.
    devices : bool
        Take what each device delivered, laid on a grid of the bundle's rate as the streamer lays it, instead of the
        samples as published.
    progress : callable
        Called with the recordings that are done, of how many.

    Raises
    ------
    BundleError, SourceError
        Where one cannot be read, or their rates differ, or there is no such recording or person.
    ChannelMismatch
        Where the source lacks channels of the bundle.
    """
    bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    opened = open_for(bundle, source, task, any_rate=devices)
    if devices:
        opened.check_devices()
    bundle.column_order(opened.channels)  # before anything is read
    chosen, chosen_as = select(bundle, opened, recordings, people, split)
    if devices:
        chosen = as_delivered(opened, chosen, bundle.description.rate_hz)
        chosen_as += ", as their devices delivered them"
    if join_recordings:
        chosen, chosen_as = [joined(chosen)], f"{chosen_as}, joined into one"
    return evaluate_recordings(
        bundle, chosen, task=opened.task, chosen=chosen_as, cut=cut, device=device, progress=progress
    )


def evaluate_recordings(
    bundle: Bundle,
    recordings: Sequence[Recording],
    *,
    task: str,
    chosen: str,
    cut: Cut = "continuous",
    device: Device = "auto",
    progress: ProgressCallback = ignore_progress,
) -> Evaluation:
    """Evaluate a bundle on recordings that are already in memory, as in training.

    Parameters
    ----------
    bundle : Bundle
        The model.
    recordings : sequence of Recording
        At least one, all of one dataset.
    task, chosen : str
        Which of its labels, and whose recordings, in words.
    cut, device, progress
        As for `evaluate`.

    Raises
    ------
    ChannelMismatch
        Where the recordings lack channels of the bundle.
    """
    columns = bundle.column_order(recordings[0].channels)
    engine = load_engine(bundle, device=device)
    results = []
    progress(Progress("evaluating", 0, len(recordings)))
    for recording in recordings:
        results.append(_recognise(bundle, engine, recording, columns, cut))
        progress(Progress("evaluating", len(results), len(recordings)))
    truth, probabilities = _scored(results)
    lines = [result.timeline for result in results if result.timeline is not None]
    classes, null_class = bundle.description.classes, bundle.description.null_class
    return Evaluation(
        bundle=bundle.id,
        dataset=recordings[0].dataset,
        task=task,
        chosen=chosen,
        cut=cut,
        engine=engine.name,
        recordings=tuple(results),
        scores=score(truth, probabilities.argmax(axis=1), classes, null_class),
        calibration=calibrate(probabilities, truth),
        timeline=score_timelines(lines, classes, null_class, recordings[0].rate_hz),
    )


def _recognise(
    bundle: Bundle, engine: Engine, recording: Recording, columns: npt.NDArray[np.intp] | None, cut: Cut
) -> RecordingLabels:
    grid, classes = bundle.grid, bundle.description.classes
    starts = window_starts(recording, grid, cut)
    kept, probabilities = _run(engine, recording, columns, starts, bundle)
    last, labels = starts[kept] + grid.length - 1, probabilities.argmax(axis=1)
    sample_truth = truth_of(recording, classes, np.arange(len(recording.labels)), length=1)
    on_a_line = cut == "continuous" and recording.window is None
    return RecordingLabels(
        recording=recording.id,
        person=recording.person,
        windows=kept,
        last=last,
        labels=labels,
        probabilities=probabilities,
        truth=truth_of(recording, classes, starts[kept], grid.length),
        sample_truth=sample_truth,
        skipped=len(starts) - len(kept),
        foreign=foreign_classes(recording, classes, starts[kept], grid.length),
        rate_hz=recording.rate_hz,
        timeline=lay_out(sample_truth, last, labels, grid.stride) if on_a_line else None,
    )


def _run(
    engine: Engine,
    recording: Recording,
    columns: npt.NDArray[np.intp] | None,
    starts: npt.NDArray[np.int64],
    bundle: Bundle,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return which windows are full enough to be named, and the probability of each class for them."""
    grid = bundle.grid
    kept = [np.empty(0, dtype=np.int64)]
    probabilities = [np.empty((0, len(bundle.description.classes)), dtype=np.float32)]
    for first in range(0, len(starts), _BATCH):
        raw = raw_windows(recording, columns, starts[first : first + _BATCH], grid.length)
        full = np.flatnonzero(~too_empty(raw, grid.max_missing))
        if len(full):
            kept.append(first + full)
            probabilities.append(engine.probabilities(raw[full]))
    return np.concatenate(kept), np.concatenate(probabilities)


def _scored(results: Sequence[RecordingLabels]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the true class of all windows that are scored, and the probability of each class for them."""
    truth = np.concatenate([result.truth for result in results])
    probabilities = np.concatenate([result.probabilities for result in results])
    scored = truth != NOT_SCORED
    return truth[scored], probabilities[scored]
