"""The same network as anybody would write it in PyTorch: one nn.LSTM per direction of every cell, nothing joined."""

from typing import cast

import torch
from torch import Tensor, nn

from kinestream.model.network.residual import Block, Cell, Direction, ResidualBiLSTM


class PlainDirection(nn.Module):
    """A linear layer with ReLU, then an nn.LSTM, with the weights of a `Direction`."""

    def __init__(self, way: Direction, backward: bool) -> None:
        super().__init__()
        self.linear = way.linear
        self.backward = backward
        features = way.recurrent_weight.shape[1]
        self.lstm = nn.LSTM(features, features)
        # PyTorch adds two biases where one is meant.
        weights = (way.input_weight, way.recurrent_weight, way.bias, torch.zeros_like(way.bias))
        with torch.no_grad():
            for parameter, weight in zip(self.lstm.parameters(), weights, strict=True):
                parameter.copy_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (T, B, F) for shape (T, B, inputs)."""
        projected = torch.relu(self.linear(x))
        if self.backward:
            return cast(Tensor, self.lstm(projected.flip(0))[0]).flip(0)
        return cast(Tensor, self.lstm(projected)[0])


class PlainNetwork(nn.Module):
    """A `ResidualBiLSTM` cell by cell.

    Parameters
    ----------
    network : ResidualBiLSTM
        Whose weights it shares or copies.
    """

    def __init__(self, network: ResidualBiLSTM) -> None:
        super().__init__()
        self.config = network.config
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                nn.ModuleList(PlainDirection(way, bool(d)) for d, way in enumerate(cast(Cell, cell).ways()))
                for cell in cast(Block, block).cells
            )
            for block in network.blocks
        )
        self.norms = nn.ModuleList(cast(nn.Module, block.norm) for block in network.blocks)
        self.stem = network.stem if network.config.stem_kernel else None
        self.head = network.head

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits, shape (B, K), of scaled windows, shape (B, T, C)."""
        if self.config.detail:
            sway = windows - windows.mean(dim=1, keepdim=True)
            windows = torch.cat([windows, _asinh(self.config.detail * sway)], dim=2)
        x = self.stem(windows.transpose(1, 2)).relu().permute(2, 0, 1) if self.stem else windows.transpose(0, 1)
        for cells, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(self._block(cast(nn.ModuleList, cells), x))
        read = {"last": x[-1], "mean": x.mean(dim=0), "mean_last": torch.cat([x.mean(dim=0), x[-1]], dim=1)}
        logits: Tensor = self.head(read[self.config.readout])
        return logits.relu() if self.config.head_relu else logits

    def _block(self, cells: nn.ModuleList, x: Tensor) -> Tensor:
        if self.config.residual != "skip":
            total = torch.stack([self._cell(cell, x) for cell in cells]).sum(dim=0)
            return total + x if self.config.residual == "identity" and total.shape == x.shape else total
        for cell in cells:
            step = self._cell(cell, x)
            x = step if x.shape[-1] != step.shape[-1] else x + step
        return x

    def _cell(self, ways: nn.Module, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in cast(nn.ModuleList, ways)], dim=-1)


def _asinh(x: Tensor) -> Tensor:
    """Return asinh in operators that PyTorch's export knows."""
    return torch.sign(x) * torch.log(x.abs() + torch.sqrt(x * x + 1))
