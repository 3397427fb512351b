"""The stacked residual bidirectional LSTM, all of it.

Zhao, Yang, Chevalier, Gong, "Deep Residual Bidir-LSTM for Human Activity Recognition Using Wearable Sensors",
arXiv 1708.08989. With `residual: sum`, `norm: batch`, `readout: last` and `head_relu` it is the network its authors
published as code, but for one thing: they normalised by the statistics of whatever batch a window came in, even when
testing. Here inference uses the statistics gathered in training, so that a window's answer is its own.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from kinestream.model.config.network import BATCH_NORM_EPS, LAYER_NORM_EPS, MOST_SCALED, NetworkConfig
from kinestream.model.network.recurrence import joined_lstm, lstm

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
        """Normalise the last steps of the window or all of them, shape (steps, B, F) in and out."""
        running_mean, running_var = self.running_mean[-len(x) :], self.running_var[-len(x) :]
        mean, var = running_mean, running_var
        if self.training:
            mean, var = x.mean(dim=(1, 2)), x.var(dim=(1, 2), correction=0)
            with torch.no_grad():
                running_mean.lerp_(mean, BATCH_NORM_MOMENTUM)
                running_var.lerp_(var, BATCH_NORM_MOMENTUM)
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

    def forward(self, x: Tensor, last: bool = False) -> Tensor:
        """Return shape (T, B, hidden) for shape (T, B, inputs), or of its last step alone, shape (1, B, hidden)."""
        cells = cast(list[Cell], list(self.cells))
        # Where a block or its first cell changes the number of features there is nothing to add, or to skip to.
        if self.config.residual != "skip":
            y = run_cells(cells, x, last)
            y = y + x[-len(y) :] if self.config.residual == "identity" and y.shape[-1] == x.shape[-1] else y
        else:
            y = x
            for i, cell in enumerate(cells, start=1):
                step = run_cells([cell], y, last and i == len(cells))
                y = step if y.shape[-1] != step.shape[-1] else y[-len(step) :] + step
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
        channels = config.entered(channels)
        if config.stem_kernel:
            self.stem = nn.Conv1d(channels, config.hidden, config.stem_kernel, config.stem_stride)
        inputs, steps = config.hidden if config.stem_kernel else channels, config.steps(window)
        self.blocks = nn.ModuleList(Block(config.hidden if i else inputs, steps, config) for i in range(config.blocks))
        self.dropout_head = nn.Dropout(config.dropout_head)
        self.head = nn.Linear(config.read, classes)
        _initialise(self, config)

    def forward(self, windows: Tensor) -> Tensor:
        """Return logits, shape (B, K), of scaled windows, shape (B, T, C)."""
        if self.config.detail:
            windows = windows.clamp(-MOST_SCALED, MOST_SCALED)
            sway = windows - windows.mean(dim=1, keepdim=True)
            windows = torch.cat([windows, torch.asinh(self.config.detail * sway)], dim=2)
        windows = self.dropout_input(windows)
        if self.config.stem_kernel:
            x = self.stem(windows.transpose(1, 2)).relu().permute(2, 0, 1)
        else:
            x = windows.transpose(0, 1)
        for i, block in enumerate(self.blocks, start=1):
            x = block(x, self.config.readout == "last" and i == len(self.blocks))
        read = _READOUTS[self.config.readout](x)
        logits: Tensor = self.head(self.dropout_head(read))
        return logits.relu() if self.config.head_relu else logits


_READOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "last": lambda x: x[-1],
    "mean": lambda x: x.mean(dim=0),
    "mean_last": lambda x: torch.cat([x.mean(dim=0), x[-1]], dim=1),
}


def run_cells(cells: Sequence[Cell], x: Tensor, last: bool = False) -> Tensor:
    """Run cells that read the same input as one, and add what they make; see `kinestream.model.network.recurrence`.

    Parameters
    ----------
    cells : sequence of Cell
        All with the same number of inputs and directions.
    x : Tensor, shape (T, B, inputs)
        What every cell reads.
    last : bool
        Whether the last step is all that is wanted: those that go from the window's end have reached it at once.

    Returns
    -------
    Tensor, shape (T, B, hidden) or (1, B, hidden)
        The sum over the cells.
    """
    directions = list(zip(*(cell.ways() for cell in cells), strict=True))
    flat = [way for direction in directions for way in direction]
    on_cpu = torch.is_grad_enabled() and x.device.type == "cpu"
    if on_cpu and last and len(directions) == 2:
        forward, backward = directions
        return torch.cat([_side_by_side(forward, x)[-1:], _side_by_side(backward, x[-1:])], dim=2)
    if on_cpu:
        return _side_by_side(flat, x, backward_from=len(cells))[-1 if last else 0 :]
    weight, bias = _joined(flat)
    lstms = [[(way.input_weight, way.recurrent_weight, way.bias) for way in direction] for direction in directions]
    out = joined_lstm(lstms, torch.relu(nn.functional.linear(x, weight, bias)))
    out = out.reshape(*out.shape[:2], len(directions), len(cells), -1).sum(dim=3).flatten(2)
    return out[-1:] if last else out


def _side_by_side(ways: Sequence[Direction], x: Tensor, backward_from: int | None = None) -> Tensor:
    """Return the ways' sums, shape (T, B, directions*F), of (T, B, inputs): `kinestream.model.network.recurrence.lstm`.

    The first `backward_from` of them go forward, and as many back; without it, all go forward.
    """
    cells = len(ways) if backward_from is None else backward_from
    weight, bias = _joined(ways)
    projected = torch.matmul(weight, x.transpose(1, 2)).add_(bias[:, None]).relu_()
    steps, _, batch = projected.shape
    entry, recurrent, shift = (
        torch.stack([getattr(way, name) for way in ways]) for name in ("input_weight", "recurrent_weight", "bias")
    )
    hidden = lstm(projected.view(steps, len(ways), -1, batch), entry, recurrent, shift, backward_from=cells)
    sums = hidden.view(steps, -1, cells, hidden.shape[2], batch).sum(dim=2)  # (T, directions, F, B)
    return sums.flatten(1, 2).transpose(1, 2)


def _joined(ways: Sequence[Direction]) -> tuple[Tensor, Tensor]:
    """Return the linear layers of several ways as one: weights, shape (ways*F, inputs), and bias."""
    return torch.cat([way.linear.weight for way in ways]), torch.cat([way.linear.bias for way in ways])


def _initialise(network: ResidualBiLSTM, config: NetworkConfig) -> None:
    for module in network.modules():
        if isinstance(module, nn.Linear) and config.init == "published":
            nn.init.normal_(module.weight, 0.0, 0.2)
            nn.init.normal_(module.bias, 0.3, 0.2)
        elif isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv1d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(cast(Tensor, module.bias))
