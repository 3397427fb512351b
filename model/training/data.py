"""What a configuration trains on: recordings read, split by people, scaled and cut into windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from kinestream.model.config.training import DatasetSection, PreprocessSection, TrainConfig
from kinestream.model.datasets import Channel, Recording, Source, open_dataset
from kinestream.model.datasets.split import read_split
from kinestream.model.errors import ConfigError
from kinestream.model.recordings.filters import derived_names
from kinestream.model.recordings.split import Split, people_of
from kinestream.model.training.start import Start
from kinestream.model.training.statistics import channel_statistics
from kinestream.model.windows.frozen import longest_repeats
from kinestream.model.windows.grid import WindowGrid
from kinestream.model.windows.labelled import WindowSet, window_set
from kinestream.model.windows.prepare import preparation


@dataclass(frozen=True)
class TrainingSet:
    """All that training reads.

    Parameters
    ----------
    task : str
        Which of the dataset's labels.
    rate_hz : float
        Samples per second.
    channels : tuple of Channel
        C channels.
    classes : tuple of str
        K classes.
    null_class : str or None
        The class that means "none of the others".
    split : Split
        Whose recordings are for what.
    means, deviations : ndarray of float32, shape (C,)
        Over the training people's samples.
    repeats : tuple of int or None
        For how many samples in a row, at most, each channel kept its value; None where that is not known of what the
        bundle was trained on that training starts from.
    inputs : tuple of Channel
        The D features of a sample that the network reads: the channels, or what is derived from them.
    input_means, input_deviations : ndarray of float32, shape (D,)
        Of those; over the training windows where they are derived, since there is nothing to derive outside of one.
    train : WindowSet
        Windows to train on.
    validation : WindowSet or None
        Windows to validate on, where anybody is.
    class_weights : ndarray of float32, shape (K,)
        What a window of each class counts; 1 on average over the training windows.
    absent : ndarray of float32, shape (T, D)
        What the network reads, scaled, of a window in which no device has a reading.
    start : str or None
        What is kept of the bundle that training starts from, in a line; None where it starts from scratch.
    """

    task: str
    rate_hz: float
    channels: tuple[Channel, ...]
    classes: tuple[str, ...]
    null_class: str | None
    split: Split
    means: npt.NDArray[np.float32]
    deviations: npt.NDArray[np.float32]
    repeats: tuple[int | None, ...]
    inputs: tuple[Channel, ...]
    input_means: npt.NDArray[np.float32]
    input_deviations: npt.NDArray[np.float32]
    train: WindowSet
    validation: WindowSet | None
    class_weights: npt.NDArray[np.float32]
    absent: npt.NDArray[np.float32]
    start: str | None = None

    @property
    def parts(self) -> dict[str, tuple[Recording, ...]]:
        """The recordings of each part."""
        return {"train": self.split.train, "validation": self.split.validation, "test": self.split.test}

    def people(self) -> dict[str, list[str]]:
        """Return who is in which part."""
        return {part: people_of(recordings) for part, recordings in self.parts.items()}

    def recordings(self) -> dict[str, list[str]]:
        """Return the ids of the recordings in each part."""
        return {part: [recording.id for recording in recordings] for part, recordings in self.parts.items()}


def read_training_set(config: TrainConfig, start: Start | None = None) -> TrainingSet:
    """Read what a configuration trains on, scaled as the bundle that it starts from expects it.

    Raises
    ------
    ConfigError
        Where the configuration does not fit the dataset; lists every problem.
    SourceError
        Where the dataset cannot be read.
    """
    source = open_dataset(config.dataset)
    _check(config.dataset, source)
    classes = config.dataset.classes or source.classes
    null = None if source.null_class is None else source.classes[source.null_class]
    columns = _columns(config.dataset.channels, source.channels)
    split = read_split(source, config.split, config.train.seed)

    chosen = [r.samples if columns is None else r.samples[:, columns] for r in split.train]
    means, deviations = channel_statistics(chosen)
    repeats: tuple[int | None, ...] = longest_repeats(chosen)
    channels = source.channels if columns is None else tuple(source.channels[i] for i in columns)
    inputs = _inputs(config, channels)
    if start:
        start.check(source.rate_hz, channels, inputs)
        repeats = start.repeats(channels, repeats)
        means, deviations = start.scaling(start.bundle.description.channels, channels, means, deviations)
    prepare = preparation(config.preprocess, [channel.name for channel in channels], means, source.rate_hz)
    window = config.window
    grid = WindowGrid(window.length, window.stride, window.max_missing)
    dense = replace(grid, stride=config.train.stride or grid.stride)
    train = window_set(split.train, classes, columns, dense, window.cut, prepare, len(inputs))
    validation = window_set(split.validation, classes, columns, grid, window.cut, prepare, len(inputs))
    _check_windows(config, train, validation if split.validation else None)
    derived = config.preprocess != PreprocessSection()
    input_means, input_deviations = channel_statistics(list(train.windows)) if derived else (means, deviations)
    if start:
        input_means, input_deviations = start.scaling(start.bundle.inputs, inputs, input_means, input_deviations)
    factors = np.float32(config.scaled_deviation) / input_deviations
    for each in (train, validation):
        each.scale(input_means, factors)
    nothing = np.full((1, window.length, len(channels)), np.nan, np.float32)
    return TrainingSet(
        task=source.task,
        rate_hz=source.rate_hz,
        channels=channels,
        classes=classes,
        null_class=null if null in classes else None,
        split=split,
        means=means,
        deviations=deviations,
        repeats=repeats,
        inputs=inputs,
        input_means=input_means,
        input_deviations=input_deviations,
        train=train,
        validation=validation if split.validation else None,
        class_weights=_class_weights(train.truth, len(classes), config.train.class_balance),
        absent=(prepare(nothing)[0] - input_means) * factors,
        start=start.line(inputs, classes, split) if start else None,
    )


def _check(section: DatasetSection, source: Source) -> None:
    problems = []
    if source.info.name != section.name:
        problems.append(f"dataset.name: is {section.name}, but {source.path} holds {source.info.name}")
    names = [channel.name for channel in source.channels]
    for key, wanted, known in (("classes", section.classes, source.classes), ("channels", section.channels, names)):
        missing = [name for name in wanted or () if name not in known]
        if missing:
            problems.append(f"dataset.{key}: no {', '.join(missing)}: there are {', '.join(known)}")
    if problems:
        raise ConfigError(f"the configuration for {section.name}", problems)


def _check_windows(config: TrainConfig, train: WindowSet, validation: WindowSet | None) -> None:
    problems = []
    for part, windows in (("train", train), ("validation", validation)):
        if windows is not None and not len(windows.truth):
            problems.append(f"window.length: not one labelled window of {config.window.length} samples to {part} on")
    if problems:
        raise ConfigError(f"the configuration for {config.dataset.name}", problems)


def _inputs(config: TrainConfig, channels: tuple[Channel, ...]) -> tuple[Channel, ...]:
    """Return what the network reads of a sample."""
    section = config.preprocess
    if section == PreprocessSection():
        return channels
    units = {channel.name: channel.unit for channel in channels}
    missing = [name for name in section.gravity_channels if name not in units]
    if missing:
        problem = f"preprocess.gravity_channels: no {', '.join(missing)}: there are {', '.join(units)}"
        raise ConfigError(f"the configuration for {config.dataset.name}", [problem])
    names = derived_names(section, list(units))
    return tuple(Channel(name, units.get(name, units.get(name.partition("_")[2], ""))) for name in names)


def _columns(wanted: Sequence[str] | None, channels: Sequence[Channel]) -> npt.NDArray[np.intp] | None:
    names = [channel.name for channel in channels]
    if wanted is None or list(wanted) == names:
        return None
    return np.array([names.index(name) for name in wanted], dtype=np.intp)


def _class_weights(truth: npt.NDArray[np.int64], classes: int, balance: float) -> npt.NDArray[np.float32]:
    counts = np.bincount(truth, minlength=classes).astype(np.float64)
    weights = np.where(counts > 0, np.maximum(counts, 1.0) ** -balance, 0.0)
    scaled: npt.NDArray[np.float32] = (weights * counts.sum() / (weights @ counts)).astype(np.float32)
    return scaled
