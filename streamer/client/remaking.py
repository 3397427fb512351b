"""What a streamer that was started again is expected to make once more; no socket here.

It knows nothing of what the one before published, and says so. A reliable sender sends again what was not acknowledged,
and the labels are made anew, in their order: that takes a while. So what is missing before something that came of the
streamer before is not lost yet, as long as the new one has not come as far.
"""

from collections import deque

from kinestream.streamer.client.awaited import Asked, Listened
from kinestream.streamer.client.progress import place_of
from kinestream.streamer.wire.messages import Published

REMADE_S = 120.0
"""How long after a connection has come up again what is missing may be made once more: a sender that was started again,
too, may have it. It holds up nothing that is new, since that is made behind what is missing."""
AT_MOST_S = 2 * REMADE_S
"""How long that is waited for, however often the connection breaks meanwhile."""
_SOON_S = 30.0  # so long it is asked for often
_AGAIN_S, _AGAIN_LATER_S = 0.5, 3.0


class Remaking:
    """What is asked for again and again until it has been made."""

    def __init__(self) -> None:
        self._later: deque[tuple[float, Asked]] = deque()
        self._is_new, self._since = False, -REMADE_S

    @property
    def are_open(self) -> bool:
        """Whether anything waits to be asked for again."""
        return bool(self._later)

    def begin(self) -> None:
        """Note that the streamer may be another one from now on."""
        self._is_new = True
        for _, asked in self._later:
            asked.begin_anew()

    def is_underway(self, now: float) -> bool:
        """Tell whether anything may be made once more, on the monotonic clock, s."""
        if self._is_new:
            self._is_new, self._since = False, now
        return now - self._since < REMADE_S

    def may_come(self, stream: Listened, asked: Asked, now: float, *, joins: bool) -> bool:
        """Tell whether what is missing may come yet, after an answer that says that it is not kept.

        Parameters
        ----------
        stream : Listened
            Whose it is.
        asked : Asked
            What was answered, to the end.
        now : float
            On the monotonic clock, s.
        joins : bool
            Whether what was before the first label that came is missing, too.
        """
        if not self.is_underway(now):
            return False
        if asked.waits_since is not None and now - asked.waits_since > AT_MOST_S:
            return False
        held = _first_behind(stream, joins)
        place = None if held is None else place_of(held)
        return place is not None and asked.newest < place

    def ask_later(self, asked: Asked, now: float) -> None:
        """Ask for what follows after a while."""
        asked.is_waiting, asked.attempts = True, 0
        asked.waits_since = now if asked.waits_since is None else asked.waits_since
        again_s = _AGAIN_S if now - self._since < _SOON_S else _AGAIN_LATER_S
        self._later.append((now + again_s, asked))

    def due(self, now: float) -> list[Asked]:
        """Return what is to be asked again now, on the monotonic clock, s."""
        asked = []
        while self._later and self._later[0][0] <= now:
            asked.append(self._later.popleft()[1])
        return asked

    def give_up(self) -> list[Asked]:
        """Wait for nothing any more; return what was waited for."""
        return self.due(float("inf"))


def in_order(messages: list[tuple[Published, bytes]]) -> list[tuple[Published, bytes]]:
    """Return messages by session and window; what tells of no window stays behind what it came after."""
    places: list[tuple[int, float]] = []
    for message, _ in messages:
        place = place_of(message)
        places.append(place if place is not None else places[-1] if places else (-1, -1.0))
    return [messages[at] for at in sorted(range(len(messages)), key=places.__getitem__)]


def is_before(message: Published, other: Published) -> bool:
    """Tell whether what a message tells of lies before what another one does."""
    place, others = place_of(message), place_of(other)
    return place is not None and others is not None and place < others


def _first_behind(stream: Listened, joins: bool) -> Published | None:
    """Return the first that is held back if something is missing before it; None where it can be handed out."""
    for message, _ in stream.held:
        if stream.had.is_behind(message, joins=joins):
            return message
        if (place := place_of(message)) is not None and not stream.had.has_reached(*place):
            return None
    return None
