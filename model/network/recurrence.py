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
    weight = torch.cat([entry, 2 * recurrent, bias[..., None]], dim=2) * _by_gate(
        entry, recurrent.shape[2], (1.0, 1.0, 2.0, 1.0)
    )
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
    """The recurrence on h/2 and 2c, so that each tanh is a sigmoid: tanh(c) is 2*sigmoid(2c) - 1.

    A step is one product: what is read, h/2 of the step before and a row of ones stand under one another. All views are
    made beforehand, because at this size making one takes as long as a third of the arithmetic it is for.
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
        gates = read.new_empty(steps, cells, 4 * features, batch)
        double_c, squashed = read.new_empty(2, steps, cells, features, batch).unbind()
        under, after = below.unbind(), half_h.unbind()[1:]
        entries, forgets, candidates, exits = _each(gates, features)
        before = None
        for t, (step, c, s, h) in enumerate(
            zip(gates.unbind(), double_c.unbind(), squashed.unbind(), after, strict=True)
        ):
            torch.bmm(weight, under[t], out=step).sigmoid_()
            torch.mul(entries[t], -2, out=c).addcmul_(entries[t], candidates[t], value=4)
            if before is not None:
                c.addcmul_(forgets[t], before)
            torch.sigmoid(c, out=s)
            torch.mul(s, exits[t], out=h).add_(exits[t], alpha=-0.5)
            before = c
        ctx.save_for_backward(below, gates, double_c, squashed, weight)
        ctx.backward_from = backward_from
        return _turned(half_h[1:], torch.empty_like(double_c), backward_from).mul_(2)

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        below, gates, double_c, squashed, weight = ctx.saved_tensors
        steps, cells, features, batch = double_c.shape
        inputs, cut = weight.shape[2] - features - 1, ctx.backward_from
        # What the gradients of entry and candidate lack in the loop, a factor of 4, weights and their gradient make up.
        fourfold = _by_gate(weight, features, (4.0, 1.0, 4.0, 1.0))
        back = (weight * fourfold).transpose(1, 2)
        back_read, back_h = back[:, :inputs].contiguous(), back[:, inputs:-1].contiguous()
        d_gates = torch.empty_like(gates[0])
        d_entry, d_forget, d_candidate, d_exit = d_gates.view(cells, 4, features, batch).unbind(1)
        dh, dc, through = (torch.zeros_like(double_c[0]) for _ in range(3))
        halves = [(dh[:cut], grad[:, :cut].unbind()), (dh[cut:], grad[:, cut:].flip(0).unbind())]
        halves = halves if cut < cells else halves[:1]
        entries, forgets, candidates, exits = _each(gates, features)
        under, d_weight = below.unbind(), torch.zeros_like(weight)
        all_gates, all_s, all_c = gates.unbind(), squashed.unbind(), double_c.unbind()
        for t in reversed(range(steps)):
            # Gradients take the place of the gates they are of: the saved tensors are of no further use.
            for part, grads in halves:
                part.add_(grads[t], alpha=2)
            torch.mul(all_s[t], dh, out=d_exit).add_(dh, alpha=-0.5)
            torch.mul(dh, exits[t], out=through)
            dc.add_(_sigmoid_backward(through, all_s[t], grad_input=through))
            torch.mul(candidates[t], dc, out=d_entry).add_(dc, alpha=-0.5)
            if t:
                torch.mul(dc, all_c[t - 1], out=d_forget)
            else:
                d_forget.zero_()
            torch.mul(dc, entries[t], out=d_candidate)
            dc.mul_(forgets[t])
            step = _sigmoid_backward(d_gates, all_gates[t], grad_input=all_gates[t])
            d_weight.baddbmm_(step, under[t].transpose(1, 2))  # while both are at hand: later they are far away
            torch.bmm(back_h, step, out=dh)
        d_read = _turned(torch.matmul(back_read, gates), grad.new_empty(steps, cells, inputs, batch), cut)
        return d_read, d_weight * fourfold, None


def _by_gate(like: Tensor, features: int, factors: tuple[float, float, float, float]) -> Tensor:
    """Return factors for the rows of four gates, shape (4F, 1)."""
    return torch.tensor(factors, dtype=like.dtype, device=like.device).repeat_interleave(features)[:, None]


def _each(gates: Tensor, features: int) -> list[tuple[Tensor, ...]]:
    """Return each gate at each step, shape (N, F, B), of all gates, shape (T, N, 4F, B)."""
    steps, cells, _, batch = gates.shape
    return [gate.unbind() for gate in gates.view(steps, cells, 4, features, batch).unbind(2)]


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
