"""A bundle of Opportunity's size with random weights: what they are does not change how long anything takes."""

from pathlib import Path

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.bundle.description import FORMAT, ChannelEntry, Description, WindowEntry
from kinestream.model.bundle.weights import weight_shapes
from kinestream.model.config.network import NETWORK_PRESETS, NetworkConfig

CHANNELS, CLASSES, LENGTH, STRIDE, RATE_HZ = 113, 18, 24, 12, 30.0


def write_bundle(folder: Path, preset: str) -> Path:
    """Write one with the network of a preset, 3x3, hidden 28; return the folder."""
    rng = np.random.default_rng(0)
    config = NetworkConfig.model_validate(NETWORK_PRESETS[preset])
    shapes = weight_shapes(config, CHANNELS, CLASSES, LENGTH)
    weights = {name: _weight(rng, name, shape) for name, shape in shapes}
    description = Description(
        format=FORMAT,
        name=f"bench-{preset}",
        rate_hz=RATE_HZ,
        window=WindowEntry(length=LENGTH, stride=STRIDE),
        channels=tuple(ChannelEntry(name=f"channel-{i:03d}", mean=0.0, deviation=1.0) for i in range(CHANNELS)),
        classes=tuple(f"class-{i:02d}" for i in range(CLASSES)),
        scaled_deviation=0.5,
        network=config,
    )
    Bundle(description, weights).write(folder)
    return folder


def random_readings(
    bundle: Bundle, rng: np.random.Generator, shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return readings as large as those a bundle was trained on, shape (*shape, C)."""
    entries = bundle.description.channels
    means, deviations = (np.array([getattr(entry, name) for entry in entries]) for name in ("mean", "deviation"))
    return rng.normal(means, deviations, (*shape, len(entries))).astype(np.float32)


def _weight(
    rng: np.random.Generator, name: str, shape: tuple[int, ...]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    if name.endswith("running_var"):
        return np.ones(shape, dtype=np.float32)
    return rng.normal(0.0, 0.3, shape).astype(np.float32)
