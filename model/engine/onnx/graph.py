"""A bundle's network as an ONNX graph, laid out for the runtime rather than exported from PyTorch.

What each network is made of stands in `residual` and `baselines` beside; here is what they have in common: nodes,
constants, the softmax at the end.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from kinestream.model.bundle.bundle import Bundle

OPSET = 18
IR_VERSION = 9  # read by ONNX Runtime 1.16 and newer

Array = npt.NDArray[np.float32]


class Graph:
    """Collects nodes and constants; each method adds a layer and returns the name of its output.

    Parameters
    ----------
    bundle : Bundle
        Whose network.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.weights = bundle.weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def serialise(self, logits: str) -> bytes:
        """Return the model whose output is the softmax of `logits`, divided by the bundle's temperature."""
        length, inputs = self.bundle.grid.length, len(self.bundle.inputs)
        if self.bundle.description.temperature != 1:
            logits = self.add("Div", logits, self.constant(np.array(self.bundle.description.temperature, np.float32)))
        self.add("Softmax", logits, axis=-1, output="probabilities")
        classes = len(self.bundle.description.classes)
        graph = helper.make_graph(
            self.nodes,
            "kinestream",
            [helper.make_tensor_value_info("windows", TensorProto.FLOAT, ["W", length, inputs])],
            [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["W", classes])],
            self.constants,
        )
        opset = helper.make_opsetid("", OPSET)
        model: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
        return model

    def head(self, read: str) -> str:
        """Add the linear head: shape (W, K) of shape (W, F)."""
        weight, bias = self.weights["head.weight"], self.weights["head.bias"]
        return self.add("Gemm", read, self.constant(weight), self.constant(bias), transB=1)

    def lstm(self, x: str, entry: Array, recurrent: Array, bias: Array, backward: bool = False) -> tuple[str, str]:
        """Add an LSTM whose weights are in PyTorch's order of gates.

        Parameters
        ----------
        x : str
            Shape (T, W, I).
        entry, recurrent, bias : ndarray, shapes (4F, I), (4F, F) and (4F,)
            Its weights.
        backward : bool
            Whether it goes through the window from its end.

        Returns
        -------
        str, str
            All hidden states, shape (T, 1, W, F), and the one it ends with, shape (1, W, F).
        """
        both = np.concatenate([_gate_order(bias), np.zeros_like(bias)])
        parameters = [self.constant(a[None]) for a in (_gate_order(entry), _gate_order(recurrent), both)]
        outputs = [f"step{len(self.nodes)}.all", f"step{len(self.nodes)}.last"]
        units, way = recurrent.shape[1], "reverse" if backward else "forward"
        self.nodes.append(helper.make_node("LSTM", [x, *parameters], outputs, hidden_size=units, direction=way))
        return outputs[0], outputs[1]

    def without_axis(self, x: str, axis: int) -> str:
        """Add the removal of an axis of length 1."""
        return self.add("Squeeze", x, self.constant(np.array([axis])))

    def last_step(self, x: str) -> str:
        """Add the cut to the last time step: shape (1, W, F) of shape (T, W, F)."""
        return self.steps(x, -1, np.iinfo(np.int64).max)

    def steps(self, x: str, first: int, end: int) -> str:
        """Add the cut to some time steps, of shape (T, ...)."""
        bounds = [self.constant(np.array([value])) for value in (first, end, 0)]
        return self.add("Slice", x, *bounds)

    def split(self, x: str, widths: Sequence[int], axis: int = 2) -> list[str]:
        """Add the division along an axis, by default along the features of shape (T, W, F)."""
        if len(widths) == 1:
            return [x]
        outputs = [f"step{len(self.nodes)}.{i}" for i in range(len(widths))]
        self.nodes.append(helper.make_node("Split", [x, self.constant(np.array(widths))], outputs, axis=axis))
        return outputs

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output; return the output's name."""
        name = output or f"step{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: npt.NDArray[np.float32] | npt.NDArray[np.int64]) -> str:
        """Add a constant; return its name."""
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _gate_order(weight: Array) -> Array:
    """Put PyTorch's gates (input, forget, cell, output) into ONNX's order (input, output, forget, cell)."""
    entry, forget, cell, output = np.split(weight, 4)
    return np.concatenate([entry, output, forget, cell])
