"""A bundle's network as an ONNX graph, laid out for the runtime rather than exported from PyTorch.

Three things make it faster than a plain export, with the same answers:

- All linear layers that read the same input are one matrix product, and the LSTMs that follow are one LSTM per
  direction whose weights are zero between cells: a step of a small LSTM costs more in calls than in arithmetic.
- Where only the last time step is classified, the last block's backward LSTM reads just that step, and its forward LSTM
  hands on nothing but its last output.
- The channels' scaling is folded into the first layer's weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from model.bundle import Bundle
from model.config import BATCH_NORM_EPS, LAYER_NORM_EPS, NetworkConfig

OPSET = 18
IR_VERSION = 9  # read by ONNX Runtime 1.16 and newer

Array = npt.NDArray[np.float32]


def build_graph(bundle: Bundle) -> bytes:
    """Return a serialised ONNX model of a bundle.

    Its input ``windows`` is float32, shape (W, T, C), unscaled and without NaN; its output ``probabilities`` is
    float32, shape (W, K).
    """
    return _Graph(bundle).serialise()


class _Graph:
    """Collects nodes and constants; each method adds a layer and returns the name of its output."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.config: NetworkConfig = bundle.description.network
        self.weights = bundle.weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def serialise(self) -> bytes:
        length, channels = self.bundle.grid.length, len(self.bundle.channels)
        self.add("Softmax", self.logits(), axis=-1, output="probabilities")
        graph = helper.make_graph(
            self.nodes,
            "kinestream",
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["W", length, channels])],
            [
                helper.make_tensor_value_info(
                    "probabilities", TensorProto.FLOAT, ["W", len(self.bundle.description.classes)]
                )
            ],
            self.constants,
        )
        opset = helper.make_opsetid("", OPSET)
        model: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
        return model

    def logits(self) -> str:
        centred = self.add("Sub", "windows", self.constant(self.bundle.means))
        x = self.add("Transpose", centred, perm=[1, 0, 2])  # (T, W, C)
        for index in range(self.config.blocks):
            x = self.block(x, index)
        read = self.read_out(x)
        weight, bias = self.weights["head.weight"], self.weights["head.bias"]
        logits = self.add("Gemm", read, self.constant(weight), self.constant(bias), transB=1)
        return self.add("Relu", logits) if self.config.head_relu else logits

    def block(self, x: str, index: int) -> str:
        only_last = self.config.readout == "last" and index == self.config.blocks - 1
        names = [f"blocks.{index}.cells.{cell}" for cell in range(max(self.config.cells, 1))]
        if self.config.residual == "sum":
            y = self.cells(x, names, only_last)
        else:
            y = self.cells_in_sequence(x, names, only_last)
        return self.normalise(y, index, only_last)

    def cells_in_sequence(self, x: str, names: Sequence[str], only_last: bool) -> str:
        for name in names:
            final = only_last and name == names[-1]
            step = self.cells(x, [name], final)
            skipped = self.last_step(x) if final else x
            if name != "blocks.0.cells.0":
                step = self.add("Add", skipped, step)
            elif len(self.bundle.channels) == self.config.hidden:
                # The scaling is folded into the cell's weights, which what skips the cell does not pass.
                step = self.add("Add", self.add("Mul", skipped, self.constant(self.bundle.factors)), step)
            x = step
        return x

    def cells(self, x: str, names: Sequence[str], only_last: bool) -> str:
        """Add the outputs of cells that read the same input: shape (T, W, hidden), or (1, W, hidden)."""
        ways = [[f"{name}.directions.{d}" for name in names] for d in range(self.config.directions)]
        projected = self.project(x, [way for direction in ways for way in direction])
        width = self.config.features * len(names)
        inputs = self.split(projected, [width] * len(ways))
        sums = []
        for d, direction in enumerate(ways):
            read = self.last_step(inputs[d]) if only_last and d else inputs[d]
            outputs = self.split(self.lstm(read, direction, d, only_last), [self.config.features] * len(names))
            sums.append(self.add("Sum", *outputs) if len(outputs) > 1 else outputs[0])
        return self.add("Concat", *sums, axis=2) if len(sums) > 1 else sums[0]

    def project(self, x: str, ways: Sequence[str]) -> str:
        weight = np.concatenate([self.weights[f"{way}.linear.weight"] for way in ways])
        bias = np.concatenate([self.weights[f"{way}.linear.bias"] for way in ways])
        if ways[0].startswith("blocks.0.cells.0."):
            weight = weight * self.bundle.factors
        product = self.add("MatMul", x, self.constant(weight.T))
        return self.add("Relu", self.add("Add", product, self.constant(bias)))

    def lstm(self, x: str, ways: Sequence[str], direction: int, only_last: bool) -> str:
        inputs = _block_diagonal([self.weights[f"{way}.input_weight"] for way in ways])
        recurrent = _block_diagonal([self.weights[f"{way}.recurrent_weight"] for way in ways])
        bias = np.concatenate([self.weights[f"{way}.bias"].reshape(4, -1) for way in ways], axis=1).ravel()
        both = np.concatenate([_gate_order(bias), np.zeros_like(bias)])
        parameters = [self.constant(a[None]) for a in (_gate_order(inputs), _gate_order(recurrent), both)]
        name = f"step{len(self.nodes)}"
        way = "reverse" if direction else "forward"
        outputs = [f"{name}.all", f"{name}.last"]  # (T, 1, W, units) and (1, W, units)
        units = recurrent.shape[1]
        self.nodes.append(helper.make_node("LSTM", [x, *parameters], outputs, hidden_size=units, direction=way))
        return outputs[1] if only_last else self.add("Squeeze", outputs[0], self.constant(np.array([1])))

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
        first_axis = self.constant(np.array([0]))
        if self.config.readout == "mean":
            return self.add("ReduceMean", x, first_axis, keepdims=0)
        return self.add("Squeeze", x, first_axis)

    def last_step(self, x: str) -> str:
        end = np.iinfo(np.int64).max
        bounds = [self.constant(np.array([value])) for value in (-1, end, 0)]
        return self.add("Slice", x, *bounds)

    def split(self, x: str, widths: Sequence[int]) -> list[str]:
        if len(widths) == 1:
            return [x]
        outputs = [f"step{len(self.nodes)}.{i}" for i in range(len(widths))]
        self.nodes.append(helper.make_node("Split", [x, self.constant(np.array(widths))], outputs, axis=2))
        return outputs

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"step{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _block_diagonal(weights: Sequence[Array]) -> Array:
    """Join weights of shape (4F, F) into one of shape (4*n*F, n*F), gate by gate."""
    features, count = weights[0].shape[1], len(weights)
    joined = np.zeros((4, count, features, count, features), dtype=np.float32)
    for i, weight in enumerate(weights):
        joined[:, i, :, i, :] = weight.reshape(4, features, features)
    return joined.reshape(4 * count * features, count * features)


def _gate_order(weight: Array) -> Array:
    """Put PyTorch's gates (input, forget, cell, output) into ONNX's order (input, output, forget, cell)."""
    entry, forget, cell, output = np.split(weight, 4)
    return np.concatenate([entry, output, forget, cell])
