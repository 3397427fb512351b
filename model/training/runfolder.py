"""What a run keeps in its folder, so that an interrupted run resumes with the same result as without the interruption.

A checkpoint is one safetensors file whose header carries the rest as JSON. It is replaced atomically, so a process
killed at any moment leaves the previous one. The state of random generators is not saved: each epoch's draws follow
from the seed and the number of the epoch.
"""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from kinestream.model.bundle.bundle import FOLDER, remove_bundle
from kinestream.model.config.training import TrainConfig
from kinestream.model.errors import ConfigError, FileError
from kinestream.model.files import not_written, read_whole, reason, write_whole
from kinestream.model.plaindata import MOST_BYTES, dump_yaml, parse_json, parse_yaml
from kinestream.model.system import lock
from kinestream.model.training.steps import Learner

CONFIG = "config.yaml"
CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.json"
RESULT = "result.json"
REPORT = "report.html"
BUNDLE = FOLDER


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to, and how long it took.

    The validation metrics are None where nobody is validated on. `cpu_seconds` are those of the process.
    """

    epoch: int
    loss: float
    learning_rate: float
    accuracy: float | None = None
    f1_weighted: float | None = None
    f1_macro: float | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass(frozen=True)
class Course:
    """How far a run has come: its epochs, and which of them, counted from 1, is kept (0: none yet)."""

    history: tuple[Epoch, ...] = ()
    best: int = 0

    @property
    def done(self) -> int:
        """Epochs behind it."""
        return len(self.history)

    def after(self, epoch: Epoch, monitor: str) -> Self:
        """Return the course with one more epoch, which is kept if it is the best so far, or nothing is measured."""
        measured = getattr(epoch, monitor)
        held = getattr(self.history[self.best - 1], monitor) if self.best else None
        better = measured is None or held is None or measured > held
        return replace(self, history=(*self.history, epoch), best=epoch.epoch if better else self.best)

    def over(self, epochs: int, patience: int | None) -> bool:
        """Tell whether all epochs are trained, or too many since the best."""
        return self.done >= epochs or (patience is not None and self.done - self.best >= patience)


class RunFolder:
    """The folder of one run; as a context, no other process may write to it from `clear` or `claim` on.

    Parameters
    ----------
    path : Path
        Made where needed.

    Raises
    ------
    ConfigError
        Where a file is in the way.
    """

    def __init__(self, path: Path) -> None:
        nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
        if not nearest.is_dir():
            raise ConfigError(str(path), [f"{nearest} is a file: choose another folder for the run"])
        self.path = path
        self._held: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def check(self, config: TrainConfig) -> None:
        """Make sure that the run in the folder, if there is one, is of this configuration.

        Raises
        ------
        ConfigError
            Where it is another's; the message names what differs.
        """
        path = self.path / CONFIG
        if not path.is_file() or not any((self.path / name).is_file() for name in (CHECKPOINT, RESULT)):
            return  # nothing has been trained here yet
        try:
            theirs = parse_yaml(read_whole(path, MOST_BYTES).decode())
        except ValueError as error:
            raise ConfigError(str(path), [f"damaged ({error}): start again with --restart"]) from None
        differing = _differences(_settings(config), theirs if isinstance(theirs, dict) else {})
        if differing:
            raise ConfigError(f"{self.path} holds a run of another configuration: choose another folder", differing)

    def claim(self, config: TrainConfig) -> None:
        """Note whose run this is.

        Raises
        ------
        ConfigError
            Where another process trains here.
        """
        self._hold()
        write_whole(self.path / CONFIG, dump_yaml(_settings(config)).encode())

    def clear(self) -> None:
        """Forget the run that is there; raises what `claim` does."""
        self._hold()
        try:
            for name in (REPORT, RESULT, CHECKPOINT, HISTORY, CONFIG):
                (self.path / name).unlink(missing_ok=True)
            remove_bundle(self.path / BUNDLE)
        except OSError as error:
            raise FileError(f"{self.path}: the run in it cannot be removed ({reason(error)})") from error

    def _hold(self) -> None:
        """Keep other processes out: the run of two would be neither's."""
        if self._held is not None or not hasattr(os, "O_DIRECTORY"):
            return
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._held = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            is_ours = lock(self._held)
        except OSError as error:
            raise FileError(not_written(self.path, error)) from error
        if not is_ours:
            raise ConfigError(
                str(self.path), ["another process trains there: wait for it, or choose another folder (--out)"]
            )

    def save(self, learner: Learner, kept: dict[str, Tensor], course: Course) -> None:
        """Keep everything the rest of the run depends on."""
        tensors = {f"network.{name}": tensor for name, tensor in learner.network.state_dict().items()}
        if learner.average:
            tensors |= {f"average.{name}": tensor for name, tensor in learner.average.state_dict().items()}
        tensors |= {f"kept.{name}": tensor for name, tensor in kept.items()}
        for i, entry in learner.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": tensor for name, tensor in entry.items()}
        header = {"course": json.dumps(asdict(course))}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_whole(self.path / CHECKPOINT, save(tensors, metadata=header))
        self.write_history(course)

    def restore(self, learner: Learner) -> tuple[dict[str, Tensor], Course]:
        """Put a checkpoint back, if there is one; return the kept weights and the course.

        Raises
        ------
        ConfigError
            Where it is damaged.
        """
        path = self.path / CHECKPOINT
        if not path.is_file():
            return {}, Course()
        try:
            with safe_open(path, framework="pt") as file:
                header = parse_json(file.metadata()["course"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, ValueError, LookupError, TypeError) as error:
            raise ConfigError(str(path), [f"damaged ({error}): start again with --restart"]) from None
        learner.network.load_state_dict(_under(tensors, "network."))
        if learner.average:
            learner.average.load_state_dict(_under(tensors, "average."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _under(tensors, "optimizer.").items():
            i, _, key = name.partition(".")
            state.setdefault(int(i), {})[key] = tensor
        groups = learner.optimizer.state_dict()["param_groups"]
        learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
        history = tuple(Epoch(**epoch) for epoch in header["history"])
        return _under(tensors, "kept."), Course(history, header["best"])

    def read_result(self) -> dict[str, Any] | None:
        """Return what a finished run came to, or None where it is not finished or its bundle is gone."""
        path = self.path / RESULT
        whole = path.is_file() and (self.path / BUNDLE).is_dir()
        return self._read_json(RESULT) if whole else None

    def read_history(self) -> Any:
        """Return the epochs as they were written down, or none."""
        return self._read_json(HISTORY) if (self.path / HISTORY).is_file() else []

    def _read_json(self, name: str) -> Any:
        try:
            return parse_json(read_whole(self.path / name))
        except ValueError as error:
            raise ConfigError(str(self.path / name), [f"damaged ({error}): start again with --restart"]) from None

    def write_history(self, course: Course) -> None:
        """Write the epochs for people to read; a run resumes from the checkpoint."""
        self.write_json(HISTORY, [asdict(epoch) for epoch in course.history])

    def write_json(self, name: str, content: Any) -> None:
        """Write one of the folder's JSON files, whole or not at all."""
        write_whole(self.path / name, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def _settings(config: TrainConfig) -> dict[str, Any]:
    """Return what decides a run; where its dataset lies does not."""
    return config.model_dump(mode="json", exclude={"dataset": {"source"}})


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Return one line per key that the run in the folder was started with otherwise."""
    found = []
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        here, there = ours.get(key), theirs.get(key)
        if isinstance(here, dict) and isinstance(there, dict):
            found += _differences(here, there, f"{prefix}{key}.")
        elif here != there:
            found.append(f"{prefix}{key}: {here!r} here, {there!r} there")
    return found
