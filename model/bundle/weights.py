"""Which weights a network has, by name and shape, told from its knobs alone: reading a bundle needs no PyTorch."""

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from kinestream.model.config.network import AnyNetwork, DeepConvLSTMConfig, NetworkConfig, PlainLSTMConfig

Shape = tuple[int, ...]

_HEADER = 4096  # bytes that each entry of a file of weights may take besides its name and its numbers


def weight_shapes(config: AnyNetwork, inputs: int, classes: int, window: int) -> Iterator[tuple[str, Shape]]:
    """Yield the name and the shape of each weight and running statistic.

    One at a time, because a damaged description may tell of a billion blocks.

    Parameters
    ----------
    config : NetworkConfig, DeepConvLSTMConfig or PlainLSTMConfig
        The network's knobs.
    inputs, classes, window : int
        D, K and T, as of `kinestream.model.network.make.make_network`.
    """
    if isinstance(config, DeepConvLSTMConfig):
        yield from _deepconvlstm(config, inputs)
    elif isinstance(config, PlainLSTMConfig):
        yield from _linear("linear", config.hidden, inputs)
        yield from _lstms(config.layers, config.hidden, config.hidden)
    else:
        yield from _residual(config, inputs, window)
    yield from _linear("head", classes, config.read if isinstance(config, NetworkConfig) else config.hidden)


def misfit(weights: Mapping[str, npt.NDArray[np.float32]], expected: Iterable[tuple[str, Shape]]) -> str | None:
    """Return what is wrong with the first weight that is not as expected, or None where all are.

    Parameters
    ----------
    weights : mapping of str to ndarray
        What was found, by name.
    expected : iterable of (str, tuple of int)
        From `weight_shapes`.
    """
    names = set()
    for name, shape in expected:
        if name not in weights:
            return f"no {name}"
        found = weights[name]
        if found.shape != shape or found.dtype != np.float32:
            return f"{name} is {found.dtype} of shape {found.shape}, not float32 of shape {shape}"
        names.add(name)
    surplus = sorted(weights.keys() - names)
    return f"{surplus[0]!r} is not of this network" if surplus else None


def most_bytes(expected: Iterable[tuple[str, Shape]], limit: int) -> int:
    """Return how large a file of such weights may be, its header included.

    Parameters
    ----------
    expected : iterable of (str, tuple of int)
        From `weight_shapes`.
    limit : int
        Nothing is added up past it: a damaged description may tell of a billion.
    """
    most = _HEADER
    for name, shape in expected:
        most += 4 * math.prod(shape) + len(name) + _HEADER
        if most >= limit:
            return limit
    return most


def no_numbers(weights: Mapping[str, npt.NDArray[np.float32]]) -> str | None:
    """Return which weight makes answers that are no numbers, whatever the network, or None where none does."""
    for name, values in weights.items():
        if not np.isfinite(values).all():
            return f"{name} is not finite"
        if name.endswith("running_var") and (values < 0).any():
            return f"{name} is negative"
    return None


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _deepconvlstm(config: DeepConvLSTMConfig, inputs: int) -> Iterator[tuple[str, Shape]]:
    for index in range(config.convolutions):
        yield f"convolutions.{index}.weight", (config.filters, config.filters if index else 1, config.kernel, 1)
        yield f"convolutions.{index}.bias", (config.filters,)
    yield from _lstms(config.layers, config.filters * inputs, config.hidden)


def _lstms(layers: int, inputs: int, hidden: int) -> Iterator[tuple[str, Shape]]:
    for index in range(layers):
        yield f"lstms.{index}.weight_ih_l0", (4 * hidden, hidden if index else inputs)
        yield f"lstms.{index}.weight_hh_l0", (4 * hidden, hidden)
        yield f"lstms.{index}.bias_ih_l0", (4 * hidden,)
        yield f"lstms.{index}.bias_hh_l0", (4 * hidden,)


def _residual(config: NetworkConfig, inputs: int, window: int) -> Iterator[tuple[str, Shape]]:
    inputs = config.entered(inputs)
    if config.stem_kernel:
        yield "stem.weight", (config.hidden, inputs, config.stem_kernel)
        yield "stem.bias", (config.hidden,)
        inputs = config.hidden
    for index in range(config.blocks):
        yield from _block(f"blocks.{index}", config.hidden if index else inputs, config.steps(window), config)


def _block(name: str, inputs: int, window: int, config: NetworkConfig) -> Iterator[tuple[str, Shape]]:
    for cell in range(max(config.cells, 1)):
        read = config.hidden if cell and config.residual == "skip" else inputs
        for direction in range(config.directions):
            yield from _direction(f"{name}.cells.{cell}.directions.{direction}", read, config.features)
    if config.cells and config.norm == "batch":
        yield from ((f"{name}.norm.{scalar}", ()) for scalar in ("scale", "shift"))
        yield from ((f"{name}.norm.{statistic}", (window,)) for statistic in ("running_mean", "running_var"))
    elif config.cells and config.norm == "layer":
        yield from ((f"{name}.norm.{vector}", (config.hidden,)) for vector in ("weight", "bias"))


def _direction(name: str, inputs: int, features: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.linear.weight", (features, inputs)
    yield f"{name}.linear.bias", (features,)
    yield f"{name}.input_weight", (4 * features, features)
    yield f"{name}.recurrent_weight", (4 * features, features)
    yield f"{name}.bias", (4 * features,)
