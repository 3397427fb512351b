"""Which streams are known: who is admitted, who is refused and why, who is forgotten.

A stream is admitted by its description, the message that names its columns and the key that its samples carry. Every
sender repeats it every second or two, in case the streamer was restarted. To read one takes up to a thousand times as
long as a sample, so the fingerprint (the hash) of each description is kept, and one that came before is answered
unread.

A description that does not fit concerns nobody but the key it names: other senders of the stream go on.

Longer than other files: it is one table by name and one by key, and whatever changes one changes the other.
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
from kinestream.streamer.streams.readingbudget import ReadingBudget
from kinestream.streamer.streams.sessions import Emit, OnChange, Sessions
from kinestream.streamer.streams.stream import Key, KnownStream, Layout, turn_samples
from kinestream.streamer.wire.messages import DEVICE, Answer, Description

_MAX_REASON = 500  # characters of a refusal
_MOST_NAMED = 64  # channels that no device delivers
_MAX_KEYS = 16  # of a stream on the grid: senders that were restarted, or send side by side
_MAX_DEVICES = 32  # of a session
MAX_SETS = 2
"""Of devices: those of the session that is open, and of one that is about to begin."""
_MOST_SETS = 8  # with those that wait for devices whose messages are tracked
_SLOWEST_HZ, _FASTEST_HZ = 0.1, 100_000.0  # of a device: readings further apart than 10 s are not joined
_TIMINGS = ("on the grid", "by their times")
_NO_MEMORY = "no memory is left for another stream: give the streamer more, or start another one"


class Registry:
    """The streams that are known, by name and by key.

    Parameters
    ----------
    bundle : Bundle
        What streams must fit.
    sessions : Sessions
        What begins and ends their sessions.
    emit, on_change : callable
        See `kinestream.streamer.streams.sessions`.
    on_forgotten : callable
        Called with each key that means nothing any more.
    forget_ns : int
        How long a stream may be silent before it is forgotten.
    most_streams : int
        Streams known at a time; further ones are refused.
    patience_ns : int
        See `kinestream.streamer.streams.devices.patience_ns`.
    epochs : dict, optional
        What becomes `epochs`.

    Attributes
    ----------
    streams : dict of KnownStream by str
        Those that fit.
    keys : dict of Key by int
        Theirs.
    refused : dict of (str, str) by int
        Keys that were refused, the latest `most_streams` of them: which stream, and why.
    closed : str
        Why no further stream is admitted; empty where it is.
    epochs : dict of int by str
        In a fleet, as of when this streamer has a stream: the latest that one of its descriptions told.
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
        patience_ns: int,
        epochs: dict[str, int] | None = None,
    ) -> None:
        self.epochs = {} if epochs is None else epochs
        self.streams: dict[str, KnownStream] = {}
        self.keys: dict[int, Key] = {}
        self.refused: OrderedDict[int, tuple[str, str]] = OrderedDict()
        self.closed = ""
        self._by_fingerprint: dict[int, Key] = {}
        self._sessions = sessions
        self._emit, self._on_change, self._on_forgotten = emit, on_change, on_forgotten
        self._forget_ns, self._most_streams = forget_ns, most_streams
        self._patience_ns = patience_ns
        self._budget = ReadingBudget()
        self._turn_samples = turn_samples(bundle.grid.stride)
        self._bundle, self._about = bundle, _answered(bundle)

    def change_bundle(self, bundle: Bundle) -> None:
        """Say of another bundle, which has the same channels, what is said of this one."""
        self._bundle, self._about = bundle, _answered(bundle)
        for known in self.streams.values():
            for devices in known.sets.values():
                devices.frozen = bundle.frozen

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
            self._check_room()
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
            return self._refuse(description, why, keep=True, tell=True)
        if before is not None:
            return self._answer(before, subscribers, tell=not quietly)
        try:
            self._check(description)
            key = self._admit_device(description) if description.timing == "times" else self._admit(description)
            self._sessions.reserve(key.known)
        except ChannelMismatch as error:
            return self._refuse(description, str(error), tell=not quietly)
        except MemoryError:
            if (known := self.streams.get(name)) is not None and not known.keys:
                del self.streams[name]  # it was about to be admitted
            return self._refuse(description, _NO_MEMORY, tell=not quietly)
        known = key.known
        known.touched = True
        if description.epoch > self.epochs.get(name, 0):
            self.epochs[name] = description.epoch
        self.refused.pop(number, None)
        self.keys[number] = self._by_fingerprint[description.fingerprint] = key
        known.keys.append(key)
        self._forget_outdated(known)
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

    def returns(self, description: Description) -> bool:
        """Tell whether a stream comes back that another streamer of the fleet had meanwhile.

        Then what is left of it here is from before, and no window may hold it together with what comes now.
        """
        if not description.epoch or (known := self.streams.get(description.stream)) is None:
            return False
        if not 0 < self.epochs.get(description.stream, 0) < description.epoch:
            return False
        return any(key.about.device == description.device for key in known.keys)

    def forget_silent(self, now: int) -> None:
        """Close and forget the streams that have been silent for too long by `now`, on the monotonic clock, ns."""
        silent = [
            name for name, known in self.streams.items() if known.is_silent(now, self._forget_ns) and not known.queued
        ]
        for name in silent:
            self.forget(name, "idle")

    def forget(self, name: str, reason: str) -> None:
        """Close and forget a stream; nothing of it may wait in the backlog."""
        known = self.streams.pop(name)
        self._sessions.close(name, known, reason)
        self.epochs.pop(name, None)
        for number in list(known.sets):
            self._drop_set(known, number)
        for key in known.keys:
            self._forget(key)
        if known.spare is not None:
            known.spare.close()

    def forget_refusals(self, name: str) -> int:
        """Forget which keys of a stream were refused; return how many that were."""
        keys = [key for key, (stream, _) in self.refused.items() if stream == name]
        for key in keys:
            del self.refused[key]
        return len(keys)

    def retire(self, may_still: Callable[[str, str], bool]) -> list[str]:
        """Forget the keys of those that may not send a stream any more, and return the streams that nobody else sends.

        `may_still` is called with the sender and the stream of a key.
        """
        ended = []
        for name, known in self.streams.items():
            retired = [key for key in known.keys if not may_still(key.sender, name)]
            self._forget_all(known, retired)
            if retired and not known.keys:
                ended.append(name)
                for number in list(known.sets):
                    self._drop_set(known, number)
                self._sessions.close(name, known, "revoked")
        return ended

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        for name, known in self.streams.items():
            for number in list(known.sets):
                self._drop_set(known, number)
            self._sessions.close(name, known, "stopped")

    def _check(self, description: Description) -> None:
        """Raise ChannelMismatch where a stream cannot be admitted whatever its columns are."""
        name, known = description.stream, self.streams.get(description.stream)
        if known is None:
            self._check_room()
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

    def _check_room(self) -> None:
        """Raise ChannelMismatch where no stream more may be known."""
        if self.closed:
            raise ChannelMismatch(self.closed)
        if len(self.streams) >= self._most_streams:
            raise ChannelMismatch(
                f"{len(self.streams)} streams are served already: start another streamer or raise --max-streams"
            )

    def _admit(self, description: Description) -> Key:
        """Admit the one device whose readings lie on the grid."""
        about = description
        known = self.describe(about.stream, about.channels, about.rate_hz, about.device)
        return Key.of(about, known, known.layout)

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
            devices = DeviceSet(
                grid,
                channels=len(bundle.channels),
                length=window.length,
                stride=window.stride,
                patience_ns=self._patience_ns,
                frozen=bundle.frozen,
                most_laid=self._turn_samples,
                budget=self._budget,
            )
        if devices.grid.origin != about.origin:
            raise ChannelMismatch(
                f"device {about.device} of stream {about.stream} has origin {about.origin}, its others "
                f"{devices.grid.origin}: give all devices of a session one origin"
            )
        others = {each.name for each in devices.devices if not each.ended} - {about.device}
        if len(others) >= _MAX_DEVICES:
            raise ChannelMismatch(
                f"stream {about.stream} has {len(others)} devices already, as many as a session may have: "
                f"send what {about.device} delivers with another device's readings"
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
        known.keep(about.session, devices)
        self._make_room(known, about.session)
        device = devices.add(about.device, about.rate_hz, delivered)
        return Key.of(about, known, layout, devices, device)

    def _make_room(self, known: KnownStream, described: int) -> None:
        """Give up the devices of the oldest sessions, where there are too many; first of those that nothing waits in.

        `described` is the session that is about to begin.
        """
        opened = known.session.number if known.session is not None else -1
        newest = max(known.closed, opened)
        while len(known.sets) > MAX_SETS:
            others = [number for number in known.sets if number not in (opened, described)]
            waiting = [number for number in others if known.sets[number].is_begun and number > newest]
            idle = [number for number in others if number not in waiting]
            if not idle:
                if len(known.sets) <= _MOST_SETS:
                    return
                known.sets[waiting[0]].is_cut_short = True
            self._drop_set(known, (idle or waiting)[0])

    def _drop_set(self, known: KnownStream, number: int) -> None:
        """Give up the devices of a session; what their keys send must be described again."""
        devices = known.sets.pop(number)
        devices.close()
        self._sessions.count_readings(devices)
        self._forget_all(known, [key for key in known.keys if key.devices is devices])

    def _forget_outdated(self, known: KnownStream) -> None:
        """Forget the oldest keys, but those of devices that may still send."""
        kept = [key for key in known.keys if key.device is not None and not key.device.ended]
        others = [key for key in known.keys if key not in kept]
        self._forget_all(known, others[: max(len(known.keys) - _MAX_KEYS, 0)])

    def _forget_all(self, known: KnownStream, keys: Sequence[Key]) -> None:
        for key in keys:
            known.keys.remove(key)
            self._forget(key)

    def _forget(self, key: Key) -> None:
        del self.keys[key.number]
        self._by_fingerprint.pop(key.fingerprint, None)
        self._on_forgotten(key)

    def _refuse(self, description: Description, why: str, *, keep: bool = False, tell: bool) -> Answer:
        """Say why a key is not served, by an event if it is new or to be told; it takes no room but its own."""
        refusal = description.stream, why[:_MAX_REASON]
        tell = tell or self.refused.get(description.key) != refusal
        if not keep:
            self.refused[description.key] = refusal
            self.refused.move_to_end(description.key)
            while len(self.refused) > self._most_streams:
                self.refused.popitem(last=False)
        details = {"reason": refusal[1]}
        if tell:
            self._emit("refused", description.stream, -1, details)
        return Answer(False, description.key, description.stream, details)

    def _answer(self, key: Key, subscribers: int, *, tell: bool) -> Answer:
        columns = None if key.layout.order is None else key.layout.order.tolist()
        details = self._about | {"columns": columns, "subscribers": subscribers}
        if key.devices is not None:
            undelivered = key.devices.undelivered[:_MOST_NAMED].tolist()
            details["undelivered"] = [self._bundle.channels[column].name for column in undelivered]
        if tell:
            session = key.known.session.number if key.known.session else -1
            self._emit("accepted", key.name, session, details)
        return Answer(True, key.number, key.name, details)


def _answered(bundle: Bundle) -> dict[str, Any]:
    """Return what a sender is told of the bundle."""
    about = bundle.description
    answered: dict[str, Any] = {
        "bundle": bundle.id,
        "rate_hz": about.rate_hz,
        "window": about.window.model_dump(),
        "classes": list(about.classes),
        "null_class": about.null_class,
    }
    if bundle.frozen.blank and bundle.frozen.longest is not None:
        names = [channel.name for channel in bundle.channels]
        answered["repeats"] = dict(zip(names, bundle.frozen.longest, strict=True))
    if about.activities is not None:
        answered["activities"] = about.activities.model_dump(mode="json")
    return answered
