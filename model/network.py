"""The stacked residual bidirectional LSTM, all of it.

Zhao, Yang, Chevalier, Gong, "Deep Residual Bidir-LSTM for Human Activity Recognition Using Wearable Sensors",
arXiv 1708.08989. With `residual: sum`, `norm: batch`, `readout: last` and `head_relu` it is the network its authors
published as code, but for one thing: they normalised by the statistics of whatever batch a window came in, even when
testing. Here inference uses the statistics gathered in training, so that a window's answer is its own.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from model.config import BATCH_NORM_EPS, LAYER_NORM_EPS, NetworkConfig

FORGET_BIAS = 0.999  # the published value
BATCH_NORM_MOMENTUM = 0.1


class Direction(nn.Module):
    """A linear layer with ReLU, then an LSTM that starts at zero: one way through the window.

    Parameters
    ----------
    inputs : int
        Features of what it reads.
    features : int
        F, units of the layer and of the LSTM, whose gates are stacked in PyTorch's order: input, forget, cell, output.
    """

    def __init__(self, inputs: int, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, features)
        self.input_weight = nn.Parameter(torch.empty(4 * features, features))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * features, features))
        self.bias = nn.Parameter(torch.zeros(4 * features))
        # One Glorot bound for the joined input and recurrent kernel, as TensorFlow's BasicLSTMCell draws it.
        bound = math.sqrt(6.0 / (2 * features + 4 * features))
        nn.init.uniform_(self.input_weight, -bound, bound)
        nn.init.uniform_(self.recurrent_weight, -bound, bound)
        with torch.no_grad():
            self.bias[features : 2 * features] = FORGET_BIAS


class Cell(nn.Module):
    """One or two directions over the same input; two are concatenated."""

    def __init__(self, inputs: int, config: NetworkConfig) -> None:
        super().__init__()
        self.directions = nn.ModuleList(Direction(inputs, config.features) for _ in range(config.directions))

    def ways(self) -> list[Direction]:
        """Return the directions: forward, then backward."""
        return cast(list[Direction], list(self.directions))


class ScalarBatchNorm(nn.Module):
    """One mean and one variance per time step, over batch and features; one learned scale and shift."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, window: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.shift = nn.Parameter(torch.tensor(0.0))
        self.register_buffer("running_mean", torch.zeros(window))
        self.register_buffer("running_var", torch.ones(window))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise, shape (T, B, F) in and out."""
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = x.mean(dim=(1, 2)), x.var(dim=(1, 2), correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, BATCH_NORM_MOMENTUM)
                self.running_var.lerp_(var, BATCH_NORM_MOMENTUM)
        deviation = torch.sqrt(var + BATCH_NORM_EPS)
        return (x - mean[:, None, None]) / deviation[:, None, None] * self.scale + self.shift


class Block(nn.Module):
    """Cells joined by the residual rule, then dropout and normalisation."""

    def __init__(self, inputs: int, window: int, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        breadth = max(config.cells, 1)
        skip = config.residual == "skip"
        self.cells = nn.ModuleList(Cell(config.hidden if skip and i else inputs, config) for i in range(breadth))
        self.dropout = nn.Dropout(config.dropout_block)
        self.norm: nn.Module = nn.Identity()
        if config.cells and config.norm == "batch":
            self.norm = ScalarBatchNorm(window)
        elif config.cells and config.norm == "layer":
            self.norm = nn.LayerNorm(config.hidden, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (T, B, hidden) for shape (T, B, inputs)."""
        cells = cast(list[Cell], list(self.cells))
        if self.config.residual == "sum":
            y = run_cells(cells, x).sum(dim=0)
        else:
            y = x
            for cell in cells:
                step = run_cells([cell], y)[0]
                # The very first cell changes the number of features: there is nothing to skip to.
                y = step if y.shape[-1] != step.shape[-1] else y + step
        out: Tensor = self.norm(self.dropout(y))
        return out


class ResidualBiLSTM(nn.Module):
    """The whole network: blocks of cells, then a linear head.

    Parameters
    ----------
    channels : int
        C, features of a sample.
    classes : int
        K, logits.
    window : int
        T, samples in a window; `norm: batch` keeps statistics per time step.
    config : NetworkConfig
        Everything else.
    """

    def __init__(self, channels: int, classes: int, window: int, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout_input = nn.Dropout(config.dropout_input)
        self.blocks = nn.ModuleList(
            Block(config.hidden if i else channels, window, config) for i in range(config.blocks)
        )
        self.dropout_head = nn.Dropout(config.dropout_head)
        self.head = nn.Linear(config.hidden, classes)
        _initialise(self, config)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits, shape (B, K), of scaled windows, shape (B, T, C)."""
        x = self.dropout_input(windows.transpose(0, 1))
        for block in self.blocks:
            x = block(x)
        read = x[-1] if self.config.readout == "last" else x.mean(dim=0)
        logits: Tensor = self.head(self.dropout_head(read))
        return logits.relu() if self.config.head_relu else logits


def run_cells(cells: Sequence[Cell], x: Tensor) -> Tensor:
    """Run cells that read the same input as one LSTM whose weights are zero between cells.

    Eighteen small LSTMs are bound by the calls, not by the arithmetic: one wide LSTM a block takes about half the time.

    Parameters
    ----------
    cells : sequence of Cell
        All with the same number of inputs and directions.
    x : Tensor, shape (T, B, inputs)
        What every cell reads.

    Returns
    -------
    Tensor, shape (cells, T, B, hidden)
        What each cell makes of it.
    """
    directions = list(zip(*(cell.ways() for cell in cells), strict=True))
    flat = [way for direction in directions for way in direction]
    weight = torch.cat([way.linear.weight for way in flat])
    bias = torch.cat([way.linear.bias for way in flat])
    out = _wide_lstm(directions, torch.relu(nn.functional.linear(x, weight, bias)))
    parts = out.reshape(*out.shape[:2], len(directions), len(cells), -1)  # (T, B, directions, cells, features)
    return parts.permute(3, 0, 1, 2, 4).flatten(3)


def _wide_lstm(directions: Sequence[Sequence[Direction]], projected: Tensor) -> Tensor:
    inputs = projected.shape[-1]
    units = inputs // len(directions)
    parameters: dict[str, Tensor] = {}
    for d, ways in enumerate(directions):
        suffix = "_reverse" if d else ""
        # Each direction reads its own linear layers: the columns of the other direction's are zero.
        own = _gates_block_diagonal([way.input_weight for way in ways])
        parameters[f"weight_ih_l0{suffix}"] = nn.functional.pad(own, (d * units, inputs - (d + 1) * units))
        parameters[f"weight_hh_l0{suffix}"] = _gates_block_diagonal([way.recurrent_weight for way in ways])
        bias = torch.cat([way.bias.reshape(4, -1) for way in ways], dim=1).flatten()
        parameters[f"bias_ih_l0{suffix}"] = bias
        parameters[f"bias_hh_l0{suffix}"] = torch.zeros_like(bias)  # PyTorch adds two biases where one is meant
    wide = nn.LSTM(inputs, units, bidirectional=len(directions) == 2, device="meta")
    out: Tensor = functional_call(wide, parameters, (projected,))[0]
    return out


def _gates_block_diagonal(weights: Sequence[Tensor]) -> Tensor:
    """Join weights of shape (4F, F) into one of shape (4*n*F, n*F), gate by gate."""
    gates = zip(*(weight.chunk(4) for weight in weights), strict=True)
    return torch.cat([torch.block_diag(*gate) for gate in gates])  # type: ignore[no-untyped-call]


def _initialise(network: ResidualBiLSTM, config: NetworkConfig) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear) and config.init == "published":
            nn.init.normal_(module.weight, 0.0, 0.2)
            nn.init.normal_(module.bias, 0.3, 0.2)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
