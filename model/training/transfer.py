"""Puts the weights of a bundle into a network with other channels and classes, and holds still what is frozen.

Which axis of which weight belongs to the inputs, and which to the classes, is told from the shapes: it is the one that
grows when there is an input or a class more. Along such an axis inputs stand in runs, one run for each way in which the
network reads them: twice with `network.detail`, as often as there are filters in DeepConvLSTM.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.bundle.weights import weight_shapes
from kinestream.model.config.training import TrainSection
from kinestream.model.training.data import TrainingSet
from kinestream.model.training.start import Start
from kinestream.model.training.steps import Learner, make_learner

Array = npt.NDArray[np.float32]


def start_learner(start: Start, network: nn.Module, data: TrainingSet, section: TrainSection) -> Learner:
    """Return a fresh network ready to learn, with the weights of the bundle that it starts from.

    New classes keep their fresh weights. New inputs start with weights of zero, so that at first the network answers as
    the bundle does, whatever they read; their gradient is not zero.

    Parameters
    ----------
    start : Start
        Agrees with the configuration: the network has the knobs and the window of its bundle.
    network : Module
        Freshly made for `data`.
    data : TrainingSet
        Names the network's inputs and classes.
    section : TrainSection
        How to train.
    """
    inputs = [each.name for each in data.inputs]
    fresh = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    placed = transferred(start.bundle, fresh, inputs, data.classes)
    network.load_state_dict({name: torch.from_numpy(values) for name, (values, _) in placed.items()})
    if not start.frozen:
        return make_learner(network, section)
    masks = {name: torch.from_numpy(kept) for name, (_, kept) in placed.items() if not name.startswith("head.")}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in masks or not bool(masks[name].all()))
    learner = make_learner(network, section)
    _hold(learner, masks)
    return learner


def _hold(learner: Learner, masks: Mapping[str, Tensor]) -> None:
    """Put back after each step what is frozen of weights that learn in part: an optimizer knows whole ones only."""
    held = [
        (parameter, masks[name].to(parameter.device), parameter.detach().clone())
        for name, parameter in learner.network.named_parameters()
        if name in masks and parameter.requires_grad
    ]

    def put_back(*_: Any) -> None:
        with torch.no_grad():
            for parameter, frozen, values in held:
                parameter.copy_(torch.where(frozen, values, parameter))

    learner.optimizer.register_step_post_hook(put_back)


def transferred(
    bundle: Bundle, fresh: Mapping[str, Array], inputs: Sequence[str], classes: Sequence[str]
) -> dict[str, tuple[Array, npt.NDArray[np.bool_]]]:
    """Return each weight of a network as it starts, and which of its numbers are the bundle's.

    Parameters
    ----------
    bundle : Bundle
        Of a network of the same knobs and window.
    fresh : mapping of str to ndarray
        The weights of a fresh network, by name.
    inputs, classes : sequence of str
        Names of its inputs and classes, in its order.
    """
    about = bundle.description
    known, answers = [each.name for each in bundle.inputs], about.classes
    sizes = len(inputs), len(classes), about.window.length
    shapes = dict(weight_shapes(about.network, *sizes))
    with_input = dict(weight_shapes(about.network, sizes[0] + 1, *sizes[1:]))
    with_class = dict(weight_shapes(about.network, sizes[0], sizes[1] + 1, sizes[2]))
    out = {}
    for name, shape in shapes.items():
        values, kept = bundle.weights[name], fresh[name]
        if with_input[name] != shape:
            out[name] = _along(_grown(shape, with_input[name]), values, np.zeros_like(kept), known, inputs)
        elif with_class[name] != shape:
            out[name] = _along(_grown(shape, with_class[name]), values, kept, answers, classes)
        else:
            out[name] = values.copy(), np.ones(shape, dtype=np.bool_)
    return out


def _grown(shape: tuple[int, ...], more: tuple[int, ...]) -> int:
    return next(axis for axis, (size, other) in enumerate(zip(shape, more, strict=True)) if size != other)


def _along(
    axis: int, values: Array, fresh: Array, known: Sequence[str], names: Sequence[str]
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Return `fresh` with what the bundle has of each name along an axis, and where that is."""
    here = [place for place, name in enumerate(names) if name in known]
    there = [known.index(names[place]) for place in here]
    old = np.moveaxis(values, axis, 0)
    old = old.reshape(-1, len(known), *old.shape[1:])  # (runs, names, ...)
    new = np.moveaxis(fresh, axis, 0)
    new = new.reshape(-1, len(names), *new.shape[1:]).copy()
    kept = np.zeros(new.shape, dtype=np.bool_)
    new[:, here], kept[:, here] = old[:, there], True
    return _back(new, axis), _back(kept, axis)


def _back(runs: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    whole = runs.reshape(-1, *runs.shape[2:])
    return np.ascontiguousarray(np.moveaxis(whole, 0, axis))
