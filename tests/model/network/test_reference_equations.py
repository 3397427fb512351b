"""The network's logits equal those of the published equations, computed here step by step in NumPy.

Zhao, Yang, Chevalier, Gong, arXiv 1708.08989; LSTM as in its section 2. Nothing is shared with the network but the
weights, so that what is proved is the arithmetic.
"""

import numpy as np
import pytest
import torch

from kinestream.model.config.network import NETWORK_PRESETS, NetworkConfig
from kinestream.model.network.residual import ResidualBiLSTM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, weights, name):
    """Run one LSTM over x of shape (T, features), from zero."""
    wx, wh, bias = (weights[f"{name}.{which}"] for which in ("input_weight", "recurrent_weight", "bias"))
    h = c = np.zeros(wh.shape[1])
    steps = []
    for row in x:
        entry, forget, candidate, exit_ = np.split(wx @ row + wh @ h + bias, 4)
        c = sigmoid(forget) * c + sigmoid(entry) * np.tanh(candidate)
        h = sigmoid(exit_) * np.tanh(c)
        steps.append(h)
    return np.array(steps)


def cell(x, weights, name, directions):
    outs = []
    for d in range(directions):
        way = f"{name}.directions.{d}"
        entered = np.maximum(0, x @ weights[f"{way}.linear.weight"].T + weights[f"{way}.linear.bias"])
        outs.append(lstm(entered, weights, way) if d == 0 else lstm(entered[::-1], weights, way)[::-1])
    return np.concatenate(outs, axis=1)


def block(x, weights, name, config):
    names = [f"{name}.cells.{i}" for i in range(max(1, config.cells))]
    if config.residual == "sum":
        y = sum(cell(x, weights, each, config.directions) for each in names)
    else:
        y = x
        for each in names:
            step = cell(y, weights, each, config.directions)
            y = y + step if y.shape == step.shape else step
    if config.cells == 0:
        return y
    norm = {key: weights[f"{name}.norm.{key}"] for key in ("running_mean", "running_var", "scale", "shift")}
    out = np.empty_like(y)
    for t in range(len(y)):
        centred = y[t] - norm["running_mean"][t]
        out[t] = centred / np.sqrt(norm["running_var"][t] + 0.001) * norm["scale"] + norm["shift"]
    return out


def published(window, weights, config):
    x = window
    for i in range(config.blocks):
        x = block(x, weights, f"blocks.{i}", config)
    return np.maximum(0, weights["head.weight"] @ x[-1] + weights["head.bias"])


SHAPES = [
    # hidden, cells, blocks, bidirectional, residual, (T, C, K)
    (28, 3, 3, True, "sum", (24, 113, 18)),
    (28, 3, 3, True, "sum", (32, 9, 6)),
    (10, 0, 1, True, "sum", (7, 3, 2)),
    (10, 0, 3, False, "sum", (7, 3, 4)),
    (12, 1, 2, True, "sum", (9, 12, 5)),
    (7, 3, 2, False, "sum", (9, 6, 12)),
    (12, 3, 2, True, "skip", (9, 6, 12)),
    (6, 3, 1, True, "skip", (5, 6, 3)),  # as many channels as features: the first cell has something to skip to
    (5, 2, 3, False, "skip", (1, 4, 3)),
]


@pytest.mark.parametrize(("hidden", "cells", "blocks", "bidirectional", "residual", "sizes"), SHAPES)
def test_logits_equal_the_published_equations(hidden, cells, blocks, bidirectional, residual, sizes):
    knobs = NETWORK_PRESETS["reference"] | {"residual": residual}
    config = NetworkConfig(hidden=hidden, cells=cells, blocks=blocks, bidirectional=bidirectional, **knobs)
    length, channels, classes = sizes
    torch.manual_seed(hidden * length)
    network = ResidualBiLSTM(channels, classes, length, config)
    network.train()
    for _ in range(3):  # statistics and scales other than those a network starts with
        network(torch.randn(20, length, channels) + 0.3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("scale", "shift")):
                parameter.add_(0.3 * torch.randn(()))
    network.double().eval()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    windows = np.random.default_rng(1).normal(0, 2, (3, length, channels))
    with torch.inference_mode():
        logits = network(torch.from_numpy(windows)).numpy()
    expected = np.array([published(window, weights, config) for window in windows])
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9)
    assert np.ptp(expected, axis=0).max() > 1e-5, "the logits should depend on the window"


def test_fresh_weights_are_drawn_as_published():
    torch.manual_seed(0)
    network = ResidualBiLSTM(113, 18, 24, NetworkConfig(**NETWORK_PRESETS["reference"]))
    weights = dict(network.named_parameters())
    linear = torch.cat([w.flatten() for name, w in weights.items() if name.endswith("linear.weight")])
    biases = torch.cat([w.flatten() for name, w in weights.items() if name.endswith("linear.bias")])
    assert linear.mean().item() == pytest.approx(0, abs=0.01)
    assert linear.std().item() == pytest.approx(0.2, abs=0.01)
    assert biases.mean().item() == pytest.approx(0.3, abs=0.05)
    assert biases.std().item() == pytest.approx(0.2, abs=0.03)
    for name, weight in weights.items():
        if name.endswith("bias") and "linear" not in name and "head" not in name:
            entry, forget, candidate, exit_ = weight.chunk(4)
            assert torch.all(forget == 0.999)
            assert not torch.cat([entry, candidate, exit_]).any()
        if name.endswith("norm.scale"):
            assert weight.item() == 0.5
