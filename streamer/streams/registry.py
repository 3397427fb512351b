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

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.streams.sessions import Emit, OnChange, Sessions
from kinestream.streamer.streams.stream import Key, KnownStream, Layout
from kinestream.streamer.wire.messages import DEVICE, Answer, Description

_MAX_REASON = 500  # characters of a refusal
_MAX_KEYS = 8  # of a stream: senders that were restarted, or send side by side


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
        layout = Layout(bundle.column_order(channels), len(channels))
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
            known = self.describe(name, description.channels, description.rate_hz, description.device)
        except ChannelMismatch as error:
            return self._refuse(description, str(error))
        known.touched = True
        key = Key(number, name, known, description.session, known.layout, description.fingerprint)
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
        if description.timing != "grid":
            raise ChannelMismatch(
                f"stream {name} gives a time for each reading: send readings at the bundle's rate, with timing 'grid'"
            )
        if known is not None and known.device != description.device and known.session is not None:
            raise ChannelMismatch(
                f"stream {name} is sent by device {known.device} already: send the channels of all its devices as one"
            )

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
