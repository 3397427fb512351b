"""Which ONNX graphs a bundle's network becomes.

The input ``windows`` of each is float32, shape (W, T, D): what `Bundle.prepare` returns. Its output ``probabilities``
is float32, shape (W, K).
"""

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.network import DeepConvLSTMConfig, NetworkConfig, PlainLSTMConfig
from kinestream.model.engine.onnx.baselines import deepconvlstm_logits, plain_logits
from kinestream.model.engine.onnx.graph import Graph
from kinestream.model.engine.onnx.residual import ResidualGraph
from kinestream.model.engine.onnx.unrolled import UnrolledGraph


def build_graph(bundle: Bundle) -> bytes:
    """Return a serialised ONNX model of a bundle."""
    graph, config = Graph(bundle), bundle.description.network
    if isinstance(config, DeepConvLSTMConfig):
        return graph.serialise(deepconvlstm_logits(graph, config))
    if isinstance(config, PlainLSTMConfig):
        return graph.serialise(plain_logits(graph, config))
    return graph.serialise(ResidualGraph(graph, config).logits())


def build_graph_for_many(bundle: Bundle) -> bytes | None:
    """Return one that is faster with dozens of windows and slower with few; None where there is none."""
    graph, config = Graph(bundle), bundle.description.network
    if not isinstance(config, NetworkConfig) or not UnrolledGraph.is_for(config, bundle.grid.length):
        return None
    return graph.serialise(UnrolledGraph(graph, config).logits())
