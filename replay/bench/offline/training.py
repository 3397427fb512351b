"""Training side by side: the cells of a block as one recurrence, and one nn.LSTM per direction of every cell."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn, optim

from kinestream.model.config.network import NETWORK_PRESETS, NetworkConfig
from kinestream.model.network.residual import ResidualBiLSTM
from kinestream.replay.bench.figures import OURS, PLAIN, TrainingFigure
from kinestream.replay.bench.offline.plain import PlainNetwork

CHANNELS, CLASSES, LENGTH = 6, 12, 128
"""HAPT's: what a window holds decides how long a step takes, what stands in it does not."""


def measure_training(
    presets: Sequence[str],
    *,
    batch: int,
    steps: int,
    rounds: int,
    show: Callable[[TrainingFigure], None] = lambda figure: None,
) -> list[TrainingFigure]:
    """Time whole steps (forward, loss, backward, Adam) of both forms by turns, on one thread.

    Parameters
    ----------
    presets : sequence of str
        Networks of `kinestream.model.config.network.NETWORK_PRESETS`, of kind ``residual_bilstm``.
    batch : int
        Windows in a step.
    steps, rounds : int
        Steps in a turn, and turns of each form; a figure is the median over the turns.
    show : callable
        Called with each figure.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    windows = torch.randn(batch, LENGTH, CHANNELS)
    truth = torch.randint(CLASSES, (batch,))
    figures = []
    for preset in presets:
        network = ResidualBiLSTM(CHANNELS, CLASSES, LENGTH, NetworkConfig.model_validate(NETWORK_PRESETS[preset]))
        _undropped(network)
        forms = {OURS: network, PLAIN: PlainNetwork(network)}
        difference = _difference(network, forms[PLAIN], windows, truth)
        turns: dict[str, list[float]] = {name: [] for name in forms}
        learners = {name: _step_of(form, windows, truth) for name, form in forms.items()}
        for _ in range(rounds):
            for name, step in learners.items():
                turns[name].append(_seconds(step, steps))
        for name in forms:
            figure = TrainingFigure(preset, name, batch, batch / float(np.median(turns[name])), difference)
            figures.append(figure)
            show(figure)
    return figures


def _undropped(network: nn.Module) -> None:
    """Take dropout out: its draws, which take as long in both forms, would hide whether they compute the same."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Dropout):
                setattr(module, name, nn.Identity())


def _difference(network: nn.Module, plain: nn.Module, windows: Tensor, truth: Tensor) -> float:
    """Return the largest difference between the losses' gradients by the input, over its largest gradient."""
    gradients = []
    for form in (network, plain):
        form.train()
        given = windows[:8].clone().requires_grad_()
        loss = nn.functional.cross_entropy(form(given), truth[:8])
        gradients.append(torch.autograd.grad(loss, given)[0])
    ours, theirs = gradients
    return float((ours - theirs).abs().max() / theirs.abs().max())


def _step_of(network: nn.Module, windows: Tensor, truth: Tensor) -> Callable[[], None]:
    optimizer = optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss = nn.functional.cross_entropy(network(windows), truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _seconds(step: Callable[[], None], steps: int) -> float:
    step()  # the form before it has filled the caches
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - begin) / steps
