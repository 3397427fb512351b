"""The signals of the streams that somebody looks at: asked for only then, and kept in bounded memory."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kinestream.streamer.dashboard.signal import KEPT_BYTES, DeviceSignal
from kinestream.streamer.dashboard.strip import SECOND
from kinestream.streamer.wire.signals import Signal

MOST_STREAMS = 8
"""Streams whose signal is had at a time."""
_MOST_DEVICES, _LARGE = 32, 4  # of a stream, and of those so many with all the room
_KEEP_NS = 60 * SECOND  # after nobody looks any more: somebody may come back


class Watching:
    """Whose signals are had.

    Parameters
    ----------
    subscribe, unsubscribe : callable
        Called with a stream's name.
    """

    def __init__(self, subscribe: Callable[[str], None], unsubscribe: Callable[[str], None]) -> None:
        self._subscribe, self._unsubscribe = subscribe, unsubscribe
        self._lookers: Counter[str] = Counter()
        self._left: dict[str, int] = {}
        self._signals: dict[str, dict[str, DeviceSignal]] = {}
        self._sessions: dict[str, int] = {}

    def look(self, stream: str) -> bool:
        """Begin to look at a stream; return whether there is room for it."""
        if stream not in self._signals:
            while len(self._signals) >= MOST_STREAMS:
                if not self._left:
                    return False
                self._drop(min(self._left, key=self._left.__getitem__))
            self._signals[stream] = {}
            self._subscribe(stream)
        self._left.pop(stream, None)
        self._lookers[stream] += 1
        return True

    def leave(self, stream: str, now: int) -> None:
        """Look at a stream no more, from a monotonic time in ns on."""
        self._lookers[stream] -= 1
        if self._lookers[stream] <= 0:
            del self._lookers[stream]
            self._left[stream] = now

    def forget(self, now: int) -> None:
        """Ask no more for what nobody has looked at for a while."""
        for stream in [each for each, left in self._left.items() if now - left > _KEEP_NS]:
            self._drop(stream)

    def has(self, stream: str) -> bool:
        """Tell whether a stream's signal is had."""
        return stream in self._signals

    @property
    def is_looking(self) -> bool:
        """Whether anybody looks at a stream."""
        return bool(self._lookers)

    def of(self, stream: str) -> dict[str, DeviceSignal]:
        """Return a stream's signals by device."""
        return self._signals.get(stream, {})

    def add(self, signal: Signal) -> None:
        """Note readings; what their columns are must have been told."""
        known = self._signals.get(signal.stream)
        if known is None:
            return
        moments = _moments(signal)
        if signal.session != self._sessions.get(signal.stream):
            self._sessions[signal.stream] = signal.session
            if any(each.end >= moments[0] for each in known.values()):  # its clock was set back
                known.clear()
        device = known.get(signal.device)
        if signal.channels is not None:
            channels = tuple((channel.name, channel.unit) for channel in signal.channels)
            if device is None and len(known) < _MOST_DEVICES:
                room = KEPT_BYTES if len(known) < _LARGE else KEPT_BYTES // 8
                device = known[signal.device] = DeviceSignal(channels, room)
            elif device is not None and device.channels != channels:
                device = known[signal.device] = DeviceSignal(channels)
        if device is not None and len(device.channels) == signal.width:
            device.add(moments, signal.readings)

    def _drop(self, stream: str) -> None:
        self._left.pop(stream, None)
        self._sessions.pop(stream, None)
        del self._signals[stream]
        self._unsubscribe(stream)


def _moments(signal: Signal) -> npt.NDArray[np.int64]:
    """Return when each reading was taken, Unix ns."""
    if signal.times:
        return signal.moments
    period = 1e9 / signal.rate_hz if signal.rate_hz else 0.0
    before: npt.NDArray[np.int64] = np.rint(np.arange(signal.size - 1, -1, -1) * period).astype(np.int64)
    return signal.t - before
