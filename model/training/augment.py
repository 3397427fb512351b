"""Changes to training windows that a label survives: another way of wearing the sensor, another vigour, some noise.

Um et al., "Data augmentation of wearable sensor data for Parkinson's disease monitoring using convolutional neural
networks", ICMI 2017, found rotation the most helpful of these. Rotations and half turns act on readings in their own
units, with the same matrix for every triple of axes of a device, since an accelerometer and a gyroscope in one case
turn together.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from kinestream.model.config.augment import AugmentSection
from kinestream.model.errors import ConfigError
from kinestream.model.windows.familiar import sensors_of

Augmentation = Callable[[Tensor], Tensor]

# No turn, and half turns about x, y and z: the four ways a flat device goes into a pocket.
_HALF_TURNS = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]])


def make_augmentation(
    section: AugmentSection,
    channels: Sequence[str],
    means: npt.NDArray[np.float32],
    factors: npt.NDArray[np.float32],
    absent: npt.NDArray[np.float32],
) -> Augmentation:
    """Return what changes scaled windows, shape (B, T, C) in and out, each by a draw of its own.

    Parameters
    ----------
    section : AugmentSection
        What is done.
    channels : sequence of str
        Names of the C channels.
    means, factors : ndarray of float32, shape (C,)
        A scaled value is (reading - mean) * factor.
    absent : ndarray of float32, shape (T, C)
        The scaled window in which no device has a reading.

    Raises
    ------
    ConfigError
        Where a device that turns has no channels of three axes, or one that is dropped has none, or all that there are.
    """
    devices = {name: _triples(name, channels) for name in {**section.rotate, **dict.fromkeys(section.half_turns)}}
    lacking = [
        f"train.augment: no channels {name}*x, {name}*y, {name}*z" for name, found in devices.items() if not found
    ]
    if lacking:
        raise ConfigError("the augmentation", [f"{line}: there are {', '.join(channels)}" for line in lacking])
    dropped = _dropped(section, channels)
    nothing = torch.from_numpy(absent.copy())
    sensors = _sensors(channels)
    mean, factor = torch.from_numpy(means.copy()), torch.from_numpy(factors.copy())

    def augment(windows: Tensor) -> Tensor:
        if devices or section.scale:
            readings = windows / factor.to(windows.device) + mean.to(windows.device)
            for name, triples in devices.items():
                turn = _turns(len(windows), section.rotate.get(name, 0.0), name in section.half_turns)
                for triple in triples:
                    readings[..., triple] = readings[..., triple] @ turn.to(windows.device)
            if section.scale:
                readings = readings * _normal(windows, (len(windows), 1, 1), section.scale).add(1.0)
            windows = (readings - mean.to(windows.device)) * factor.to(windows.device)
        if section.stretch:
            windows = _stretched(windows, _normal(windows, (len(windows), 1), section.stretch).exp())
        if section.noise:
            windows = windows + _normal(windows, windows.shape, section.noise)
        if section.drop_sensor:
            heard = torch.rand(len(windows), int(sensors.max()) + 1) >= section.drop_sensor
            windows = windows * heard[:, sensors].to(windows)[:, None]
        if dropped:
            gone = dropped(len(windows)).to(windows.device)
            windows = torch.where(gone[:, None], nothing.to(windows.device), windows)
        return windows

    return augment


def _dropped(section: AugmentSection, channels: Sequence[str]) -> Callable[[int], Tensor] | None:
    """Return what draws which channels of each of B windows are those of absent devices, shape (B, C)."""
    shares = {name: share for name, share in section.drop_device.items() if share}
    if not shares:
        return None
    of_device = torch.tensor([[_is_of(name, channel) for channel in channels] for name in shares])  # (D, C)
    problems = [
        f"train.augment.drop_device: {name} has {'all the channels' if all_of_them else 'no channel'}: "
        f"name devices by what their channels' names begin with: {', '.join(channels)}"
        for name, any_of_them, all_of_them in zip(shares, of_device.any(dim=1), of_device.all(dim=1), strict=True)
        if all_of_them or not any_of_them
    ]
    if problems:
        raise ConfigError("the augmentation", problems)
    often = torch.tensor(list(shares.values()))

    def draw(count: int) -> Tensor:
        absent = torch.rand(count, len(often)) < often
        gone = (absent[:, :, None] & of_device).any(dim=1)
        return gone & ~gone.all(dim=1, keepdim=True)  # a window of nothing teaches nothing

    return draw


def _is_of(device: str, channel: str) -> bool:
    """Tell whether a device has a channel; what is derived of one has a word before its name."""
    return channel.startswith((device, f"body_{device}", f"total_{device}"))


def _sensors(channels: Sequence[str]) -> Tensor:
    """Return which sensor each channel is of, shape (C,): channels that differ in the last letter alone share one."""
    sensors = torch.empty(len(channels), dtype=torch.long)
    for number, columns in enumerate(sensors_of(channels)):
        sensors[columns] = number
    return sensors


def _stretched(windows: Tensor, factors: Tensor) -> Tensor:
    """Read each window, shape (B, T, C), at another pace that ends with its last sample; `factors` of shape (B, 1).

    What would lie before the window is its first sample.
    """
    last = windows.shape[1] - 1
    at = (last - (last - torch.arange(last + 1, device=windows.device)) * factors).clamp(0, last)  # (B, T)
    before = at.floor().long()
    share = (at - before)[..., None]
    rows = torch.arange(len(windows), device=windows.device)[:, None]
    return torch.lerp(windows[rows, before], windows[rows, (before + 1).clamp(max=last)], share)


def _triples(device: str, channels: Sequence[str]) -> list[list[int]]:
    """Return the columns of each x, y and z of a device; those of one sensor differ in the last letter alone."""
    stems = dict.fromkeys(name[:-1] for name in channels if name.startswith(device) and name[-1] in "xyz")
    wanted = [[f"{stem}{axis}" for axis in "xyz"] for stem in stems]
    return [[channels.index(name) for name in names] for names in wanted if all(name in channels for name in names)]


def _turns(count: int, degrees: float, half_turns: bool) -> Tensor:
    """Return rotation matrices, shape (count, 3, 3): about any axis by at most `degrees`, after a half turn or none."""
    axis = torch.nn.functional.normalize(torch.randn(count, 3), dim=1)
    angle = (2 * torch.rand(count, 1, 1) - 1) * math.radians(degrees)
    x, y, z = axis.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(count, 3, 3)
    turns = torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)  # Rodrigues
    if half_turns:
        turns = turns * _HALF_TURNS[torch.randint(4, (count,))][:, :, None]
    return turns


def _normal(like: Tensor, shape: Sequence[int], deviation: float) -> Tensor:
    return (torch.randn(*shape) * deviation).to(like.device)
