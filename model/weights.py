"""Which weights a network has, by name and shape, told from its knobs alone: reading a bundle needs no PyTorch."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from model.config import NetworkConfig

Shape = tuple[int, ...]


def weight_shapes(config: NetworkConfig, channels: int, classes: int, window: int) -> Iterator[tuple[str, Shape]]:
    """Yield the name and the shape of each weight and running statistic.

    One at a time, because a damaged description may tell of a billion blocks.

    Parameters
    ----------
    config : NetworkConfig
        The network's knobs.
    channels, classes, window : int
        C, K and T, as of `model.network.ResidualBiLSTM`.
    """
    for index in range(config.blocks):
        inputs = config.hidden if index else channels
        yield from _block(f"blocks.{index}", inputs, window, config)
    yield "head.weight", (classes, config.hidden)
    yield "head.bias", (classes,)


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
