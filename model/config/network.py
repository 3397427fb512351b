"""What the network section of a configuration may say: the knobs of each kind of network, and its presets."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from kinestream.model.config.section import Amount, Count, NotNegative, Section, Share, contradiction

# What a normalisation adds to the variance; the network and the graph made of it must agree.
BATCH_NORM_EPS = 1e-3  # the published value (arXiv 1708.08989's code)
LAYER_NORM_EPS = 1e-5
# A scaled reading beyond this is taken for this where a network looks at detail: no sensor means it, and the squares of
# what comes of it are still numbers in single precision.
MOST_SCALED = 1e6


class NetworkConfig(Section):
    """Every setting of our network, the stacked residual bidirectional LSTM.

    Attributes
    ----------
    kind : str
        ``residual_bilstm``.
    hidden : int
        Features of a cell's output; halved between the two directions of a bidirectional cell.
    cells : int
        Cells in a block (breadth). 0 and 1 both mean one cell; 0 leaves out the block's normalisation.
    blocks : int
        Blocks, one on top of the other (depth).
    bidirectional : bool
        Whether every cell also reads the window from its end.
    detail : float
        Where not 0, asinh(detail * (x - its mean over the window)) stands beside each input x: what is small beside a
        step, such as the sway that tells standing from sitting, is otherwise lost in the scale of walking.
    stem_kernel, stem_stride : int
        A convolution of `hidden` filters with ReLU reads `stem_kernel` samples every `stem_stride` and hands the blocks
        so many fewer steps. A kernel of 0 means none: the blocks read samples.
    residual : str
        ``sum``: the cells of a block read the same input and are added. ``identity``: so is the input itself.
        ``skip``: they follow one another, each adding to what it read.
    norm : str
        After each block. ``batch``: one scalar mean and deviation per time step, frozen after training. ``layer``: each
        sample's own features. ``none``.
    readout : str
        What the head reads: the ``last`` time step, the ``mean`` over time, or both side by side: ``mean_last``.
    head_relu : bool
        Whether the logits pass a ReLU.
    dropout_input, dropout_block, dropout_head : float
        Share of features dropped in training: of the input, after each block, before the head.
    init : str
        ``published``: N(0, 0.2) weights and N(0.3, 0.2) biases of the linear layers. ``kaiming``: He et al. 2015.
    """

    kind: Literal["residual_bilstm"] = "residual_bilstm"
    hidden: Annotated[int, Field(ge=2)] = 28
    cells: Annotated[int, Field(ge=0)] = 3
    blocks: Count = 3
    bidirectional: bool = True
    detail: NotNegative = 0.0
    stem_kernel: Amount = 0
    stem_stride: Count = 1
    residual: Literal["sum", "identity", "skip"] = "skip"
    norm: Literal["batch", "layer", "none"] = "layer"
    readout: Literal["last", "mean", "mean_last"] = "mean"
    head_relu: bool = False
    dropout_input: Share = 0.0
    dropout_block: Share = 0.0
    dropout_head: Share = 0.2
    init: Literal["published", "kaiming"] = "kaiming"

    @model_validator(mode="after")
    def _halves(self) -> Self:
        if self.bidirectional and self.hidden % 2:
            raise contradiction("hidden", f"{self.hidden} cannot be halved between two directions: make it even")
        if self.stem_stride > max(self.stem_kernel, 1):
            text = f"{self.stem_stride} leaves out samples: at most stem_kernel, {self.stem_kernel}"
            raise contradiction("stem_stride", text)
        return self

    @property
    def directions(self) -> int:
        """2 where cells read both ways, else 1."""
        return 2 if self.bidirectional else 1

    @property
    def features(self) -> int:
        """Units of one direction of a cell."""
        return self.hidden // self.directions

    def entered(self, inputs: int) -> int:
        """Return the features of a sample that the stem or the first block reads, of so many inputs."""
        return 2 * inputs if self.detail else inputs

    @property
    def read(self) -> int:
        """Features the head reads."""
        return self.hidden * (2 if self.readout == "mean_last" else 1)

    def least_window(self) -> int:
        """Return the shortest window the network can read."""
        return max(self.stem_kernel, 1)

    def steps(self, window: int) -> int:
        """Return how many time steps the blocks read of a window of so many samples."""
        return (window - self.stem_kernel) // self.stem_stride + 1 if self.stem_kernel else window


class DeepConvLSTMConfig(Section):
    """Settings of DeepConvLSTM (Ordóñez and Roggen 2016); the defaults are the published ones.

    Attributes
    ----------
    kind : str
        ``deepconvlstm``.
    convolutions, filters, kernel : int
        Convolutions along time, one on top of the other, of so many filters of so many samples, each with ReLU. They
        read every channel by itself.
    layers, hidden : int
        LSTM layers and their units.
    dropout : float
        Share of features dropped in training before each LSTM layer and before the head.
    """

    kind: Literal["deepconvlstm"]
    convolutions: Count = 4
    filters: Count = 64
    kernel: Count = 5
    layers: Count = 2
    hidden: Count = 128
    dropout: Share = 0.5

    def least_window(self) -> int:
        """Return the shortest window the network can read."""
        return self.convolutions * (self.kernel - 1) + 1


class PlainLSTMConfig(Section):
    """Settings of the plain LSTM; the defaults are the tutorial's.

    The published work started from that tutorial.

    Attributes
    ----------
    kind : str
        ``lstm``.
    layers, hidden : int
        LSTM layers and their units.
    """

    kind: Literal["lstm"]
    layers: Count = 2
    hidden: Count = 32

    def least_window(self) -> int:
        """Return the shortest window the network can read."""
        return 1


def _kind(network: Any) -> str:
    """Return which network a section describes: ours unless it says otherwise."""
    kind = network.get("kind", "residual_bilstm") if isinstance(network, dict) else getattr(network, "kind", None)
    return kind if kind in NETWORK_KINDS else "residual_bilstm"


NETWORK_KINDS: dict[str, type[Section]] = {
    "residual_bilstm": NetworkConfig,
    "deepconvlstm": DeepConvLSTMConfig,
    "lstm": PlainLSTMConfig,
}
AnyNetwork = Annotated[
    Annotated[NetworkConfig, Tag("residual_bilstm")]
    | Annotated[DeepConvLSTMConfig, Tag("deepconvlstm")]
    | Annotated[PlainLSTMConfig, Tag("lstm")],
    Discriminator(_kind),
]

# configs/protocols/ablation.yaml takes back each choice in turn.
_OURS: dict[str, object] = {
    "detail": 40.0,
    "stem_kernel": 8,
    "stem_stride": 4,
    "residual": "identity",
    "norm": "layer",
    "readout": "mean",
    "dropout_block": 0.2,
    "dropout_head": 0.2,
}
NETWORK_PRESETS: dict[str, dict[str, object]] = {
    # Zhao, Yang, Chevalier, Gong, arXiv 1708.08989, as its authors implemented it.
    "reference": {
        "residual": "sum",
        "norm": "batch",
        "readout": "last",
        "head_relu": True,
        "dropout_input": 0.15,
        "dropout_block": 0.0,
        "dropout_head": 0.15,
        "init": "published",
    },
    "kinestream": _OURS,
    # The same with wider cells: some three times the arithmetic.
    "large": {**_OURS, "hidden": 64},
    # Ordonez, Roggen, Sensors 2016, 16(1):115.
    "deepconvlstm": {"kind": "deepconvlstm"},
    # Chevalier, "LSTMs for Human Activity Recognition", 2016, the tutorial that the reference's authors started from.
    "lstm": {"kind": "lstm"},
}
