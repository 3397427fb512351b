"""Runs a bundle's network with PyTorch: as recorded CUDA graphs on a GPU; eagerly on the CPU, for tests.

A small network on a GPU spends its time on launching kernels, some hundred a step. A CUDA graph launches them
all at once, but has a fixed size: so there is one for each of a few batch sizes, and a batch goes into the smallest
that holds it. Nothing else differs between the two devices.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.engine.engine import Engine
from kinestream.model.network.make import make_network

Array = npt.NDArray[np.float32]

BUCKETS = (1, 4, 16, 64, 256)
"""Windows in a call; larger batches are cut."""

# Calls before a graph is recorded: in these, cuDNN and cuBLAS choose their kernels and allocate their memory.
_WARM_UP = 3


class CudaEngine(Engine):
    """PyTorch, on CUDA or wherever `device` says; every size is warm when it is made.

    Not for several threads at a time: the buffers are its own.
    """

    def __init__(self, bundle: Bundle, device: str = "cuda") -> None:
        where = torch.device(device)
        self._prepare = bundle.prepare
        network = _Classifier(bundle).eval().requires_grad_(False).to(where)
        shape = bundle.grid.length, len(bundle.inputs)
        # From the largest down: the smaller graphs find their memory in its pool.
        self._calls = [_Call(network, torch.zeros(size, *shape), where) for size in reversed(BUCKETS)][::-1]
        place = torch.cuda.get_device_name(where) if where.type == "cuda" else "the CPU"
        self.name = f"PyTorch {torch.__version__} on {place}"

    def prepare(self, windows: Array) -> Array:
        """Return what the network reads of raw windows; see `kinestream.model.engine.engine.Engine`."""
        return self._prepare(windows)

    def answer(self, prepared: Array) -> Array:
        """Return the probability of each class; see `kinestream.model.engine.engine.Engine`."""
        parts = [prepared[first : first + BUCKETS[-1]] for first in range(0, max(len(prepared), 1), BUCKETS[-1])]
        return np.concatenate([self._call_for(len(part))(part) for part in parts])

    def _call_for(self, count: int) -> "_Call":
        return next(call for call in self._calls if call.size >= count)


class _Classifier(nn.Module):
    """A bundle's network from raw windows to probabilities."""

    means: Tensor
    factors: Tensor

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        about = bundle.description
        self.network = make_network(about.network, len(bundle.inputs), len(about.classes), bundle.grid.length)
        self.network.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in bundle.weights.items()})
        self.register_buffer("means", torch.from_numpy(bundle.means))
        self.register_buffer("factors", torch.from_numpy(bundle.factors))
        self._temperature = about.temperature

    def forward(self, raw: Tensor) -> Tensor:
        logits: Tensor = self.network((raw - self.means) * self.factors)
        return (logits / self._temperature).softmax(dim=-1)


class _Call:
    """One call of a network with so many windows: on a GPU a graph between two buffers in pinned memory.

    Parameters
    ----------
    network : Module
        Maps windows, shape (size, T, D), to probabilities, shape (size, K); lies on `where`.
    blank : Tensor, shape (size, T, D)
        Windows to warm up with.
    where : device
        What runs it.
    """

    def __init__(self, network: nn.Module, blank: Tensor, where: torch.device) -> None:
        self.size = len(blank)
        self._network = network
        self._graph: torch.cuda.CUDAGraph | None = None
        with torch.inference_mode():
            self._input = blank.to(where)
            self._output = network(self._input)
            self._windows, self._answers = blank, self._output.cpu()
            if where.type == "cuda":
                self._record()

    def __call__(self, windows: Array) -> Array:
        """Return probabilities, shape (n, K), of windows, shape (n, T, D), of which there are at most `size`."""
        count = len(windows)
        # The rest of the buffer holds earlier windows. Windows do not affect each other, and theirs are discarded.
        self._windows[:count].copy_(torch.from_numpy(windows))
        with torch.inference_mode():
            self._input.copy_(self._windows, non_blocking=True)
            if self._graph is None:
                self._output = self._network(self._input)
            else:
                self._graph.replay()
            self._answers.copy_(self._output, non_blocking=True)
        if self._graph is not None:
            torch.cuda.current_stream().synchronize()
        answers: Array = self._answers[:count].numpy().copy()
        return answers

    def _record(self) -> None:
        self._windows, self._answers = self._windows.pin_memory(), self._answers.pin_memory()
        side_stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side_stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side_stream):
            for _ in range(_WARM_UP):
                self._network(self._input)
        torch.cuda.current_stream().wait_stream(side_stream)
        self._graph = torch.cuda.CUDAGraph()
        # Where a bundle is loaded while streams go on, labels are named by another thread: only this one keeps still.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._output = self._network(self._input)
