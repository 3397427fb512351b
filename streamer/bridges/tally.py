"""What a device delivers: its rate, what is lost of it, how late it comes, what it reads."""

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.recording import Channel
from kinestream.streamer.bridges.arrivals import Rows, Times

_SECONDS = 10.0
"""What is said of a device is of the last seconds it was heard, so many."""
_MOST_CHUNKS = 10_000


@dataclass(frozen=True)
class Delivered:
    """What one device, or one sensor of it, delivered in the last seconds.

    Attributes
    ----------
    device : str
        What the stream calls it.
    readings, lost, unsent : int
        Since the start: those that came, those that its numbers or times say are missing, those for which there was no
        streamer.
    rate_hz, nominal_hz : float
        Readings a second by their times, and as they were declared; NaN and 0 where that is not known.
    jitter_ms : float
        Standard deviation of the time between readings.
    delay_ms, delay_p95_ms : float
        Median and 95th percentile of the time from a reading to its arrival, beyond what a link takes at least.
    silent_s : float
        For how long nothing came; infinite where nothing ever did.
    values : dict of float by channel
        The last reading.
    """

    device: str
    readings: int = 0
    lost: int = 0
    unsent: int = 0
    rate_hz: float = math.nan
    nominal_hz: float = 0.0
    jitter_ms: float = math.nan
    delay_ms: float = math.nan
    delay_p95_ms: float = math.nan
    silent_s: float = math.inf
    values: dict[str, float] = field(default_factory=dict)

    @property
    def lost_share(self) -> float:
        """The share of readings that is missing."""
        return self.lost / max(self.lost + self.readings, 1)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it: None for what is not known."""
        values = {name: _number(value) for name, value in self.values.items()}
        plain = {key: _number(each) if isinstance(each, float) else each for key, each in asdict(self).items()}
        return plain | {"values": values, "lost_share": round(self.lost_share, 5)}


class PartTally:
    """Counts what a device delivers.

    Attributes
    ----------
    channels : tuple of Channel
        What it delivers.
    unsent : int
        Readings for which there was no streamer.
    """

    def __init__(self, device: str, channels: tuple[Channel, ...], nominal_hz: float) -> None:
        self.device, self.channels, self.nominal_hz = device, channels, nominal_hz
        self.unsent = 0
        self._readings, self._lost = 0, 0
        self._heard = -math.inf  # Unix s
        self._chunks: deque[tuple[Times, Rows, int]] = deque(maxlen=_MOST_CHUNKS)

    def add(self, times: Times, rows: Rows, arrival: int, lost: int) -> None:
        """Count readings that arrived together."""
        self._readings += len(times)
        self._lost += lost
        self._heard = arrival / 1e9
        self._chunks.append((times, rows, arrival))
        while arrival - self._chunks[0][2] > _SECONDS * 1e9:
            self._chunks.popleft()

    def recent(self) -> tuple[Times, Rows]:
        """Return the readings of the last seconds: their times, shape (M,), and values, shape (M, C)."""
        if not self._chunks:
            return np.empty(0, np.int64), np.empty((0, len(self.channels)), np.float32)
        return np.concatenate([each[0] for each in self._chunks]), np.concatenate([each[1] for each in self._chunks])

    def look(self, now: int) -> Delivered:
        """Say what the device delivers, by now, Unix ns."""
        times, rows = self.recent()
        if not len(times):
            return Delivered(self.device, self._readings, self._lost, self.unsent, nominal_hz=self.nominal_hz)
        apart = np.diff(times)
        span = int(times[-1] - times[0])
        delays = [(arrival - int(each[-1])) / 1e6 for each, _, arrival in self._chunks]
        return Delivered(
            self.device,
            self._readings,
            self._lost,
            self.unsent,
            rate_hz=(len(times) - 1) * 1e9 / span if span > 0 else math.nan,
            nominal_hz=self.nominal_hz,
            jitter_ms=_spread(apart) / 1e6 if len(apart) > 1 else math.nan,
            delay_ms=float(np.median(delays)),
            delay_p95_ms=float(np.percentile(delays, 95)),
            silent_s=max(now / 1e9 - self._heard, 0.0),
            values={channel.name: float(value) for channel, value in zip(self.channels, rows[-1], strict=True)},
        )


def _spread(apart: npt.NDArray[np.int64]) -> float:
    """Return the deviation of steps, but for the holes among them."""
    usual = apart[apart <= 4 * float(apart.mean())]
    return float(usual.std()) if len(usual) else math.nan


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
