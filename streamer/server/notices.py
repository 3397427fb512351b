"""Logs what senders do wrong: each stream and reason once, and no more lines than a person reads."""

import logging
import time
from collections import OrderedDict

from kinestream.streamer.events.undelivered import UndeliveredChannels
from kinestream.streamer.wire.messages import Answer, Event

_logger = logging.getLogger(__name__)

_REMEMBERED = 10_000  # streams and reasons
_BURST, _PER_S = 20, 2.0  # lines at once, and in the long run

_ADVICE = {
    "frames": "a request is one frame, without an empty one before it: ask with a DEALER socket",
    "size": "it is larger than a message may be: send fewer samples in one",
    "msgpack": "it is neither samples, which begin with KS, nor a msgpack map",
    "version": "it is of another version of the wire than 2",
    "kind": "it is none of describe, samples, annotation and end, nor, at the control endpoint, a request",
    "tracked": "a tracked message has a head of 32 bytes, then samples, end or annotation of its key, see docs/wire.md",
    "acknowledge": "acknowledge names up to 256 keys, numbers from 0 to 2**64",
    "samples": "samples have a head of 32 bytes and then as many readings as it says, see docs/wire.md",
    "width": "it does not hold as many readings, of as many channels as were described, as its head says",
    "times": "a time is no number of ns from 0 to 2**62",
    "annotation": "its activity is no name of up to 255 printable characters, or it ends before it begins",
    "bundle": "reload names a bundle's folder, a path of up to 4,096 characters",
    "id": "id, by which an answer is known again, is no number from 0 to 2**62",
    "window": "window is no number from -1 to 2**62",
    "position": "position is no number from 0 to 2**62",
    "begin": "begin is no Unix time in ns",
    "end": "end is no Unix time in ns",
    "timing": "timing is 'grid', or 'times' where samples carry their times",
    "keys": "it lacks a key of its kind, or has one too many, see docs/wire.md",
    "key": "key is no number from 0 to 2**64",
    "device": "a device's name is 1 to 64 letters, digits and _ . : @ + -",
    "origin": "origin is no Unix time in ns",
    "channels": "channels are a list of up to 1,024 maps with a name and a unit, up to 64 printable characters each",
    "rate_hz": "rate_hz is no number of samples a second",
    "stream": "a stream's name is 1 to 64 letters, digits and _ . : @ + -",
    "session": "session is no number from 0 to 2**62",
}


class Notices:
    """Logs each thing once; where too many different things go wrong, it says how many it left out."""

    def __init__(self) -> None:
        self._said: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._room = float(_BURST)
        self._looked = time.monotonic()
        self._left_out = 0
        self._undelivered = UndeliveredChannels()

    def refused(self, event: Event) -> None:
        """Say why a stream is not served."""
        reason = str(event.details.get("reason"))
        self._say((event.stream, reason), f"refused stream {event.stream}: {reason}")

    def denied(self, client: str, why: str) -> None:
        """Say what a client has no right to do, or no quota for."""
        self._say((client, why), f"denied: {why}")

    def answered(self, answer: Answer) -> None:
        """Say which channels of a stream no device delivers, where that lasts: there are no labels meanwhile."""
        if answer.accepted and (text := self._undelivered.news(answer.stream, answer.details)):
            self._say((answer.stream, text), f"stream {answer.stream}: {text}")

    def forget(self, stream: str) -> None:
        """Forget what was said of a stream."""
        for key in [key for key in self._said if key[0] == stream]:
            del self._said[key]
        self._undelivered.forget(stream)

    def put_off(self) -> None:
        """Say that there are more descriptions than can be read."""
        self._say(("", "put off"), "descriptions come faster than they can be read: streams are accepted later")

    def malformed(self, reason: str) -> None:
        """Say what is wrong with messages that cannot be read."""
        advice = _ADVICE.get(reason, reason)
        self._say(("", reason), f"left out a message that cannot be read ({reason}): {advice}; all such are counted")

    def _say(self, key: tuple[str, str], line: str) -> None:
        if key in self._said:
            self._said.move_to_end(key)
            return
        now = time.monotonic()
        self._room = min(self._room + (now - self._looked) * _PER_S, _BURST)
        self._looked = now
        if self._room < 1:
            self._left_out += 1
            return
        self._room -= 1
        self._said[key] = None
        if len(self._said) > _REMEMBERED:
            self._said.popitem(last=False)
        more = f" (and {self._left_out} others, not shown)" if self._left_out else ""
        self._left_out = 0
        stream, _ = key
        _logger.warning("%s%s", line, more, extra={"stream": stream} if stream else None)
