"""Replay as fast as the streamer takes it, scored: how long a person waits for the score of a whole test set."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.clock import now_ns
from kinestream.model.recordings.recording import Recording
from kinestream.replay.bench.bundles import random_readings
from kinestream.replay.play.take import takes_of
from kinestream.replay.process import started_streamer
from kinestream.replay.run import play_takes

RECORDINGS, SAMPLES = 4, 30_000
"""As many and as long as the test recordings of the Opportunity challenge (118,750 samples), or nearly."""


@dataclass(frozen=True)
class ReplayFigure:
    """One replay at ``max``.

    Parameters
    ----------
    chunk : int
        Samples in a message.
    samples : int
        Sent, of all recordings.
    seconds : float
        From the first word with the streamer until everything is scored.
    samples_per_second : float
        Their ratio.
    labels_expected, labels_missing, samples_lost : int
        Windows, those without a label, and samples that the streamer did not use.
    """

    chunk: int
    samples: int
    seconds: float
    samples_per_second: float
    labels_expected: int
    labels_missing: int
    samples_lost: int


def measure_replay(
    bundle: Path,
    chunks: Sequence[int],
    *,
    samples: int = SAMPLES,
    show: Callable[[ReplayFigure], None] = lambda figure: None,
) -> list[ReplayFigure]:
    """Replay recordings of a bundle's channels with random readings, `samples` long, once for each size of message."""
    recordings = _recordings(read_bundle(bundle), samples)
    figures = []
    for chunk in chunks:
        figures.append(_measure(bundle, recordings, chunk))
        show(figures[-1])
    return figures


def _measure(bundle: Path, recordings: Sequence[Recording], chunk: int) -> ReplayFigure:
    with started_streamer(bundle) as streamer:
        begin = time.perf_counter()
        takes = takes_of(recordings, first_session=now_ns())
        report = play_takes(takes, streamer.addresses, speed="max", chunk=chunk, score=True, keys="")
        seconds = time.perf_counter() - begin
        totals = streamer.stop()
    assert report.live is not None
    dropped = sum(totals.get(f"samples_{why}", 0) for why in ("late", "duplicate", "closed_session"))
    return ReplayFigure(
        chunk=chunk,
        samples=report.samples_sent,
        seconds=seconds,
        samples_per_second=report.samples_sent / seconds,
        labels_expected=report.live.expected,
        labels_missing=report.live.missing,
        samples_lost=report.samples_sent - totals.get("samples_received", 0) + dropped,
    )


def _recordings(bundle: Bundle, samples: int) -> list[Recording]:
    rng = np.random.default_rng(0)
    about = bundle.description
    return [
        Recording(
            id=f"recording-{number}",
            person=f"person-{number}",
            dataset="random",
            rate_hz=about.rate_hz,
            channels=bundle.channels,
            samples=random_readings(bundle, rng, (samples,)),
            timestamps=(np.arange(samples) * 1e9 / about.rate_hz).astype(np.int64),
            labels=rng.integers(0, len(about.classes), samples).astype(np.int16),
            classes=about.classes,
        )
        for number in range(RECORDINGS)
    ]
