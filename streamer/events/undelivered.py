"""Messages about streams whose devices do not yet deliver all channels of the bundle."""

import math
import time
from collections import OrderedDict
from collections.abc import Sequence

from kinestream.model.printable import printable
from kinestream.streamer.wire.messages import MAX_TEXT

_LISTED = 8
_SOON_S = 1.0  # a stream's devices are described one after the other: what lacks for so long is worth a line
_REMEMBERED = 10_000


def listed(names: Sequence[object]) -> str:
    """Return channels in a line: the first few, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(printable(str(name)[:MAX_TEXT]) for name in names[:_LISTED]) + more


def undelivered_text(names: Sequence[object]) -> str:
    """Return in words that no device delivers channels, and what follows."""
    return f"no device delivers {listed(names)}: there are no labels until one does"


class UndeliveredChannels:
    """Says once of each stream that channels are not delivered, and anew when they were meanwhile."""

    def __init__(self) -> None:
        self._since: OrderedDict[str, float] = OrderedDict()  # by stream; infinite where it was said

    def news(self, stream: str, details: dict[str, object]) -> str | None:
        """Return what is to be said of a stream by what it was answered; None where there is nothing, or nothing new.

        Parameters
        ----------
        stream : str
            Its name.
        details : dict
            Of an acceptance, whose ``undelivered`` names the channels.
        """
        names = details.get("undelivered")
        if not isinstance(names, list) or not names:
            self._since.pop(stream, None)
            return None
        now = time.monotonic()
        if now - self._since.setdefault(stream, now) < _SOON_S:
            while len(self._since) > _REMEMBERED:
                self._since.popitem(last=False)
            return None
        self._since[stream] = math.inf
        return undelivered_text(names)

    def forget(self, stream: str) -> None:
        """Forget what was said of a stream."""
        self._since.pop(stream, None)
