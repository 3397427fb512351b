"""All cells of a block stepped together are the LSTMs they stand for, values and gradients alike."""

import pytest
import torch
from torch import nn

from kinestream.model.config.network import NETWORK_PRESETS, NetworkConfig
from kinestream.model.network.recurrence import lstm
from kinestream.model.network.residual import ResidualBiLSTM
from kinestream.replay.bench.offline.plain import PlainNetwork


def torchs(read, entry, recurrent, bias, backward_from):
    """Return what PyTorch's own LSTM makes of each."""
    outs = []
    for n in range(read.shape[1]):
        one = nn.LSTM(read.shape[2], recurrent.shape[2], dtype=read.dtype)
        parameters = {
            "weight_ih_l0": entry[n],
            "weight_hh_l0": recurrent[n],
            "bias_ih_l0": bias[n],
            "bias_hh_l0": torch.zeros_like(bias[n]),
        }
        x = read[:, n].transpose(1, 2)
        x = x.flip(0) if n >= backward_from else x
        out = torch.func.functional_call(one, parameters, (x,))[0]
        outs.append((out.flip(0) if n >= backward_from else out).transpose(1, 2))
    return torch.stack(outs, dim=1)


@pytest.mark.parametrize(
    ("steps", "cells", "inputs", "features", "batch", "backward_from"),
    [(7, 4, 3, 3, 5, 2), (1, 2, 3, 2, 1, 1), (9, 3, 2, 4, 2, 3), (5, 2, 1, 1, 3, 0)],
)
def test_side_by_side_each_is_the_lstm_it_stands_for(steps, cells, inputs, features, batch, backward_from):
    torch.manual_seed(steps)
    given = [
        torch.randn(*shape, requires_grad=True)
        for shape in (
            (steps, cells, inputs, batch),
            (cells, 4 * features, inputs),
            (cells, 4 * features, features),
            (cells, 4 * features),
        )
    ]
    ours, theirs = lstm(*given, backward_from), torchs(*given, backward_from)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    grad = torch.randn_like(ours)
    for mine, its in zip(torch.autograd.grad(ours, given, grad), torch.autograd.grad(theirs, given, grad), strict=True):
        torch.testing.assert_close(mine, its, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("residual", ["sum", "identity", "skip"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("preset", ["kinestream", "reference"])
def test_in_training_and_out_of_it_the_network_is_that_of_plain_lstms(preset, residual, bidirectional):
    knobs = NETWORK_PRESETS[preset] | {"residual": residual, "bidirectional": bidirectional, "hidden": 8}
    knobs |= dict.fromkeys(("dropout_input", "dropout_block", "dropout_head"), 0.0) | {"head_relu": False}
    torch.manual_seed(1)
    network = ResidualBiLSTM(5, 3, 20, NetworkConfig(**knobs)).eval()
    plain = PlainNetwork(network).eval()
    windows = torch.randn(6, 20, 5, requires_grad=True)
    expected = plain(windows)
    torch.testing.assert_close(network(windows), expected, atol=1e-5, rtol=1e-5)
    with torch.inference_mode():
        torch.testing.assert_close(network(windows), expected.detach(), atol=1e-5, rtol=1e-5)
    ours, theirs = (torch.autograd.grad(form(windows).square().sum(), windows)[0] for form in (network, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-3)


def test_a_second_backward_pass_is_refused_rather_than_wrong():
    read = torch.randn(3, 1, 2, 4, requires_grad=True)
    out = lstm(read, torch.randn(1, 8, 2), torch.randn(1, 8, 2), torch.randn(1, 8), 1).sum()
    out.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_half_precision_around_it_leaves_the_recurrence_whole():
    torch.manual_seed(0)
    network = ResidualBiLSTM(5, 3, 20, NetworkConfig(**NETWORK_PRESETS["kinestream"], hidden=8)).eval()
    windows = torch.randn(4, 20, 5)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(windows)
    logits.float().sum().backward()
    torch.testing.assert_close(logits.float(), network(windows), atol=0.05, rtol=0.05)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())
