"""A wearer's devices, each on a clock and at a rate of its own, laid on the grid of their session.

The problem. A phone sends 102 readings a second and a watch 104, in bursts, over links that delay, lose and reorder
them. A window needs samples of all channels at the same moments, and must not depend on when a message came.

How it works. Each device (`kinestream.streamer.streams.device`) keeps the readings that grid points may still need, in
the order of their numbers. A grid point is settled once every device has delivered, without a hole in its numbers, so
far that nothing more can change it; or once one device has delivered that far and `patience` further: then whoever is
behind is waited for no longer. What is settled when a window's last sample is gets laid, by the same function that lays
recordings, and goes to the stream's buffer as samples on the grid. So a sample is a pure function of the readings
around it.

All times here are the wearer's, in the messages; no clock of ours is read. So replays at any speed give the same.

What would go wrong otherwise. If points were laid before a device that is merely late had delivered, what a window
holds would depend on the network. If the first window began before a streamer that joined late knows all that its
samples depend on, it would differ from the one an undisturbed streamer cut: so it begins behind what a device that was
joined in the middle (its first reading is not number 0) might have sent before. If one device whose clock is wrong
could say how far the time has come, all that others deliver would be late: so it is believed only where nobody else
delivers (`kinestream.streamer.streams.wearerclock`).

Longer than other files: which samples are laid, and when, hangs together.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.errors import ConfigError
from kinestream.model.recordings.resample import resampling
from kinestream.model.recordings.samplegrid import SampleGrid
from kinestream.model.windows.frozen import NEVER, FrozenRule
from kinestream.model.windows.silent import blank_absent
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.device import Device
from kinestream.streamer.streams.jumps import jumps_over
from kinestream.streamer.streams.readingbudget import ReadingBudget
from kinestream.streamer.streams.readinglog import DUE, WAITING, Times, new_shared
from kinestream.streamer.streams.readings import Break, Laid, Outcome, ReadingCounts, StepBack, Undelivered
from kinestream.streamer.streams.wearerclock import ASTRAY_NS, FAR, WearerClock

PATIENCE_S, MOST_PATIENCE_S = 0.3, 0.5
_UNDELIVERED_NS = 10_000_000_000
"""How long readings are kept, and how often it is told, while no device delivers some of the channels."""


class Change(NamedTuple):
    """What a device has become, or is no more: ``silent`` or ``frozen``, as of a row of the window looked at."""

    device: str
    what: str
    is_so: bool
    row: int


def patience_ns(seconds: float) -> int:
    """Return in nanoseconds how patient a streamer is.

    That is, how much further than a window's end one device must have delivered before the others are waited for no
    longer; where readings come in batches, a batch's length more. Past half a second it is of no use: a device that
    says nothing for so long at a window's end counts as absent from it.

    Raises
    ------
    ConfigError
        Where it is less than 0 or more than half a second.
    """
    if not 0 <= seconds <= MOST_PATIENCE_S:
        raise ConfigError("the recognizer", [f"patience: give 0 to {MOST_PATIENCE_S:g} seconds, not {seconds:g}"])
    return round(seconds * 1e9)


class DeviceSet:
    """The devices of one session of a stream.

    Parameters
    ----------
    grid : SampleGrid
        Where samples lie.
    channels, length, stride : int
        Channels of the bundle, and samples of its window and from one to the next.
    patience_ns : int
        See the function of that name.
    frozen : FrozenRule
        When a device is frozen, and what is done then.
    most_laid : int
        Samples that are laid at once, or a window more; without it, all that are settled.
    budget : ReadingBudget, optional
        What bounds the memory of all sets; without it, each device is bounded on its own.

    Attributes
    ----------
    has_more : bool
        Whether more samples are settled than were laid: `lay_more` lays them.
    came_late : int
        Readings of the last message that came too late.
    undelivered : ndarray of int
        Channels of the bundle that no device delivers.
    frozen : FrozenRule
        As given; of another bundle once it was reloaded.
    waits_for_all : bool
        Whether every device is waited for until it ends or is given up, since what it sends comes some day.
    is_cut_short : bool
        Whether it was given up while readings waited that are to be sent again.
    counted : dict of int by str
        What of `counts` has been added to those of all streams.
    """

    def __init__(
        self,
        grid: SampleGrid,
        *,
        channels: int,
        length: int,
        stride: int,
        patience_ns: int = patience_ns(PATIENCE_S),
        frozen: FrozenRule = NEVER,
        most_laid: int = sys.maxsize,
        budget: ReadingBudget | None = None,
    ) -> None:
        self.grid = grid
        self.devices: list[Device] = []
        self.has_more = False
        self.came_late = 0
        self.counted: dict[str, int] = {}
        self.waits_for_all = False
        self.is_cut_short = False
        self._given_up = False  # whether it is waited no longer for whoever delivers what no device does
        self._goes_without = False  # whether samples are laid without that
        self._lacks_since: int | None = None  # since when that is waited for, on the monotonic clock
        self._counts = ReadingCounts()
        self._channels, self._length, self._stride = channels, length, stride
        self._stride_ns = stride * grid.period_ns
        self._patience_ns = patience_ns
        self._most_laid, self._budget = most_laid, budget
        self._next: int | None = None  # the next sample to lay; None before the first
        self._due = 0  # when the last sample of the next window lies, ns
        self._shared = new_shared()
        self.undelivered = np.arange(channels)
        self._absent: set[tuple[str, str]] = set()
        self.frozen = frozen
        self._breaks: list[Break] = []
        self._reported = 0  # by the wearer's clock, when it was told that channels are not delivered
        self._clock = WearerClock(patience_ns)
        self._settled = -1  # until when samples may be laid

    def add(self, name: str, rate_hz: float, delivered: DeviceColumns) -> Device:
        """Add a device; one of this name that is there already has been restarted, and delivers no more."""
        for before in self.devices:
            before.ended |= before.name == name
        device = Device(name, rate_hz, delivered, resampling(rate_hz, self.grid), self._stride_ns, self._shared)
        if self._next is not None:
            device.let_go(self.grid.time(self._next) - device.how.reach.before, self._counts)
        self._set_devices([*self.devices, device])
        self._drop_restarted()
        self._lacks_since = None
        every = np.concatenate([device.columns for device in self.devices])
        self.undelivered = np.setdiff1d(np.arange(self._channels), every)
        return device

    def _set_devices(self, devices: list[Device]) -> None:
        self.devices = devices
        half_widths = [device.how.half_width for device in devices]
        self._furthest, self._nearest = max(half_widths), min(half_widths)
        names = dict.fromkeys(device.name for device in devices)
        self._columns = {
            name: np.concatenate([each.columns for each in devices if each.name == name]) for name in names
        }

    @property
    def ended(self) -> bool:
        """Whether every device has ended, and none is waited for that is described later."""
        return not self.waits_for_more and all(device.ended for device in self.devices)

    @property
    def waits_for_more(self) -> bool:
        """Whether devices are waited for that are yet to be described."""
        return self.waits_for_all and not self._given_up and not self.is_complete

    @property
    def is_begun(self) -> bool:
        """Whether readings wait in it of devices that are all waited for."""
        return self.waits_for_all and self.waiting > 0

    @property
    def is_complete(self) -> bool:
        """Whether every channel of the bundle is delivered, or those that are not are waited for no longer."""
        return self._goes_without or not len(self.undelivered)

    @property
    def counts(self) -> ReadingCounts:
        """What became of the readings so far."""
        self._counts.received += sum(device.count_taken() for device in self.devices)
        return self._counts

    @property
    def bytes(self) -> int:
        """Memory that readings take."""
        return sum(device.bytes for device in self.devices)

    @property
    def absent(self) -> frozenset[tuple[str, str]]:
        """Devices that were ``silent`` or ``frozen`` at the end of the last window, each with which it was."""
        return frozenset(self._absent)

    @property
    def waiting(self) -> int:
        """Readings that are kept and not counted as anything else yet."""
        return sum(device.waiting for device in self.devices)

    def take(self, device: Device, seq: int, times: Times, values: Rows) -> list[Outcome]:
        """Take consecutive readings of a device; return what comes of them, in order."""
        if device not in self.devices:  # it was restarted, and all that was needed of it is laid
            self._counts.received += len(times)
            self._counts.late += len(times)
            self.came_late = len(times)
            return []
        outcomes: list[Outcome] = []
        late = self._counts.late
        stepped = self._sorted(device.take(seq, times, values, self._counts), outcomes)
        self.came_late = self._counts.late - late
        if stepped:
            outcomes = self._step_back(device, outcomes)
        self._counts.dropped += device.keep_at_most(2 * device.most_held)
        if self._budget is not None:
            self._budget.note(self)
        if self.is_complete:
            if self._next is None:
                self._expect()
            return outcomes + self.look() if device.newest >= self._shared[DUE] else outcomes
        if device.newest > self._reported + _UNDELIVERED_NS:
            if self._reported:
                outcomes.append(Undelivered(tuple(self.undelivered.tolist())))
            self._reported = device.newest
        if not self.waits_for_more:
            self._counts.dropped += device.drop_before(device.newest - _UNDELIVERED_NS)
        return outcomes

    def look(self) -> list[Outcome]:
        """Lay what is settled, if a window is due; to be called when one may be: a device has reached its end."""
        self._shared[WAITING] = 0
        newest = self._clock.believed(self.devices)
        if newest is None:
            return []
        if self._next is None:
            self._expect()
        due, longest, everybody_is_there, too_much = self._due, 0, True, False
        for device in self.devices:
            reached = device.newest
            longest = max(longest, device.longest_ns(newest))
            everybody_is_there &= reached >= due or device.ended or device.given_up
            too_much |= device.held > device.most_held and reached <= newest
        until = -1 if self.waits_for_all else newest - self._furthest - self._patience_ns - longest
        if too_much and not self.waits_for_all:
            until = max(until, newest - self._furthest)
        elif until < due and not everybody_is_there:
            return []  # nothing is settled past what a device has delivered: to look closer takes longer
        settled = [self._settled_until(device) for device in self.devices]
        if None not in settled:
            earliest = min(moment for moment in settled if moment is not None)
            until = max(until, newest if earliest >= FAR else earliest)  # those that ended, and those given up
        return self._lay(until) if due <= until else []

    def _settled_until(self, device: Device) -> int | None:
        """Return until when grid points no longer change, whatever a device delivers; None where that is not known.

        Where all are waited for, a hole in a device's own numbers is so for `patience` of its own time.
        """
        if device.given_up or (self.waits_for_all and device.ended and device.newest < 0):
            return FAR
        settled = device.settled()
        if settled is None or not self.waits_for_all or device.newest < 0:
            return settled
        waited = device.newest - self._furthest - self._patience_ns - device.longest_ns(device.newest)
        return max(settled, waited)

    def is_ahead(self, device: Device) -> bool:
        """Tell whether a device has delivered as much as is kept while others are waited for.

        Where memory is used up, that is as much as others have delivered, or nothing while some are not described.
        """
        if not self.waits_for_all or device.held >= device.most_held:
            return self.waits_for_all
        if self._budget is None or not self._budget.is_used_up:
            return False
        self._budget.note(self)  # some may have been laid since
        waited_for = [each.newest for each in self.devices if not (each.ended or each.given_up)]
        return self._budget.is_used_up and (not self.is_complete or device.newest > min(waited_for, default=-1))

    def give_up_silent(self, now: int, for_ns: int) -> list[Outcome] | None:
        """Wait no longer for devices that have delivered nothing for so long while others have gone past them.

        Nor for devices that were not described for so long, though no other delivers some of the channels. To be asked
        often.

        Parameters
        ----------
        now, for_ns : int
            The time on the monotonic clock, and how long, ns.

        Returns
        -------
        list of Outcome or None
            What comes of that; None where nobody is given up.
        """
        if not self.waits_for_all:
            return None
        if not self.is_complete:
            return self._give_up_undelivered(now, for_ns)
        furthest = max(device.newest for device in self.devices)
        silent = [
            device
            for device in self.devices
            if device.is_silent(now, for_ns, is_put_off=self.is_ahead(device)) and device.newest < furthest
        ]
        if not silent:
            return None
        for device in silent:
            device.given_up = True
        return self.look()

    def _give_up_undelivered(self, now: int, for_ns: int) -> list[Outcome] | None:
        """Wait no longer for whoever delivers what no device does.

        Where the session was joined in the middle, it may have ended or died before, and samples are laid without it.
        """
        if not any(device.newest >= 0 for device in self.devices) and not all(device.ended for device in self.devices):
            return None
        self._lacks_since = now if self._lacks_since is None else self._lacks_since
        if self._given_up or now - self._lacks_since <= for_ns:
            return None
        self._given_up = True
        self._goes_without = any(device.first_seq > 0 for device in self.devices)
        for device in () if self._goes_without else self.devices:
            self._counts.dropped += device.drop_before(device.newest - _UNDELIVERED_NS)
        outcomes: list[Outcome] = [Undelivered(tuple(self.undelivered.tolist()))]
        if self.ended:
            return outcomes + self._lay_rest()
        return outcomes + self.look() if self._goes_without else outcomes

    def needed_from(self, first: int | None) -> int:
        """Return from which time on readings are needed, ns, by what is laid from now on and from sample `first` on."""
        if self._next is None:
            return 0
        begin = self._next if first is None else min(first, self._next)
        return self.grid.time(begin) - max(device.how.reach.before for device in self.devices)

    def lay_more(self) -> list[Outcome]:
        """Lay more of what is settled."""
        return self._lay(self._settled) if self.has_more else []

    def would_lay(self, device: Device, times: Times) -> int:
        """Return how many samples may come of readings that wait for their turn."""
        since = device.newest if device.newest >= 0 else int(times[0])
        bridged = len(times) * device.how.longest_gap
        return min(max(int(times[-1]) - since, 0), bridged) // self.grid.period_ns

    def keep_bytes(self, most: int, *, even_received: bool) -> None:
        """Drop the oldest readings where all take more than so many bytes; `even_received` ones that are tracked."""
        share = most / max(self.bytes, 1)
        for device in self.devices if share < 1 else ():
            if even_received or not self.waits_for_all:
                self._counts.dropped += device.keep_at_most(int(device.held * share))
            device.log.fit(0)

    def begin_anew(self) -> None:
        """Forget what has come so far: what comes next may lie at any time."""
        for device in self.devices:
            self._counts.unfinished += device.waiting
            device.begin_anew()
        self._next = None
        self._clock.forget()
        self._due = self._shared[DUE] = self._shared[WAITING] = 0
        self._reported, self.has_more = 0, False
        self._breaks.clear()
        self._absent.clear()

    def part(self, device: Device, time: int) -> int | None:
        """Forget what a device has delivered so far, since what it delivers from a time on does not follow that.

        Parameters
        ----------
        device : Device
            Which.
        time : int
            When the first of what it delivers next was taken, ns.

        Returns
        -------
        int or None
            At which sample windows begin anew; None where none has begun.
        """
        begins = self.grid.at_or_after(time + device.how.half_width)
        others = [each.newest for each in self.devices if each is not device and each.newest >= 0 and not each.ended]
        if not others:
            self.begin_anew()
            return begins
        self._counts.unfinished += device.waiting
        device.begin_anew()
        self._breaks = [each for each in self._breaks if each.device != device.name]
        if self._next is not None:
            if time <= max(others) + ASTRAY_NS:  # what is further ahead may be wrong
                self._next = max(self._next, begins)
            reached = self.grid.time(self._next)
            for each in self.devices:
                self._counts.late += each.need_from(reached - each.how.reach.before)
        self._expect()
        return self._next

    def close(self) -> None:
        """End the session: whatever waits is given up."""
        self._counts = self.counts
        if self._next is not None:
            for device in self.devices:
                device.let_go(self.grid.time(self._next), self._counts)
        self.begin_anew()
        if self._budget is not None:
            self._budget.forget(self)

    def _step_back(self, device: Device, outcomes: list[Outcome]) -> list[Outcome]:
        """Begin anew where a device's clock was set back, the last outcome, behind what all have delivered till then.

        What the other devices say is the time from now on, if there are others.
        """
        self._counts = self.counts
        *before, step = outcomes
        heard = [each for each in self.devices if each.newest >= 0 and (each is device or not each.ended)]
        before += self._lay(min((each.newest for each in heard), default=-1), give_up=False)
        time = max((each.newest for each in heard if each is not device), default=None)
        after: list[Outcome] = []
        for _ in range(2):  # a message that steps back again and again is heard twice
            rest = device.rest
            self.begin_anew()
            if rest is None or not self._sorted(device.go_on(*rest, self._counts), after):
                break
        if device.rest is not None:
            self._counts.astray += len(device.rest[1])
            device.rest = None
        self._clock.set_back(time)
        return [*before, step, *(each for each in after if not isinstance(each, StepBack))]

    def look_at(self, rows: Rows) -> tuple[dict[str, float], list[Change]]:
        """Blank the devices that are absent at the end of a window; see `kinestream.model.windows.silent`.

        Parameters
        ----------
        rows : ndarray of float32, shape (T, C)
            The window; what an absent device delivered of it becomes NaN.

        Returns
        -------
        missing : dict of float by str
            The share of the window's samples in which each device has no reading.
        changes : list of Change
            Devices that have become silent or frozen since the window before, or are so no more.
        """
        names = list(self._columns)
        found = blank_absent(rows[None], list(self._columns.values()), self.grid.rate, self.frozen)
        last = len(rows) - 1
        changes: list[Change] = []
        for name, silent, since in zip(names, found.silent[0].tolist(), found.frozen_since[0].tolist(), strict=True):
            for what, row in (("silent", last if silent else -1), ("frozen", since)):
                if (row >= 0) != ((name, what) in self._absent):
                    self._absent ^= {(name, what)}
                    changes.append(Change(name, what, row >= 0, row if row >= 0 else last))
        return dict(zip(names, found.missing[0].tolist(), strict=True)), changes

    def end(self, device: Device) -> list[Outcome]:
        """Note that a device delivers no more; once none does, lay all that is left."""
        device.ended = True
        return self._lay_rest() if self.ended else self.lay_more()

    def _lay_rest(self) -> list[Outcome]:
        """Lay all that is left, since nothing more comes."""
        if not any(each.newest >= 0 for each in self.devices):
            return self.lay_more()
        outcomes: list[Outcome] = []
        for each in self.devices:  # nothing fills their holes any more, and what lies behind says how far they came
            if self._sorted(each.give_up_holes(FAR, self._counts), outcomes):
                return self._step_back(each, outcomes)
        limit = (self._clock.believed(self.devices) or FAR) + ASTRAY_NS
        return outcomes + self._lay(max((each.newest for each in self.devices if each.newest <= limit), default=-1))

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

    def _window_end(self, first: int) -> int:
        """Return the last sample of the first window that is not laid whole before `first`."""
        window = max(-(-(first + 1 - self._length) // self._stride), 0)
        return window * self._stride + self._length - 1

    def _expect(self) -> None:
        """Reckon when the next window is due; before the first sample is laid that depends on who has been heard."""
        first = self._next if self._next is not None else self._begin()
        if first is not None:
            self._due = self.grid.time(self._window_end(first))
            self._shared[DUE] = self._due + self._nearest  # what a device delivers is not settled before

    def _begin(self) -> int | None:
        heard = [device for device in self.devices if device.first_seq >= 0]
        if not heard:
            return None
        now = self._clock.time or 0
        heard = [device for device in heard if device.newest >= now - ASTRAY_NS] or heard
        begins = min(device.first_time for device in heard)
        joined = [device.first_time + device.how.half_width for device in heard if device.first_seq > 0]
        joined = [time for time in joined if time <= begins + ASTRAY_NS]  # what is further ahead may be wrong
        return max(self.grid.at_or_after(max([begins, *joined])), 0)  # there are no samples before the origin

    def _lay(self, until: int, *, give_up: bool = True) -> list[Outcome]:
        """Lay samples that lie at or before a time and were not laid yet: all, or `most_laid` of them."""
        first = self._next if self._next is not None else self._begin()
        end = self.grid.at_or_after(until + 1)
        self._settled, self.has_more = until, False
        if first is None or end <= first or not self.is_complete:
            return []
        if self._next is None:
            for device in self.devices:
                self._counts.late += device.need_from(self.grid.time(first) - device.how.reach.before)
        outcomes: list[Outcome] = []
        for device in self.devices if give_up else ():
            if self._sorted(device.give_up_holes(until, self._counts), outcomes):
                return self._step_back(device, outcomes)
        doubted = [moment for device in self.devices if give_up and (moment := device.doubted_at) is not None]
        if doubted:  # whether there is a seam is known once a hole is given up that is before what tells
            end = max(min(end, self.grid.at_or_after(min(doubted))), first)
        stop = min(end, first + self._most_laid)
        is_plain = not self._breaks and end - first <= self._length
        for jump in () if is_plain else jumps_over(first, end, self._breaks, self.devices, self.grid, self._length):
            if jump.begin > stop:
                break
            outcomes += self._laid(first, jump.begin)
            first = max(first, jump.begin)
            if jump.is_hole and jump.after > end:
                end = stop = first
                break
            first = max(first, jump.after)
            for seam in jump.seams:
                until = min(self.grid.at_or_after(seam.last + 1), jump.begin)
                outcomes.append(Break(seam.device, until - 1, jump.after))
                self._breaks.remove(seam)
        outcomes += self._laid(first, stop)
        self._next = max(first, stop)
        self.has_more = self._next < end
        self._expect()
        reached = self.grid.time(self._next)
        for device in self.devices:
            device.let_go(reached - device.how.reach.before, self._counts)
        self._drop_restarted()
        return outcomes

    def _drop_restarted(self) -> None:
        """Let go of devices that were restarted, once nothing they delivered is needed any more."""
        if len(self.devices) > len({device.name for device in self.devices}):
            self._counts = self.counts  # what they took is counted
            newest = {device.name: device for device in self.devices}
            self._set_devices([each for each in self.devices if each.held or newest[each.name] is each])

    def _laid(self, first: int, end: int) -> Sequence[Outcome]:
        if end <= first:
            return []
        rows = np.full((end - first, self._channels), np.nan, np.float32)
        points = self.grid.times(first, end - first)
        for device in self.devices:
            if device.held:
                device.lay(points, rows)  # where they are NaN: it may have been restarted
        return [Laid(first, rows)]
