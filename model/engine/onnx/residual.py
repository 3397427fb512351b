"""`kinestream.model.network.residual.ResidualBiLSTM` as an ONNX graph.

Four things make it faster than a plain export, with the same answers:

- All linear layers that read the same input are one matrix product, and the LSTMs that follow are one LSTM per
  direction whose weights are zero between cells: a step of a small LSTM costs more in calls than in arithmetic.
- Where only the last time step is classified, the last block's backward LSTM reads just that step, and its forward LSTM
  hands on nothing but its last output.
- The channels' scaling is folded into the first layer's weights.
- The stem is a product of matrices.

`kinestream.model.engine.onnx.unrolled` lays the same network out for many windows at once.
"""

from collections.abc import Sequence

import numpy as np

from kinestream.model.config.network import BATCH_NORM_EPS, LAYER_NORM_EPS, MOST_SCALED, NetworkConfig
from kinestream.model.engine.onnx.graph import Array, Graph


class ResidualGraph:
    """Adds the network to a graph, features last: values between the layers are shape (T, W, features).

    Parameters
    ----------
    graph : Graph
        What to add to.
    config : NetworkConfig
        The network.

    Attributes
    ----------
    samples_order : tuple of int
        Which axes of windows, shape (W, T, D), become a value's.
    feature_axis : int
        Where a value has its features.
    """

    samples_order: tuple[int, int, int] = (1, 0, 2)
    feature_axis: int = 2

    def __init__(self, graph: Graph, config: NetworkConfig) -> None:
        self.graph, self.config = graph, config
        self.bundle, self.weights = graph.bundle, graph.weights
        self.add, self.constant = graph.add, graph.constant
        # What the first layer's weights scale; what stands beside it is made of inputs that are scaled already.
        self.means, self.factors = self.bundle.means, self.bundle.factors
        if config.detail:
            self.means, self.factors = (np.full(2 * len(self.means), each, np.float32) for each in (0, 1))

    def logits(self) -> str:
        """Add all of it; return the name of the logits, shape (W, K)."""
        x = self.stem() if self.config.stem_kernel else self.samples()
        for index in range(self.config.blocks):
            x = self.block(x, index)
        read = self.read_out(x)
        logits = self.graph.head(read)
        return self.add("Relu", logits) if self.config.head_relu else logits

    def entered(self) -> str:
        """Add what the stem or the first block reads: the windows, or scaled samples beside their detail."""
        if not self.config.detail:
            return "windows"
        centred = self.add("Sub", "windows", self.constant(self.bundle.means))
        bounds = [self.constant(np.array(bound, np.float32)) for bound in (-MOST_SCALED, MOST_SCALED)]
        scaled = self.add("Clip", self.add("Mul", centred, self.constant(self.bundle.factors)), *bounds)
        sway = self.add("Sub", scaled, self.add("ReduceMean", scaled, self.constant(np.array([1]))))
        large = self.add("Mul", sway, self.constant(np.array(self.config.detail, np.float32)))
        return self.add("Concat", scaled, self.asinh(large), axis=2)

    def asinh(self, x: str) -> str:
        """Add asinh by its logarithm, which the runtime computes eight at a time; Asinh and Sign go one by one."""
        size = self.add("Abs", x)
        root = self.add("Sqrt", self.add("Add", self.add("Mul", x, x), self.constant(np.array(1, np.float32))))
        logarithm = self.add("Log", self.add("Add", size, root))
        least = self.constant(np.array(np.finfo(np.float32).tiny))
        return self.add("Mul", self.add("Div", x, self.add("Max", size, least)), logarithm)

    def samples(self) -> str:
        """Add the samples as values."""
        entered = self.entered()
        centred = entered if self.config.detail else self.add("Sub", entered, self.constant(self.means))
        return self.add("Transpose", centred, perm=list(self.samples_order))

    def stem(self) -> str:
        """Add the convolution along time as products of matrices: the runtime's own goes window by window.

        Samples are taken in groups of `stem_stride`; a filter reads some that follow each other.
        """
        config, stride = self.config, self.config.stem_stride
        length, steps = self.bundle.grid.length, config.steps(self.bundle.grid.length)
        read, groups = -(-config.stem_kernel // stride), -(-length // stride)
        weight = self.weights["stem.weight"] * self.factors[:, None]  # (F, D, kernel)
        # In double precision: a channel's mean may be far larger than what varies about it.
        shift = np.einsum("fdk,d->f", weight.astype(np.float64), self.means.astype(np.float64))
        bias = (self.weights["stem.bias"] - shift).astype(np.float32)
        padded = np.pad(weight, ((0, 0), (0, 0), (0, read * stride - config.stem_kernel)))
        filters = padded.reshape(*weight.shape[:2], read, stride).transpose(2, 0, 3, 1)  # (read, F, stride, D)
        entered = self.entered()
        if groups * stride > length:
            entered = self.add("Pad", entered, self.constant(np.array([0, 0, 0, 0, groups * stride - length, 0])))
        width = stride * weight.shape[1]
        grouped = self.add("Reshape", entered, self.constant(np.array([-1, groups, width])))
        turned = self.add("Transpose", grouped, perm=list(self.samples_order))
        products = self.product(turned, filters.reshape(read * config.hidden, width))
        parts = [
            self.graph.steps(part, first, first + steps)
            for first, part in enumerate(self.graph.split(products, [config.hidden] * read, axis=self.feature_axis))
        ]
        return self.add("Relu", self.add("Sum", *parts, self.constant(self.along_features(bias))))

    def product(self, x: str, weight: Array) -> str:
        """Add what a linear layer of shape (outputs, inputs) makes of a value's features."""
        return self.add("MatMul", x, self.constant(weight.T))

    def block(self, x: str, index: int) -> str:
        """Add a block: its cells, what skips them, the normalisation."""
        only_last = self.config.readout == "last" and index == self.config.blocks - 1
        names = [f"blocks.{index}.cells.{cell}" for cell in range(max(self.config.cells, 1))]
        if self.config.residual == "skip":
            y = self.cells_in_sequence(x, names, only_last)
        else:
            y = self.cells(x, names, only_last)
            if self.config.residual == "identity":
                y = self.skipping(x, y, first=index == 0, only_last=only_last)
        return self.normalise(y, index, only_last)

    def cells_in_sequence(self, x: str, names: Sequence[str], only_last: bool) -> str:
        """Add cells of which each reads the one before it, and is skipped by it."""
        for name in names:
            final = only_last and name == names[-1]
            step = self.cells(x, [name], final)
            x = self.skipping(x, step, first=name == "blocks.0.cells.0", only_last=final)
        return x

    def skipping(self, x: str, y: str, first: bool, only_last: bool) -> str:
        """Add what skips a cell or a block to what came of it, where both have as many features."""
        skipped = self.graph.last_step(x) if only_last else x
        if not first or self.config.stem_kernel:
            return self.add("Add", skipped, y)
        if len(self.factors) != self.config.hidden:
            return y
        # The scaling is folded into the cell's weights, which what skips the cell does not pass.
        return self.add("Add", self.add("Mul", skipped, self.constant(self.along_features(self.factors))), y)

    def cells(self, x: str, names: Sequence[str], only_last: bool) -> str:
        """Add the outputs of cells that read the same input: shape (T, W, hidden), or (1, W, hidden)."""
        ways = [[f"{name}.directions.{d}" for name in names] for d in range(self.config.directions)]
        projected = self.project(x, [way for direction in ways for way in direction])
        width = self.config.features * len(names)
        inputs = self.graph.split(projected, [width] * len(ways))
        outputs = []
        for d, direction in enumerate(ways):
            read = self.graph.last_step(inputs[d]) if only_last and d else inputs[d]
            outputs.append(self.lstm_of(read, direction, d, only_last))
        y = self.add("Concat", *outputs, axis=-1) if len(outputs) > 1 else outputs[0]
        if len(names) > 1:
            # One product with ones where a cell's output goes: fewer calls than to take the cells apart and add them.
            one = np.tile(np.eye(self.config.features, dtype=np.float32), len(names))
            y = self.product(y, np.kron(np.eye(len(ways), dtype=np.float32), one))
        return y if only_last else self.graph.without_axis(y, 1)

    def project(self, x: str, ways: Sequence[str]) -> str:
        """Add the layers before the LSTMs, side by side."""
        weight = np.concatenate([self.weights[f"{way}.linear.weight"] for way in ways])
        bias = np.concatenate([self.weights[f"{way}.linear.bias"] for way in ways])
        if ways[0].startswith("blocks.0.cells.0.") and not self.config.stem_kernel:
            weight = weight * self.factors
        return self.add("Relu", self.add("Add", self.product(x, weight), self.constant(bias)))

    def lstm_of(self, x: str, ways: Sequence[str], direction: int, only_last: bool) -> str:
        """Add several cells' LSTMs in one direction as one: shape (T, 1, W, F), or (1, W, F) of the last step."""
        entry = _block_diagonal([self.weights[f"{way}.input_weight"] for way in ways])
        recurrent = _block_diagonal([self.weights[f"{way}.recurrent_weight"] for way in ways])
        bias = np.concatenate([self.weights[f"{way}.bias"].reshape(4, -1) for way in ways], axis=1).ravel()
        every, last = self.graph.lstm(x, entry, recurrent, bias, backward=direction == 1)
        return last if only_last else every

    def normalise(self, x: str, index: int, only_last: bool) -> str:
        """Add the normalisation after a block."""
        if not self.config.cells or self.config.norm == "none":
            return x
        prefix = f"blocks.{index}.norm"
        if self.config.norm == "layer":
            scale, shift = (self.constant(self.weights[f"{prefix}.{name}"]) for name in ("weight", "bias"))
            return self.layer_normalised(x, scale, shift)
        deviation = np.sqrt(self.weights[f"{prefix}.running_var"] + np.float32(BATCH_NORM_EPS))
        scales = self.weights[f"{prefix}.scale"] / deviation
        shifts = self.weights[f"{prefix}.shift"] - self.weights[f"{prefix}.running_mean"] * scales
        steps = slice(-1, None) if only_last else slice(None)
        scaled = self.add("Mul", x, self.constant(scales[steps, None, None]))
        return self.add("Add", scaled, self.constant(shifts[steps, None, None]))

    def layer_normalised(self, x: str, scale: str, shift: str) -> str:
        """Add the normalisation of each time step over its features."""
        return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=LAYER_NORM_EPS)

    def along_features(self, values: Array) -> Array:
        """Give one value of each feature the shape that fits a value's."""
        return values

    def read_out(self, x: str) -> str:
        """Add what the head reads: shape (W, F)."""
        parts = []
        if self.config.readout != "last":
            parts.append(self.add("ReduceMean", x, self.constant(np.array([0])), keepdims=0))
        if self.config.readout != "mean":
            last = x if self.config.readout == "last" else self.graph.last_step(x)
            parts.append(self.graph.without_axis(last, 0))
        return self.add("Concat", *parts, axis=self.feature_axis - 1) if len(parts) > 1 else parts[0]


def _block_diagonal(weights: Sequence[Array]) -> Array:
    """Join weights of shape (4F, F) into one of shape (4*n*F, n*F), gate by gate."""
    features, count = weights[0].shape[1], len(weights)
    joined = np.zeros((4, count, features, count, features), dtype=np.float32)
    for i, weight in enumerate(weights):
        joined[:, i, :, i, :] = weight.reshape(4, features, features)
    return joined.reshape(4 * count * features, count * features)
