"""One of a wearer's devices: what it has delivered, where its times and numbers part, and at which rate it comes.

What does not simply follow the reading before it is set aside until the next one says whether to believe it. So a time
that is wrong costs one reading, and what is believed depends on the readings in the order of their numbers alone,
however they came.

Longer than other files: all of it is one state, and whatever is taken touches most of it.
"""

from array import array
from collections import deque
from collections.abc import Iterator

import numpy as np

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.model.recordings.resample import Resampling, fill, settled_until
from kinestream.model.recordings.seams import DOUBT_NS, effective_rate, follows
from kinestream.streamer.streams.arena import Rows
from kinestream.streamer.streams.readinglog import (
    IN_ORDER,
    LAST,
    LONGEST,
    NEEDED,
    NEWEST,
    NEXT,
    RATE_SEQ,
    RATE_TIME,
    RATE_TOLD,
    RATE_TOLERANCE,
    TAKEN,
    ReadingLog,
    Times,
)
from kinestream.streamer.streams.readings import Break, Lost, Outcome, ReadingCounts, StepBack, WrongRate

_LOST_REMEMBERED = 16
"""Holes of a device of which is remembered that they were given up: what fills them after that comes late."""
_STRAYS_REMEMBERED = 64
"""Readings that fitted nowhere of which that is remembered: the same again are no counter that wraps."""
_LENGTH_KNOWN_NS = 30_000_000_000
"""A long message makes whoever waits for a device more patient in this half minute of the wearer's and the next."""


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
    stride_ns : int
        By how much its times may differ from what its numbers say.
    shared : array of int64
        What it shares with the session's other devices: see `kinestream.streamer.streams.readinglog.SHARED`.

    Attributes
    ----------
    log : ReadingLog
        Its readings without a hole. Those that simply come next may be added to it without `take` being called.
    given_up : bool
        Whether it is waited for no longer, since it was silent for so long.
    rest : tuple or None
        What a message held from where its clock was set back, once that was told: number, times, values.
    """

    def __init__(
        self,
        name: str,
        rate_hz: float,
        delivered: DeviceColumns,
        how: Resampling,
        stride_ns: int,
        shared: "array[int]",
    ) -> None:
        self.name, self.rate_hz, self.columns, self.how = name, rate_hz, delivered.columns, how
        self.ended = False
        self.given_up = False
        self._heard, self._heard_at = -2, 0  # how far it had come when `is_silent` was last asked, and since when
        # Readings that came too late and were not reported yet, and when others were.
        self.late, self.reported_ns = 0, 0
        self.log = ReadingLog(rate_hz, delivered, stride_ns, shared)
        self.most_held = self.log.most_held
        self._marks, self._stride_ns = self.log.marks, stride_ns
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what has come so far: what comes next is the first."""
        self.log.clear()
        self.first_seq = -1  # of the first reading that came
        self.first_time = 0
        self.rest: tuple[int, Times, Rows] | None = None
        self._laid = False  # whether any of its readings were
        self._aside: tuple[int, Times, Rows] | None = None  # a reading that does not follow those before it
        self._strays: deque[int] = deque(maxlen=_STRAYS_REMEMBERED)  # numbers of those that nothing followed either
        self._skipped = 0  # numbers that were left out of the log since its last reading
        self._lost: list[tuple[int, int]] = []  # numbers of readings that are waited for no longer, [first, end)
        self._beyond: list[tuple[int, Times, Rows]] = []  # behind holes, by number
        self._renumbered = 0  # what is added to its numbers, since they began anew
        self._renumbered_at = 0  # when they did
        self._anew: tuple[int, int] | None = None  # number and time of what would have them begin anew, much later
        self._period, self._longest_before = -1, 0

    @property
    def held(self) -> int:
        """Readings that are kept."""
        beyond = sum(len(times) for _, times, _ in self._beyond) if self._beyond else 0
        return self.log.held + beyond + (self._aside is not None)

    @property
    def waiting(self) -> int:
        """Readings that are kept and were not counted yet: neither used nor late."""
        return self.held - int(self.log.times.searchsorted(self._marks[NEEDED]))

    @property
    def bytes(self) -> int:
        """What they take."""
        beyond = sum(times.nbytes + values.nbytes for _, times, values in self._beyond) if self._beyond else 0
        return self.log.bytes + beyond

    @property
    def newest(self) -> int:
        """Time of the newest reading, holes or not; -1 before the first."""
        return self._marks[NEWEST]

    @property
    def reached(self) -> int:
        """How far its numbers have come, those of lost readings included; 0 before the first."""
        return self._marks[NEXT]

    def is_silent(self, now: int, for_ns: int, *, is_put_off: bool = False) -> bool:
        """Tell whether it has delivered nothing for so long by `now`, on the monotonic clock, ns; to be asked often.

        While what it sends `is_put_off`, it is not silent.
        """
        if self.newest != self._heard or is_put_off:
            self._heard, self._heard_at, self.given_up = self.newest, now, False
        return not self.ended and not self.given_up and now - self._heard_at > for_ns

    def longest_ns(self, now: int) -> int:
        """Return what the longest message of late spanned: readings wait for so long to be sent.

        `now` is on the wearer's clock, ns.
        """
        period = now // _LENGTH_KNOWN_NS
        if period != self._period:
            if self._period >= 0:
                self._longest_before = self._marks[LONGEST] if period == self._period + 1 else 0
                self._marks[LONGEST] = 0
            self._period = period
        return max(self._marks[LONGEST], self._longest_before)

    def count_taken(self) -> int:
        """Return how many readings were added to its log, but by `take`, since this was asked."""
        taken, self._marks[TAKEN] = self._marks[TAKEN], 0
        return taken

    def take(self, seq: int, times: Times, values: Rows, counts: ReadingCounts) -> Iterator[Outcome]:
        """Take consecutive readings; yield where they part from those before.

        Parameters
        ----------
        seq : int
            Number of the first.
        times : ndarray of int64, shape (n,)
            When each was taken, ns.
        values : ndarray of float32, shape (n, width)
            All the device's columns.
        counts : ReadingCounts
            Where those that are of no use are counted.
        """
        counts.received += len(times)
        seq += self._renumbered
        if self._renumbered and times[-1] < self._renumbered_at:
            counts.late += len(times)  # from before its numbers began anew
            return
        self.log.heard(times)
        yield from self._take(seq, times, self.log.choose(values), counts)
        self._note_order()

    def go_on(self, seq: int, times: Times, chosen: Rows, counts: ReadingCounts) -> Iterator[Outcome]:
        """Take the `rest` of a message, from where the clock was set back, now that all before it is forgotten."""
        yield from self._take(seq, times, chosen, counts)
        self._note_order()

    def _note_order(self) -> None:
        """Note whether whatever comes next may simply be added to the log."""
        self._marks[IN_ORDER] = not (self._beyond or self._aside or self._skipped or self._renumbered)

    def _take(self, seq: int, times: Times, chosen: Rows, counts: ReadingCounts) -> Iterator[Outcome]:
        if self.first_seq < 0:
            self._begin(seq, times)
        elif seq < self.first_seq and not self._laid and not self._strays and (self.log.held or self._aside):
            # The first messages came in another order: what was there waits behind these.
            before, readings = self.log.times.copy(), self.log.values.copy()
            if self._aside is not None:
                before = np.concatenate([before, self._aside[1]])
                readings = np.concatenate([readings, self._aside[2]])
            self._beyond.insert(0, (self.first_seq, before, readings))
            self.log.drop(self.log.held)
            self._aside, self._skipped = None, 0
            self._marks[LAST] = -1
            self._begin(seq, times)
        marks = self._marks
        if seq + len(times) <= marks[NEXT] and self._begins_anew(seq, times):
            yield from self._renumber(seq, times, chosen, counts)
            return
        if seq < marks[NEXT]:
            known_count = min(marks[NEXT] - seq, len(times))
            gone = [(min(seq, self.first_seq), self.first_seq), *self._lost]
            late = sum(max(min(end, seq + known_count) - max(first, seq), 0) for first, end in gone)
            counts.late += late
            counts.duplicate += known_count - late
            seq, times, chosen = seq + known_count, times[known_count:], chosen[known_count:]
        if not len(times):
            return
        if seq > marks[NEXT]:
            self._keep_beyond(seq, times, chosen, counts)
            return
        yield from self._append(seq, times, chosen, counts)
        while self._beyond and self._beyond[0][0] <= marks[NEXT] and self.rest is None:
            seq, times, chosen = self._beyond.pop(0)
            known_count = min(marks[NEXT] - seq, len(times))
            counts.duplicate += known_count
            if known_count < len(times):
                yield from self._append(seq + known_count, times[known_count:], chosen[known_count:], counts)

    def _begin(self, seq: int, times: Times) -> None:
        self.first_seq, self.first_time, self._marks[NEXT] = seq, int(times[0]), seq
        self._marks[RATE_SEQ], self._marks[RATE_TIME] = seq, int(times[0])

    def _begins_anew(self, seq: int, times: Times) -> bool:
        """Tell whether readings whose numbers are known are newer than all before: a counter has wrapped."""
        first = int(times[0])
        if first <= self.newest or seq in self._strays or (self._aside and self._aside[0] <= seq):
            return False
        if first - self.newest <= DOUBT_NS:
            return True
        before, self._anew = self._anew, (seq, first)  # one wrong time would do: let another say so, too
        return before is not None and before[0] < seq and 0 <= first - before[1] <= DOUBT_NS

    def _renumber(self, seq: int, times: Times, chosen: Rows, counts: ReadingCounts) -> Iterator[Outcome]:
        """Take readings that are newer than all before, but whose numbers begin anew."""
        before, marks = self.newest, self._marks
        yield from self.give_up_holes(before, counts)
        if self.rest is not None:
            return
        counts.astray += self._aside is not None
        self._aside, self._anew = None, None
        yield Break(self.name, before, int(times[0]))
        self._renumbered += marks[NEXT] - seq
        self._renumbered_at, self._skipped = int(times[0]), 0
        marks[RATE_SEQ], marks[RATE_TIME] = marks[NEXT], int(times[0])
        yield from self._append(marks[NEXT], times, chosen, counts, is_first=True)

    def settled(self) -> int | None:
        """Until when grid points no longer change, whatever it delivers; None where it has delivered nothing."""
        if self.ended:
            return None if self.newest < 0 else 1 << 62
        return settled_until(self.log.times, self.log.values, self.how)

    def readings(self) -> tuple[Times, Rows]:
        """Return what there is, holes or not, up to where the clock was set back: times, shape (n,), and values."""
        times, values = self.log.times, self.log.values
        for _, later, readings in self._beyond:
            if (len(times) and later[0] < times[-1]) or (later[1:] < later[:-1]).any():
                break  # which is told as soon as that is reached
            times, values = np.concatenate([times, later]), np.concatenate([values, readings])
        return times, values

    def lay(self, points: Times, rows: Rows) -> None:
        """Lay what is there on points of the grid, in its columns of their rows, where these are NaN."""
        self._laid = True
        times, values = self.readings() if self._beyond else (self.log.times, self.log.values)
        fill(rows, self.columns, times, values, points, self.how)

    @property
    def doubted_at(self) -> int | None:
        """When a reading was taken that is set aside until a hole behind it is given up; None where there is none."""
        if self._aside is None or not self._beyond:
            return None
        moment = int(self._aside[1][0])
        return moment if self.log.last is not None and moment > self.log.last else None

    def give_up_holes(self, until: int, counts: ReadingCounts) -> Iterator[Outcome]:
        """Wait no longer for readings that would lie before a time; yield what was lost, and what that shows.

        What follows without another hole is taken, too, be it later: it tells whether what is behind the hole follows.
        """
        while self._beyond and self.rest is None:
            seq, times, values = self._beyond[0]
            if times[0] > until and seq > self._marks[NEXT]:
                return
            self._beyond.pop(0)
            following = self._marks[NEXT]
            if seq > following:
                self._lost = [*self._lost, (following, seq)][-_LOST_REMEMBERED:]
                yield Lost(self.name, following, seq - 1)
            known = min(max(following - seq, 0), len(times))
            counts.duplicate += known
            yield from self._append(seq + known, times[known:], values[known:], counts)
            self._note_order()

    def keep_at_most(self, readings: int) -> int:
        """Drop the oldest readings where there are more than so many; return how many of those had not been used."""
        before, excess = self.waiting, self.held - readings
        if excess <= 0:
            return 0
        from_log = min(excess, self.log.held)
        excess -= from_log
        while excess > 0 and len(self._beyond) > 1:
            excess -= len(self._beyond.pop(0)[1])
        self._drop(from_log)
        return before - self.waiting

    def let_go(self, before: int, counts: ReadingCounts) -> None:
        """Drop readings that no grid point needs any more: what comes of that time is late."""
        times = self.log.times
        drop = int(times.searchsorted(before))
        if drop:
            counts.used += drop - int(times.searchsorted(self._marks[NEEDED]))
        self._marks[NEEDED] = max(self._marks[NEEDED], before)
        self._drop(drop)

    def need_from(self, time: int) -> int:
        """Drop readings that lie before the first sample that is laid; return how many."""
        dropped = self.drop_before(time)
        self._marks[NEEDED] = max(self._marks[NEEDED], time)
        return dropped

    def drop_before(self, time: int) -> int:
        """Drop readings that nobody has used; return how many."""
        before = self.waiting
        self._drop(int(self.log.times.searchsorted(time)))
        return before - self.waiting

    def _drop(self, count: int) -> None:
        self.log.drop(count)

    def _append(
        self, seq: int, times: Times, values: Rows, counts: ReadingCounts, *, is_first: bool = False
    ) -> Iterator[Outcome]:
        """Add readings to the log, but for those whose times fit neither what was before nor what comes next.

        Parameters
        ----------
        seq, times, values, counts
            As for `take`, with the columns chosen.
        is_first : bool
            Whether the first follows the reading before it, whatever their times say.
        """
        if not len(times):
            return
        last = None if is_first else self.log.last
        steps = np.empty_like(times)  # written out, since it runs for every message
        steps[0] = 0 if last is None else times[0] - last
        np.subtract(times[1:], times[:-1], out=steps[1:])
        least, most = (int(steps[0]), int(steps[0])) if len(steps) == 1 else (int(steps.min()), int(steps.max()))
        limit = self._stride_ns if self.rate_hz else DOUBT_NS
        at_once = seq == self._marks[NEXT] and not self._skipped and most <= limit
        if self._aside is None and least >= 0 and (at_once or self._fit(seq, steps, last)):
            self._add(times, values, counts)
            self._skipped = 0
        else:
            yield from self._sift(seq, times, values, last, counts)
            if self.rest is not None:
                return
        self._marks[NEXT] = seq + len(times)
        yield from self._look_at_rate()

    def _fit(self, seq: int, steps: Times, last: int | None) -> bool:
        """Tell whether all readings follow one another, and the first the last in the log; it may say no too often."""
        limit = self._stride_ns if self.rate_hz else DOUBT_NS
        if len(steps) > 1 and int(steps[1:].max()) > limit:
            return False
        before = self._before
        return last is None or follows(seq - before, int(steps[0]), self._rate(before, last), self._stride_ns)

    @property
    def _before(self) -> int:
        """Number of the last reading in the log."""
        return self._marks[NEXT] - 1 - self._skipped

    def _rate(self, number: int, time: int) -> float:
        """Return at which rate readings come, by the last in the log; 0 where they are irregular."""
        if not self.rate_hz:
            return 0.0
        return effective_rate(self.rate_hz, number - self._marks[RATE_SEQ], time - self._marks[RATE_TIME])

    def _sift(self, seq: int, times: Times, values: Rows, last: int | None, counts: ReadingCounts) -> Iterator[Outcome]:
        """Add readings of which some do not follow those before them.

        Such a one is set aside. If the next one follows it, the clock was set: back, and nothing from there on is
        added; or ahead, a seam. If the next one follows those before it, its time was wrong, and it is left out.
        """
        numbers = list(range(seq, seq + len(times)))
        aside, self._aside = self._aside, None
        if aside is not None:
            numbers.insert(0, aside[0])
            times, values = np.concatenate([aside[1], times]), np.concatenate([aside[2], values])
        moments = times.tolist()
        before, stride_ns = self._before, self._stride_ns
        odd = None if aside is None else 0
        kept: list[int] = []
        for at in range(0 if aside is None else 1, len(moments)):
            number, moment = numbers[at], moments[at]
            rate = 0.0 if last is None else self._rate(before, last)
            if last is None or follows(number - before, moment - last, rate, stride_ns):
                self._leave_out(odd, numbers, counts)
            elif odd is not None and follows(number - numbers[odd], moment - moments[odd], rate, stride_ns):
                if moments[odd] < last:
                    self._leave_out(odd, numbers, counts)
                    self._add(times[kept], values[kept], counts)
                    self.rest = number, times[at:], values[at:]
                    yield StepBack(self.name, last, moments[odd])
                    return
                yield Break(self.name, last, moments[odd])
                self._marks[RATE_SEQ], self._marks[RATE_TIME] = numbers[odd], moments[odd]
                kept.append(odd)
            elif -stride_ns <= moment - last < 0:
                self._leave_out(at, numbers, counts)  # a clock that stutters
                continue
            else:
                self._leave_out(odd, numbers, counts)
                odd = at
                continue
            odd = None
            kept.append(at)
            last, before = moment, number
        self._add(times[kept], values[kept], counts)
        self._skipped = numbers[-1] - before
        if odd is not None:
            self._aside = numbers[odd], times[odd : odd + 1].copy(), values[odd : odd + 1].copy()

    def _leave_out(self, at: int | None, numbers: list[int], counts: ReadingCounts) -> None:
        if at is not None:
            counts.astray += 1
            self._strays.append(numbers[at])

    def _add(self, times: Times, values: Rows, counts: ReadingCounts) -> None:
        if not len(times):
            return
        if times[0] < self._marks[NEEDED]:
            counts.late += int(times.searchsorted(self._marks[NEEDED]))
        self.log.add(times, values)

    def _keep_beyond(self, seq: int, times: Times, values: Rows, counts: ReadingCounts) -> None:
        place = len(self._beyond)
        for at, (known, known_times, _) in enumerate(self._beyond):
            if known <= seq and seq + len(times) <= known + len(known_times):
                counts.duplicate += len(times)
                return
            if known > seq:
                place = at
                break
        self._beyond.insert(place, (seq, times, values))
        newest, last = int(times[-1]), self.log.last
        if last is not None:  # a wrong time is found out only once its turn has come
            before = self._before
            numbers = seq + len(times) - 1 - before
            most = numbers * 1e9 / self._rate(before, last) + self._stride_ns if self.rate_hz else DOUBT_NS
            newest = min(newest, last + int(min(most, 1 << 62)))
        self._marks[NEWEST] = max(self._marks[NEWEST], newest)

    def _look_at_rate(self) -> Iterator[Outcome]:
        last = self.log.last
        if not self.rate_hz or self._marks[RATE_TOLD] or last is None:
            return
        measured = self._rate(self._before, last)
        if abs(measured / self.rate_hz - 1) > RATE_TOLERANCE:
            self._marks[RATE_TOLD] = True
            yield WrongRate(self.name, self.rate_hz, measured)
