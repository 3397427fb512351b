"""Sessions of live streams as recordings: which there are, and what their devices delivered.

A session becomes one recording, or several where nothing came for longer than a window lasts. A recording begins where
a window of the streamer's began: so the windows that are cut of it are those that were labelled live.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets.recorded.contents import END, FIRST, SINCE, UNTIL, DeviceContents, Pieces, Recorded
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate

_SECOND = 1_000_000_000
_APART_NS = 60 * _SECOND
"""So long a session must have been silent to become two recordings, or so long as a window lasts."""
_SLOPE_POINTS = 10

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """A session, or a part of one between long silences.

    Parameters
    ----------
    id, stream, session : str, str, int
        What it is called, and whose it is.
    devices : tuple of (DeviceContents, ndarray)
        Each with its messages of this stretch, in the order in which they came.
    rate_hz : float
        Samples a second.
    """

    id: str
    stream: str
    session: int
    devices: tuple[tuple[DeviceContents, Pieces], ...]
    rate_hz: float

    @property
    def has_times(self) -> bool:
        """Whether readings carry times."""
        return self.devices[0][0].has_times


def stretches(recorded: Recorded) -> list[Stretch]:
    """Return all stretches of which the channels are known, by stream and then in the order of their sessions."""
    found: list[Stretch] = []
    of_stream: dict[str, list[tuple[int, tuple[tuple[DeviceContents, Pieces], ...], float]]] = {}
    for (stream, session), by_name in recorded.sessions.items():
        devices = [device for _, device in sorted(by_name.items()) if device.channels]
        if not devices or len({device.has_times for device in devices}) > 1:
            continue
        rate = _rate(devices, recorded.about.rate_hz)
        length_ns = round(recorded.about.length * _SECOND / rate)
        for part in _parted(devices, max(_APART_NS, 2 * length_ns), rate):
            of_stream.setdefault(stream, []).append((session, part, rate))
    for stream, parts in sorted(of_stream.items()):
        parts.sort(key=lambda part: part[0])
        for number, (session, delivered, rate) in enumerate(parts, 1):
            name = stream if len(parts) == 1 else f"{stream}:{number}"
            found.append(Stretch(name, stream, session, delivered, rate))
    return found


def readings_of(recorded: Recorded, device: DeviceContents, pieces: Pieces) -> DeviceReadings:
    """Return what a device with times delivered, in the order of its numbers, each reading once.

    Where its numbers began anew, as those of a counter that wraps, they go on from those before. What has an earlier
    time than a reading before it is left out.
    """
    numbers, times, values = [], [], []
    reached, newest, added = 0, -1, 0
    for first, stamps, readings in recorded.readings(device, pieces):
        moments = np.frombuffer(stamps, "<i8")
        if first + added + len(moments) <= reached and moments[0] > newest:
            added = reached - first
        numbers.append(np.arange(first + added, first + added + len(moments)))
        times.append(moments)
        values.append(np.frombuffer(readings, "<f4").reshape(-1, device.width))
        reached, newest = max(reached, first + added + len(moments)), max(newest, int(moments[-1]))
    every, at = np.unique(np.concatenate(numbers), return_index=True)  # of those that are there twice, the first
    moments = np.concatenate(times)[at]
    kept = moments >= np.maximum.accumulate(moments)
    rows = np.concatenate(values)[at]
    return DeviceReadings(device.name, device.rate_hz, device.channels, moments[kept], rows[kept], every[kept])


def samples_of(
    recorded: Recorded, device: DeviceContents, pieces: Pieces, first: int
) -> tuple[npt.NDArray[np.float32], Times]:
    """Return the samples of a device whose readings lie on the grid, from number `first` on, and when each was taken.

    Those that are missing are NaN.
    """
    end = int(pieces[:, END].max())
    samples = np.full((end - first, device.width), np.nan, np.float32)
    came = np.zeros(end - first, np.bool_)
    for seq, _, readings in recorded.readings(device, pieces):
        rows = np.frombuffer(readings, "<f4").reshape(-1, device.width)[max(first - seq, 0) :]
        at = slice(max(seq - first, 0), max(seq - first, 0) + len(rows))
        new = ~came[at]
        samples[at][new] = rows[new]
        came[at] = True
    return samples, _moments(pieces, first, end, device.rate_hz)


def _moments(pieces: Pieces, first: int, end: int, rate_hz: float) -> Times:
    """Say when samples were taken: messages say it of their last one, the others lie between."""
    order = np.argsort(pieces[:, END], kind="stable")
    last, times = pieces[order, END] - 1, np.maximum.accumulate(pieces[order, UNTIL])
    last, at = np.unique(last, return_index=True)
    times = times[at]
    since = times - times[0]
    numbers = np.arange(first, end)
    moments = np.interp(numbers, last, since)
    slope = _SECOND / rate_hz
    some = min(_SLOPE_POINTS, len(last) - 1)
    if some and times[some] > times[0]:
        slope = float(times[some] - times[0]) / float(last[some] - last[0])
    before = numbers < last[0]
    moments[before] = (numbers[before] - last[0]) * slope
    rounded: Times = np.rint(moments).astype(np.int64) + int(times[0])
    return rounded


def first_sample(device: DeviceContents, pieces: Pieces, stride: int) -> int:
    """Return the number of the first sample of a device on the grid at which a window begins."""
    first = int(pieces[:, FIRST].min())
    return -(-first // stride) * stride if stride else first


def grid_of(devices: Sequence[DeviceReadings], origin: int, rate_hz: float, stride: int) -> tuple[SampleGrid, int, int]:
    """Return the grid of a session whose devices carry times, and which of its samples a recording holds.

    Returns
    -------
    grid : SampleGrid
        That of the live session.
    first, count : int
        From the beginning of a window at or before the first reading to the last reading.
    """
    grid = SampleGrid(origin, exact_rate(rate_hz))
    first = grid.at_or_after(min(int(each.times[0]) for each in devices))
    first = max(first // stride * stride if stride else first, 0)  # there are no samples before the origin
    return grid, first, grid.at_or_after(max(int(each.times[-1]) for each in devices) + 1) - first


def _rate(devices: Sequence[DeviceContents], rate_hz: float) -> float:
    """Return at which rate a session lies on its grid."""
    if not devices[0].has_times:
        return devices[0].rate_hz
    return rate_hz or max(device.rate_hz for device in devices) or 1.0


def _parted(
    devices: Sequence[DeviceContents], apart_ns: int, rate_hz: float
) -> Iterator[tuple[tuple[DeviceContents, Pieces], ...]]:
    """Yield what devices delivered between silences of all of them that last so long."""
    spans = [_spans(device, device.pieces, rate_hz) for device in devices]
    every = np.concatenate(spans)
    every = every[np.argsort(every[:, 0], kind="stable")]
    reached = np.maximum.accumulate(every[:, 1])
    begins = every[1:, 0][every[1:, 0] - reached[:-1] > apart_ns]
    for at, begin in enumerate([None, *begins.tolist()]):
        end = begins[at] if at < len(begins) else None
        part = []
        for device, span in zip(devices, spans, strict=True):
            within = np.ones(len(span), np.bool_)
            within &= True if begin is None else span[:, 0] >= begin
            within &= True if end is None else span[:, 0] < end
            if within.any():
                part.append((device, device.pieces[within]))
        yield tuple(part)


def _spans(device: DeviceContents, pieces: Pieces, rate_hz: float) -> npt.NDArray[np.float64]:
    """Return from when to when each message's readings were taken; by their numbers, where they lie on the grid."""
    if device.has_times:
        return pieces[:, [SINCE, UNTIL]].astype(np.float64)
    return pieces[:, [FIRST, END]].astype(np.float64) * np.float64(_SECOND / rate_hz)
