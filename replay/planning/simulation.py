"""A fleet simulated: every message of every stream, through the code that decides what is kept and what is taken.

What is real: who has a stream (`kinestream.streamer.directory.placement`), what a sender keeps, sends again and forgets
(`kinestream.streamer.reliable.outbox`), what a streamer takes and acknowledges
(`kinestream.streamer.reliable.receipts`). What is simulated: time, the wire, how long a streamer takes for a message
(as measured), who dies when.

How it works. Time goes in ticks of 50 ms, the interval at which a sender looks after what it keeps. In each tick, in
this order: streamers die, come back and are passed over; streams whose turn it is send; streamers take what has come,
one message after the other, as long as the tick lasts; senders ask what may be forgotten. A label's latency is from
when the message with its window's last sample left first to when that message was taken. Connections take any number
of messages, and no time: neither is where a fleet's time goes.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from kinestream.replay.planning.scene import Scene
from kinestream.streamer.directory.placement import hashes, owners
from kinestream.streamer.directory.table import slot_names
from kinestream.streamer.reliable.outbox import Outbox
from kinestream.streamer.reliable.receipts import Receipts, Verdict
from kinestream.streamer.wire.codec import encode_end
from kinestream.streamer.wire.tracked import UNKNOWN, Acknowledgement

TICK_S = 0.05
_ASK_TICKS = 20  # a sender asks once a second, and a streamer notes as often how far a key has come
_AT_A_TIME = 64  # messages of one stream that are sent again in a tick
_NS = 1_000_000_000


@dataclass
class Outcome:
    """What came of a simulation.

    Parameters
    ----------
    moved : list of int
        Streams that went to another streamer, for each change of the table.
    failover_s : ndarray of float, shape (A,)
        For each stream that was on a streamer when it died: the latency of its latest label since.
    others_s : ndarray of float
        Latencies of labels of all other streams.
    labels, lost, repeated : int
        Labels that were published, that were not though their samples were, and those published once more.
    resent : int
        Messages that left more than once.
    kept : int
        Messages of one stream that were kept, at most.
    caught_up_s : list of float
        For each change of the table: how long until no streamer had messages waiting for more than a tick.
    """

    moved: list[int] = field(default_factory=list)
    failover_s: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    others_s: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    labels: int = 0
    lost: int = 0
    repeated: int = 0
    resent: int = 0
    kept: int = 0
    caught_up_s: list[float] = field(default_factory=list)


class _Stream:
    """A stream: what its sender keeps, and what its streamer has of it."""

    __slots__ = ("begins", "highest", "named", "outbox", "receipts", "slot", "window", "worst")

    def __init__(self, key: int, slot: int, begins: float) -> None:
        self.outbox = Outbox(key)
        self.slot, self.begins = slot, begins
        self.receipts = Receipts()
        self.window = -1  # the next that the streamer cuts; below 0: it has nothing of it yet
        self.named = 0  # windows that have a label, whoever gave it
        self.highest = 0  # messages that have left
        self.worst = -1.0  # the latency of its latest label since its streamer died; below 0: that has not died


class _Streamer:
    """A streamer: what has come and waits, and since when it is free."""

    def __init__(self) -> None:
        self.is_there = True
        self.queue: deque[tuple[float, _Stream, Receipts, int, int]] = deque()
        self.free = 0.0


class Simulation:
    """A scene that goes by; `run` returns what came of it."""

    def __init__(self, scene: Scene) -> None:
        self._scene, self._chance = scene, np.random.default_rng(scene.seed)
        self._slots, self._taking = slot_names(scene.slots), scene.taking
        self._hashes = hashes(scene.names.format(number) for number in range(scene.streams))
        self._serving = list(range(scene.slots))
        self._streamers = [_Streamer() for _ in range(scene.slots)]
        self._period = max(round(scene.period_s / TICK_S), 1)
        phases = self._chance.integers(0, self._period, scene.streams)
        owned = self._owners()
        self._streams = [
            _Stream(number + 1, int(owned[number]), float(phases[number]) * TICK_S) for number in range(scene.streams)
        ]
        turns: list[list[_Stream]] = [[] for _ in range(self._period)]
        asking: list[list[_Stream]] = [[] for _ in range(_ASK_TICKS)]
        asks = self._chance.integers(0, _ASK_TICKS, scene.streams)
        for number, stream in enumerate(self._streams):
            turns[phases[number]].append(stream)
            asking[asks[number]].append(stream)
        self._turns, self._asking = turns, asking
        self._behind: dict[_Stream, None] = {}  # in the order in which they came, else chance has a say
        self._others = array("f")
        self._outcome = Outcome()
        self._moves: deque[tuple[float, _Stream, int | None]] = deque()
        self._changed_at: list[float] = []
        self._busy_at: list[float] = []

    def run(self) -> Outcome:
        """Let it all go by."""
        scene = self._scene
        # (when, what, slot); a streamer that died is passed over when nobody has heard of it for `patience_s`.
        coming: list[tuple[float, str, int]] = []
        for death in scene.deaths:
            coming.append((death.at_s, "dies", death.slot))
            if death.back_s is not None:
                coming.append((death.at_s + death.back_s, "back", death.slot))
            if scene.is_fleet:
                beat = self._chance.uniform(0, scene.beat_s) if scene.since_beat_s is None else scene.since_beat_s
                noticed = death.at_s - float(beat) + scene.patience_s
                if death.back_s is None or noticed < death.at_s + death.back_s:
                    coming.append((noticed, "away", death.slot))
        coming.sort()
        due = deque(coming)
        for tick in range(round(scene.seconds / TICK_S)):
            now = tick * TICK_S
            while due and due[0][0] <= now:
                _, what, slot = due.popleft()
                getattr(self, f"_{what}")(slot, now)
            self._move(now)
            self._send(tick, now)
            for streamer in self._streamers:
                if streamer.queue:
                    self._take(streamer, now + TICK_S)
            self._note_busy(now)
            self._ask(tick, now)
        return self._finish()

    def _owners(self) -> npt.NDArray[np.intp]:
        """Return which slot each stream belongs to, of those that serve."""
        chosen = owners(self._hashes, [self._slots[slot] for slot in self._serving])
        return np.asarray(self._serving, np.intp)[chosen]

    def _dies(self, slot: int, now: float) -> None:
        streamer = self._streamers[slot]
        streamer.is_there = False
        streamer.queue.clear()
        for stream in self._streams:
            if stream.slot == slot:
                stream.worst = max(stream.worst, 0.0)

    def _back(self, slot: int, now: float) -> None:
        streamer = self._streamers[slot]
        streamer.is_there, streamer.free = True, now
        if slot not in self._serving:
            self._serving = sorted([*self._serving, slot])
            self._change(now)
            return
        again = [stream for stream in self._streams if stream.slot == slot]  # nobody has passed it over
        self._wait_to_hear([(stream, None) for stream in again], now)
        self._begin_change(now)

    def _away(self, slot: int, now: float) -> None:
        self._serving.remove(slot)
        self._change(now)

    def _change(self, now: float) -> None:
        """Tell all senders of another table."""
        to = self._owners()
        moving = [(stream, int(slot)) for stream, slot in zip(self._streams, to, strict=True) if stream.slot != slot]
        self._outcome.moved.append(len(moving))
        self._wait_to_hear(moving, now)
        self._begin_change(now)

    def _begin_change(self, now: float) -> None:
        self._changed_at.append(now)
        self._busy_at.append(now)

    def _wait_to_hear(self, moving: Sequence[tuple[_Stream, int | None]], now: float) -> None:
        heard = np.sort(self._chance.uniform(now, now + self._scene.hear_s, len(moving))).tolist()
        waiting = [(at, stream, slot) for at, (stream, slot) in zip(heard, moving, strict=True)]
        self._moves = deque(sorted([*self._moves, *waiting], key=lambda each: each[0]))

    def _move(self, now: float) -> None:
        while self._moves and self._moves[0][0] <= now:
            _, stream, slot = self._moves.popleft()
            stream.receipts, stream.window = Receipts(), -1
            if slot is None:
                stream.outbox.acknowledge(Acknowledgement(stream.outbox.key, UNKNOWN))
            else:
                stream.slot = slot
                stream.outbox.move(stream.outbox.key)
            self._behind[stream] = None

    def _send(self, tick: int, now: float) -> None:
        chunk, kept = self._scene.chunk, self._outcome.kept
        for stream in self._turns[tick % self._period]:
            outbox = stream.outbox
            outbox.add(_MESSAGE, (outbox.next + 1) * chunk)
            kept = max(kept, outbox.next - outbox.oldest)
            if stream not in self._behind:
                self._push(stream, now)
        self._outcome.kept = kept
        for stream in list(self._behind):
            if not self._push(stream, now):
                del self._behind[stream]

    def _push(self, stream: _Stream, now: float) -> bool:
        """Send what is to be sent; return whether more is left than goes at a time."""
        outbox, streamer = stream.outbox, self._streamers[stream.slot]
        for _ in range(_AT_A_TIME):
            if outbox.frame() is None:
                return False
            number = outbox.sent
            outbox.posted()
            if number < stream.highest:
                self._outcome.resent += 1
            else:
                stream.highest = number + 1
            if streamer.is_there:
                streamer.queue.append((now, stream, stream.receipts, number, outbox.oldest))
        return outbox.sent < outbox.next

    def _take(self, streamer: _Streamer, until: float) -> None:
        queue, free, taking = streamer.queue, streamer.free, self._taking
        while queue:
            came, stream, receipts, number, oldest = queue[0]
            done = max(free, came) + taking
            if done > until:
                break
            free = done
            queue.popleft()
            if receipts is not stream.receipts:
                continue  # of a key that means nothing any more
            verdict = receipts.take(number, oldest)
            if verdict is Verdict.TAKEN or verdict is Verdict.ANEW:
                self._cut(stream, number, done)
        streamer.free = free

    def _cut(self, stream: _Stream, number: int, done: float) -> None:
        """Name the windows that a message completes."""
        scene = self._scene
        chunk, stride = scene.chunk, scene.stride
        if stream.window < 0:  # it may begin in the middle: with the first window that is whole
            stream.window = -(-number * chunk // stride)
        last = (number + 1) * chunk
        while stream.window * stride + scene.length <= last:
            window, stream.window = stream.window, stream.window + 1
            if window < stream.named:
                self._outcome.repeated += 1
                continue
            self._outcome.lost += window - stream.named
            stream.named = window + 1
            self._outcome.labels += 1
            latency = done - (stream.begins + number * self._period * TICK_S)
            if stream.worst < 0:
                self._others.append(latency)
            else:
                stream.worst = max(stream.worst, latency)

    def _ask(self, tick: int, now: float) -> None:
        history, settled = int(self._scene.history_s * _NS), int(now * _NS)
        stride = self._scene.stride
        for stream in self._asking[tick % _ASK_TICKS]:
            receipts, outbox = stream.receipts, stream.outbox
            if not self._streamers[stream.slot].is_there or receipts.expected[0] == UNKNOWN:
                continue  # nobody answers, or it was not told of this key yet
            receipts.note(0, stream.window * stride)
            receipts.settle(settled, 0, history)
            if outbox.acknowledge(receipts.acknowledgement(outbox.key)):
                self._behind[stream] = None

    def _note_busy(self, now: float) -> None:
        if self._changed_at and (self._moves or self._behind or any(each.queue for each in self._streamers)):
            self._busy_at[-1] = now + TICK_S

    def _finish(self) -> Outcome:
        outcome = self._outcome
        for stream in self._streams:  # what was taken last may be on its way; what lies behind it is not
            outcome.lost += max(stream.window - stream.named, 0)
        outcome.failover_s = np.array([each.worst for each in self._streams if each.worst >= 0])
        outcome.others_s = np.frombuffer(self._others, np.float32).astype(np.float64)
        pairs = zip(self._changed_at, self._busy_at, strict=True)
        outcome.caught_up_s = [round(busy - changed, 3) for changed, busy in pairs]
        return outcome


_MESSAGE = encode_end(1)  # whose content does not matter here: an ``end`` is the shortest
