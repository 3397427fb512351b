"""Which network a configuration describes."""

from torch import nn

from kinestream.model.config.network import AnyNetwork, DeepConvLSTMConfig, PlainLSTMConfig
from kinestream.model.network.baselines import DeepConvLSTM, PlainLSTM
from kinestream.model.network.residual import ResidualBiLSTM


def make_network(config: AnyNetwork, channels: int, classes: int, window: int) -> nn.Module:
    """Return a network with fresh weights; it maps scaled windows, shape (B, T, C), to logits, shape (B, K).

    Parameters
    ----------
    config : NetworkConfig, DeepConvLSTMConfig or PlainLSTMConfig
        Its knobs; the kind decides the network.
    channels, classes, window : int
        C, K and T.
    """
    if isinstance(config, DeepConvLSTMConfig):
        return DeepConvLSTM(channels, classes, config)
    if isinstance(config, PlainLSTMConfig):
        return PlainLSTM(channels, classes, config)
    return ResidualBiLSTM(channels, classes, window, config)
