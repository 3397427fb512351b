"""Runs `kinestream.model.network.residual.ResidualBiLSTM` with our own kernel, compiled when kinestream is installed.

A runtime of graphs spends most of a small window on what is around the arithmetic: a node is a call, an LSTM step is
several. The kernel is one call a window, and its answer is bit for bit the same alone or in a batch.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.network import BATCH_NORM_EPS, LAYER_NORM_EPS, MOST_SCALED, NetworkConfig
from kinestream.model.engine.engine import Array, Engine
from kinestream.model.engine.kernel import _kernel

PANEL = 16
"""Outputs of a layer that the kernel computes together; features are rounded up to a multiple of it."""

NORMS = ("none", "batch", "layer")
"""Normalisations, by the number that a `Shape` gives for one."""

_LOG2E = np.log2(np.e)
# What makes exponents of a sigmoid or tanh of gates in PyTorch's order: sigmoid(x) is 1 / (1 + 2^(-x log2 e)).
_EXPONENTS = {"input": -_LOG2E, "forget": -_LOG2E, "cell": -2 * _LOG2E, "output": -_LOG2E}


@dataclass(frozen=True)
class Shape:
    """A network's sizes and choices, as ``SHAPE_FIELDS`` in ``kernel.h`` names, orders and explains them."""

    length: int
    inputs: int
    detail: bool
    stem_kernel: int
    stem_stride: int
    steps: int
    features: int
    directions: int
    cells: int
    turns: int
    blocks: int
    adds: bool
    norm: int
    reads_mean: bool
    reads_last: bool
    head_relu: bool
    classes: int

    @property
    def unit(self) -> int:
        """F, rounded up."""
        return -(-self.features // PANEL) * PANEL

    @property
    def hidden(self) -> int:
        """Features of a value between the layers."""
        return self.features * self.directions


def disagreements(kernel: Any = _kernel) -> list[str]:
    """Return the names of what a compiled kernel takes for something else than this module does.

    Parameters
    ----------
    kernel : module
        Whose constants are compared; what it lacks, it does not agree on.
    """
    ours = {
        "FIELDS": tuple(field.name for field in fields(Shape)),
        "FIELD_BYTES": np.dtype(np.int32).itemsize,
        "GATES": tuple(_EXPONENTS),
        "NORMS": NORMS,
        "PANEL": PANEL,
        "MOST_SCALED": float(np.float32(MOST_SCALED)),
        "LAYER_NORM_EPS": float(np.float32(LAYER_NORM_EPS)),
    }
    return [name for name, value in ours.items() if getattr(kernel, name, None) != value]


if disagreements():  # its answers would be wrong
    raise RuntimeError(f"the kernel was compiled from other sources ({', '.join(disagreements())}): compile it again")


class KernelEngine(Engine):
    """The network of a bundle in the kernel.

    Parameters
    ----------
    bundle : Bundle
        Of a `kinestream.model.network.residual.ResidualBiLSTM`.
    threads : int
        That share the windows of a batch.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.name = f"kinestream's kernel ({_kernel.INSTRUCTIONS}) on the CPU"
        self._prepare, self._classes = bundle.prepare, len(bundle.description.classes)
        self._network = _kernel.load(np.array(astuple(shape_of(bundle)), np.int32).tobytes(), laid_out(bundle))
        self._threads = threads
        self._others = ThreadPoolExecutor(threads, thread_name_prefix="kernel") if threads > 1 else None

    def prepare(self, windows: Array) -> Array:
        """Return what the network reads of raw windows; see `Engine`."""
        return self._prepare(windows)

    def answer(self, prepared: Array) -> Array:
        """Return the probability of each class; see `Engine`."""
        windows, out = np.ascontiguousarray(prepared), np.empty((len(prepared), self._classes), np.float32)
        if self._others is None:
            _kernel.answer(self._network, windows, out)
        else:
            shares = (np.array_split(each, self._threads) for each in (windows, out))
            list(self._others.map(partial(_kernel.answer, self._network), *shares))
        return out


def shape_of(bundle: Bundle) -> Shape:
    """Return the shape of a bundle's network."""
    config = _config(bundle)
    length, cells, in_turn = bundle.grid.length, max(config.cells, 1), config.residual == "skip"
    return Shape(
        length=length,
        inputs=len(bundle.inputs),
        detail=bool(config.detail),
        stem_kernel=config.stem_kernel,
        stem_stride=config.stem_stride,
        steps=config.steps(length),
        features=config.features,
        directions=config.directions,
        cells=1 if in_turn else cells,
        turns=cells if in_turn else 1,
        blocks=config.blocks,
        adds=config.residual != "sum",
        norm=NORMS.index(config.norm) if config.cells else 0,
        reads_mean=config.readout != "last",
        reads_last=config.readout != "mean",
        head_relu=config.head_relu,
        classes=len(bundle.description.classes),
    )


def laid_out(bundle: Bundle) -> Array:
    """Return a bundle's weights in one row, in the order in which the kernel reads them."""
    parts = _parts(bundle, _config(bundle), shape_of(bundle))
    return np.concatenate([_padded(part.astype(np.float32).ravel(), 0) for part in parts])


def _config(bundle: Bundle) -> NetworkConfig:
    config = bundle.description.network
    assert isinstance(config, NetworkConfig), "other networks have other engines"
    return config


def _parts(bundle: Bundle, config: NetworkConfig, shape: Shape) -> Iterator[Array]:
    weights, entered = bundle.weights, config.entered(shape.inputs)
    yield np.array([config.detail, bundle.description.temperature])
    yield bundle.means
    yield bundle.factors
    if shape.stem_kernel:
        filters = weights["stem.weight"].transpose(0, 2, 1).reshape(shape.hidden, -1)
        yield _placed(weights["stem.bias"], shape)
        yield _panels(_placed(filters, shape))
    # What a turn is added to must be laid out as it is.
    reads_value = shape.stem_kernel > 0 or (shape.adds and entered == shape.hidden)
    for block in range(shape.blocks):
        for turn in range(shape.turns):
            names = [f"blocks.{block}.cells.{turn + cell}" for cell in range(shape.cells)]
            ways = [f"{name}.directions.{d}" for d in range(shape.directions) for name in names]
            yield from _turn(weights, ways, shape, reads_value or block + turn > 0)
        yield from _norm(weights, f"blocks.{block}.norm", shape)
    yield _padded(weights["head.bias"], 0)
    head = weights["head.weight"].reshape(shape.classes, -1, shape.hidden)  # (K, mean or last or both, hidden)
    yield _panels(_padded(_placed(head, shape, axis=2).reshape(shape.classes, -1), 0))


def _turn(weights: Mapping[str, Array], ways: Sequence[str], shape: Shape, reads_value: bool) -> Iterator[Array]:
    """Yield the weights of LSTMs side by side and of the layers before them."""
    linear = np.concatenate([_padded(weights[f"{way}.linear.weight"], 0) for way in ways])
    yield np.concatenate([_padded(weights[f"{way}.linear.bias"], 0) for way in ways])
    yield _panels(_placed(linear, shape, axis=1) if reads_value else linear)
    for way in ways:
        yield _gates(weights[f"{way}.bias"], shape)
        yield _panels(_gates(weights[f"{way}.input_weight"], shape).reshape(4 * shape.unit, shape.features))
    for way in ways:
        yield _gates(weights[f"{way}.recurrent_weight"], shape).transpose(0, 3, 1, 2)  # (tiles, F, 4, PANEL)


def _norm(weights: Mapping[str, Array], name: str, shape: Shape) -> Iterator[Array]:
    if NORMS[shape.norm] == "batch":
        scale = weights[f"{name}.scale"] / np.sqrt(weights[f"{name}.running_var"] + np.float32(BATCH_NORM_EPS))
        yield scale
        yield weights[f"{name}.shift"] - weights[f"{name}.running_mean"] * scale
    elif NORMS[shape.norm] == "layer":
        for values in (weights[f"{name}.weight"], weights[f"{name}.bias"], np.ones(shape.hidden, np.float32)):
            yield _placed(values, shape)


def _gates(weight: Array, shape: Shape) -> Array:
    """Return shape (tiles, 4, PANEL, ...) of gates in PyTorch's order, shape (4*F, ...), as exponents."""
    gates = weight.reshape(4, shape.features, *weight.shape[1:])
    exponents = gates * np.reshape(list(_EXPONENTS.values()), (4, *[1] * (gates.ndim - 1)))
    tiles = _padded(exponents, 1).reshape(4, -1, PANEL, *weight.shape[1:])
    return np.moveaxis(tiles, 0, 1)


def _panels(weight: Array) -> Array:
    """Return shape (panels, inputs, PANEL) of shape (outputs, inputs)."""
    return weight.reshape(-1, PANEL, weight.shape[1]).transpose(0, 2, 1)


def _placed(values: Array, shape: Shape, axis: int = 0) -> Array:
    """Put features where the kernel has them: each direction's rounded up."""
    before, after = values.shape[:axis], values.shape[axis + 1 :]
    apart = values.reshape(*before, shape.directions, shape.features, *after)
    return _padded(apart, axis + 1).reshape(*before, -1, *after)


def _padded(values: Array, axis: int) -> Array:
    """Round an axis up to a multiple of PANEL with zeros."""
    return np.pad(values, [(0, -size % PANEL if at == axis else 0) for at, size in enumerate(values.shape)])
