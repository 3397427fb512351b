"""`ResidualBiLSTM` as an ONNX graph for many windows at once: every step of every LSTM spelled out.

The runtime's own LSTM takes the gates of a batch with instructions that every processor has, and needs zeros between
the cells of a block (see `residual` beside). Spelled out, a step is matrix products and functions that the runtime
computes eight numbers at a time, cells side by side. A step costs a dozen calls, so this is for dozens of windows.

Values are shape (T, features, W), windows last: then a gate's units are whole rows, and W is the long side of every
product.
"""

from collections.abc import Sequence

import numpy as np

from kinestream.model.config.network import NetworkConfig
from kinestream.model.engine.onnx.graph import Array
from kinestream.model.engine.onnx.residual import ResidualGraph

MOST_STEPS = 64
"""Time steps that are spelled out at most: the graph grows with them, and so does the time it takes to load."""


class UnrolledGraph(ResidualGraph):
    """Adds the network to a graph, windows last; the parameters are those of `ResidualGraph`."""

    samples_order = (1, 2, 0)
    feature_axis = 1

    @staticmethod
    def is_for(config: NetworkConfig, length: int) -> bool:
        """Tell whether windows of `length` samples are few enough steps."""
        return config.steps(length) <= MOST_STEPS

    def product(self, x: str, weight: Array) -> str:
        """Add what a linear layer of shape (outputs, inputs) makes of a value's features."""
        return self.add("MatMul", self.constant(weight), x)

    def along_features(self, values: Array) -> Array:
        """Give one value of each feature the shape that fits a value's."""
        return values[:, None]

    def layer_normalised(self, x: str, scale: str, shift: str) -> str:
        """Add the normalisation of each time step over its features."""
        turned = self.add("Transpose", x, perm=[0, 2, 1])
        return self.add("Transpose", super().layer_normalised(turned, scale, shift), perm=[0, 2, 1])

    def read_out(self, x: str) -> str:
        """Add what the head reads: shape (W, F)."""
        return self.add("Transpose", super().read_out(x), perm=[1, 0])

    def cells(self, x: str, names: Sequence[str], only_last: bool) -> str:
        """Add the outputs of cells that read the same input: shape (T, hidden, W), or (1, hidden, W)."""
        forward, *backward = [[f"{name}.directions.{d}" for name in names] for d in range(self.config.directions)]
        steps = self.config.steps(self.bundle.grid.length)
        if only_last:
            outputs = [self.recurrence(self.project(x, forward), forward, steps)[-1]]
            last = self.graph.last_step(x)
            outputs += [self.recurrence(self.project(last, ways), ways, 1)[0] for ways in backward]
            return self.joined([self.sum_of_cells(each) for each in outputs], axis=1)
        inputs = [self.project(x, forward), *(self.reversed(self.project(x, ways)) for ways in backward)]
        outputs = self.recurrence(self.joined(inputs, axis=1), sum(backward, forward), steps)
        ahead, *back = self.graph.split(self.joined(outputs, axis=0), [len(names)] * self.config.directions, axis=1)
        sums = [self.sum_of_cells(ahead), *(self.reversed(self.sum_of_cells(each)) for each in back)]
        return self.joined(sums, axis=1)

    def project(self, x: str, ways: Sequence[str]) -> str:
        """Add the layers before the LSTMs, each with a row of ones below: shape (T, S, F + 1, W) for S ways."""
        weights = [self.weights[f"{way}.linear.weight"] for way in ways]
        biases = [self.weights[f"{way}.linear.bias"] for way in ways]
        if ways[0].startswith("blocks.0.cells.0.") and not self.config.stem_kernel:
            weights = [weight * self.factors for weight in weights]
        weight = np.concatenate([np.pad(each, ((0, 1), (0, 0))) for each in weights])
        bias = np.concatenate([np.append(each, np.float32(1)) for each in biases])
        product = self.product(x, weight)
        rows = self.add("Relu", self.add("Add", product, self.constant(bias[:, None])))
        return self.add("Reshape", rows, self.constant(np.array([0, len(ways), self.config.features + 1, -1])))

    def recurrence(self, inputs: str, ways: Sequence[str], steps: int) -> list[str]:
        """Add S LSTMs side by side, spelled out; return their hidden states, each of shape (1, S, F, W)."""
        features = self.config.features
        weights = np.stack([self.lstm_weight(way) for way in ways])  # (S, 4F, F + 1 + F)
        # Before the first step there is no hidden state to multiply.
        weight = self.constant(weights[:, :, : features + 1])
        cell = ""
        outputs: list[str] = []
        for x in self.graph.split(inputs, [1] * steps, axis=0):
            if len(outputs) == 1:
                weight = self.constant(weights)
            read = self.add("Concat", x, outputs[-1], axis=2) if outputs else x
            product = self.add("MatMul", weight, read)
            *gates, candidate = self.graph.split(product, [features] * 4, axis=2)
            entry, forget, output = (self.add("Sigmoid", gate) for gate in gates)
            entered = self.add("Mul", entry, self.add("Tanh", candidate))
            cell = self.add("Add", self.add("Mul", forget, cell), entered) if cell else entered
            outputs.append(self.add("Mul", output, self.add("Tanh", cell)))
        return outputs

    def lstm_weight(self, way: str) -> Array:
        """Return all of an LSTM's weights: input, forget and output gate, then candidate; input, bias, hidden state."""
        parts = [self.weights[f"{way}.{name}"] for name in ("input_weight", "bias", "recurrent_weight")]
        joined = np.concatenate([part.reshape(4 * self.config.features, -1) for part in parts], axis=1)
        entry, forget, candidate, output = np.split(joined, 4)
        return np.concatenate([entry, forget, output, candidate])

    def sum_of_cells(self, x: str) -> str:
        """Add the sum over cells: shape (T, F, W) of shape (T, cells, F, W)."""
        return self.add("ReduceSum", x, self.constant(np.array([1])), keepdims=0)

    def reversed(self, x: str) -> str:
        """Add the way back through time."""
        bounds = [self.constant(np.array([value])) for value in (-1, np.iinfo(np.int64).min, 0, -1)]
        return self.add("Slice", x, *bounds)

    def joined(self, parts: Sequence[str], axis: int) -> str:
        """Add the concatenation."""
        return self.add("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]
