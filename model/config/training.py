"""What a YAML file under ``configs/`` may say.

`kinestream.model.config.file` finds it, applies overrides and checks it whole.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from kinestream.model.config.augment import AugmentSection
from kinestream.model.config.export import ExportSection
from kinestream.model.config.network import NETWORK_PRESETS, AnyNetwork, NetworkConfig
from kinestream.model.config.section import (
    Amount,
    Count,
    Names,
    NotNegative,
    Positive,
    Section,
    Share,
    contradiction,
    doubled,
)
from kinestream.model.config.split import SplitSection
from kinestream.model.config.tabular import TabularSection

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
Cut = Literal["continuous", "segmented"]

KNOWN_DATASETS = ("sp_sw_har", "hapt", "actrectut", "opportunity", "uci_har")
"""Names of the readers in `kinestream.model.datasets`; nobody's own recordings are called so."""

TRAIN_PRESETS: dict[str, dict[str, object]] = {
    # As its authors trained it; they chose among 60 and more epochs on the test set.
    "reference": {
        "epochs": 25,
        "batch": 100,
        "learning_rate": 1e-3,
        "l2": 0.005,
        "clip_norm": 15.0,
        "worst_batches": 5,
    },
    "kinestream": {
        "epochs": 15,
        "batch": 100,
        "learning_rate": 3e-3,
        "schedule": "one_cycle",
        "average": 0.995,
    },
    # Batches and rate as published; Adam on a one-cycle schedule needs few epochs.
    "deepconvlstm": {"epochs": 8, "batch": 100, "learning_rate": 1e-3, "schedule": "one_cycle"},
    # Rate and decay as in the tutorial, whose 300 epochs of batches of 1,500 are as many steps as 20 of 100.
    "lstm": {"epochs": 25, "batch": 100, "learning_rate": 2.5e-3, "l2": 0.0015},
}
PRESETS: dict[str, dict[str, dict[str, object]]] = {"network": NETWORK_PRESETS, "train": TRAIN_PRESETS}


class DatasetSection(Section):
    """What to train on.

    Attributes
    ----------
    name : str
        The dataset, as ``kinestream datasets list`` names it; of your own recordings, what you call them.
    source : str or None
        Its zip or folder; without it, where ``kinestream datasets fetch`` puts it. Of your own recordings it is named
        from the folder of the YAML file, and is that folder itself by default.
    tabular : TabularSection or None
        How to read your own recordings; None for a dataset that kinestream knows.
    export : ExportSection or None
        Instead, how to read what an app or a laboratory's recorder has written, with sensors that have their own times.
    task : str or None
        Which labels, where the dataset has several; without it, the dataset's first.
    classes : tuple of str or None
        The classes to keep, in the order of the network's output; without it, all. Windows of others are left out.
    channels : tuple of str or None
        The channels to keep, in the order of the network's input; without it, all.
    """

    name: str
    source: str | None = None
    tabular: TabularSection | None = None
    export: ExportSection | None = None
    task: str | None = None
    classes: Annotated[Names, Field(min_length=2)] | None = None
    channels: Annotated[Names, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        for key, names in (("classes", self.classes or ()), ("channels", self.channels or ())):
            if twice := doubled(names):
                raise contradiction(key, f"{', '.join(twice)} given twice: name each once")
        return self

    @model_validator(mode="after")
    def _own_name(self) -> Self:
        if self.tabular and self.export:
            raise contradiction("export", "also tabular: your recordings are either, so take one out")
        if self.own and (self.name in KNOWN_DATASETS or not re.fullmatch(NAME, self.name)):
            rule = f"letters, digits, '.', '_' and '-', and none of {', '.join(KNOWN_DATASETS)}"
            raise contradiction("name", f"{self.name!r} cannot be the name of your own recordings: {rule}")
        return self

    @property
    def own(self) -> bool:
        """Whether it describes somebody's own recordings."""
        return self.tabular is not None or self.export is not None

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What is no export is written as before there was any: runs and results stay what they were.
        content: dict[str, Any] = written(self)
        return content if self.export is not None else {key: value for key, value in content.items() if key != "export"}


class WindowSection(Section):
    """The sliding window, in samples.

    Attributes
    ----------
    length : int
        Samples in a window.
    stride : int
        Samples from the begin of a window to that of the next: how often there is a label.
    max_missing : float
        A window that misses a larger share of its samples is skipped.
    cut : str
        ``continuous``: from a recording's first sample, as in a live stream. ``segmented``: anew in each labelled
        segment, as in the published figures of HAPT and UCI HAR.
    """

    length: Count
    stride: Count
    max_missing: Share = 0.25
    cut: Cut = "continuous"

    @model_validator(mode="after")
    def _covers(self) -> Self:
        if self.stride > self.length:
            raise contradiction("stride", f"{self.stride} leaves out samples: at most the length, {self.length}")
        return self


class PreprocessSection(Section):
    """What is derived from a window, and from it alone, before the network reads it.

    Attributes
    ----------
    median : bool
        Whether each reading is replaced by the median of itself and its neighbours.
    lowpass_hz : float or None
        Corner of a third-order Butterworth low-pass over all channels; none by default.
    gravity_channels : tuple of str
        Accelerometer channels that are split: ``body_NAME`` without gravity comes first, ``total_NAME`` last.
    gravity_hz : float
        Corner of the low-pass whose output is gravity; 0.3 Hz as for UCI HAR (Anguita et al., ESANN 2013).
    """

    median: bool = False
    lowpass_hz: Positive | None = None
    gravity_channels: Names = ()
    gravity_hz: Positive = 0.3

    @model_validator(mode="after")
    def _once(self) -> Self:
        if twice := doubled(self.gravity_channels):
            raise contradiction("gravity_channels", f"{', '.join(twice)} given twice: name each once")
        return self


class TrainSection(Section):
    """How to train: Adam on the cross-entropy.

    Attributes
    ----------
    seed : int
        Decides initial weights, order, dropout and the people drawn for validation.
    epochs : int
        At most so many passes over the training windows.
    batch : int
        Windows in a step.
    stride : int or None
        Samples between training windows; without it, the window's. A smaller one shows more of the same recordings.
    learning_rate : float
        At its highest.
    schedule : str
        ``constant``, or ``one_cycle``: up for three tenths of the steps, then down to nothing (Smith, Topin, arXiv
        1708.07120).
    l2 : float
        Adds ``l2 * sum(w^2) / 2`` over the weights, not the biases or the norms', to the loss, as published.
    weight_decay : float
        Decay of the same weights apart from the loss (Loshchilov, Hutter, arXiv 1711.05101).
    clip_norm : float or None
        Largest norm of the gradient.
    worst_batches : int
        Extra steps after each epoch, on the batches with the largest loss; the published recipe takes five.
    label_smoothing : float
        Share of the truth that is spread over all classes (Szegedy et al., arXiv 1512.00567).
    average : float
        Decay a step of the moving average of the weights, which is what is validated and kept; 0 keeps the weights
        themselves (Polyak, Juditsky, SIAM J. Control Optim. 30(4), 1992).
    class_balance : float
        Weighs classes by (mean count / count) to this power: 0 counts windows alike, 1 counts classes alike.
    augment : AugmentSection
        How training windows are changed; not at all by default.
    precision : str
        ``float32``; ``bfloat16`` for what PyTorch's autocast deems safe in it; or ``auto``, which is that on a GPU that
        has it and float32 elsewhere.
    monitor : str
        The validation metric that names the best epoch, which is the one kept.
    patience : int or None
        Epochs without a better one after which training stops; None never stops early.
    start_from : str or None
        Folder of a bundle, or of a run, whose weights training starts from; named from the folder of the YAML file.
        Channels and classes are matched by name, and their units, the rate, the window's length and the network must
        agree. Without sections `network` and `preprocess`, the bundle's are taken.
    freeze : str
        What stays as it is in that bundle: ``none``, or the ``body``, which is all but the head and what reads new
        channels.
    """

    seed: Amount = 0
    epochs: Count
    batch: Count = 100
    stride: Count | None = None
    learning_rate: Positive = 1e-3
    schedule: Literal["constant", "one_cycle"] = "constant"
    l2: NotNegative = 0.0
    weight_decay: NotNegative = 0.0
    clip_norm: Positive | None = 15.0
    worst_batches: Amount = 0
    label_smoothing: Share = 0.0
    average: Share = 0.0
    class_balance: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    augment: AugmentSection = AugmentSection()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    monitor: Literal["f1_macro", "f1_weighted", "accuracy"] = "f1_macro"
    patience: Count | None = None
    start_from: Annotated[str, Field(min_length=1)] | None = None
    freeze: Literal["none", "body"] = "none"

    @model_validator(mode="after")
    def _something_to_freeze(self) -> Self:
        if self.freeze != "none" and self.start_from is None:
            raise contradiction("freeze", f"{self.freeze} without train.start_from: fresh weights have to learn")
        return self

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # What starts from scratch is written as before there was another start: runs and bundles stay what they were.
        content: dict[str, Any] = written(self)
        if self.start_from is None:
            content = {key: value for key, value in content.items() if key not in ("start_from", "freeze")}
        return content


class TrainConfig(Section):
    """A whole configuration.

    Attributes
    ----------
    name : str
        What the trained model is called; without it, the file's name.
    dataset : DatasetSection
        What to train on.
    window : WindowSection
        How the sliding window is cut.
    preprocess : PreprocessSection
        What is derived from a window before the network reads it.
    split : SplitSection
        Who is tested and validated on.
    network : NetworkConfig
        Which network, and how large.
    train : TrainSection
        How it is trained.
    scaled_deviation : float
        Deviation of a scaled channel; 0.5 as published (arXiv 1708.08989).
    blank_frozen : bool
        Whether one of several devices that is frozen, all its readings the same for longer than any in training, counts
        as absent as a silent one does; without it, it is only told.
    """

    name: Annotated[str, Field(pattern=NAME)]
    dataset: DatasetSection
    window: WindowSection
    preprocess: PreprocessSection = PreprocessSection()
    split: SplitSection
    network: AnyNetwork = NetworkConfig()
    train: TrainSection
    scaled_deviation: Positive = 0.5
    blank_frozen: bool = False

    @model_serializer(mode="wrap")
    def _as_ever(self, written: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: each for key, each in written(self).items() if key != "blank_frozen" or each}

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        if self.dataset.export is not None and self.dataset.export.labels is None:
            raise contradiction(
                "dataset.export.labels", "missing: nothing says what was done, so nothing can be learnt"
            )
        return self

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (least := self.network.least_window()) > self.window.length:
            text = f"{self.window.length} samples are too few for this network, which reads at least {least}"
            raise contradiction("window.length", text)
        return self


def problems_of(error: ValidationError) -> list[str]:
    """Return one line per problem that pydantic found, each starting with its key."""
    return [f"{'.'.join(place_of(entry))}: {message_of(entry)}" for entry in error.errors()]


def place_of(entry: Any) -> list[str]:
    """Return where one entry of a `ValidationError` stands, key by key."""
    own = [entry["ctx"]["key"]] if entry["type"] == "contradiction" else []
    return [*map(str, entry["loc"]), *own]


def message_of(entry: Any) -> str:
    """Return what one entry of a `ValidationError` says, without the key."""
    return str(entry["ctx"]["error"]) if entry["type"] == "value_error" else str(entry["msg"])
