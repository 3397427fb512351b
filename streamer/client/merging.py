"""Makes one of what several streamers of a fleet publish: each label once, in its stream's order; no socket here.

The problem. When a stream changes hands, its new owner publishes again what the old one may have published last, since
the sender sends all that was not acknowledged; and an old one that does not know that it lost a stream goes on with it.
What comes of each streamer comes in its order, without holes (`kinestream.streamer.client.filling`); what comes of two
of them comes as it likes.

How it works. A label is a pure function of its window: whoever publishes it, it is right, and is handed out if its
window was not had. Where a window is missing and the label is of another streamer than the one before, the missing ones
may still be on their way from the other: the stream is held back for them, `HELD_S` at most. Events tell how a streamer
fares with a stream: those of a lower epoch than the highest that was heard of the stream are of an old owner, and are
left out.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from kinestream.streamer.client.filling import STREAMS
from kinestream.streamer.client.progress import GONE, Progress, windows_of
from kinestream.streamer.client.questions import ATTEMPTS, PATIENCE_S
from kinestream.streamer.wire.messages import Annotation, Event, Label, Published

HELD_S = ATTEMPTS * PATIENCE_S
"""How long a stream is held back: as long as its other streamer is asked for what is missing."""
_MOST_HELD = 5000  # messages of a stream
_PAUSES = 5  # of our own that do not count: some programs look for labels only every few seconds


class _Merged:
    """A stream: what was handed out, of whom the last was, the highest epoch, and what is held back since when."""

    __slots__ = ("epoch", "had", "held", "held_from", "held_since", "pauses", "source")

    def __init__(self) -> None:
        self.had = Progress()
        self.source = -1
        self.epoch = 0
        self.held: list[Published] = []
        self.held_from, self.held_since, self.pauses = -1, 0.0, 0


class Merging:
    """What was had of each stream, and what is to be handed out.

    Parameters
    ----------
    clock : callable
        Returns the time on the monotonic clock, s.

    Attributes
    ----------
    ready : deque of Published
        What is to be handed out next.
    missed : int
        Windows that could not be had.
    repeated, outdated : int
        Labels that had come before; events of streamers that had lost their stream.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.ready: deque[Published] = deque()
        self.missed = self.repeated = self.outdated = 0
        self._clock = clock
        self._looked_at = clock()
        self._streams: OrderedDict[str, _Merged] = OrderedDict()
        self._holding: dict[str, _Merged] = {}

    def take(self, message: Published, source: int) -> None:
        """Take what has come of a streamer."""
        stream = self._streams.get(message.stream) or self._begin(message.stream)
        if not self._is_current(stream, message):
            self.outdated += 1
            return
        if stream.held and source == stream.held_from:
            stream.held.append(message)
            if len(stream.held) > _MOST_HELD:
                self._release(message.stream, stream)
            return
        if not stream.held and stream.had.follows(message):
            stream.source = source
            self.ready.append(message)
            return
        if isinstance(message, Event) and message.event == "missed":
            self._take_missed(stream, message, source)
            if stream.held and not self._leaves_out(stream, stream.held[0]):
                self._release(message.stream, stream)
        elif not stream.held and source != stream.source and self._leaves_out(stream, message):
            stream.held, stream.held_from, stream.held_since, stream.pauses = [message], source, self._clock(), 0
            self._holding[message.stream] = stream
        else:
            self._admit(stream, message, source, lost=None)
            if stream.held and not self._leaves_out(stream, stream.held[0]):
                self._release(message.stream, stream)

    def look(self) -> None:
        """Hand out what was held back for too long; to be called often."""
        now = self._clock()
        away, self._looked_at = now - self._looked_at, now
        if self._holding:
            for name, stream in list(self._holding.items()):
                if away > PATIENCE_S and stream.pauses < _PAUSES:
                    stream.pauses += 1  # we were held up ourselves: what is missing may wait in our own queue
                    stream.held_since += away
                if now - stream.held_since > HELD_S:
                    self._release(name, stream)

    def _is_current(self, stream: _Merged, message: Published) -> bool:
        """Tell whether a message is a label, or not of an old owner, and note its epoch."""
        if isinstance(message, Annotation):
            return True
        if isinstance(message, Label):
            stream.epoch = max(stream.epoch, message.epoch)
            return True
        if message.event == "missed":  # a subscriber's own
            return True
        epoch: int = message.details.get("epoch", 0)
        stream.epoch = max(stream.epoch, epoch)
        return epoch == stream.epoch

    def _leaves_out(self, stream: _Merged, message: Published) -> bool:
        """Tell whether windows before those of a message were not had."""
        seen, windows = stream.had.seen, windows_of(message)
        if seen is None or windows is None or seen.session != message.session:
            return False
        return bool(seen.up_to(windows[0]))

    def _release(self, name: str, stream: _Merged) -> None:
        """Hand out what was held back; what is missing before the first of it is lost."""
        held, stream.held = stream.held, []
        self._holding.pop(name, None)
        for index, message in enumerate(held):
            if isinstance(message, Event) and message.event == "missed":
                self._take_missed(stream, message, stream.held_from)
            else:
                self._admit(stream, message, stream.held_from, lost=GONE if index == 0 else None)

    def _admit(self, stream: _Merged, message: Published, source: int, *, lost: str | None) -> None:
        # What an old owner published may come behind what a new one did.
        stream.had.begin_again(message)
        is_new, missed = stream.had.admit(message, b"", lost=lost, in_order=False)
        for each in missed:
            self._tell_missed(each)
        if is_new:
            if windows_of(message) is not None:
                stream.source = source
            self.ready.append(message)
        else:
            self.repeated += isinstance(message, Label)

    def _take_missed(self, stream: _Merged, message: Event, source: int) -> None:
        """Tell of windows that a streamer keeps no more, where they were not had of another one."""
        first, last = message.details["first_window"], message.details["last_window"]
        seen = stream.had.seen
        if seen is not None and (
            message.session > seen.session or (message.session == seen.session and last < seen.first)
        ):
            self._tell_missed(message)  # a whole session, or the beginning of one, of which nobody gave anything
            return
        if source != stream.source or seen is None or seen.session != message.session or last < seen.next:
            return
        first = max(first, seen.next)
        seen.give_up(first, last)
        self._tell_missed(message._replace(details={**message.details, "first_window": first}))

    def _tell_missed(self, missed: Event) -> None:
        self.missed += missed.details["last_window"] - missed.details["first_window"] + 1
        self.ready.append(missed)

    def _begin(self, name: str) -> _Merged:
        """Return a stream that is new; of too many, the one that came first is forgotten."""
        if len(self._streams) >= STREAMS:
            oldest = next((each for each, stream in self._streams.items() if not stream.held), None)
            if oldest is not None:
                del self._streams[oldest]
        return self._streams.setdefault(name, _Merged())
