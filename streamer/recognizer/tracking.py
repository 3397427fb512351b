"""Tracked messages on their way in: each is taken once, in its order, and its sender learns what may be forgotten.

What the messages of a key hold goes the way of all others. Here is decided which are taken, and reckoned what is still
needed: of samples on the grid, those from the open window on; of readings with times, those that samples from the open
window on may depend on, and `_MARGIN_NS` before, by which it is judged whether a clock was set.

A device whose messages are tracked is waited for, however long it takes (what it has delivered comes, some day): until
it ends, or has said nothing for `GIVEN_UP_NS` while others went on; then it is told, and the others wait no longer.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import islice

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.ingest.quick import QuickPath
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.recognizer.intake import Intake
from kinestream.streamer.reliable.receipts import Receipts, Verdict
from kinestream.streamer.streams.outcomes import DueWindow, EmptyWindows, Seam
from kinestream.streamer.streams.registry import MAX_SETS, Registry
from kinestream.streamer.streams.stream import Key
from kinestream.streamer.wire.codec import decode
from kinestream.streamer.wire.messages import MAX_INT, Description, End, MalformedMessage, Readings
from kinestream.streamer.wire.tracked import (
    EVERYTHING,
    UNKNOWN,
    Acknowledgement,
    Tracked,
    decode_tracked,
    mark_of,
)

NOTES_INTERVAL_NS = 1_000_000_000
"""How often it is noted how far a key has come."""
_MARGIN_NS = 2_000_000_000
_FORGOTTEN_NS = 60_000_000_000  # a key that means nothing any more is answered for so long
GIVEN_UP_NS = 10_000_000_000
"""How long a device may say nothing, while others go on, before it is waited for no longer."""
_AT_A_TIME = 512  # keys that are looked at in one go, a millisecond
_MOST_FORGOTTEN = 1000  # keys that mean nothing any more and are answered all the same


class Tracking:
    """The keys whose messages are tracked.

    Parameters
    ----------
    registry : Registry
        What keys stand for.
    intake : Intake
        Where what messages hold goes.
    quick : QuickPath
        What takes most of them in bulk.
    batcher : Batcher
        What tells which windows were published.
    counts : Counter
        Where messages that were not taken are counted.

    Attributes
    ----------
    history_ns : int
        How long labels may be asked for after they were published; whoever publishes them sets it.
    urgent : set of int
        Keys whose senders should be told at once how far they have come.
    """

    def __init__(
        self, registry: Registry, intake: Intake, quick: QuickPath, batcher: Batcher, counts: Counter[str]
    ) -> None:
        self.history_ns = 0
        self.urgent: set[int] = set()
        self._registry, self._intake, self._quick, self._batcher = registry, intake, quick, batcher
        self._counts = counts
        self._of: dict[int, Receipts] = {}
        self._marks: dict[int, int] = {}  # of which of these anything has come, by what stands for them
        self._ended: set[int] = set()  # keys whose session their sender has ended
        self._forgotten: dict[int, tuple[Key, int]] = {}  # what means nothing any more, by key, and since when
        self._rest: Iterator[int] = iter(())
        self._round_began = 0

    @property
    def keys(self) -> int:
        """How many there are."""
        return len(self._of)

    def take(self, frame: bytes, received: int, *, lossy: bool = False) -> None:
        """Take a tracked message, if it is its turn; `received` and `lossy` as for `Recognizer.take`.

        Raises
        ------
        MalformedMessage
            Where it cannot be read.
        """
        tracked = decode_tracked(frame)
        key = self._registry.keys.get(tracked.key)
        if key is None:
            self._take_unknown(tracked)
            return
        if tracked.key in self._forgotten:
            self._drop_described_again(tracked.key)
        receipts = self._of.get(tracked.key)
        if tracked.after and tracked.after not in self._marks and (receipts is None or not receipts.has_begun):
            # The streamer before was killed when this was on its way: what comes before it is sent again.
            self._counts["messages_early"] += 1
            self.urgent.add(tracked.key)
            return
        if receipts is None:
            receipts = self._of[tracked.key] = Receipts()
        expected = receipts.expected[0]
        verdict = receipts.take(tracked.number, tracked.oldest)
        if verdict not in (Verdict.TAKEN, Verdict.ANEW):
            self._counts[f"messages_{verdict.value}"] += 1
            if verdict is Verdict.EARLY:
                self.urgent.add(tracked.key)
            return
        if self._has_no_room(key) or (verdict is Verdict.ANEW and key.known.queued):
            receipts.put_back(expected)
            self._counts["messages_early"] += 1
            self.urgent.add(tracked.key)
            return
        self._marks[mark_of(tracked.key)] = tracked.key
        self._take(key, tracked.message, received, lossy, anew=verdict is Verdict.ANEW)
        self._quick.track(key, receipts.expected)

    def forget(self, key: Key) -> None:
        """Note that a key means nothing any more: how far it came is answered for a while, the latest of them."""
        self._quick.forget(key)
        if key.devices is not None and key.devices.is_cut_short:
            self._drop(key.number)
        if key.number in self._of:
            self._forgotten.setdefault(key.number, (key, monotonic_ns()))
        while len(self._forgotten) > _MOST_FORGOTTEN:
            self._drop(next(iter(self._forgotten)))

    def _take_unknown(self, tracked: Tracked) -> None:
        """Take a message of a key that means nothing, or no more: its sender learns that when it asks.

        Its description was lost, or is put off; or its stream was forgotten, and it is described and sent anew.
        """
        receipts = self._of.get(tracked.key)
        if receipts is not None and tracked.number < receipts.expected[0]:
            self._counts["messages_repeated"] += 1
            return
        self._counts["messages_undeclared"] += 1
        self._drop(tracked.key)

    def _drop(self, number: int) -> None:
        self._of.pop(number, None)
        if self._marks.get(mark_of(number)) == number:
            del self._marks[mark_of(number)]
        self._forgotten.pop(number, None)
        self._ended.discard(number)
        self._quick.untrack(number)

    def look(self, now: int) -> None:
        """Note how far some of the keys have come, and what may be forgotten; once a second for each.

        `now` is on the monotonic clock, ns; to be called often.
        """
        batch, published = self._batcher.batch_of_all, self._batcher.batches_finished
        looked = 0
        for number in islice(self._rest, _AT_A_TIME):
            looked += 1
            receipts = self._of.get(number)
            if receipts is not None:
                if (needed := self._needed(number)) is not None:
                    receipts.note(batch, needed)
                receipts.settle(now, published, self.history_ns)
                self._drop_forgotten(number, now)
        if looked < _AT_A_TIME and now - self._round_began >= NOTES_INTERVAL_NS:
            self._round_began = now
            self._rest = iter(list(self._of))
            self._give_up_silent(now)

    def acknowledgement(self, number: int) -> Acknowledgement:
        """Return what is told of a key."""
        receipts = self._of.get(number)
        return Acknowledgement(number, UNKNOWN) if receipts is None else receipts.acknowledgement(number)

    def is_known(self, number: int) -> bool:
        """Tell whether a key was described, or anything was taken of it."""
        return number in self._of or number in self._registry.keys

    def _take(self, key: Key, message: bytes, received: int, lossy: bool, *, anew: bool) -> None:
        """Take what a message holds; what cannot be read is counted, and the next may come."""
        if key.devices is not None:
            key.devices.waits_for_all = True
        try:
            content = decode(message)
            if isinstance(content, Description) or content.key != key.number:
                raise MalformedMessage("tracked")
            if anew and isinstance(content, Readings):
                self._part(key, content)
            self._intake.take(content, received, lossy=lossy)
            if isinstance(content, End):
                self._ended.add(key.number)
                self.urgent.add(key.number)  # the next session may wait for that
        except MalformedMessage as reason:
            self._intake.malformed(str(reason))

    def _part(self, key: Key, message: Readings) -> None:
        """Let no window hold what came before these samples together with them; see `Verdict.ANEW`."""
        session, seq = key.known.session, message.seq
        about: dict[str, object] = {}
        if key.devices is not None and key.device is not None:
            if not message.times or key.known.sets.get(key.session) is not key.devices:
                return
            time = int.from_bytes(message.times[:8], "little", signed=True)
            about["device"] = key.device.name
            begins = key.devices.part(key.device, time) if 0 <= time < MAX_INT else None
            if begins is None:
                return
            seq = begins
        if session is not None and session.number == key.session:
            for outcome in session.buffer.part(seq):
                if isinstance(outcome, Seam):
                    self._batcher.emit("seam", key.name, session.number, about | outcome._asdict())
                elif isinstance(outcome, DueWindow):  # part of it was given up: its label would be another
                    self._batcher.skip(key.name, session, outcome.window, outcome.window, "missing")
                elif isinstance(outcome, EmptyWindows):
                    self._batcher.skip(key.name, session, outcome.first, outcome.last, "missing")

    def _has_no_room(self, key: Key) -> bool:
        """Tell whether a device has delivered as much as is kept while others are waited for, or must not begin yet.

        A session does not begin while two before it wait for devices that are yet to be described.
        """
        devices, device = key.devices, key.device
        if devices is None or device is None:
            return False
        if not devices.waits_for_all and len(key.known.sets) > MAX_SETS:
            return sum(each.waits_for_more for each in key.known.sets.values()) >= MAX_SETS
        return devices.is_ahead(device)

    def _needed(self, number: int) -> int | None:
        """Return from which sample, or time, on the messages of a key are needed; None where that is as it was."""
        key = self._registry.keys.get(number)
        if key is None:
            if number not in self._ended or number not in self._forgotten:
                return None  # its sender may go on: what belongs to the open window is then sent again
            key = self._forgotten[number][0]
        session = key.known.session
        if key.devices is not None:
            if key.known.sets.get(key.session) is not key.devices:
                return EVERYTHING
            first = session.buffer.open_seq if session is not None and session.number == key.session else None
            return max(key.devices.needed_from(first) - _MARGIN_NS, 0)
        if session is not None and session.number == key.session:
            return session.buffer.open_seq
        is_over = key.session <= key.known.closed or number in self._ended
        return EVERYTHING if is_over and not key.known.queued else 0

    def _drop_forgotten(self, number: int, now: int) -> None:
        if number not in self._forgotten:
            return
        if number in self._registry.keys:
            self._drop_described_again(number)
        elif now - self._forgotten[number][1] > max(_FORGOTTEN_NS, 2 * self.history_ns):
            self._drop(number)

    def _drop_described_again(self, number: int) -> None:
        """Have what is kept of a key sent again, since what was taken of it is forgotten; not if it had ended."""
        if number in self._ended:
            del self._forgotten[number]
        else:
            self._drop(number)

    def _give_up_silent(self, now: int) -> None:
        """Wait no longer for devices that have said nothing for long, while others went on."""
        seen: set[int] = set()
        for number in self._of:
            key = self._registry.keys.get(number)
            if key is None or key.devices is None or id(key.devices) in seen:
                continue
            if key.known.sets.get(key.session) is not key.devices:
                continue
            seen.add(id(key.devices))
            outcomes = key.devices.give_up_silent(now, GIVEN_UP_NS)
            if outcomes is not None:
                self._intake.take_laid(key, outcomes)
