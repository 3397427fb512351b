"""All that training hands to streaming: weights and a readable description, in a folder of two files.

``bundle.yaml`` says what goes in (channels, rate, window), what comes out (classes) and where it came from;
``weights.safetensors`` holds the numbers. Nothing in it can run code.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.numpy import load, save

from model.config import PreprocessSection, problems_of
from model.errors import BundleError, ChannelMismatch
from model.files import read_whole, write_whole
from model.filters import derived_names
from model.networkconfig import AnyNetwork
from model.plaindata import MOST_BYTES, dump_yaml, parse_yaml
from model.preprocess import Preparation, preparation
from model.printable import say
from model.recording import Channel
from model.section import Count, Name, Names, Section, Share, contradiction, doubled
from model.weights import misfit, no_numbers, weight_shapes
from model.windows import WindowGrid

FORMAT = 1
"""Version of the bundle's layout; another one is refused."""

RATE_TOLERANCE = 0.01
"""How far the rate of a stream or a source may lie from the bundle's, as a share of it: no clock is exact."""

DESCRIPTION = "bundle.yaml"
WEIGHTS = "weights.safetensors"
FOLDER = "bundle"
"""What the folder of a run calls the bundle in it."""

MOST_WEIGHTS = 1 << 30
"""Bytes of a file of weights; our largest network has one megabyte."""

_HEADER = 4096  # bytes that each entry of a file of weights may take besides its name and its numbers

MOST_VALUES = 1 << 24
"""Values in a window: 64 MB of them for every stream."""


class _Origin(BaseModel):
    """What is read of `Description.training`; there may be more, for people."""

    dataset: str = ""
    task: str | None = None
    people: dict[str, list[str]] = {}
    recordings: dict[str, list[str]] = {}
    windows: dict[str, int] = {}
    seed: int = 0
    epochs: int = 0
    kept_epoch: int = 0
    config: dict[str, Any] | None = None
    versions: dict[str, str] = {}


def _origin(training: dict[str, Any]) -> dict[str, Any]:
    _Origin.model_validate(training)
    return training


class ChannelEntry(Section):
    """A channel as the description lists it, with what scales it.

    Attributes
    ----------
    name, unit : str
        As in `model.datasets.Channel`.
    mean, deviation : float
        Over the training people's samples, in `unit`.
    """

    name: Name
    unit: Name = ""
    mean: float
    deviation: float = Field(gt=0)


class WindowEntry(Section):
    """The sliding window, in samples; see `model.windows.WindowGrid`."""

    length: Count
    stride: Count
    max_missing: Share = 0.25


class Description(Section):
    """What ``bundle.yaml`` says.

    Attributes
    ----------
    format : int
        Version of this layout.
    name : str
        What people call the model.
    rate_hz : float
        Samples per second the model expects.
    window : WindowEntry
        The sliding window.
    channels : tuple of ChannelEntry
        C channels, in the order of the network's input.
    classes : tuple of str
        K classes, in the order of the network's output.
    null_class : str or None
        The class that means "none of the others".
    scaled_deviation : float
        Deviation of a scaled channel; 0.5 as published (arXiv 1708.08989), there by recording.
    preprocess : PreprocessSection
        What is derived from a window before the network reads it.
    derived : tuple of ChannelEntry
        What the network reads then, with what scales it; empty where it reads the channels as they are.
    network : NetworkConfig, DeepConvLSTMConfig or PlainLSTMConfig
        The network's knobs.
    temperature : float
        What the logits are divided by, so that a probability means what it says (Guo et al., arXiv 1706.04599).
    training : dict
        Where the weights came from: dataset, people, configuration, seed, epochs, metrics, versions. For the reader.
    weights_sha256 : str or None
        Digest of the file of weights, by which a damaged one is told; set when the bundle is written.
    """

    format: int
    name: Name
    rate_hz: float = Field(gt=0)
    window: WindowEntry
    channels: tuple[ChannelEntry, ...] = Field(min_length=1)
    classes: Names = Field(min_length=2)
    null_class: str | None = None
    scaled_deviation: float = Field(gt=0)
    preprocess: PreprocessSection = PreprocessSection()
    derived: tuple[ChannelEntry, ...] = ()
    network: AnyNetwork
    temperature: float = Field(default=1.0, gt=0)
    training: Annotated[dict[str, Any], AfterValidator(_origin)] = Field(default_factory=dict)
    weights_sha256: str | None = None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for key, names in (("channels", [entry.name for entry in self.channels]), ("classes", self.classes)):
            if twice := doubled(names):
                raise contradiction(key, f"{', '.join(twice)} given twice")
        if self.null_class is not None and self.null_class not in self.classes:
            raise contradiction("null_class", f"{self.null_class} is not among the classes")
        if self.window.length * max(len(self.channels), len(self.derived)) > MOST_VALUES:
            raise contradiction("window", f"more than {MOST_VALUES} values in one window")
        if self.network.least_window() > self.window.length:
            raise contradiction("window", f"{self.window.length} samples are too few for this network")
        names = [entry.name for entry in self.channels]
        if missing := [name for name in self.preprocess.gravity_channels if name not in names]:
            raise contradiction("preprocess", f"no channel {', '.join(missing)}")
        if tuple(entry.name for entry in self.derived) != (
            derived_names(self.preprocess, names) if self.preprocess != PreprocessSection() else ()
        ):
            raise contradiction("derived", "is not what preprocess makes of the channels")
        return self

    @model_validator(mode="after")
    def _scales(self) -> Self:
        # The engines compute in single precision, which 1e39 and 1e-46 do not fit.
        entries = (*self.channels, *self.derived)
        with np.errstate(all="ignore"):
            means = np.array([entry.mean for entry in entries], dtype=np.float32)
            deviations = np.array([entry.deviation for entry in entries], dtype=np.float32)
            factors = np.float32(self.scaled_deviation) / deviations
        sound = np.isfinite(means) & np.isfinite(factors) & (factors > 0)
        if not sound.all():
            entry = entries[int(sound.argmin())]
            text = f"{entry.name} cannot be scaled by mean {entry.mean:g} and deviation {entry.deviation:g}"
            raise contradiction("channels", text)
        return self


@dataclass(frozen=True)
class Bundle:
    """A trained recognizer.

    Parameters
    ----------
    description : Description
        Everything but the weights.
    weights : dict of str to ndarray of float32
        The network's parameters and running statistics by their PyTorch names.
    """

    description: Description
    weights: dict[str, npt.NDArray[np.float32]]

    @cached_property
    def grid(self) -> WindowGrid:
        """The sliding window."""
        return WindowGrid(**self.description.window.model_dump())

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """The C channels a stream must have."""
        return tuple(Channel(entry.name, entry.unit) for entry in self.description.channels)

    @cached_property
    def inputs(self) -> tuple[ChannelEntry, ...]:
        """What the network reads, D entries: the channels, or what is derived from them."""
        return self.description.derived or self.description.channels

    @cached_property
    def means(self) -> npt.NDArray[np.float32]:
        """Mean of each of the network's inputs, shape (D,)."""
        return np.array([entry.mean for entry in self.inputs], dtype=np.float32)

    @cached_property
    def factors(self) -> npt.NDArray[np.float32]:
        """What each input is multiplied by once its mean is gone, shape (D,)."""
        deviations = np.array([entry.deviation for entry in self.inputs], dtype=np.float32)
        return np.float32(self.description.scaled_deviation) / deviations

    @cached_property
    def prepared(self) -> Preparation:
        """What makes a network's inputs, unscaled, of raw windows: gaps filled, then what is derived.

        Windows are float32 of shape (W, T, C), in the channels' units, NaN or infinite where a sensor was silent; the
        result has shape (W, T, D).
        """
        entries, about = self.description.channels, self.description
        means = np.array([entry.mean for entry in entries], dtype=np.float32)
        return preparation(about.preprocess, [entry.name for entry in entries], means, about.rate_hz)

    @cached_property
    def id(self) -> str:
        """Name and fingerprint: what a label says it was made by."""
        about = self.description.model_copy(update={"weights_sha256": None})
        digest = hashlib.sha256(_dump(about).encode() + save(self.weights))
        return f"{self.description.name}-{digest.hexdigest()[:8]}"

    def accepts_rate(self, rate_hz: float) -> bool:
        """Tell whether samples that come `rate_hz` times a second are those the model was trained on."""
        expected = self.description.rate_hz
        return abs(rate_hz - expected) <= RATE_TOLERANCE * expected

    def column_order(self, channels: Sequence[Channel]) -> npt.NDArray[np.intp] | None:
        """Return which columns of a stream feed the network, or None where they already stand in its order.

        Parameters
        ----------
        channels : sequence of Channel
            The stream's channels in the order of its columns; there may be more than the bundle needs.

        Raises
        ------
        ChannelMismatch
            Where channels are missing, named twice, or in another unit; the message names them.
        """
        if tuple(channels) == self.channels:
            return None
        names = [channel.name for channel in channels]
        units = {channel.name: channel.unit for channel in channels}
        missing = [wanted.name for wanted in self.channels if wanted.name not in units]
        twice = doubled(names)
        other = [
            f"{wanted.name} in {units[wanted.name]} instead of {wanted.unit}"
            for wanted in self.channels
            if wanted.unit and units.get(wanted.name) and units[wanted.name] != wanted.unit
        ]
        if missing or twice or other:
            said = [("missing", missing), ("twice", twice), ("other units", other)]
            listed = "; ".join(f"{what}: {_some(which)}" for what, which in said if which)
            bundle = self.description.name
            raise ChannelMismatch(f"channels do not match bundle {bundle}: {listed}; the stream has {_some(names)}")
        columns = {name: column for column, name in enumerate(names)}
        order = np.array([columns[wanted.name] for wanted in self.channels], dtype=np.intp)
        return None if len(order) == len(names) and np.array_equal(order, np.arange(len(order))) else order

    def write(self, folder: Path) -> None:
        """Write the bundle into `folder`, which is made where needed.

        Raises
        ------
        BundleError
            Where a weight is infinite or no number: whoever reads it would refuse it.
        FileError
            Where it cannot be written.
        """
        if wrong := no_numbers(self.weights):
            raise BundleError(f"{folder}: no bundle is written, {wrong}: train anew with a lower train.learning_rate")
        weights = save(self.weights)
        about = self.description.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
        write_whole(folder / DESCRIPTION, _dump(about).encode())
        write_whole(folder / WEIGHTS, weights)


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle, or the one in the folder of a run; a line on stderr says which.

    Raises
    ------
    BundleError
        Where it is missing, damaged, of another version or much larger than its network, where its two files are not of
        one network, or where a weight is infinite or no number.
    FileError
        Where it cannot be read.
    """
    given, folder = Path(folder), find_bundle(folder)
    if folder != given:
        say(f"{given}: taking the bundle in it, {folder}")
    description = _read_description(folder / DESCRIPTION)
    sizes = len(description.derived or description.channels), len(description.classes), description.window.length
    if not (folder / WEIGHTS).exists():
        raise BundleError(f"{folder} has no {WEIGHTS}: copy the whole folder that training wrote")
    if not _is_no_larger(folder / WEIGHTS, weight_shapes(description.network, *sizes)):
        raise BundleError(f"{folder / WEIGHTS} is larger than its network: copy the whole folder that training wrote")
    stored = read_whole(folder / WEIGHTS, MOST_WEIGHTS)
    if description.weights_sha256 not in (None, hashlib.sha256(stored).hexdigest()):
        raise BundleError(f"{folder / WEIGHTS} is damaged (it is not the file that was written): copy it again")
    try:
        weights = load(stored)
    except (SafetensorError, KeyError) as error:  # KeyError: numbers of a kind that NumPy lacks
        raise BundleError(f"{folder / WEIGHTS} is damaged ({error}): copy it again or train anew") from None
    if wrong := misfit(weights, weight_shapes(description.network, *sizes)):
        raise BundleError(
            f"{folder}: its weights do not fit its description ({wrong}): copy the whole folder that training wrote"
        )
    if wrong := no_numbers(weights):
        raise BundleError(f"{folder / WEIGHTS} names nothing, {wrong}: train anew with a lower train.learning_rate")
    return Bundle(description, weights)


def find_bundle(folder: str | Path) -> Path:
    """Return a bundle's folder: the one that is given, or ``bundle`` in it, as in the folder of a run.

    Raises
    ------
    BundleError
        Where neither is one.
    """
    given = Path(folder)
    for place in (given, given / FOLDER):
        if (place / DESCRIPTION).is_file():
            return place
    raise BundleError(f"{given} is no bundle (it has no {DESCRIPTION}): give a folder that 'kinestream train' wrote")


def remove_bundle(folder: Path) -> None:
    """Remove a bundle where there is one: only what `Bundle.write` wrote, and the folder if it is then empty."""
    for name in (DESCRIPTION, WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _is_no_larger(path: Path, shapes: Iterable[tuple[str, tuple[int, ...]]]) -> bool:
    """Tell whether a file holds no more than such weights and a header, without reading it."""
    left = path.stat().st_size
    for name, shape in shapes:  # a damaged description may tell of a billion
        left -= 4 * math.prod(shape) + len(name) + _HEADER
        if left <= 0:
            return True
    return left <= _HEADER


def _read_description(path: Path) -> Description:
    try:
        content = parse_yaml(read_whole(path, MOST_BYTES).decode())
    except ValueError as error:
        raise BundleError(f"{path} is not YAML ({error}): copy the bundle again") from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise BundleError(
            f"{path} is a bundle of version {version}, this kinestream reads version {FORMAT}: "
            "train it again, or install the kinestream that wrote it"
        )
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path} is damaged: {'; '.join(problems_of(error))}: copy the bundle again") from None


def _dump(description: Description) -> str:
    return dump_yaml(description.model_dump(mode="json"))


def _some(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
