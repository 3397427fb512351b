"""Both loops that take samples messages, in C and in Python, side by side: millions of messages in minutes.

    python -m tests.streamer.ingest.loops --frames 10000000 --seed 0

`fuzz` compares whole recognizers, which cost some hundred times as much a message as what it is about: the loop that
reads what strangers send. Here that loop stands alone, and what the streamer does around it is done by the simplest
thing that keeps both going: windows are cut, logs dropped, and whatever a loop leaves alone is followed, so that the
next messages are taken again. After each call both must have stopped at the same message, have said the same, and hold
the same to the bit. The same seed sends the same messages.
"""

import argparse
import random
import sys
import time
from array import array
from collections import Counter

import numpy as np

from kinestream.model.bundle.bundle import DeviceColumns
from kinestream.streamer.streams.arena import Lanes, Rows
from kinestream.streamer.streams.readinglog import DUE, IN_ORDER, LAST, NEEDED, NEXT, WAITING, ReadingLog, new_shared
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import Description, End, MalformedMessage, Readings
from kinestream.streamer.wire.tracked import decode_tracked, is_tracked
from tests.given.takers import WAYS, Way
from tests.streamer.ingest.fuzz import moves
from tests.streamer.ingest.moves import WEARERS, Move, Senders

_CHANNELS = 3
_CAPACITY = 48  # samples a lane has room for
_WINDOW, _STRIDE = 24, 12
_STRIDE_NS = 10**9
_MOST_SAMPLES = 8
_FACTORS = np.array([1.0, 9.80665], np.float32)
_ROUNDS = 300  # batches, after which all begin anew


class _User:
    """Has a lane; where it lies is asked each time."""

    def move(self) -> None:
        pass


class _Side:
    """A loop, and the memory it writes to."""

    def __init__(self, way: Way) -> None:
        self.lanes = Lanes(_CAPACITY, _CHANNELS)
        self.taker = way(self.lanes)
        self.logs: dict[int, ReadingLog] = {}
        self.expected: dict[int, array[int]] = {}

    def held(self) -> object:
        """Return all that it holds, to the bit."""
        lanes = self.lanes
        marks = [each.tobytes() for each in (lanes.high, lanes.end, lanes.at)]
        used = [
            lanes.rows[lane, : max(int(lanes.at[lane]) - lane * _CAPACITY, 0)].tobytes()
            for lane, user in enumerate(lanes.users)
            if user is not None
        ]
        logs = {
            key: (log.marks.tobytes(), log.shared.tobytes(), log.times.tobytes(), log.values.tobytes())
            for key, log in self.logs.items()
        }
        numbers = {key: each[0] for key, each in self.expected.items()}
        return marks, used, logs, numbers, self.taker.readings

    def open_log(self, key: int, description: Description, shared: "array[int]") -> None:
        order = np.arange(len(description.channels))[::-1]
        factors = _FACTORS[: len(order)] if key % 2 and len(order) <= len(_FACTORS) else None
        columns = DeviceColumns(order, order, factors)
        log = self.logs[key] = ReadingLog(description.rate_hz, columns, _STRIDE_NS, shared)
        log.marks[IN_ORDER] = 1
        self.taker.put_log(key, log, len(order), _MOST_SAMPLES)

    def cut(self, lane: int) -> None:
        """Let the next window be filled; its first samples are the last of this one."""
        lanes = self.lanes
        first, at = lane * _CAPACITY, int(lanes.at[lane])
        if at - first + _STRIDE > _CAPACITY:
            kept = _WINDOW - _STRIDE
            lanes.rows[lane, :kept] = lanes.rows[lane, at - first - kept : at - first].copy()
            lanes.at[lane] = first + kept
        lanes.end[lane] += _STRIDE


class Loops:
    """One side for each way.

    Attributes
    ----------
    seen : Counter
        What came of messages.
    """

    def __init__(self) -> None:
        self.sides = [_Side(way) for way in WAYS]
        self.seen: Counter[str] = Counter()
        self._lane_of: dict[str, int] = {}
        self._shared: dict[tuple[str, int], list[array[int]]] = {}
        self._lanes: dict[int, int] = {}

    def give(self, frames: list[bytes]) -> None:
        """Give messages to all, and see that they do the same.

        Raises
        ------
        AssertionError
            Where they differ.
        """
        at = 0
        while at < len(frames):
            said = [self._take(side, frames, at) for side in self.sides]
            assert all(each == said[0] for each in said), (at, said, frames[at - 1 : at + 2])
            reached, due, look = said[0]
            self.seen["taken"] += reached - at
            self.seen["windows due"] += len(due)
            self.seen["looked at"] += len(look)
            at = reached
            for lane, _ in due:
                for side in self.sides:
                    side.cut(lane)
            for key in look:
                self._look(key)
            if at < len(frames) and not due and not look:
                self._follow(frames[at])
                at += 1

    def check(self) -> None:
        """See that all hold the same.

        Raises
        ------
        AssertionError
            Where they do not.
        """
        first, *others = (side.held() for side in self.sides)
        assert all(each == first for each in others)

    @staticmethod
    def _take(side: _Side, frames: list[bytes], at: int) -> tuple[int, list[tuple[int, int]], list[int]]:
        due: list[tuple[int, int]] = []
        look: list[int] = []
        return side.taker.take(frames, at, due, look), due, look

    def _look(self, key: int) -> None:
        for side in self.sides:
            log = side.logs[key]
            log.shared[WAITING] = 0
            log.shared[DUE] = log.marks[LAST] + _STRIDE_NS // 4
            log.marks[NEEDED] = max(log.marks[LAST] - _STRIDE_NS, 0)
            if log.held > log.most_held // 2:
                log.drop(log.held - 20)

    def _follow(self, frame: bytes) -> None:
        """Make of a message that nobody took what lets the next ones be taken."""
        try:
            if is_tracked(frame):
                key, number, _, frame, _ = decode_tracked(frame)
                self._expect(key, number + 1)
            message = decode(frame)
        except MalformedMessage as reason:
            self.seen[f"malformed: {reason}"] += 1
            return
        match message:
            case Description():
                self._describe(message)
            case End(key):
                self.seen["ends"] += 1
                for side in self.sides:
                    side.taker.drop(key)
                    side.logs.pop(key, None)
                self._lanes.pop(key, None)
            case Readings() if message.times:
                self._go_on_with_times(message)
            case Readings():
                self._go_on(message)

    def _expect(self, key: int, number: int) -> None:
        for side in self.sides:
            if key not in side.expected:
                side.expected[key] = array("q", [0])
            side.expected[key][0] = min(number, (1 << 63) - 1)
            side.taker.track(key, side.expected[key])

    def _describe(self, about: Description) -> None:
        self.seen["descriptions"] += 1
        key = about.key
        if about.timing == "times":
            stream = about.stream, about.session
            if stream not in self._shared:
                self._shared[stream] = [new_shared() for _ in self.sides]
            for side, shared in zip(self.sides, self._shared[stream], strict=True):
                side.open_log(key, about, shared)
            self._lanes.pop(key, None)
            return
        if about.stream not in self._lane_of:
            opened = {side.lanes.open(_User()) for side in self.sides}
            (self._lane_of[about.stream],) = opened
        lane = self._lanes[key] = self._lane_of[about.stream]
        for side in self.sides:
            side.logs.pop(key, None)
            side.taker.put(key, lane)
        self._begin(lane, 0)

    def _begin(self, lane: int, seq: int) -> None:
        for side in self.sides:
            side.lanes.high[lane], side.lanes.end[lane] = seq, seq + _WINDOW - 1
            side.lanes.at[lane] = lane * _CAPACITY

    def _go_on(self, message: Readings) -> None:
        self.seen["not the next"] += 1
        lane = self._lanes.get(message.key)
        if lane is not None and message.seq + message.samples < 1 << 62:
            self._begin(lane, message.seq + message.samples)

    def _go_on_with_times(self, message: Readings) -> None:
        self.seen["with times, not the next"] += 1
        for side in self.sides:
            log = side.logs.get(message.key)
            width = 0 if log is None else len(message.x) // (4 * message.samples)
            if log is None or width != len(log.order):
                continue
            times = np.frombuffer(message.times, "<i8")
            values: Rows = np.frombuffer(message.x, "<f4").reshape(-1, width)
            if (np.diff(times) < 0).any() or times[0] < max(log.marks[LAST], 0):
                log.clear()  # as where a session begins anew
                log.marks[IN_ORDER] = 1
            with np.errstate(over="ignore"):  # of times that are nonsense
                log.heard(times)
            log.add(times, log.choose(values))
            log.marks[NEXT] = min(message.seq + message.samples, 1 << 62)
            if log.held > log.most_held:
                log.drop(log.held // 2)


def loops(frames: int, seed: int) -> Counter[str]:
    """Send so many messages, and return what came of them.

    Raises
    ------
    AssertionError
        Where two ways differ: with the seed, and how many had been sent.
    """
    rng, seen, began, told = random.Random(seed), Counter[str](), time.monotonic(), 0.0
    try:
        while seen["messages"] < frames:
            senders, sides = Senders(), Loops()
            everyone: list[Move] = [(kind, who, 0) for who in range(4) for kind in ("describe", "worn describe")]
            sides.give(senders.frames(everyone))
            for batch in range(_ROUNDS):
                messages = senders.frames(moves(rng, 4 + (WEARERS - 4) * batch // _ROUNDS))
                sides.give(messages)
                sides.check()
                seen["messages"] += len(messages)
                if seen["messages"] >= frames:
                    break
            seen += sides.seen
            if time.monotonic() - told > 1:
                told = time.monotonic()
                print(f"\r{seen['messages']:,} messages, {told - began:.0f} s", end="", file=sys.stderr)
    except AssertionError:
        print(f"\nseed {seed}, after {seen['messages']:,} messages:", file=sys.stderr)
        raise
    return seen


def main() -> None:
    """Read the options and run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.streamer.ingest.loops", description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000_000, help="messages in all (default: ten million)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seen = loops(options.frames, options.seed)
    print(file=sys.stderr)
    print(*(f"{name}: {count:,}" for name, count in sorted(seen.items())), sep="\n")


if __name__ == "__main__":
    main()
