"""Maps a device's clock to the wearer's, live, by the least delayed of its readings' arrivals.

A device stamps its readings with its own clock, or only numbers them; what they all share is the clock of the machine
or phone at which they arrive. `ClockMap` says when a reading was taken on that clock, less the least delay of its link,
which nothing that arrives can tell (see `ClockMap`'s `delay_ns`).

A clock that steps is told from a link that stalls by what can be known: no reading arrives before it was taken, and a
link, however bad, delivers some reading in time every minute.

The figures come from the raw streams of ActRecTut (Bulling, Blanke, Schiele, ACM Computing Surveys 46(3):33, 2014),
whose worst device was up to 17 s late, on and off for minutes. From ten seconds after their start on, all fourteen
devices are mapped to within 10 ms of the lower envelope of their whole recording.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kinestream.model.recordings.envelope import SILENCE_NS, Drift, Envelope, Point

Times = npt.NDArray[np.int64]

SECOND = 1_000_000_000
CLOCK = Drift(500e-6, settling_ns=25 * SECOND, minimum_ns=10 * SECOND)
"""A device with a clock: a quartz is good for 100 ppm, and some count in rounded units."""
COUNTER = Drift(0.021, settling_ns=5 * SECOND, minimum_ns=2 * SECOND)
"""A device that numbers its readings: its true rate may be 2% off the stated one, which shows within seconds."""

BACKWARDS_NS = 50_000_000
"""By how much a stamp may lie before the one before it without the clock having stepped back."""
STEP_NS = SECOND
"""The least step that is told from drift and delay."""
LONGEST_STALL_NS = 20 * SECOND
"""A link may hold readings back for so long; seen were 17 s."""
LATE_NS = 60 * SECOND
"""If all readings are late for so long, it is not the link: the worst one seen was never late for more than 30 s."""


@dataclass(frozen=True)
class Step:
    """Where a device's clock and the wearer's part: what was before and what comes after are on different maps.

    Parameters
    ----------
    index : int
        The first reading after it, among those given.
    amount_ns : int
        By how much the device's clock jumped ahead of the wearer's; negative where it fell behind, as it does where a
        device pauses and numbers on.
    """

    index: int
    amount_ns: int


class ClockMap:
    """Says when readings were taken on the wearer's clock, as they arrive.

    Mapped times never decrease but at a step, and run at half the device's pace or faster: where the least delay is
    found to be lower than it was thought, they come closer together for a while. A device that pauses and does not
    count the pause looks like a link that stalls. A pause longer than any stall (20 s) is a step at once; after a
    shorter one times are early by as much until no reading has been timely for a minute.

    Parameters
    ----------
    drift : Drift
        `CLOCK` or `COUNTER`.
    delay_ns : int
        The least delay of the device's link in nanoseconds, where it is known.
    """

    def __init__(self, drift: Drift = CLOCK, delay_ns: int = 0) -> None:
        self._drift = drift
        self._delay = delay_ns
        self._envelope: Envelope | None = None
        self._start = self._offset = 0  # what the envelope's numbers are relative to
        self._alive, self._arrival = 0, 0
        self._last: tuple[int, int] | None = None  # device time and mapped time of the last reading
        self._raised: int | None = None  # since which arrival readings have been late

    def take(self, device: Times, arrival: int) -> tuple[Times, tuple[Step, ...]]:
        """Map readings that arrived together.

        Parameters
        ----------
        device : ndarray of int64, shape (M,)
            When they were taken by the device's clock, in nanoseconds, in the order in which they were taken.
        arrival : int
            When they arrived, in nanoseconds of the wearer's clock.

        Returns
        -------
        times : ndarray of int64, shape (M,)
            When they were taken, in nanoseconds of the wearer's clock, the least delay of the link included.
        steps : tuple of Step
            Where the device's clock stepped.
        """
        # A step may lie within a burst; a part is what surely holds none.
        cuts = np.flatnonzero((np.diff(device) < -BACKWARDS_NS) | (np.diff(device) > STEP_NS)) + 1
        times, steps, begin = np.empty(len(device), np.int64), [], 0
        for end in (*cuts.tolist(), len(device)):
            if end == begin:
                break
            part = device[begin:end]
            amount = self._stepped(int(part[0]), int(part[-1]), arrival)
            if self._raised is None:  # what a stall held back says nothing
                self._alive += min(max(arrival - self._arrival, 0), SILENCE_NS)
            self._arrival = arrival
            envelope = self._envelope if amount is None else None
            self._envelope = envelope = envelope or self._anew(part, arrival)
            newest = int(part[-1])  # those before it only waited longer
            envelope.add(Point(newest - self._start, arrival - newest - self._offset, self._alive))
            times[begin:end], lead = self._map(part, *envelope.line())
            amount = lead if amount is None else amount
            if amount is not None:
                steps.append(Step(begin, amount))
            begin = end
        return times, tuple(steps)

    def _anew(self, part: Times, arrival: int) -> Envelope:
        """Start the map anew at a burst."""
        self._start, self._offset, self._raised = int(part[-1]), arrival - int(part[-1]), None
        if self._last is not None:
            self._last = int(part[0]), self._last[1]
        return Envelope(self._drift, Point(0.0, 0.0, self._alive))

    def _map(self, part: Times, slope: float, height: float) -> tuple[Times, int | None]:
        """Return mapped times, and a step where those before had run too far ahead of them."""
        since = part - self._start
        times = part + self._offset - self._delay + np.rint(slope * since + height).astype(np.int64)
        before, mapped = self._last if self._last is not None else (int(part[0]), int(times[0]))
        half = np.maximum.accumulate(np.maximum(part - before, 0)) // 2
        ahead = mapped - int(times[0])
        if ahead > STEP_NS:
            mapped = int(times[0])
        times = half + np.maximum.accumulate(np.maximum(times - half, mapped))
        self._last = int(part[-1]), int(times[-1])
        return times, -ahead if ahead > STEP_NS else None

    def _stepped(self, first: int, newest: int, arrival: int) -> int | None:
        """Return by how much the device's clock has stepped, if it has."""
        if self._envelope is None or self._last is None:
            return None
        device = float(newest - self._start)
        slope, height = self._envelope.line()
        delay = arrival - newest - self._offset - round(slope * device + height)
        if first < self._last[0] - BACKWARDS_NS:
            return -delay
        unseen = self._drift.most * (device - self._envelope.newest)
        settled = self._envelope.alive >= self._drift.minimum_ns
        if delay < -unseen - (STEP_NS if settled else LONGEST_STALL_NS) or delay > unseen + LONGEST_STALL_NS:
            return -delay
        return -delay if self._stays_behind(delay, arrival) else None

    def _stays_behind(self, delay: int, arrival: int) -> bool:
        """Tell whether readings have been late for so long that no link can be making up for it."""
        if delay < STEP_NS:
            self._raised = None
        elif self._raised is None:
            self._raised = arrival
        return self._raised is not None and arrival - self._raised >= LATE_NS
