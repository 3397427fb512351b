"""What clocks, sensors and links do to readings and messages, each a pure function of what it is given and a seed."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.bursts import spread

Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Impairments:
    """How what devices deliver is made worse; nothing by default.

    Parameters
    ----------
    jitter_ms : float
        By up to how much the time that a reading is stamped with is wrong, either way.
    drift_ppm : float
        By how much the devices' clocks run fast and slow, in turn.
    drop, reorder, duplicate : float
        Share of the messages that are lost, that leave after the one behind them, and that leave twice.
    burst : int
        Readings that come together under one stamp; 0: each has its own.
    seed : int
        Decides which.
    """

    jitter_ms: float = 0.0
    drift_ppm: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    burst: int = 0
    seed: int = 0


class Span(NamedTuple):
    """A message: readings [first, end) of a device."""

    first: int
    end: int


def jitter(times: Times, most_ns: int, rng: np.random.Generator) -> Times:
    """Return times that are up to `most_ns` wrong, still in order: a device's stamps never run back."""
    wrong: Times = np.sort(times + rng.integers(-most_ns, most_ns, len(times), endpoint=True))
    return wrong


def drift(times: Times, ppm: float, since: int) -> Times:
    """Return what a clock says that was right at a time and is so many millionths fast."""
    wrong: Times = times + np.rint((times - since) * (ppm / 1e6)).astype(np.int64)
    return wrong


def burst(times: Times, spans: list[Span], period_ns: int) -> Times:
    """Return the times of readings that each message stamps with that of its last one.

    They are spread back by the nominal rate, as any sender should: see `kinestream.model.recordings.bursts`.
    """
    stamps = times.copy()
    for first, end in spans:
        stamps[first:end] = times[end - 1]
    return spread(stamps, period_ns)


def cut(numbers: Times, most: int) -> list[Span]:
    """Cut readings into messages of up to so many; a message holds consecutive numbers."""
    edges = [0, *(np.flatnonzero(np.diff(numbers) != 1) + 1).tolist(), len(numbers)]
    spans = []
    for begin, end in itertools.pairwise(edges):
        spans += [Span(first, min(first + most, end)) for first in range(begin, end, most)]
    return spans


def drop(spans: list[Span], share: float, rng: np.random.Generator) -> list[Span]:
    """Return the messages of a device that are not lost; the first never is, so that the stream begins as it did."""
    lost = rng.random(len(spans)) < share
    return [span for index, span in enumerate(spans) if index == 0 or not lost[index]]


def disorder(
    spans: list[Span], reordered: float, duplicated: float, rng: np.random.Generator
) -> list[tuple[Span, Span]]:
    """Return the messages in the order in which they leave, each with the one that tells when.

    Parameters
    ----------
    spans : list of Span
        The messages in the order of their readings.
    reordered, duplicated : float
        Share that leaves right after the one behind it, and that leaves twice, the second time right after the first.
    rng : Generator
        Chooses.
    """
    late: Flags = rng.random(len(spans)) < reordered
    twice: Flags = rng.random(len(spans)) < duplicated
    order: list[tuple[Span, Span]] = []
    waiting: list[tuple[Span, bool]] = []
    for index, span in enumerate(spans):
        if late[index] and not waiting and index + 1 < len(spans):
            waiting.append((span, bool(twice[index])))
            continue
        for each, again in [(span, bool(twice[index])), *waiting]:
            order += [(each, span)] * (2 if again else 1)
        waiting.clear()
    return order
