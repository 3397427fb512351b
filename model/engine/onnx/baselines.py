"""The networks of `kinestream.model.network.baselines` as ONNX graphs."""

import numpy as np

from kinestream.model.config.network import DeepConvLSTMConfig, PlainLSTMConfig
from kinestream.model.engine.onnx.graph import Array, Graph


def deepconvlstm_logits(graph: Graph, config: DeepConvLSTMConfig) -> str:
    """Add a DeepConvLSTM to a graph; return the name of its logits, shape (W, K)."""
    x = graph.add("Unsqueeze", _scaled(graph), graph.constant(np.array([1])))  # (W, 1, T, D)
    for index in range(config.convolutions):
        weight, bias = (graph.weights[f"convolutions.{index}.{name}"] for name in ("weight", "bias"))
        x = graph.add("Relu", graph.add("Conv", x, graph.constant(weight), graph.constant(bias)))
    turned = graph.add("Transpose", x, perm=[2, 0, 1, 3])  # (steps, W, filters, D)
    shape = graph.constant(np.array([0, 0, config.filters * len(graph.bundle.inputs)]))
    return graph.head(_lstms(graph, graph.add("Reshape", turned, shape), config.layers))


def plain_logits(graph: Graph, config: PlainLSTMConfig) -> str:
    """Add a plain LSTM to a graph; return the name of its logits, shape (W, K)."""
    weight, bias = graph.weights["linear.weight"], graph.weights["linear.bias"]
    x = graph.add("Transpose", _scaled(graph), perm=[1, 0, 2])  # (T, W, D)
    entered = graph.add("Add", graph.add("MatMul", x, graph.constant(weight.T)), graph.constant(bias))
    return graph.head(_lstms(graph, graph.add("Relu", entered), config.layers))


def _scaled(graph: Graph) -> str:
    centred = graph.add("Sub", "windows", graph.constant(graph.bundle.means))
    return graph.add("Mul", centred, graph.constant(graph.bundle.factors))


def _lstms(graph: Graph, x: str, layers: int) -> str:
    """Add LSTM layers over shape (T, W, F); return the last hidden state of the uppermost, shape (W, hidden)."""
    last = x
    for index in range(layers):
        entry, recurrent, *biases = (_weight(graph, index, name) for name in _NAMES)
        every, last = graph.lstm(x, entry, recurrent, biases[0] + biases[1])
        x = graph.without_axis(every, 1)
    return graph.without_axis(last, 0)


_NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _weight(graph: Graph, index: int, name: str) -> Array:
    return graph.weights[f"lstms.{index}.{name}_l0"]
