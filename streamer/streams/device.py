"""One of a wearer's devices: what it has delivered, where its times and numbers part, and at which rate it comes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.recordings.resample import Resampling, resample, settled_until
from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.streamer.streams.arena import Rows

Times = npt.NDArray[np.int64]

_RATE_TOLERANCE = 0.05
"""By which share the rate of what comes may differ from what was declared before that is told."""
_RATE_KNOWN_NS = 5_000_000_000
"""From how long a stretch the rate of what comes is reckoned."""
_LONGEST_BATCH_NS = 5_000_000_000
"""Up to which length a batch of readings makes whoever waits for them more patient."""
_LOST_REMEMBERED = 16
"""Holes of a device of which is remembered that they were given up: what fills them after that comes late."""


class Laid(NamedTuple):
    """Samples on the grid, the first of which is number `first`; of all the bundle's channels, NaN for no reading."""

    first: int
    rows: Rows


class Break(NamedTuple):
    """A seam: where a device's times and numbers part. Samples from `first` on lie behind it."""

    device: str
    last: int
    first: int


class StepBack(NamedTuple):
    """A device's clock was set back: the session cannot go on."""

    device: str
    before: int
    after: int


class Lost(NamedTuple):
    """Readings of a device that are waited for no longer."""

    device: str
    first_seq: int
    last_seq: int


class Undelivered(NamedTuple):
    """Channels of the bundle that no device delivers: until one does, nothing is laid."""

    channels: tuple[int, ...]


class WrongRate(NamedTuple):
    """A device delivers at another rate than it declared."""

    device: str
    declared: float
    measured: float


Outcome = Laid | Break | StepBack | Lost | Undelivered | WrongRate


@dataclass
class ReadingCounts:
    """What became of a session's readings: received = laid or held + late + duplicate."""

    received: int = 0
    late: int = 0
    duplicate: int = 0


class Device:
    """One of a wearer's devices.

    Parameters
    ----------
    name : str
        What it is called.
    rate_hz : float
        What it declares; 0 where its readings are irregular.
    delivered : DeviceColumns
        Which of the bundle's channels it delivers, and how.
    how : Resampling
        How its readings come to the grid.
    """

    def __init__(self, name: str, rate_hz: float, delivered: DeviceColumns, how: Resampling) -> None:
        self.name, self.rate_hz, self.columns, self.how = name, rate_hz, delivered.columns, how
        self.ended = False
        self.first_seq = -1  # of the first reading that came
        self.first_time = 0
        self.longest_ns = 0  # what the longest of its messages spanned: readings wait for so long to be sent
        self.newest = -1  # time of the newest reading, holes or not
        self._order, self._factors = delivered.order, delivered.factors
        self._next = 0  # number of the reading after the last without a hole before it
        self._times: Times = np.empty(0, np.int64)  # without a hole
        self._values: Rows = np.empty((0, len(self.columns)), np.float32)
        self._laid = False  # whether any of its readings were
        self._lost: list[tuple[int, int]] = []  # numbers of readings that are waited for no longer, [first, end)
        self._beyond: list[tuple[int, Times, Rows]] = []  # behind holes, by number
        self._rate_from: tuple[int, int] | None = None  # number and time since which the rate is reckoned
        self._rate_reported = False

    @property
    def held(self) -> int:
        """Readings that are kept."""
        return len(self._times) + sum(len(times) for _, times, _ in self._beyond)

    def take(self, seq: int, times: Times, values: Rows, stride_ns: int, counts: ReadingCounts) -> Iterator[Outcome]:
        """Take consecutive readings; yield where they part from those before.

        Parameters
        ----------
        seq : int
            Number of the first.
        times : ndarray of int64, shape (n,)
            When each was taken, ns.
        values : ndarray of float32, shape (n, width)
            All the device's columns.
        stride_ns : int
            By how much times may differ from what the numbers say.
        counts : ReadingCounts
            Where those that are of no use are counted.
        """
        counts.received += len(times)
        self.longest_ns = max(self.longest_ns, min(int(times[-1] - times[0]), _LONGEST_BATCH_NS))
        chosen = values[:, self._order]
        if self._factors is not None:
            chosen = chosen * self._factors
        if self.first_seq < 0:
            self._begin(seq, times)
        elif seq < self.first_seq and not self._laid:
            # The first messages came in another order: what was there waits behind these.
            self._beyond.insert(0, (self.first_seq, self._times, self._values))
            self._times, self._values = self._times[:0], self._values[:0]
            self._begin(seq, times)
        if seq < self._next:
            known = min(self._next - seq, len(times))
            late = sum(max(min(end, seq + known) - max(first, seq), 0) for first, end in self._lost)
            counts.late += late
            counts.duplicate += known - late
            seq, times, chosen = seq + known, times[known:], chosen[known:]
        if not len(times):
            return
        if seq > self._next:
            self._keep_beyond(seq, times, chosen, counts)
            self.newest = max(self.newest, int(times[-1]))
            return
        yield from self._append(seq, times, chosen, stride_ns)
        while self._beyond and self._beyond[0][0] <= self._next:
            seq, times, chosen = self._beyond.pop(0)
            known = min(self._next - seq, len(times))
            counts.duplicate += known
            if known < len(times):
                yield from self._append(seq + known, times[known:], chosen[known:], stride_ns)

    def _begin(self, seq: int, times: Times) -> None:
        self.first_seq, self.first_time, self._next = seq, int(times[0]), seq

    def settled(self) -> int | None:
        """Until when grid points no longer change, whatever it delivers; None where it has delivered nothing."""
        if self.ended:
            return None if self.newest < 0 else 1 << 62
        return settled_until(self._times, self._values, self.how)

    def lay(self, grid: SampleGrid, first: int, count: int) -> Rows:
        """Lay what is there on grid points."""
        self._laid = True
        times, values = self._times, self._values
        for _, later, readings in self._beyond:
            if (len(times) and later[0] < times[-1]) or (later[1:] < later[:-1]).any():
                break  # the clock was set back in between, which is told as soon as that is reached
            times, values = np.concatenate([times, later]), np.concatenate([values, readings])
        return resample(times, values, grid, first, count, self.how)

    def give_up_holes(self, until: int, stride_ns: int) -> Iterator[Outcome]:
        """Wait no longer for readings that would lie before a time; yield what was lost, and what that shows."""
        while self._beyond and self._beyond[0][1][0] <= until:
            seq, times, values = self._beyond.pop(0)
            if seq > self._next:
                self._lost = [*self._lost, (self._next, seq)][-_LOST_REMEMBERED:]
                yield Lost(self.name, self._next, seq - 1)
            known = max(self._next - seq, 0)
            yield from self._append(seq + known, times[known:], values[known:], stride_ns)

    def keep_at_most(self, readings: int) -> int:
        """Drop the oldest readings where there are more than so many; return how many."""
        excess = self.held - readings
        if excess <= 0:
            return 0
        self._beyond = self._beyond[-1:] if len(self._times) < excess else self._beyond
        self._times, self._values = self._times[excess:].copy(), self._values[excess:].copy()
        return excess

    def let_go(self, before: int) -> None:
        """Drop readings that no grid point needs any more."""
        drop = int(np.searchsorted(self._times, before))
        if drop == len(self._times) or drop > len(self._times) // 2:  # else to move the rest costs more than it frees
            self._times, self._values = self._times[drop:].copy(), self._values[drop:].copy()

    def _append(self, seq: int, times: Times, values: Rows, stride_ns: int) -> Iterator[Outcome]:
        if not len(times):
            return
        last = int(self._times[-1]) if len(self._times) else None
        steps = np.empty_like(times)  # written out, since it runs for every message
        steps[0] = 0 if last is None else times[0] - last
        np.subtract(times[1:], times[:-1], out=steps[1:])
        least, most = (int(steps[0]), int(steps[0])) if len(steps) == 1 else (int(steps.min()), int(steps.max()))
        if least < 0:
            at = int(np.argmax(steps < 0))
            yield StepBack(self.name, int(times[at] - steps[at]), int(times[at]))
            return
        if self.rate_hz and last is not None and (most > stride_ns or seq > self._next):
            expected = np.full(len(times), 1e9 / self._effective_rate())
            expected[0] *= seq - self._next + 1  # what was lost took its time, too
            leaps = np.flatnonzero(np.abs(steps - expected) > stride_ns)
            for at in leaps.tolist():
                yield Break(self.name, int(times[at] - steps[at]), int(times[at]))
            if len(leaps):
                self._rate_from = None
        self._join(times, values)
        self._next = seq + len(times)
        yield from self._look_at_rate(seq, times)

    def _join(self, times: Times, values: Rows) -> None:
        self._times = np.concatenate([self._times, times])
        self._values = np.concatenate([self._values, values])
        self.newest = max(self.newest, int(times[-1]))

    def _keep_beyond(self, seq: int, times: Times, values: Rows, counts: ReadingCounts) -> None:
        for at, (known, known_times, _) in enumerate(self._beyond):
            if known <= seq and seq + len(times) <= known + len(known_times):
                counts.duplicate += len(times)
                return
            if known > seq:
                self._beyond.insert(at, (seq, times, values))
                return
        self._beyond.append((seq, times, values))

    def _effective_rate(self) -> float:
        """Return the readings per second that come, as soon as enough have; else what was declared."""
        if self._rate_from is None or not len(self._times):
            return self.rate_hz
        seq, since = self._rate_from
        passed = int(self._times[-1]) - since
        come = self._next - 1 - seq
        return come * 1e9 / passed if come > 0 and passed >= _RATE_KNOWN_NS else self.rate_hz

    def _look_at_rate(self, seq: int, times: Times) -> Iterator[Outcome]:
        if self._rate_from is None:
            self._rate_from = (seq, int(times[0]))
        measured = self._effective_rate()
        if self.rate_hz and not self._rate_reported and abs(measured / self.rate_hz - 1) > _RATE_TOLERANCE:
            self._rate_reported = True
            yield WrongRate(self.name, self.rate_hz, measured)
