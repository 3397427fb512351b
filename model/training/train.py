"""Training: a configuration in, a bundle and its metrics out. Reads from top to bottom."""

import math
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.engine.engine import Device
from kinestream.model.errors import MissingExtra, TrainingDiverged
from kinestream.model.extras import install
from kinestream.model.recordings.recording import Channel

try:
    import torch
except ModuleNotFoundError:
    raise MissingExtra(f"training needs PyTorch: {install('train')}") from None

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.bundle.description import FORMAT, ChannelEntry, Description, WindowEntry
from kinestream.model.config.training import PreprocessSection, TrainConfig
from kinestream.model.network.make import make_network
from kinestream.model.scores.metrics import Scores, score
from kinestream.model.training.augment import make_augmentation
from kinestream.model.training.data import TrainingSet, read_training_set
from kinestream.model.training.listener import SILENT, TrainingListener
from kinestream.model.training.outcome import TrainResult, finish_run, result_of_finished
from kinestream.model.training.rareclasses import rare_classes
from kinestream.model.training.runfolder import Course, Epoch, RunFolder
from kinestream.model.training.start import Start
from kinestream.model.training.steps import make_learner, seed_epoch, train_epoch, training_device
from kinestream.model.training.transfer import start_learner
from kinestream.model.windows.labelled import WindowSet

Array = npt.NDArray[np.float32]

_VALIDATION_BATCH = 512


def train(
    config: TrainConfig,
    folder: str | Path,
    *,
    device: str = "auto",
    threads: int = 1,
    resume: bool = True,
    listener: TrainingListener = SILENT,
    page: bool = True,
) -> TrainResult:
    """Train a model, or resume an interrupted run of the same configuration.

    Parameters
    ----------
    config : TrainConfig
        From `kinestream.model.config.file.load_config`.
    folder : str or Path
        Where the run lives; made where needed.
    device : {"auto", "cpu", "cuda"}
        What trains; ``auto`` takes a GPU where there is one.
    threads : int
        CPU threads. The matrices of small cells are too small to share, and on a busy machine two threads spend most
        of their time waiting for each other, so more than one pays for large networks only.
    resume : bool
        False discards the run in the folder and starts from the beginning.
    listener : TrainingListener
        Its methods are called as training progresses; by default they do nothing.
    page : bool
        Whether to write the results as a page, ``report.html``.

    Returns
    -------
    TrainResult
        Also written to ``result.json``. For a run that is finished already, its result is returned unchanged.

    Raises
    ------
    ConfigError
        Where the folder is a file, holds a run of another configuration or a damaged one, or another process trains
        there, or the configuration does not fit the dataset.
    SourceError
        Where the dataset cannot be read.
    TrainingDiverged
        Where the loss or a weight is infinite or NaN.
    FileError
        Where the folder cannot be written to.
    """
    with RunFolder(Path(folder)) as run:
        return _train(run, config, device, threads=threads, resume=resume, listener=listener, page=page)


def _train(
    run: RunFolder,
    config: TrainConfig,
    device: str,
    *,
    threads: int,
    resume: bool,
    listener: TrainingListener,
    page: bool,
) -> TrainResult:
    where = training_device(device)
    on: Device = "cuda" if where.type == "cuda" else "cpu"
    config, start = Start.open(config)
    if resume:
        run.check(config)
        finished = run.read_result()
        if finished:
            listener.note("already finished: nothing to train; --restart trains it again")
            return result_of_finished(run, finished, config, on, listener, page=page)
    torch.set_num_threads(threads)
    data = read_training_set(config, start)
    if data.start:
        listener.note(data.start)
    for warning in rare_classes(data):
        listener.note(f"warning: {warning}")
    names = [channel.name for channel in data.inputs]
    factors = np.float32(config.scaled_deviation) / data.input_deviations
    augment = make_augmentation(config.train.augment, names, data.input_means, factors, data.absent)
    if not resume:
        run.clear()
    run.claim(config)
    seed_epoch(config.train.seed, epoch=0)
    network = make_network(config.network, len(data.inputs), len(data.classes), config.window.length).to(where)
    learner = start_learner(start, network, data, config.train) if start else make_learner(network, config.train)
    kept, course = run.restore(learner)
    batches = math.ceil(len(data.train.truth) / config.train.batch)
    listener.begin(course, config.train.epochs, batches)
    while not course.over(config.train.epochs, config.train.patience if data.validation else None):
        begin, cpu = time.perf_counter(), time.process_time()
        seed_epoch(config.train.seed, course.done + 1)
        loss, rate = train_epoch(learner, data, config.train, augment, course.done, listener.batch)
        scores = _validate(learner.shown, data.validation, data)
        epoch = Epoch(
            epoch=course.done + 1,
            loss=loss,
            learning_rate=rate,
            **_measured(scores),
            seconds=round(time.perf_counter() - begin, 2),
            cpu_seconds=round(time.process_time() - cpu, 2),
        )
        _check_finite(epoch, learner.shown, course, config)
        course = course.after(epoch, config.train.monitor)
        if course.best == course.done:
            kept = {name: tensor.detach().cpu().clone() for name, tensor in learner.shown.state_dict().items()}
        run.save(learner, kept, course)
        listener.epoch(course)
    bundle = Bundle(_description(config, data, course), {name: tensor.numpy() for name, tensor in kept.items()})
    run.write_history(course)  # an interrupted run may have stopped between its last checkpoint and the history
    known = start.bundle.description.familiar if start else ()
    result = finish_run(
        run, bundle, data.split, course, known=known, cut=config.window.cut, device=on, listener=listener, page=page
    )
    listener.end()
    return result


def _check_finite(epoch: Epoch, network: torch.nn.Module, course: Course, config: TrainConfig) -> None:
    """Raise an error before weights that are not finite are saved or validated."""
    lost = not math.isfinite(epoch.loss)
    if not lost and all(bool(tensor.isfinite().all()) for tensor in network.state_dict().values()):
        return
    what = f"its loss is {epoch.loss}" if lost else "its weights are not finite"
    knob = "train.learning_rate" if config.train.clip_norm else "train.learning_rate, or give train.clip_norm"
    kept = f"; what was kept of epoch {course.done} is untouched" if course.done else ""
    raise TrainingDiverged(
        f"training {config.name} diverged in epoch {epoch.epoch}: {what}, no bundle is written{kept}: lower {knob} "
        f"(now {config.train.learning_rate:g}), and look for values of odd size in the recordings; then --restart"
    )


def _validate(network: torch.nn.Module, windows: WindowSet | None, data: TrainingSet) -> Scores | None:
    if windows is None:
        return None
    network.eval()
    where = next(network.parameters()).device
    with torch.inference_mode():
        batches = torch.split(torch.from_numpy(windows.windows), _VALIDATION_BATCH)
        predicted = torch.cat([network(batch.to(where)).argmax(dim=1).cpu() for batch in batches])
    return score(windows.truth, predicted.numpy(), data.classes, data.null_class)


def _description(config: TrainConfig, data: TrainingSet, course: Course) -> Description:
    window, derived = config.window, config.preprocess != PreprocessSection()
    return Description(
        format=FORMAT,
        name=config.name,
        rate_hz=data.rate_hz,
        window=WindowEntry(length=window.length, stride=window.stride, max_missing=window.max_missing),
        channels=_entries(data.channels, data.means, data.deviations, data.repeats),
        classes=data.classes,
        null_class=data.null_class,
        scaled_deviation=config.scaled_deviation,
        preprocess=config.preprocess,
        derived=_entries(data.inputs, data.input_means, data.input_deviations) if derived else (),
        network=config.network,
        blank_frozen=config.blank_frozen,
        training=_origin(config, data, course),
    )


def _entries(
    channels: tuple[Channel, ...], means: Array, deviations: Array, repeats: Sequence[int | None] | None = None
) -> tuple[ChannelEntry, ...]:
    noted = [None] * len(channels) if repeats is None else repeats
    return tuple(
        ChannelEntry(
            name=channel.name, unit=channel.unit, mean=float(mean), deviation=float(deviation), longest_repeat=repeat
        )
        for channel, mean, deviation, repeat in zip(channels, means, deviations, noted, strict=True)
    )


def _origin(config: TrainConfig, data: TrainingSet, course: Course) -> dict[str, Any]:
    """Return where the weights came from; nothing in it changes when the same run is repeated."""
    kept = course.history[course.best - 1]
    return {
        "dataset": config.dataset.name,
        "task": data.task,
        "people": data.people(),
        "recordings": data.recordings(),
        "windows": {"train": len(data.train.truth), "validation": len(data.validation.truth) if data.validation else 0},
        **({"start": data.start} if data.start else {}),
        "seed": config.train.seed,
        "epochs": course.done,
        "kept_epoch": course.best,
        "validation": {name: getattr(kept, name) for name in ("accuracy", "f1_weighted", "f1_macro")},
        "config": config.model_dump(mode="json", exclude={"dataset": {"source"}}),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("kinestream", "torch", "numpy")},
        },
    }


def _measured(scores: Scores | None) -> dict[str, float]:
    """Return the metrics that an epoch keeps of its validation."""
    if scores is None:
        return {}
    averages = scores.averages
    return {"accuracy": averages.accuracy, "f1_weighted": averages.f1_weighted, "f1_macro": averages.f1_macro}
