"""Collects the readings of streams that somebody watches, as they are taken, for who publishes them.

Readings are taken in bulk, undecoded, tens of thousands of messages a second; and nearly always nobody watches. So
while nobody does, all that this costs is to ask `Tap.is_open`, once for every list of messages. While somebody does,
messages that the quick path took are kept as they came, and are looked at together, a fraction of a second later:
what came meanwhile of a device leaves in one piece. See `kinestream.streamer.server.watching`.

Every reading that a session took leaves once, in the order in which it came. What the quick path takes simply comes
next. What takes the other way may have come before, as when a sender sends again what nobody acknowledged: of each
device it is known up to which number all has come, and where the holes are.

What would go wrong otherwise. A message that took the other way must not overtake those before it: so what is kept of
its device is looked at first (`_Tapped.settle`). And where a session begins its numbers anew, its first readings would
be taken for repeated ones: so what is known goes with the session, and, of devices with times, begins anew where
numbers that were known come with later times, as from a counter that has wrapped.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.streams.stream import Key, Session
from kinestream.streamer.wire.messages import HEAD, TRACKED_HEAD, WITH_TIMES
from kinestream.streamer.wire.signals import SignalWriter
from kinestream.streamer.wire.tracked import is_tracked

PIECE_BYTES = 1 << 13
"""What the readings of a signal take at most, or those of one reading."""
_INTERVAL_NS = 100_000_000
"""How long readings are kept before they leave."""
_INTERVAL_OF_EACH_NS = 200_000
"""The same for each device that is watched: so no more than 5,000 messages a second leave, or 10 of each device."""
_MOST_BYTES = 4 << 20
"""What is kept in all: past that it leaves at once."""
_TELL_CHANNELS_NS = 1_000_000_000
_MOST_HOLES = 64
"""Holes of a device that are known: what fills an older one is taken for repeated."""

Frames = tuple[bytes, bytes]


class _Part(NamedTuple):
    """Consecutive readings of a message: number of the first, how many, time of the last, and their bytes."""

    seq: int
    size: int
    t: int
    times: bytes
    values: bytes


class _Tapped:
    """What is known of a device that somebody watches."""

    def __init__(self, key: Key) -> None:
        about = key.about
        self.stream, self.number = about.stream, key.number
        self.frames: list[bytes] = []  # that came by the quick path and were not looked at
        self.since = 0  # when the first of what is kept came, on the monotonic clock
        self.bytes = 0
        self.message = 0
        self.told_ns = -_TELL_CHANNELS_NS  # when the channels were told last
        self._parts: list[_Part] = []
        self._row_bytes = 4 * len(about.channels)
        self._period_ns = 1e9 / about.rate_hz if about.rate_hz else 0.0
        self._high, self._holes = -1, list[tuple[int, int]]()  # [first, end), the oldest first
        self._newest = -1  # time of the newest reading
        self._run = key.known.session
        self._writer = SignalWriter(
            about.stream, about.session, about.device, about.origin, about.rate_hz, about.timing, about.channels
        )

    def settle(self) -> None:
        """Look at the messages that came by the quick path: all are the next of their device."""
        for frame in self.frames:
            mark, count, _, seq, t = HEAD.unpack_from(frame)
            begin = HEAD.size + (8 * count if mark == WITH_TIMES else 0)
            if seq < self._high:
                self._forget_numbers()
            self._note(seq, seq + count)
            self._newest = max(self._newest, t)
            self._parts.append(_Part(seq, count, t, frame[HEAD.size : begin], frame[begin:]))
        self.frames.clear()

    def add(self, run: Session | None, part: _Part) -> None:
        """Add what came another way, but for what has come before; `run` is the session that is open."""
        self.settle()
        is_later = bool(part.times) and int.from_bytes(part.times[:8], "little", signed=True) > self._newest
        begins_anew = part.seq + part.size <= self._high and is_later and not self._fills_hole(part)
        if begins_anew or (run is not None and self._run not in (None, run)):
            self._forget_numbers()
        self._run = run or self._run
        for first, end in self._fresh(part.seq, part.seq + part.size):
            self._parts.append(self._cut(part, first - part.seq, end - part.seq))
        self._newest = max(self._newest, part.t)

    def leave(self, now: int) -> Iterator[Frames]:
        """Yield the messages of all that is kept, and keep nothing."""
        self.settle()
        for part in self._joined():
            tells = now - self.told_ns >= _TELL_CHANNELS_NS
            if tells:
                self.told_ns = now
            yield self._writer.frames(self.message, part.seq, part.t, part.values, part.times, channels=tells)
            self.message += 1
        self._parts.clear()
        self.bytes = 0

    def _joined(self) -> Iterator[_Part]:
        """Yield what is kept in pieces of the size that leaves."""
        most = max(PIECE_BYTES // self._row_bytes, 1)
        at, parts = 0, self._parts
        while at < len(parts):
            end, count = at + 1, parts[at].size
            while end < len(parts) and parts[end].seq == parts[at].seq + count and count + parts[end].size <= most:
                count += parts[end].size
                end += 1
            if end == at + 1:
                part = parts[at]
            else:
                times, values = (b"".join(column) for column in zip(*(each[3:] for each in parts[at:end]), strict=True))
                part = _Part(parts[at].seq, count, parts[end - 1].t, times, values)
            at = end
            for first in range(0, part.size, most):
                yield self._cut(part, first, min(first + most, part.size))

    def _cut(self, part: _Part, first: int, end: int) -> _Part:
        """Return readings `first` to `end` of a part."""
        if end - first == part.size:
            return part
        times = part.times[8 * first : 8 * end]
        after = round((part.size - end) * self._period_ns)
        t = int.from_bytes(times[-8:], "little", signed=True) if times else max(part.t - after, 0)
        return _Part(
            part.seq + first, end - first, t, times, part.values[first * self._row_bytes : end * self._row_bytes]
        )

    def _forget_numbers(self) -> None:
        self._high = -1
        self._holes.clear()

    def _note(self, seq: int, end: int) -> None:
        """Note that readings came that follow all before, be it behind a hole."""
        if 0 <= self._high < seq:
            self._holes.append((self._high, seq))
            del self._holes[:-_MOST_HOLES]
        self._high = end

    def _fills_hole(self, part: _Part) -> bool:
        return any(first < part.seq + part.size and part.seq < end for first, end in self._holes)

    def _fresh(self, seq: int, end: int) -> list[tuple[int, int]]:
        """Return which readings from `seq` to `end` have not come before, and note that they have now."""
        fresh, holes = [], []
        for first, stop in self._holes if seq < self._high else ():
            filled = max(first, seq), min(stop, end)
            if filled[0] < filled[1]:
                fresh.append(filled)
                holes += [each for each in ((first, filled[0]), (filled[1], stop)) if each[0] < each[1]]
            else:
                holes.append((first, stop))
        if fresh:
            self._holes = holes[-_MOST_HOLES:]
        if end > self._high:
            first = max(seq, self._high)
            fresh.append((first, end))
            self._note(first, end)
        return fresh


class Tap:
    """Where readings are taken from on their way into their sessions.

    Parameters
    ----------
    key_of : callable
        Returns what the number of a key stands for, None where it stands for nothing.

    Attributes
    ----------
    is_open : bool
        Whether anybody watches: else nothing may be added.
    """

    def __init__(self, key_of: Callable[[int], Key | None]) -> None:
        self.is_open = False
        self._key_of = key_of
        self._wants: Callable[[str], bool] = lambda stream: False
        self._by_key: dict[int, _Tapped | None] = {}
        self._by_device: dict[tuple[str, int, str], _Tapped] = {}
        self._kept: dict[_Tapped, None] = {}  # of which something is kept, since longest first
        self._bytes = 0

    @property
    def keeps(self) -> bool:
        """Whether it keeps anything."""
        return bool(self._kept)

    def open(self, wants: Callable[[str], bool]) -> None:
        """Collect readings of the streams that are wanted, which may be others than before."""
        self.is_open, self._wants = True, wants
        self._by_key.clear()
        for where, tapped in list(self._by_device.items()):
            if wants(tapped.stream):
                tapped.told_ns = -_TELL_CHANNELS_NS  # to whoever is new, at once
            else:
                self._drop(where)

    def close(self) -> None:
        """Collect nothing any more, and forget what is kept."""
        self.is_open = False
        for known in (self._by_key, self._by_device, self._kept):
            known.clear()
        self._bytes = 0

    def forget(self, number: int) -> None:
        """Note that a key means nothing any more, or something else."""
        self._by_key.pop(number, None)

    def add_frames(self, frames: list[bytes], begin: int, end: int) -> None:
        """Add messages that the quick path took."""
        now = monotonic_ns()
        by_key = self._by_key
        for at in range(begin, end):
            frame = frames[at]
            if is_tracked(frame):
                frame = frame[TRACKED_HEAD.size :]
            number = int.from_bytes(frame[8:16], "little")
            tapped = by_key[number] if number in by_key else self._find(number)
            if tapped is not None:
                self._keep(tapped, len(frame), now)
                tapped.frames.append(frame)

    def add(self, key: Key, seq: int, count: int, t: int, times: bytes, values: bytes) -> None:
        """Add readings that a session took another way; the arguments are as in a samples message."""
        number = key.number
        tapped = self._by_key[number] if number in self._by_key else self._find(number)
        if tapped is not None:
            self._keep(tapped, len(values), monotonic_ns())
            tapped.add(key.known.session, _Part(seq, count, t, times, values))

    def leave(self, now: int, *, all_of_it: bool = False) -> Iterator[Frames]:
        """Yield what has been kept for long enough by `now`, on the monotonic clock, as messages to publish."""
        patience = max(_INTERVAL_NS, len(self._by_device) * _INTERVAL_OF_EACH_NS)
        until = now if all_of_it or self._bytes > _MOST_BYTES else now - patience
        while self._kept and (tapped := next(iter(self._kept))).since <= until:
            del self._kept[tapped]
            self._bytes -= tapped.bytes
            yield from tapped.leave(now)

    def forget_gone(self) -> None:
        """Forget devices whose keys mean nothing any more; to be called now and then."""
        for where, tapped in list(self._by_device.items()):
            key = self._key_of(tapped.number)
            if (key is None or (key.name, key.session, key.about.device) != where) and tapped not in self._kept:
                del self._by_device[where]

    def _find(self, number: int) -> _Tapped | None:
        key = self._key_of(number)
        if key is None:
            return None
        tapped = None
        if self._wants(key.name):
            where = key.name, key.session, key.about.device
            tapped = self._by_device.get(where)
            if tapped is None:
                tapped = self._by_device[where] = _Tapped(key)
            tapped.number = number
        self._by_key[number] = tapped
        return tapped

    def _keep(self, tapped: _Tapped, size: int, now: int) -> None:
        if tapped not in self._kept:
            self._kept[tapped] = None
            tapped.since = now
        tapped.bytes += size
        self._bytes += size

    def _drop(self, where: tuple[str, int, str]) -> None:
        tapped = self._by_device.pop(where)
        self._bytes -= tapped.bytes
        self._kept.pop(tapped, None)
