"""Which ONNX graph a bundle's network becomes."""

from model.bundle import Bundle
from model.graph import Graph
from model.networkconfig import DeepConvLSTMConfig, PlainLSTMConfig
from model.opponent_graphs import deepconvlstm_logits, plain_logits
from model.residual_graph import residual_logits


def build_graph(bundle: Bundle) -> bytes:
    """Return a serialised ONNX model of a bundle.

    Its input ``windows`` is float32, shape (W, T, D): what `Bundle.prepared` returns. Its output ``probabilities`` is
    float32, shape (W, K).
    """
    graph, config = Graph(bundle), bundle.description.network
    if isinstance(config, DeepConvLSTMConfig):
        return graph.serialise(deepconvlstm_logits(graph, config))
    if isinstance(config, PlainLSTMConfig):
        return graph.serialise(plain_logits(graph, config))
    return graph.serialise(residual_logits(graph, config))
