"""Recordings that are made up: what replay does with them depends on their shape alone."""

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.recordings.recording import Channel, Recording


def made_up(
    recording_id: str = "walk",
    samples: int = 100,
    *,
    channels: int = 3,
    classes: int = 4,
    rate_hz: float = 50.0,
    window: int | None = None,
    seed: int = 0,
) -> Recording:
    """Return a recording that `random_bundle` with the same sizes accepts; a tenth of its readings is missing."""
    rng = np.random.default_rng([seed, samples])
    x = rng.normal(size=(samples, channels)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return Recording(
        id=recording_id,
        person="p1",
        dataset="made_up",
        rate_hz=rate_hz,
        channels=tuple(Channel(f"c{i}") for i in range(channels)),
        samples=x,
        timestamps=(np.arange(samples) * 1e9 / rate_hz).astype(np.int64),
        labels=rng.integers(-1, classes, samples).astype(np.int16),
        classes=tuple(f"class{i}" for i in range(classes)),
        window=window,
    )


def silenced(recording: Recording, first: int, end: int) -> Recording:
    """Return the recording with no reading at all in samples [first, end)."""
    from dataclasses import replace

    samples = recording.samples.copy()
    samples[first:end] = np.nan
    return replace(recording, samples=samples)


def offline(bundle: Bundle, samples: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the classes' probabilities of windows, named by the engine without a streamer, shape (W, K)."""
    from kinestream.model.engine.load import load_engine
    from kinestream.model.windows.grid import cut

    return load_engine(bundle, "cpu").probabilities(cut(samples, starts, bundle.grid.length))


def unlabelled(recording: Recording) -> Recording:
    """Return the recording with no label at all."""
    from dataclasses import replace

    from kinestream.model.recordings.recording import UNLABELLED

    return replace(recording, labels=np.full_like(recording.labels, UNLABELLED))
