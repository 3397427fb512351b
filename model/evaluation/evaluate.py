"""Evaluation: a bundle classifies the windows of recordings as the streamer would, and is scored on the truth."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kinestream.model.activity.line import ActivityScores, follow, score_activities
from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.config.training import Cut
from kinestream.model.datasets import Recording
from kinestream.model.engine.engine import Device, Engine
from kinestream.model.engine.load import load_engine
from kinestream.model.evaluation.evaluation import Evaluation, RecordingLabels
from kinestream.model.evaluation.selection import as_delivered, joined, open_for, select
from kinestream.model.progress import Progress, ProgressCallback, ignore_progress
from kinestream.model.raytasks import Ended, Note, spread
from kinestream.model.recordings.recording import Channel
from kinestream.model.scores.calibration import calibrate
from kinestream.model.scores.metrics import score
from kinestream.model.scores.timeline import lay_out, score_timelines
from kinestream.model.windows.labelled import (
    NOT_SCORED,
    crosses_seam,
    foreign_classes,
    full_windows,
    truth_of,
    window_starts,
)

_BATCH = 256  # windows in one call of the engine


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
    ray: str | None = None,
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
    ray : str, optional
        Address of a Ray cluster on which the recordings are evaluated side by side; see
        `kinestream.model.cluster.connect`. They are read here and sent there.

    Raises
    ------
    EndpointError
        Where the cluster cannot be used.
    BundleError, SourceError
        Where one cannot be read, or their rates differ, or there is no such recording or person.
    ChannelMismatch
        Where the source lacks channels of the bundle, or has one in a unit of another quantity.
    """
    bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    opened = open_for(bundle, source, task, any_rate=devices)
    if devices:
        opened.check_devices()
    bundle.columns(opened.channels)  # before anything is read
    chosen, chosen_as = select(bundle, opened, recordings, people, split)
    if devices:
        chosen = as_delivered(opened, chosen, bundle.description.rate_hz, bundle.grid.stride)
        chosen_as += ", as their devices delivered them"
    if join_recordings:
        chosen, chosen_as = [joined(chosen)], f"{chosen_as}, joined into one"
    return evaluate_recordings(
        bundle, chosen, task=opened.task, chosen=chosen_as, cut=cut, device=device, progress=progress, ray=ray
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
    ray: str | None = None,
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
    cut, device, progress, ray
        As for `evaluate`.

    Raises
    ------
    ChannelMismatch
        Where the recordings lack channels of the bundle.
    """
    bundle.columns(recordings[0].channels)  # on a cluster, too, what does not fit is told before anything is sent
    recognise = _in_turn if ray is None else partial(_on_cluster, ray)
    results, engine = recognise(bundle, device, cut, recordings, progress)
    truth, probabilities = _scored(results)
    lines = [result.timeline for result in results if result.timeline is not None]
    classes, null_class = bundle.description.classes, bundle.description.null_class
    return Evaluation(
        bundle=bundle.id,
        dataset=recordings[0].dataset,
        task=task,
        chosen=chosen,
        cut=cut,
        engine=engine,
        recordings=tuple(results),
        scores=score(truth, probabilities.argmax(axis=1), classes, null_class),
        calibration=calibrate(probabilities, truth),
        timeline=score_timelines(lines, classes, null_class, recordings[0].rate_hz),
        activities=_activities(bundle, results),
    )


def _in_turn(
    bundle: Bundle, device: Device, cut: Cut, recordings: Sequence[Recording], progress: ProgressCallback
) -> tuple[list[RecordingLabels], str]:
    """Recognise recordings here; return what they came to, and by which engine."""
    engine = load_engine(bundle, device=device)
    results: list[RecordingLabels] = []
    progress(Progress("evaluating", 0, len(recordings)))
    for recording in recordings:
        results.append(_recognise(bundle, engine, recording, *bundle.columns(recordings[0].channels), cut))
        progress(Progress("evaluating", len(results), len(recordings)))
    return results, engine.name


def _on_cluster(
    address: str,
    bundle: Bundle,
    device: Device,
    cut: Cut,
    recordings: Sequence[Recording],
    progress: ProgressCallback,
) -> tuple[list[RecordingLabels], str]:
    """Recognise recordings as tasks of a Ray cluster; return what they came to, and by which engines."""
    found: dict[int, tuple[RecordingLabels, str]] = {}

    def ended(task: Ended) -> None:
        found[task.number] = task.result
        progress(Progress("evaluating", len(found), len(recordings)))

    progress(Progress("evaluating", 0, len(recordings)))
    alone = bundle, device, cut, recordings[0].channels
    spread(address, _recognise_there, recordings, *alone, ended=ended, gpus=int(device == "cuda"))
    results = [found[number] for number in range(len(recordings))]
    return [labels for labels, _ in results], " and ".join(sorted({engine for _, engine in results}))


def _recognise_there(
    bundle: Bundle, device: Device, cut: Cut, channels: tuple[Channel, ...], recording: Recording, note: Note
) -> tuple[RecordingLabels, str]:
    engine = load_engine(bundle, device=device)
    return _recognise(bundle, engine, recording, *bundle.columns(channels), cut), engine.name


def _activities(bundle: Bundle, results: Sequence[RecordingLabels]) -> ActivityScores | None:
    about, settings = bundle.description, bundle.description.activities
    found = [(each, each.timeline) for each in results if each.timeline is not None]
    if settings is None or not any(line.scored.any() for _, line in found):
        return None
    lines = [follow(settings, bundle.grid.stride, each.windows, each.last, each.probabilities) for each, _ in found]
    return score_activities(lines, [line for _, line in found], about.classes, about.null_class, about.rate_hz)


def _recognise(
    bundle: Bundle,
    engine: Engine,
    recording: Recording,
    columns: npt.NDArray[np.intp] | None,
    factors: npt.NDArray[np.float32] | None,
    cut: Cut,
) -> RecordingLabels:
    grid, classes = bundle.grid, bundle.description.classes
    starts = window_starts(recording, grid, cut)
    at_seams = crosses_seam(recording, starts, grid.length)
    wanted = np.flatnonzero(~at_seams & (starts >= recording.begins))
    kept, probabilities, absent = _run(engine, recording, columns, factors, starts, wanted, bundle)
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
        skipped=len(starts) - int(at_seams.sum()) - len(kept),
        at_seams=int(at_seams.sum()),
        silent=dict(zip(recording.device_names, absent[0].tolist(), strict=True)),
        frozen=dict(zip(recording.device_names, absent[1].tolist(), strict=True)),
        foreign=foreign_classes(recording, classes, starts[kept], grid.length),
        rate_hz=recording.rate_hz,
        timeline=lay_out(sample_truth, last, labels, grid.stride) if on_a_line else None,
    )


def _run(
    engine: Engine,
    recording: Recording,
    columns: npt.NDArray[np.intp] | None,
    factors: npt.NDArray[np.float32] | None,
    starts: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.intp],
    bundle: Bundle,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Name windows.

    Returns
    -------
    kept : ndarray of int64
        Which of those wanted are full enough to be named.
    probabilities : ndarray of float32
        Of each class for them.
    absent : ndarray of int64, shape (2, D)
        In how many of them each device is silent, and frozen.
    """
    kept = [np.empty(0, dtype=np.int64)]
    probabilities = [np.empty((0, len(bundle.description.classes)), dtype=np.float32)]
    absent = np.zeros((2, len(recording.devices)), dtype=np.int64)
    some = starts[wanted]
    for full in full_windows(recording, columns, some, bundle.grid, bundle.frozen, factors, at_once=_BATCH):
        absent += full.silent.sum(axis=0), full.frozen.sum(axis=0)
        if len(full.which):
            kept.append(wanted[full.which])
            probabilities.append(engine.probabilities(full.windows))
    return np.concatenate(kept), np.concatenate(probabilities), absent


def _scored(results: Sequence[RecordingLabels]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the true class of all windows that are scored, and the probability of each class for them."""
    truth = np.concatenate([result.truth for result in results])
    probabilities = np.concatenate([result.probabilities for result in results])
    scored = truth != NOT_SCORED
    return truth[scored], probabilities[scored]
