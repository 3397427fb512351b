"""The figures that plans are made of: what was measured, on which machine, and by which command.

What ships is taken from the reports under ``results/``, which the tests hold it against. A report of `kinestream bench
streams` of your own, made on a node as you will have it and with your bundle, takes the place of those of streams.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kinestream.model.errors import FileError
from kinestream.model.files import read_whole
from kinestream.model.plaindata import parse_json

CHANNELS, STRIDE, LENGTH = 113, 12, 24
"""Of the bundle that was measured with: channels, samples between windows, samples of a window."""
MACHINE = "two processors of a virtual machine (AMD EPYC), the load generator on the same two"
LATE_MS = 10.0
"""Where the p99 of labels is below it, a streamer counts as not too busy."""


class Point(NamedTuple):
    """A streamer under so many streams.

    Attributes
    ----------
    streams, chunk : int
        How many, and samples in a message.
    rate_hz : float
        Samples a second of each.
    cpu : float
        Processors that it kept busy.
    rss_mb : float
        Its memory, MB.
    p99_ms : float
        Of its labels.
    """

    streams: int
    chunk: int
    rate_hz: float
    cpu: float
    rss_mb: float
    p99_ms: float


SHIPPED = tuple(
    Point(streams, chunk, 30.0, cpu, rss, p99)
    for chunk, points in {
        1: (
            (100, 0.143, 64.7, 1.7),
            (1000, 0.441, 87.8, 1.9),
            (2000, 0.694, 111.5, 1.8),
            (3000, 0.853, 136.5, 2.2),
            (4000, 0.997, 164.8, 4.8),
            (5000, 1.076, 188.3, 14.1),
            (6000, 1.155, 227.5, 98.0),
        ),
        6: (
            (100, 0.089, 64.0, 1.5),
            (2000, 0.489, 111.6, 2.1),
            (4000, 0.710, 166.0, 3.3),
            (6000, 0.901, 218.2, 5.3),
            (8000, 1.103, 276.2, 30.2),
        ),
    }.items()
    for streams, cpu, rss, p99 in points
)
SOURCES = ("results/bench/streams-chunk-1.json", "results/bench/streams-chunk-6.json")
TAKEN_PER_S = {1: 124_176.0, 6: 289_995.0}
"""Samples a second that a streamer takes when it does nothing else, by samples in a message."""
TAKEN_SOURCE = "results/bench/replay.json"
WINDOW_MS = 6.506 / 256
"""Of one window in a batch of 256."""
WINDOW_SOURCE = "results/bench/engines.json"


class Load(NamedTuple):
    """What a stream is.

    Attributes
    ----------
    channels, chunk, length, stride : int
        Its channels, samples in a message and in a window, and samples between windows.
    rate_hz : float
        Samples a second.
    """

    channels: int
    rate_hz: float
    chunk: int
    length: int
    stride: int


@dataclass(frozen=True)
class Costs:
    """What a streamer's work costs.

    Parameters
    ----------
    idle : float
        Processors that are busy without streams.
    message, sample, window : float
        Seconds of a processor for each, a sample being of `channels` channels, a window of `length` samples; where what
        was measured does not tell windows from samples, a sample includes its share, and a window costs nothing.
    most : float
        Processors that it can be kept busy with before labels are late.
    taking_message, taking_sample : float
        Seconds, by the clock, of each when all that it does is to catch up.
    idle_mb, stream_mb : float
        Memory without streams, and of each.
    channels, length : int
        Of the streams that were measured, and of their windows.
    sources : tuple of str
        Where this was measured.
    worst : float
        By how much what these reckon is off at worst, as a share of the processors measured.
    """

    idle: float
    message: float
    sample: float
    window: float
    most: float
    taking_message: float
    taking_sample: float
    idle_mb: float
    stream_mb: float
    channels: int
    length: int
    sources: tuple[str, ...]
    worst: float

    def processors(self, streams: float, load: "Load") -> float:
        """Return how many processors a streamer keeps busy."""
        of_sample = self.message / load.chunk + self._sample(self.sample, load)
        return self.idle + streams * load.rate_hz * of_sample

    def taking_s(self, load: "Load") -> float:
        """Return how long a streamer takes for a message when it catches up, s."""
        return self.taking_message + load.chunk * self._sample(self.taking_sample, load)

    def _sample(self, sample: float, load: "Load") -> float:
        """Return the seconds of a sample of such a load, and of its share of a window."""
        return sample * load.channels / self.channels + self.window * load.length / self.length / load.stride

    def memory_mb(self, streams: float, channels: int) -> float:
        """Return a streamer's memory, MB: windows grow with channels, and nothing shrinks below what was measured."""
        return self.idle_mb + streams * self.stream_mb * max(channels / self.channels, 1.0)


def costs_of(points: Sequence[Point], sources: Sequence[str], channels: int, window_s: float = 0.0) -> Costs:
    """Return the costs that fit points best, of those whose labels were in time.

    `window_s` is what a window is known to cost, where streams were of the bundle that ships figures are of.

    Raises
    ------
    FileError
        Where there are fewer than two such points.
    """
    good = [each for each in points if each.p99_ms <= LATE_MS]
    if len({each.streams for each in good}) < 2:
        raise FileError(
            f"{', '.join(sources)}: labels were in time (p99 up to {LATE_MS:g} ms) for fewer than two numbers of "
            "streams: measure smaller ones as well"
        )
    samples = np.array([each.streams * each.rate_hz for each in good])
    columns = [np.ones(len(good)), samples]
    if len({each.chunk for each in good}) > 1:
        columns.append(samples / np.array([each.chunk for each in good]))
    cpu = np.array([each.cpu for each in good])
    table = np.stack(columns, axis=1)
    found = np.linalg.lstsq(table, cpu, rcond=None)[0]
    idle, sample, message = (*found.tolist(), 0.0)[:3]
    busy = cpu >= cpu.max() / 3  # what is reckoned with; fewer streams cost more than their share, which is little
    of_window = window_s / STRIDE  # a sample's share of its window
    message_taking, sample_taking = _taking()
    memory = np.polyfit([each.streams for each in good], [each.rss_mb for each in good], 1)
    return Costs(
        idle=max(idle, 0.0),
        message=message,
        sample=max(sample - of_window, 0.0),
        window=window_s,
        most=max(each.cpu for each in good),
        taking_message=message_taking,
        taking_sample=max(sample_taking - of_window, 0.0),
        idle_mb=float(memory[1]),
        stream_mb=float(memory[0]),
        channels=channels,
        length=LENGTH,
        sources=(*sources, TAKEN_SOURCE, *((WINDOW_SOURCE,) if window_s else ())),
        worst=float(np.max((np.abs(table @ found - cpu) / cpu)[busy])),
    )


def shipped_costs() -> Costs:
    """Return what ships."""
    return costs_of(SHIPPED, SOURCES, CHANNELS, WINDOW_MS / 1000)


def read_costs(paths: Sequence[Path], channels: int) -> Costs:
    """Return the costs that reports of ``kinestream bench streams``, of streams of so many channels, tell.

    Raises
    ------
    FileError
        Where one cannot be read, or tells too little.
    """
    points = [point for path in paths for point in read_points(path)]
    return costs_of(points, [str(path) for path in paths], channels)


def read_points(path: Path) -> list[Point]:
    """Return what a report of ``kinestream bench streams`` tells.

    Raises
    ------
    FileError
        Where it cannot be read, or is none.
    """
    try:
        content = parse_json(read_whole(path))
        rate_hz = float(content["settings"]["rate_hz"])
        return [_point(each, rate_hz) for each in content["points"]]
    except (ValueError, KeyError, TypeError):
        raise FileError(f"{path}: no report of 'kinestream bench streams --out FOLDER': give its .json") from None


def _point(told: Mapping[str, Any], rate_hz: float) -> Point:
    p99 = float(told["heard"]["latency_p99_ms"]) if told["holds"] else float("inf")
    cpu, rss = float(told["streamer_cpu"]), float(told["rss_mb"])
    return Point(int(told["streams"]), int(told["chunk"]), rate_hz, cpu, rss, p99)


def _taking() -> tuple[float, float]:
    """Return the seconds of a message and of a sample in it when a streamer catches up."""
    (one, of_one), (six, of_six) = ((chunk, chunk / rate) for chunk, rate in TAKEN_PER_S.items())
    sample = (of_six - of_one) / (six - one)
    return of_one - sample, sample
