"""Steps of training: Adam on the cross-entropy, as a configuration's ``train`` section says."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kinestream.model.config.training import TrainSection
from kinestream.model.errors import MissingExtra
from kinestream.model.training.augment import Augmentation
from kinestream.model.training.data import TrainingSet


def training_device(name: str) -> torch.device:
    """Return what trains: ``cuda``, ``cpu``, or for ``auto`` a GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        if not torch.cuda.is_available():
            raise MissingExtra("PyTorch finds no CUDA device here: use --device cpu")
        # Without this, cuDNN's LSTMs are not deterministic; it is read when the GPU is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:2")
    return torch.device(name)


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed the random draws of an epoch independently of earlier epochs; epoch 0 stands for the initial weights."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))


@dataclass(frozen=True)
class Learner:
    """What changes while a network is trained.

    Parameters
    ----------
    network : Module
        Maps scaled windows, shape (B, T, D), to logits, shape (B, K).
    optimizer : Optimizer
        Adam, with decay on the weights alone.
    average : AveragedModel or None
        The moving average of the weights, where one is kept.
    """

    network: nn.Module
    optimizer: optim.Optimizer
    average: AveragedModel | None

    @property
    def shown(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.average.module if self.average else self.network

    @property
    def device(self) -> torch.device:
        """Where it is trained."""
        return next(self.network.parameters()).device


def make_learner(network: nn.Module, section: TrainSection) -> Learner:
    """Return a network ready to learn as `section` says."""
    weights = list(_weights(network))
    chosen = {id(parameter) for parameter in weights}
    others = [p for p in network.parameters() if p.requires_grad and id(p) not in chosen]
    groups = [{"params": weights, "weight_decay": section.weight_decay}, {"params": others, "weight_decay": 0.0}]
    decay = get_ema_multi_avg_fn(section.average)  # type: ignore[no-untyped-call]
    average = AveragedModel(network, multi_avg_fn=decay, use_buffers=True) if section.average else None
    # Fused: sixty small tensors updated one by one take as long as a block of cells.
    return Learner(network, optim.AdamW(groups, lr=section.learning_rate, fused=True), average)


def train_epoch(
    learner: Learner,
    data: TrainingSet,
    section: TrainSection,
    augment: Augmentation,
    done: int,
    after_batch: Callable[[], None],
) -> tuple[float, float]:
    """Take one pass over the training windows, then the steps on the worst batches; return mean loss and last rate."""
    order = np.random.default_rng([section.seed, done + 1]).permutation(len(data.train.truth))
    batches = np.split(order, range(section.batch, len(order), section.batch))
    losses = []
    rate = section.learning_rate
    _set_learning(learner.network)
    for i, batch in enumerate(batches):
        rate = learning_rate_at(section, (done + i / len(batches)) / section.epochs)
        losses.append(_step(learner, data, section, augment, batch, rate))
        after_batch()
    for worst in np.argsort(losses)[::-1][: section.worst_batches]:
        _step(learner, data, section, augment, batches[worst], rate)
    return float(np.average(losses, weights=[len(batch) for batch in batches])), rate


def _step(
    learner: Learner,
    data: TrainingSet,
    section: TrainSection,
    augment: Augmentation,
    batch: npt.NDArray[np.int64],
    rate: float,
) -> float:
    """Take one step; return the batch's cross-entropy before it."""
    network, where = learner.network, learner.device
    windows = torch.from_numpy(data.train.windows[batch]).to(where)
    truth = torch.from_numpy(data.train.truth[batch]).to(where)
    weights = torch.from_numpy(data.class_weights).to(where)
    with torch.autocast(where.type, torch.bfloat16, enabled=_half(section, where)):
        logits = network(augment(windows))
    loss = nn.functional.cross_entropy(logits.float(), truth, weights, label_smoothing=section.label_smoothing)
    total = loss
    if section.l2:
        total = loss + section.l2 / 2 * torch.stack([w.square().sum() for w in _weights(network)]).sum()
    learner.optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    if section.clip_norm is not None:
        nn.utils.clip_grad_norm_(network.parameters(), section.clip_norm)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    learner.optimizer.step()
    if learner.average:
        learner.average.update_parameters(network)
    return loss.item()


def _set_learning(network: nn.Module) -> None:
    """Set a network to learn, but for what is frozen: a norm whose weights stay also keeps its statistics."""
    network.train()
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


def _half(section: TrainSection, where: torch.device) -> bool:
    if section.precision == "auto":
        return where.type == "cuda" and torch.cuda.is_bf16_supported()
    return section.precision == "bfloat16"


def learning_rate_at(section: TrainSection, share: float) -> float:
    """Return the learning rate when `share` of all epochs is behind; a function of that alone, so resuming is exact."""
    if section.schedule == "constant":
        return section.learning_rate
    up = 0.3
    start, end = section.learning_rate / 25, section.learning_rate / 1e4
    low, phase = (start, share / up) if share < up else (end, 1 + (share - up) / (1 - up))
    return low + (section.learning_rate - low) * (1 - math.cos(math.pi * phase)) / 2


def _weights(network: nn.Module) -> Iterator[nn.Parameter]:
    """Yield what decays: matrices, so neither biases nor the scalars and vectors of norms."""
    return (parameter for parameter in network.parameters() if parameter.requires_grad and parameter.dim() > 1)
