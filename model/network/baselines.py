"""The networks that ours is compared with, so that any comparison is like for like: one trainer, one bundle, one loop.

- DeepConvLSTM: Ordonez, Roggen, "Deep Convolutional and LSTM Recurrent Neural Networks for Multimodal Wearable Activity
  Recognition", Sensors 2016, 16(1):115.
- The plain two-layer LSTM: Chevalier, "LSTMs for Human Activity Recognition", 2016, the tutorial that the authors of
  arXiv 1708.08989 started from.
"""

from typing import cast

import torch
from torch import Tensor, nn

from kinestream.model.config.network import DeepConvLSTMConfig, PlainLSTMConfig


class DeepConvLSTM(nn.Module):
    """Convolutions along time over every channel by itself, LSTM layers over what they find, a linear head.

    Parameters
    ----------
    channels, classes : int
        C and K.
    config : DeepConvLSTMConfig
        Everything else.
    """

    def __init__(self, channels: int, classes: int, config: DeepConvLSTMConfig) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(config.filters if i else 1, config.filters, (config.kernel, 1))
            for i in range(config.convolutions)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.lstms = nn.ModuleList(
            nn.LSTM(config.hidden if i else config.filters * channels, config.hidden) for i in range(config.layers)
        )
        self.head = nn.Linear(config.hidden, classes)
        for module in self.modules():  # orthogonal, as the authors' published code draws them
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.orthogonal_(module.weight)
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits, shape (B, K), of scaled windows, shape (B, T, C)."""
        x = windows[:, None]
        for convolution in self.convolutions:
            x = convolution(x).relu()
        x = x.permute(2, 0, 1, 3).flatten(2)  # (steps, B, filters * C)
        for layer in self.lstms:
            x = layer(self.dropout(x))[0]
        logits: Tensor = self.head(self.dropout(x[-1]))
        return logits


class PlainLSTM(nn.Module):
    """A linear layer with ReLU, LSTM layers, and a linear head on the last time step.

    Parameters
    ----------
    channels, classes : int
        C and K.
    config : PlainLSTMConfig
        Everything else.
    """

    def __init__(self, channels: int, classes: int, config: PlainLSTMConfig) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, config.hidden)
        self.lstms = nn.ModuleList(nn.LSTM(config.hidden, config.hidden) for _ in range(config.layers))
        self.head = nn.Linear(config.hidden, classes)
        for layer in self.lstms:
            with torch.no_grad():
                cast(Tensor, layer.bias_ih_l0)[config.hidden : 2 * config.hidden] = (
                    1.0  # the tutorial's forget-gate bias
                )
        for module in (
            self.linear,
            self.head,
        ):  # the tutorial draws them from N(0, 1), and the hidden biases from N(1, 1)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, 1.0 if module is self.linear else 0.0)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits, shape (B, K), of scaled windows, shape (B, T, C)."""
        x = self.linear(windows.transpose(0, 1)).relu()
        for layer in self.lstms:
            x = layer(x)[0]
        logits: Tensor = self.head(x[-1])
        return logits
