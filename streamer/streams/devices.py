"""A wearer's devices, each on a clock and at a rate of its own, laid on the grid of their session.

The problem. A phone sends 102 readings a second and a watch 104, in bursts, over links that delay, lose and reorder
them. A window needs samples of all channels at the same moments, and must not depend on when a message came.

How it works. Each device (`streamer.streams.device`) keeps the readings that grid points may still need, in the order
of their numbers. A grid point is settled once every device has delivered, without a hole in its numbers, so far that
nothing more can change it; or once one device has delivered that far and `patience` further: then whoever is behind is
waited for no longer. What is settled when a window's last sample is gets laid, by the same function that lays
recordings, and goes to the stream's buffer as samples on the grid. So a sample is a pure function of the readings
around it.

All times here are the wearer's, in the messages; no clock of ours is read. So replays at any speed give the same.

What would go wrong otherwise. If points were laid before a device that is merely late had delivered, what a window
holds would depend on the network. If the first window began before a streamer that joined late knows all that its
samples depend on, it would differ from the one an undisturbed streamer cut: so it begins behind what a device that was
joined in the middle (its first reading is not number 0) might have sent before.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.recordings.resample import resampling
from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.model.windows.silent import blank_silent, silent_samples
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.device import (
    Break,
    Device,
    Laid,
    Outcome,
    ReadingCounts,
    StepBack,
    Times,
    Undelivered,
)

PATIENCE_NS = 300_000_000
"""How much further than a window's end one device must have delivered before the others are waited for no longer; where
readings come in batches, a batch's length more."""
_UNDELIVERED_NS = 10_000_000_000
"""How long readings are kept, and how often it is told, while no device delivers some of the channels."""
_MOST_HELD_BYTES = 1 << 18
"""What readings of a device may take that wait for others: past that they are laid as they are, and then dropped."""
_MOST_LAID_NS = 300_000_000_000
"""The longest stretch that is laid at once: of a longer one, its end."""


class DeviceSet:
    """The devices of one session of a stream.

    Parameters
    ----------
    grid : SampleGrid
        Where samples lie.
    channels, length, stride : int
        Channels of the bundle, and samples of its window and from one to the next.
    patience_ns : int
        See `PATIENCE_NS`.
    """

    def __init__(
        self, grid: SampleGrid, *, channels: int, length: int, stride: int, patience_ns: int = PATIENCE_NS
    ) -> None:
        self.grid = grid
        self.devices: list[Device] = []
        self.counts = ReadingCounts()
        self._channels, self._length, self._stride = channels, length, stride
        self._stride_ns = stride * grid.period_ns
        self._patience_ns = patience_ns
        self._next: int | None = None  # the next sample to lay; None before the first
        self._due = 0  # when the last sample of the next window lies, ns
        self._undelivered = np.arange(channels)  # channels of the bundle that no device delivers
        self._most_laid = grid.at_or_after(grid.origin + _MOST_LAID_NS)
        self._silent: set[str] = set()
        self._silent_samples = silent_samples(grid.rate)
        self._breaks: list[Break] = []
        self._reported = 0  # by the wearer's clock, when it was told that channels are not delivered

    def add(self, name: str, rate_hz: float, delivered: DeviceColumns) -> Device:
        """Add a device; one of this name that is there already has been restarted, and delivers no more."""
        for before in self.devices:
            before.ended |= before.name == name
        device = Device(name, rate_hz, delivered, resampling(rate_hz, self.grid))
        self.devices.append(device)
        every = np.concatenate([device.columns for device in self.devices])
        self._undelivered = np.setdiff1d(np.arange(self._channels), every)
        return device

    @property
    def ended(self) -> bool:
        """Whether every device has ended."""
        return all(device.ended for device in self.devices)

    def take(self, device: Device, seq: int, times: Times, values: Rows) -> list[Outcome]:
        """Take consecutive readings of a device; return what comes of them, in order."""
        outcomes: list[Outcome] = []
        if self._sorted(device.take(seq, times, values, self._stride_ns, self.counts), outcomes):
            return outcomes
        self.counts.late += device.keep_at_most(2 * self._most_held(device))
        if not len(self._undelivered):
            # No window can be due before this: to look closer takes as long as to take ten messages.
            return outcomes + self._lay_settled() if device.newest >= self._due else outcomes
        if device.newest > self._reported + _UNDELIVERED_NS:
            if self._reported:
                outcomes.append(Undelivered(tuple(self._undelivered.tolist())))
            self._reported = device.newest
        device.let_go(device.newest - _UNDELIVERED_NS)
        return outcomes

    def look_at(self, rows: Rows) -> tuple[dict[str, float], list[tuple[str, bool]]]:
        """Blank the devices that are silent at the end of a window; see `kinestream.model.windows.silent`.

        Parameters
        ----------
        rows : ndarray of float32, shape (T, C)
            The window; what a silent device delivered of it becomes NaN.

        Returns
        -------
        missing : dict of float by str
            The share of the window's samples in which each device has no reading.
        changes : list of (str, bool)
            Devices that have become silent since the window before (True), or have come back.
        """
        names = list(dict.fromkeys(device.name for device in self.devices))
        columns = [np.concatenate([each.columns for each in self.devices if each.name == name]) for name in names]
        shares, silent = blank_silent(rows[None], columns, self._silent_samples)
        changes: list[tuple[str, bool]] = []
        for name, is_silent in zip(names, silent[0].tolist(), strict=True):
            if is_silent != (name in self._silent):
                changes.append((name, is_silent))
                (self._silent.add if is_silent else self._silent.discard)(name)
        return dict(zip(names, shares[0].tolist(), strict=True)), changes

    def end(self, device: Device) -> list[Outcome]:
        """Note that a device delivers no more; once none does, lay all that is left."""
        device.ended = True
        return self._lay(max((each.newest for each in self.devices), default=-1)) if self.ended else []

    def _sorted(self, found: Iterator[Outcome], outcomes: list[Outcome]) -> bool:
        """Add what was found to outcomes, but keep seams until they are reached; tell whether a clock stepped back."""
        stepped = False
        for outcome in found:
            if isinstance(outcome, Break):
                self._breaks.append(outcome)
            else:
                outcomes.append(outcome)
                stepped |= isinstance(outcome, StepBack)
        return stepped

    def _lay_settled(self) -> list[Outcome]:
        settled = [device.settled() for device in self.devices]
        newest = max(device.newest for device in self.devices)
        furthest = max(device.how.half_width for device in self.devices)
        patience = self._patience_ns + max(device.longest_ns for device in self.devices)
        until = newest - furthest - patience
        if None not in settled:
            until = max(until, min(moment for moment in settled if moment is not None))
        if any(device.held > self._most_held(device) for device in self.devices):
            until = max(until, newest - furthest)
        first = self._next if self._next is not None else self._begin(until)
        if first is None or self.grid.time(self._window_end(first)) > until:
            return []
        return self._lay(until)

    @staticmethod
    def _most_held(device: Device) -> int:
        return max(_MOST_HELD_BYTES // (8 + 4 * len(device.columns)), 64)

    def _window_end(self, first: int) -> int:
        """Return the last sample of the first window that is not laid whole before `first`."""
        window = max(-(-(first + 1 - self._length) // self._stride), 0)
        return window * self._stride + self._length - 1

    def _begin(self, until: int) -> int | None:
        heard = [device for device in self.devices if device.first_seq >= 0]
        if not heard:
            return None
        begins = min(device.first_time for device in heard)
        joined = [device.first_time + device.how.half_width for device in heard if device.first_seq > 0]
        return max(self.grid.at_or_after(max([begins, *joined])), 0)  # there are no samples before the origin

    def _lay(self, until: int) -> list[Outcome]:
        """Lay every sample that lies at or before a time and was not laid yet."""
        first = self._next if self._next is not None else self._begin(until)
        end = self.grid.at_or_after(until + 1)
        if first is None or end <= first:
            return []
        outcomes: list[Outcome] = []
        if end - first > self._most_laid:
            outcomes.append(Break("", first - 1, end - self._most_laid))
            first = end - self._most_laid
        for device in self.devices:
            if self._sorted(device.give_up_holes(until, self._stride_ns), outcomes):
                return outcomes
        self._breaks.sort(key=lambda each: each.first)
        while self._breaks and self._breaks[0].last < self.grid.time(end - 1):
            seam = self._breaks.pop(0)
            middle = min(max(self.grid.at_or_after(seam.last + 1), first), end)
            outcomes += self._laid(first, middle)
            after = max(self.grid.at_or_after(seam.first), middle)
            outcomes.append(seam._replace(last=middle - 1, first=after))
            first = after
        outcomes += self._laid(first, end)
        self._next = max(first, end)
        self._due = self.grid.time(self._window_end(self._next))
        for device in self.devices:
            device.let_go(self.grid.time(self._next) - device.how.reach.before)
        self._drop_restarted()
        return outcomes

    def _drop_restarted(self) -> None:
        """Let go of devices that were restarted, once nothing they delivered is needed any more."""
        if len(self.devices) > len({device.name for device in self.devices}):
            newest = {device.name: device for device in self.devices}
            self.devices = [each for each in self.devices if each.held or newest[each.name] is each]

    def _laid(self, first: int, end: int) -> Sequence[Outcome]:
        if end <= first:
            return []
        rows = np.full((end - first, self._channels), np.nan, np.float32)
        for device in self.devices:
            if device.held:
                laid, there = device.lay(self.grid, first, end - first), rows[:, device.columns]
                rows[:, device.columns] = np.where(np.isnan(there), laid, there)  # it may have been restarted
        return [Laid(first, rows)]
