"""The quick path: samples that simply come next are taken in bulk, everything else one by one.

Nearly all messages are the next samples of a session that is open. `kinestream.streamer.ingest.taker` takes those, from
a list of frames, until it meets one that is anything else or that goes past the end of a session's open window. Here
the windows that have come due are cut, that message is tried again or handed to the usual way, and the rest goes on
behind it: so messages keep their order, whichever way they take.

What would go wrong otherwise. The taker knows nothing of sessions, only lanes. So it is told (`note`) of every change:
a session that begins or ends, a stream whose messages wait in the backlog and must not be overtaken, columns that must
be put in another order first. And where readings carry times, somebody must look (`on_look`) before more of that
session's are taken, as soon as a window may be due.
"""

from array import array
from collections.abc import Callable

from kinestream.streamer.ingest.taker import Due, new_taker
from kinestream.streamer.ingest.tap import Tap
from kinestream.streamer.streams.arena import Lanes
from kinestream.streamer.streams.buffer import StreamBuffer
from kinestream.streamer.streams.device import Device
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.outcomes import DueWindow
from kinestream.streamer.streams.stream import Key, KnownStream, turn_samples

OnDue = Callable[[DueWindow, str, KnownStream, int, int, bool], None]
OnLook = Callable[[Key, int, bool], None]


class QuickPath:
    """Takes messages that continue a session it knows.

    Parameters
    ----------
    lanes : Lanes
        Where the sessions' rows lie.
    on_due : callable
        Called with each window that comes due, whose rows are valid until it returns: the window, its stream's name and
        what is known of it, the time of its last sample, when that came, and whether its sender does not wait.
    on_look : callable
        Called when readings of a key have reached so far that a window of its devices may be due: with the key, when
        they came, and whether its sender does not wait.
    stride : int
        Samples from one window to the next.
    tap : Tap
        Where readings go that somebody watches.

    Attributes
    ----------
    taken : int
        Messages taken.
    """

    def __init__(self, lanes: Lanes, on_due: OnDue, on_look: OnLook, stride: int, tap: Tap) -> None:
        self.taken = 0
        self._lanes, self._on_due, self._on_look = lanes, on_due, on_look
        self._most_samples = turn_samples(stride)  # readings with times may fill many windows at once
        self._keys: dict[int, Key] = {}  # those whose readings carry times
        self._taker = new_taker(lanes)
        self._tap = tap
        self._tracked: dict[int, array[int]] = {}  # by key: the number of the tracked message that comes next
        self._of_lane: dict[int, tuple[StreamBuffer, str, KnownStream]] = {}

    @property
    def readings(self) -> int:
        """How many readings with times it has taken."""
        return self._taker.readings

    def note(self, name: str, known: KnownStream) -> None:
        """Learn that a stream has another session than before, or none, or another key, or waits in the backlog."""
        session = known.session
        if session is not None:
            self._of_lane[session.buffer.lane] = (session.buffer, name, known)
        newest = max((key.session for key in known.keys), default=0)
        for key in known.keys:
            if not _may_continue(key, known, newest):
                self.forget(key)
            elif key.devices is not None and key.device is not None:
                self._note_device(key, key.devices, key.device)
            elif session is not None and key.layout.copies_directly:
                self._taker.put(key.number, session.buffer.lane)
                self._track(key.number)
            else:
                self.forget(key)

    def _note_device(self, key: Key, devices: DeviceSet, device: Device) -> None:
        if devices.is_complete and not device.ended:
            self._keys[key.number] = key
            self._taker.put_log(key.number, device.log, key.layout.width, self._most_samples)
            self._track(key.number)
        else:
            self.forget(key)

    def track(self, key: Key, expected: "array[int]") -> None:
        """Take a key's tracked messages, too; `expected` holds the number of the next, and is counted up."""
        if self._tracked.get(key.number) is not expected:
            self._tracked[key.number] = expected
            self._track(key.number)

    def untrack(self, number: int) -> None:
        """Let go of the count of a key that means nothing any more."""
        self._tracked.pop(number, None)

    def _track(self, number: int) -> None:
        expected = self._tracked.get(number)
        if expected is not None:
            self._taker.track(number, expected)

    def forget(self, key: Key) -> None:
        """Leave messages of a key alone."""
        self._taker.drop(key.number)
        self._keys.pop(key.number, None)
        self._tap.forget(key.number)

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
            look: list[int] = []
            reached = take(frames, at, due, look)
            self.taken += reached - at
            if self._tap.is_open:
                self._tap.add_frames(frames, at, reached)
            at = reached
            for lane, t in due:
                buffer, name, known = self._of_lane[lane]
                self._on_due(buffer.cut_next(), name, known, t, received, lossy)
                buffer.advance()
            for number in look:
                self._on_look(self._keys[number], received, lossy)
            if at < count and not due and not look:  # else it may only have waited for a window to be cut or laid
                fallback(frames[at])
                at += 1


def _may_continue(key: Key, known: KnownStream, newest: int) -> bool:
    """Tell whether messages of a key, if they are the next, need nothing but to be taken."""
    if known.queued:
        return False
    if known.session is not None:
        return key.session == known.session.number
    # Readings with times come long before their session begins, with its first samples; but only of one session: which
    # of two begins first is not known here.
    return key.devices is not None and key.session == newest and (not newest or newest > known.closed)
