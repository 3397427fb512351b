"""`model.network.ResidualBiLSTM` as an ONNX graph.

Three things make it faster than a plain export, with the same answers:

- All linear layers that read the same input are one matrix product, and the LSTMs that follow are one LSTM per
  direction whose weights are zero between cells: a step of a small LSTM costs more in calls than in arithmetic.
- Where only the last time step is classified, the last block's backward LSTM reads just that step, and its forward LSTM
  hands on nothing but its last output.
- The channels' scaling is folded into the first layer's weights.
"""

from collections.abc import Sequence

import numpy as np

from model.graph import Array, Graph
from model.networkconfig import BATCH_NORM_EPS, LAYER_NORM_EPS, MOST_SCALED, NetworkConfig


def residual_logits(graph: Graph, config: NetworkConfig) -> str:
    """Add the network to a graph; return the name of its logits, shape (W, K)."""
    return _Residual(graph, config).logits()


class _Residual:
    def __init__(self, graph: Graph, config: NetworkConfig) -> None:
        self.graph, self.config = graph, config
        self.bundle, self.weights = graph.bundle, graph.weights
        self.add, self.constant = graph.add, graph.constant
        # What the first layer's weights scale; what stands beside it is made of inputs that are scaled already.
        self.means, self.factors = self.bundle.means, self.bundle.factors
        if config.detail:
            self.means, self.factors = (np.full(2 * len(self.means), each, np.float32) for each in (0, 1))

    def logits(self) -> str:
        x = self.stem() if self.config.stem_kernel else self.samples()
        for index in range(self.config.blocks):
            x = self.block(x, index)
        read = self.read_out(x)
        logits = self.graph.head(read)
        return self.add("Relu", logits) if self.config.head_relu else logits

    def entered(self) -> str:
        if not self.config.detail:
            return "windows"
        centred = self.add("Sub", "windows", self.constant(self.bundle.means))
        bounds = [self.constant(np.array(bound, np.float32)) for bound in (-MOST_SCALED, MOST_SCALED)]
        scaled = self.add("Clip", self.add("Mul", centred, self.constant(self.bundle.factors)), *bounds)
        sway = self.add("Sub", scaled, self.add("ReduceMean", scaled, self.constant(np.array([1]))))
        large = self.add("Mul", sway, self.constant(np.array(self.config.detail, np.float32)))
        return self.add("Concat", scaled, self.asinh(large), axis=2)

    def asinh(self, x: str) -> str:
        """Add asinh by its logarithm, which the runtime computes eight at a time; its own Asinh goes one by one."""
        root = self.add("Sqrt", self.add("Add", self.add("Mul", x, x), self.constant(np.array(1, np.float32))))
        logarithm = self.add("Log", self.add("Add", self.add("Abs", x), root))
        return self.add("Mul", self.add("Sign", x), logarithm)

    def samples(self) -> str:
        entered = self.entered()
        centred = entered if self.config.detail else self.add("Sub", entered, self.constant(self.means))
        return self.add("Transpose", centred, perm=[1, 0, 2])  # (T, W, D)

    def stem(self) -> str:
        weight = self.weights["stem.weight"] * self.factors[:, None]
        # In double precision: a channel's mean may be far larger than what varies about it.
        shift = np.einsum("fdk,d->f", weight.astype(np.float64), self.means.astype(np.float64))
        bias = (self.weights["stem.bias"] - shift).astype(np.float32)
        turned = self.add("Transpose", self.entered(), perm=[0, 2, 1])  # (W, D, T)
        strides = [self.config.stem_stride]
        filtered = self.add("Conv", turned, self.constant(weight), self.constant(bias), strides=strides)
        return self.add("Transpose", self.add("Relu", filtered), perm=[2, 0, 1])  # (steps, W, hidden)

    def block(self, x: str, index: int) -> str:
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
        return self.add("Add", self.add("Mul", skipped, self.constant(self.factors)), y)

    def cells(self, x: str, names: Sequence[str], only_last: bool) -> str:
        """Add the outputs of cells that read the same input: shape (T, W, hidden), or (1, W, hidden)."""
        ways = [[f"{name}.directions.{d}" for name in names] for d in range(self.config.directions)]
        projected = self.project(x, [way for direction in ways for way in direction])
        width = self.config.features * len(names)
        inputs = self.graph.split(projected, [width] * len(ways))
        sums = []
        for d, direction in enumerate(ways):
            read = self.graph.last_step(inputs[d]) if only_last and d else inputs[d]
            outputs = self.graph.split(self.lstm_of(read, direction, d, only_last), [self.config.features] * len(names))
            sums.append(self.add("Sum", *outputs) if len(outputs) > 1 else outputs[0])
        return self.add("Concat", *sums, axis=2) if len(sums) > 1 else sums[0]

    def project(self, x: str, ways: Sequence[str]) -> str:
        weight = np.concatenate([self.weights[f"{way}.linear.weight"] for way in ways])
        bias = np.concatenate([self.weights[f"{way}.linear.bias"] for way in ways])
        if ways[0].startswith("blocks.0.cells.0.") and not self.config.stem_kernel:
            weight = weight * self.factors
        product = self.add("MatMul", x, self.constant(weight.T))
        return self.add("Relu", self.add("Add", product, self.constant(bias)))

    def lstm_of(self, x: str, ways: Sequence[str], direction: int, only_last: bool) -> str:
        entry = _block_diagonal([self.weights[f"{way}.input_weight"] for way in ways])
        recurrent = _block_diagonal([self.weights[f"{way}.recurrent_weight"] for way in ways])
        bias = np.concatenate([self.weights[f"{way}.bias"].reshape(4, -1) for way in ways], axis=1).ravel()
        every, last = self.graph.lstm(x, entry, recurrent, bias, backward=direction == 1)
        return last if only_last else self.graph.without_axis(every, 1)

    def normalise(self, x: str, index: int, only_last: bool) -> str:
        if not self.config.cells or self.config.norm == "none":
            return x
        prefix = f"blocks.{index}.norm"
        if self.config.norm == "layer":
            scale, shift = (self.constant(self.weights[f"{prefix}.{name}"]) for name in ("weight", "bias"))
            return self.add("LayerNormalization", x, scale, shift, axis=-1, epsilon=LAYER_NORM_EPS)
        deviation = np.sqrt(self.weights[f"{prefix}.running_var"] + np.float32(BATCH_NORM_EPS))
        scales = self.weights[f"{prefix}.scale"] / deviation
        shifts = self.weights[f"{prefix}.shift"] - self.weights[f"{prefix}.running_mean"] * scales
        steps = slice(-1, None) if only_last else slice(None)
        scaled = self.add("Mul", x, self.constant(scales[steps, None, None]))
        return self.add("Add", scaled, self.constant(shifts[steps, None, None]))

    def read_out(self, x: str) -> str:
        parts = []
        if self.config.readout != "last":
            parts.append(self.add("ReduceMean", x, self.constant(np.array([0])), keepdims=0))
        if self.config.readout != "mean":
            last = x if self.config.readout == "last" else self.graph.last_step(x)
            parts.append(self.graph.without_axis(last, 0))
        return self.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _block_diagonal(weights: Sequence[Array]) -> Array:
    """Join weights of shape (4F, F) into one of shape (4*n*F, n*F), gate by gate."""
    features, count = weights[0].shape[1], len(weights)
    joined = np.zeros((4, count, features, count, features), dtype=np.float32)
    for i, weight in enumerate(weights):
        joined[:, i, :, i, :] = weight.reshape(4, features, features)
    return joined.reshape(4 * count * features, count * features)
