"""What a streamer's keeper is told of its senders: what they do wrong, once of each, and not without end."""

import logging
import time
from collections import OrderedDict

from kinestream.streamer.wire.messages import Event

_logger = logging.getLogger("streamer")

_REMEMBERED = 10_000  # streams and reasons
_BURST, _PER_S = 20, 2.0  # lines at once, and in the long run

_ADVICE = {
    "frames": "a request is one frame, without an empty one before it: ask with a DEALER socket",
    "size": "it is larger than a message may be: send fewer samples in one",
    "msgpack": "it is neither samples, which begin with KS, nor a msgpack map",
    "version": "it is of another version of the wire than 2",
    "kind": "it is none of describe, samples and end",
    "samples": "samples have a head of 32 bytes and then as many readings as it says, see docs/wire.md",
    "width": "it does not hold as many readings, of as many channels as were described, as its head says",
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

    def refused(self, event: Event) -> None:
        """Say why a stream is not served."""
        reason = str(event.details.get("reason"))
        self._say((event.stream, reason), f"refused stream {event.stream}: {reason}")

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
        _logger.warning("%s%s", line, more)
