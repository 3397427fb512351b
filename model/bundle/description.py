"""What ``bundle.yaml`` says: what goes into a network, what comes out of it, and where it came from."""

from typing import Annotated, Any, Self

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from kinestream.model.config.activity import ActivitySection
from kinestream.model.config.familiar import SensorRange
from kinestream.model.config.network import AnyNetwork
from kinestream.model.config.section import Count, Name, Names, Section, Share, contradiction, doubled
from kinestream.model.config.training import PreprocessSection
from kinestream.model.recordings.filters import derived_names

FORMAT = 1
"""Version of the bundle's layout; another one is refused."""

MOST_VALUES = 1 << 24
"""Values in a window: 64 MB of them for every stream."""


class _Origin(BaseModel):
    """What is read of `Description.training`; there may be more, for people."""

    dataset: str = ""
    task: str | None = None
    people: dict[str, list[str]] = {}
    recordings: dict[str, list[str]] = {}
    windows: dict[str, int] = {}
    start: str | None = None
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
        As in `kinestream.model.datasets.Channel`.
    mean, deviation : float
        Over the training people's samples, in `unit`.
    longest_repeat : int or None
        For how many samples in a row, at most, it kept its value there; None where nobody noted it.
    """

    name: Name
    unit: Name = ""
    mean: float
    deviation: float = Field(gt=0)
    longest_repeat: Count | None = None

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Bundles that do not say it keep their ids.
        return {key: each for key, each in written(self).items() if key != "longest_repeat" or each is not None}


class WindowEntry(Section):
    """The sliding window, in samples; see `kinestream.model.windows.grid.WindowGrid`."""

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
    blank_frozen : bool
        Whether a device that is frozen counts as absent, as a silent one does; see `kinestream.model.windows.frozen`.
    temperature : float
        What the logits are divided by, so that a probability means what it says (Guo et al., arXiv 1706.04599).
    activities : ActivitySection or None
        How labels become activities; None where nobody was validated on, or of a bundle made before.
    familiar : tuple of SensorRange
        Within what each sensor's readings lay in training; empty of a bundle made before.
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
    blank_frozen: bool = False
    temperature: float = Field(default=1.0, gt=0)
    activities: ActivitySection | None = None
    familiar: tuple[SensorRange, ...] = ()
    training: Annotated[dict[str, Any], AfterValidator(_origin)] = Field(default_factory=dict)
    weights_sha256: str | None = None

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Bundles that do not say these keep their ids.
        optional = ("blank_frozen", "activities", "familiar")
        return {key: each for key, each in written(self).items() if key not in optional or each}

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
        if self.activities is not None and len(self.activities.least) != len(self.classes):
            counts = f"least is of {len(self.activities.least)} classes, there are {len(self.classes)}"
            raise contradiction("activities", counts)
        unknown = [name for each in self.familiar for name in each.channels if name not in names]
        if unknown:
            raise contradiction("familiar", f"no channel {', '.join(unknown)}")
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
