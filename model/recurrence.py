"""Many small LSTMs over one window, run as one.

Eighteen LSTMs of fourteen units are bound by the calls, not by the arithmetic, so all cells that read the same input
take each time step together. Training on a CPU does so in `lstm`, whose backward pass is written out: it costs a third
of what PyTorch's own LSTM takes at this size. Everything else (inference, CUDA) joins them into one `nn.LSTM` whose
weights are zero between cells, because one call a block is what a GPU and oneDNN want.

Hochreiter, Schmidhuber, Neural Computation 9(8), 1997; with forget gates, Gers et al., Neural Computation 12(10), 2000.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input


def lstm(read: Tensor, entry: Tensor, recurrent: Tensor, bias: Tensor, backward_from: int) -> Tensor:
    """Run N LSTMs side by side, each from zero.

    Parameters
    ----------
    read : Tensor, shape (T, N, I, B)
        What each reads. The batch stands last so that each gate of a cell is one run of memory.
    entry, recurrent, bias : Tensor, shapes (N, 4F, I), (N, 4F, F) and (N, 4F)
        Weights, with the gates in PyTorch's order: input, forget, cell, output.
    backward_from : int
        The first of those that go through the window from its end; N where none does.

    Returns
    -------
    Tensor, shape (T, N, F, B)
        The hidden state at each time step of the window, whichever way it was reached.
    """
    # What enters the cell gate is doubled: tanh(x) is 2*sigmoid(2x) - 1, and one sigmoid over four gates is quicker.
    # The recurrent weights read h/2.
    factors = entry.new_ones(4, 1)
    factors[2] = 2.0
    doubled = factors.expand(4, recurrent.shape[2]).reshape(-1, 1)
    weight = torch.cat([entry, 2 * recurrent, bias[..., None]], dim=2) * doubled
    out: Tensor = _Lstm.apply(read, weight, backward_from)  # type: ignore[no-untyped-call]
    return out


def joined_lstm(directions: Sequence[Sequence[tuple[Tensor, Tensor, Tensor]]], projected: Tensor) -> Tensor:
    """Run the LSTMs of a block as one `nn.LSTM`.

    Parameters
    ----------
    directions : sequence of sequences of (Tensor, Tensor, Tensor)
        For each direction its n LSTMs: input weights (4F, F), recurrent weights (4F, F) and bias (4F,).
    projected : Tensor, shape (T, B, directions*n*F)
        What each LSTM reads, side by side, those of the first direction first.

    Returns
    -------
    Tensor, shape (T, B, directions*n*F)
        Hidden states in the same order.
    """
    inputs = projected.shape[-1]
    units = inputs // len(directions)
    parameters: dict[str, Tensor] = {}
    for d, ways in enumerate(directions):
        suffix = "_reverse" if d else ""
        # Each direction reads its own linear layers: the columns of the other direction's are zero.
        own = _gates_block_diagonal([entry for entry, _, _ in ways])
        parameters[f"weight_ih_l0{suffix}"] = nn.functional.pad(own, (d * units, inputs - (d + 1) * units))
        parameters[f"weight_hh_l0{suffix}"] = _gates_block_diagonal([recurrent for _, recurrent, _ in ways])
        bias = torch.cat([bias.reshape(4, -1) for _, _, bias in ways], dim=1).flatten()
        parameters[f"bias_ih_l0{suffix}"] = bias
        parameters[f"bias_hh_l0{suffix}"] = torch.zeros_like(bias)  # PyTorch adds two biases where one is meant
    wide = nn.LSTM(inputs, units, bidirectional=len(directions) == 2, device="meta")
    out: Tensor = functional_call(wide, parameters, (projected,))[0]
    return out


class _Lstm(torch.autograd.Function):
    """The recurrence on halves: it keeps h/2 and c/2, so that tanh costs a sigmoid and a subtraction.

    A step is one product: what is read, h/2 of the step before and a row of ones stand under one another.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, read: Tensor, weight: Tensor, backward_from: int) -> Tensor:
        steps, cells, inputs, batch = read.shape
        features = weight.shape[1] // 4
        below = read.new_empty(steps + 1, cells, inputs + features + 1, batch)
        _turned(read, below[:steps, :, :inputs], backward_from)
        below[:, :, -1] = 1.0
        half_h = below[:, :, inputs:-1]
        half_h[0] = 0.0
        opened = read.new_empty(steps, cells, 4 * features, batch)
        half_c = read.new_empty(steps, cells, features, batch)
        squashed = torch.empty_like(half_c)
        for t in range(steps):
            step = torch.bmm(weight, below[t], out=opened[t]).sigmoid_()
            entry, forget, candidate, exit_ = step.view(cells, 4, features, batch).unbind(1)
            c, s, h = half_c[t], squashed[t], half_h[t + 1]
            torch.mul(entry, candidate, out=c)
            c.add_(entry, alpha=-0.5)
            if t:
                c.addcmul_(forget, half_c[t - 1])
            torch.mul(c, 4, out=s).sigmoid_()
            torch.sub(s, 0.5, out=h).mul_(exit_)
        ctx.save_for_backward(below, opened, half_c, squashed, weight)
        ctx.backward_from = backward_from
        return _turned(half_h[1:], torch.empty_like(half_c), backward_from).mul_(2)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        below, opened, half_c, squashed, weight = ctx.saved_tensors
        steps, cells, features, batch = half_c.shape
        inputs = weight.shape[2] - features - 1
        cut = ctx.backward_from
        transposed = weight.transpose(1, 2).contiguous()
        d_weight = torch.zeros_like(weight)
        d_gates = torch.empty_like(opened[0])
        d_entry, d_forget, d_candidate, d_exit = d_gates.view(cells, 4, features, batch).unbind(1)
        dh, dc, through = (torch.zeros_like(half_c[0]) for _ in range(3))
        d_below = dh
        for t in reversed(range(steps)):
            # Gradients take the place of what they are of: the saved tensors are of no further use.
            step, s, under = opened[t], squashed[t], below[t]
            entry, forget, candidate, exit_ = step.view(cells, 4, features, batch).unbind(1)
            torch.add(d_below[:cut], grad[t, :cut], alpha=2, out=dh[:cut])
            if cut < cells:
                torch.add(d_below[cut:], grad[steps - 1 - t, cut:], alpha=2, out=dh[cut:])
            torch.mul(torch.sub(s, 0.5, out=through), dh, out=d_exit)
            torch.mul(dh, exit_, out=through)
            _sigmoid_backward(through, s, grad_input=through)
            dc.add_(through, alpha=4)
            torch.mul(torch.sub(candidate, 0.5, out=through), dc, out=d_entry)
            if t:
                torch.mul(dc, half_c[t - 1], out=d_forget)
            else:
                d_forget.zero_()
            torch.mul(dc, entry, out=d_candidate)
            dc.mul_(forget)
            _sigmoid_backward(d_gates, step, grad_input=step)
            d_weight.baddbmm_(step, under.transpose(1, 2))
            torch.bmm(transposed, step, out=under)
            d_below = under[:, inputs:-1]
        d_read = _turned(below[:steps, :, :inputs], grad.new_empty(steps, cells, inputs, batch), cut)
        return d_read, d_weight, None


def _turned(x: Tensor, out: Tensor, backward_from: int) -> Tensor:
    """Copy shape (T, N, ...) into `out`, turning round in time what is read from the window's end."""
    out[:, :backward_from] = x[:, :backward_from]
    if backward_from < x.shape[1]:
        out[:, backward_from:] = x[:, backward_from:].flip(0)
    return out


def _gates_block_diagonal(weights: Sequence[Tensor]) -> Tensor:
    """Join weights of shape (4F, F) into one of shape (4*n*F, n*F), gate by gate."""
    gates = zip(*(weight.chunk(4) for weight in weights), strict=True)
    return torch.cat([torch.block_diag(*gate) for gate in gates])  # type: ignore[no-untyped-call]
