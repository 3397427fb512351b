"""The quick path: samples that simply come next are taken in bulk, everything else one by one.

Nearly all messages are the next samples of a session that is open. `streamer.ingest.taker` takes those, from a list of
frames, until it meets one that is anything else or that goes past the end of a session's open window. Here the windows
that have come due are cut, that message is tried again or handed to the usual way, and the rest goes on behind it: so
messages keep their order, whichever way they take.

What would go wrong otherwise. The taker knows nothing of sessions, only lanes. So it is told (`note`) of every change:
a session that begins or ends, a stream whose messages wait in the backlog and must not be overtaken, columns that must
be put in another order first.
"""

from collections.abc import Callable

from kinestream.streamer.ingest.taker import Due, new_taker
from kinestream.streamer.streams.arena import Lanes
from kinestream.streamer.streams.buffer import StreamBuffer
from kinestream.streamer.streams.outcomes import DueWindow
from kinestream.streamer.streams.stream import Key, KnownStream

OnDue = Callable[[DueWindow, str, KnownStream, int, int, bool], None]


class QuickPath:
    """Takes messages that continue a session it knows.

    Parameters
    ----------
    lanes : Lanes
        Where the sessions' rows lie.
    on_due : callable
        Called with each window that comes due, whose rows are valid until it returns: the window, its stream's name and
        what is known of it, the time of its last sample, when that came, and whether its sender does not wait.

    Attributes
    ----------
    taken : int
        Messages taken.
    """

    def __init__(self, lanes: Lanes, on_due: OnDue) -> None:
        self.taken = 0
        self._lanes, self._on_due = lanes, on_due
        self._taker = new_taker(lanes)
        self._of_lane: dict[int, tuple[StreamBuffer, str, KnownStream]] = {}

    def note(self, name: str, known: KnownStream) -> None:
        """Learn that a stream has another session than before, or none, or another key, or waits in the backlog."""
        session = known.session
        if session is not None:
            self._of_lane[session.buffer.lane] = (session.buffer, name, known)
        for key in known.keys:
            if (
                session is not None
                and key.session == session.number
                and key.layout.copies_directly
                and not known.queued
            ):
                self._taker.put(key.number, session.buffer.lane)
            else:
                self._taker.drop(key.number)

    def forget(self, key: Key) -> None:
        """Leave messages of a key alone."""
        self._taker.drop(key.number)

    def take_all(self, frames: list[bytes], received: int, lossy: bool, fallback: Callable[[bytes], None]) -> None:
        """Take messages in their order.

        Parameters
        ----------
        frames : list of bytes
            What has come.
        received, lossy
            Unix time in ns when they came, and whether their senders do not wait.
        fallback : callable
            Takes a message that the quick path does not.
        """
        at, count = 0, len(frames)
        take = self._taker.take
        while at < count:
            due: Due = []
            reached = take(frames, at, due)
            self.taken += reached - at
            at = reached
            for lane, t in due:
                buffer, name, known = self._of_lane[lane]
                self._on_due(buffer.cut_next(), name, known, t, received, lossy)
                buffer.advance()
            if at < count and not due:  # else it may only have waited for a window to be cut
                fallback(frames[at])
                at += 1
