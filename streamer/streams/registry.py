"""Which streams are known: who is admitted, who is refused and why, who is forgotten.

A stream is admitted by its description, the message that names its columns and the key that its samples carry. Every
sender repeats it every second or two, in case the streamer was restarted. To read one takes up to a thousand times as
long as a sample, so the fingerprint (the hash) of each description is kept, and one that came before is answered
unread.

A description that does not fit concerns nobody but the key it names: other senders of the stream go on.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.streamer.streams.devices import DeviceSet
from kinestream.streamer.streams.sessions import Emit, OnChange, Sessions
from kinestream.streamer.streams.stream import Key, KnownStream, Layout
from kinestream.streamer.wire.messages import DEVICE, Answer, Description

_MAX_REASON = 500  # characters of a refusal
_MAX_KEYS = 16  # of a stream: its devices, senders that were restarted, or send side by side
_MAX_SETS = 2  # of devices: those of the session that is open, and of one that is about to begin
_SLOWEST_HZ, _FASTEST_HZ = 0.01, 100_000.0  # of a device
_TIMINGS = ("on the grid", "by their times")


class Registry:
    """The streams that are known, by name and by key.

    Parameters
    ----------
    bundle : Bundle
        What streams must fit.
    sessions : Sessions
        What begins and ends their sessions.
    emit, on_change : callable
        See `streamer.streams.sessions`.
    on_forgotten : callable
        Called with each key that means nothing any more.
    forget_ns : int
        How long a stream may be silent before it is forgotten.
    most_streams : int
        Streams known at a time; further ones are refused.

    Attributes
    ----------
    streams : dict of KnownStream by str
        Those that fit.
    keys : dict of Key by int
        Theirs.
    refused : dict
        Keys that were refused, the latest `most_streams` of them.
    """

    def __init__(
        self,
        bundle: Bundle,
        sessions: Sessions,
        emit: Emit,
        on_change: OnChange,
        on_forgotten: Callable[[Key], None],
        *,
        forget_ns: int,
        most_streams: int,
    ) -> None:
        self.streams: dict[str, KnownStream] = {}
        self.keys: dict[int, Key] = {}
        self.refused: OrderedDict[int, None] = OrderedDict()
        self._by_fingerprint: dict[int, Key] = {}
        self._bundle = bundle
        self._sessions = sessions
        self._emit, self._on_change, self._on_forgotten = emit, on_change, on_forgotten
        self._forget_ns, self._most_streams = forget_ns, most_streams
        about = bundle.description
        self._about: dict[str, Any] = {
            "bundle": bundle.id,
            "rate_hz": about.rate_hz,
            "window": about.window.model_dump(),
            "classes": list(about.classes),
            "null_class": about.null_class,
        }

    def describe(
        self, name: str, channels: Sequence[Channel], rate_hz: float | None = None, device: str = DEVICE
    ) -> KnownStream:
        """Say what the columns of a stream are; see `Recognizer.describe`.

        Raises
        ------
        ChannelMismatch
            Where they do not fit.
        """
        bundle = self._bundle
        if rate_hz is not None and not bundle.accepts_rate(rate_hz):
            raise ChannelMismatch(
                f"stream {name} has {rate_hz:g} samples a second, bundle {bundle.description.name} "
                f"was trained at {bundle.description.rate_hz:g}: resample it or take a bundle of its rate"
            )
        order, factors = bundle.columns(channels)
        layout = Layout(order, len(channels), factors)
        known = self.streams.get(name)
        if known is None:
            known = self.streams[name] = KnownStream(layout, device)
        known.layout, known.device = layout, device
        return known

    def introduce(self, description: Description, subscribers: int, *, quietly: bool = False) -> Answer:
        """Admit a stream by its description or refuse it.

        Parameters
        ----------
        description : Description
            What it says.
        subscribers : int
            How many listen to its labels.
        quietly : bool
            Whether an event tells only what is new, because the sender is answered otherwise.
        """
        name, number = description.stream, description.key
        before = self.keys.get(number)
        if before is not None and before.fingerprint != description.fingerprint:
            why = "its key stands for another description already: choose a new one, of 64 random bits"
            return self._refuse(description, why, keep=True)
        if before is not None:
            return self._answer(before, subscribers, tell=not quietly)
        try:
            self._check(description)
            key = self._admit_device(description) if description.timing == "times" else self._admit(description)
        except ChannelMismatch as error:
            return self._refuse(description, str(error))
        known = key.known
        known.touched = True
        self.refused.pop(number, None)
        self.keys[number] = self._by_fingerprint[description.fingerprint] = key
        known.keys.append(key)
        if len(known.keys) > _MAX_KEYS:
            self._forget(known.keys.pop(0))
        self._sessions.reserve(known)
        self._on_change(name, known)
        return self._answer(key, subscribers, tell=True)

    def introduce_again(
        self, fingerprint: int, listening: Callable[[str], int], *, quietly: bool = False
    ) -> Answer | None:
        """Answer a description that came before, byte for byte; None where it did not. See `Recognizer`."""
        key = self._by_fingerprint.get(fingerprint)
        if key is None:
            return None
        key.known.touched = True
        return self._answer(key, listening(key.name), tell=not quietly)

    def forget_silent(self, now: int) -> None:
        """Close and forget the streams that have been silent for too long by `now`, on the monotonic clock, ns."""
        silent = [
            name for name, known in self.streams.items() if known.is_silent(now, self._forget_ns) and not known.queued
        ]
        for name in silent:
            known = self.streams.pop(name)
            self._sessions.close(name, known, "idle")
            for key in known.keys:
                self._forget(key)
            if known.spare is not None:
                known.spare.close()

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        for name, known in self.streams.items():
            self._sessions.close(name, known, "stopped")

    def _check(self, description: Description) -> None:
        """Raise ChannelMismatch where a stream cannot be admitted whatever its columns are."""
        name, known = description.stream, self.streams.get(description.stream)
        if known is None and len(self.streams) >= self._most_streams:
            raise ChannelMismatch(
                f"{len(self.streams)} streams are served already: start another streamer or raise --max-streams"
            )
        if known is None:
            return
        others = {key.timing for key in known.keys if key.session == description.session}
        if others - {description.timing}:
            raise ChannelMismatch(
                f"stream {name} has devices whose readings lie {_TIMINGS[description.timing == 'grid']} already, "
                f"and those of {description.device} {_TIMINGS[description.timing != 'grid']}: send all in one way"
            )
        if description.timing == "grid" and known.device != description.device and known.session is not None:
            raise ChannelMismatch(
                f"stream {name} is sent by device {known.device} already: send all devices with times, or as one"
            )

    def _admit(self, description: Description) -> Key:
        """Admit the one device whose readings lie on the grid."""
        about = description
        known = self.describe(about.stream, about.channels, about.rate_hz, about.device)
        return Key(about.key, about.stream, known, about.session, known.layout, about.fingerprint)

    def _admit_device(self, description: Description) -> Key:
        """Admit one of the devices whose readings carry times."""
        about, bundle = description, self._bundle
        if about.rate_hz and not _SLOWEST_HZ <= about.rate_hz <= _FASTEST_HZ:
            raise ChannelMismatch(
                f"device {about.device} of stream {about.stream} has {about.rate_hz:g} readings a second: give a rate "
                f"from {_SLOWEST_HZ:g} to {_FASTEST_HZ:g}, or 0 where they are irregular"
            )
        delivered = bundle.device_columns(about.channels)
        known = self.streams.get(about.stream)
        devices = known.sets.get(about.session) if known is not None else None
        if devices is None:
            grid = SampleGrid(about.origin, exact_rate(bundle.description.rate_hz))
            window = bundle.grid
            devices = DeviceSet(grid, channels=len(bundle.channels), length=window.length, stride=window.stride)
        if devices.grid.origin != about.origin:
            raise ChannelMismatch(
                f"device {about.device} of stream {about.stream} has origin {about.origin}, its others "
                f"{devices.grid.origin}: give all devices of a session one origin"
            )
        for other in devices.devices:
            both = np.intersect1d(other.columns, delivered.columns)
            if other.name != about.device and len(both):
                twice = bundle.channels[int(both[0])].name
                raise ChannelMismatch(
                    f"devices {other.name} and {about.device} of stream {about.stream} both deliver {twice}: "
                    "send each channel from one device"
                )
        layout = Layout(None, len(about.channels))
        if known is None:
            known = self.streams[about.stream] = KnownStream(layout, about.device)
        known.sets[about.session] = devices
        while len(known.sets) > _MAX_SETS:
            del known.sets[min(known.sets)]
        device = devices.add(about.device, about.rate_hz, delivered)
        return Key(about.key, about.stream, known, about.session, layout, about.fingerprint, devices, device)

    def _forget(self, key: Key) -> None:
        del self.keys[key.number]
        self._by_fingerprint.pop(key.fingerprint, None)
        self._on_forgotten(key)

    def _refuse(self, description: Description, why: str, *, keep: bool = False) -> Answer:
        """Say why a key is not served; it takes no room but its own."""
        if not keep:
            self.refused[description.key] = None
            self.refused.move_to_end(description.key)
            while len(self.refused) > self._most_streams:
                self.refused.popitem(last=False)
        details = {"reason": why[:_MAX_REASON]}
        self._emit("refused", description.stream, -1, details)
        return Answer(False, description.key, description.stream, details)

    def _answer(self, key: Key, subscribers: int, *, tell: bool) -> Answer:
        columns = None if key.layout.order is None else key.layout.order.tolist()
        details = self._about | {"columns": columns, "subscribers": subscribers}
        if tell:
            session = key.known.session.number if key.known.session else -1
            self._emit("accepted", key.name, session, details)
        return Answer(True, key.number, key.name, details)
