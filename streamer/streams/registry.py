"""Which streams are known: who is admitted, who is refused and why, who is forgotten.

A stream is admitted by its description, the message that names its columns. Every sender repeats it every second or
two, in case the streamer was restarted. To read one takes up to a thousand times as long as a sample, so the
fingerprint (the hash) of each stream's description is kept, and one that came before is answered unread.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.errors import ChannelMismatch
from kinestream.model.recordings.recording import Channel
from kinestream.streamer.streams.sessions import Emit, OnChange, Sessions
from kinestream.streamer.streams.stream import KnownStream
from kinestream.streamer.wire.codec import is_description
from kinestream.streamer.wire.messages import End, Samples, StreamDescription, stream_name_is_valid

_MAX_REASON = 500  # characters of a refusal


class Registry:
    """The streams that are known, by name.

    Parameters
    ----------
    bundle : Bundle
        What streams must fit.
    sessions : Sessions
        What begins and ends their sessions.
    counts : Counter
        Where messages of streams that are not served are counted.
    emit, on_change : callable
        See `streamer.streams.sessions`.
    forget_ns : int
        How long a stream may be silent before it is forgotten.
    most_streams : int
        Streams known at a time; further ones are refused.

    Attributes
    ----------
    streams : dict of KnownStream by str
        Those that fit, or did.
    refused : dict
        Names of streams that never fitted, the latest `most_streams` of them.
    fingerprints : dict of str by int
        Names of streams by the fingerprint of their description.
    """

    def __init__(
        self,
        bundle: Bundle,
        sessions: Sessions,
        counts: Counter[str],
        emit: Emit,
        on_change: OnChange,
        *,
        forget_ns: int,
        most_streams: int,
    ) -> None:
        self.streams: dict[str, KnownStream] = {}
        self.refused: OrderedDict[str, None] = OrderedDict()
        self.fingerprints: dict[int, str] = {}
        self._bundle = bundle
        self._sessions = sessions
        self._counts = counts
        self._emit, self._on_change = emit, on_change
        self._forget_ns, self._most_streams = forget_ns, most_streams
        self._asked: set[str] = set()  # streams that were asked to describe themselves
        about = bundle.description
        self._about: dict[str, Any] = {
            "bundle": bundle.id,
            "rate_hz": about.rate_hz,
            "window": about.window.model_dump(),
            "classes": list(about.classes),
            "null_class": about.null_class,
        }

    def describe(self, name: str, channels: Sequence[Channel], rate_hz: float | None = None) -> None:
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
        order = bundle.column_order(channels)
        known = self.streams.get(name)
        if known is None:
            known = self.streams[name] = KnownStream()
        known.match(order, len(channels))
        self._on_change(name, known)
        self._asked.discard(name)
        self.refused.pop(name, None)

    def introduce(self, description: StreamDescription, subscribers: int) -> None:
        """Admit a stream by its description or refuse it, and answer with an event."""
        name = description.stream
        known = self.streams.get(name)
        if known is None and len(self.streams) >= self._most_streams:
            why = f"{len(self.streams)} streams are served already: start another streamer or raise --max-streams"
            self._refuse(name, None, why)
            return
        if known is not None:
            known.touched = True
        try:
            self.describe(name, description.channels, description.rate_hz)
        except ChannelMismatch as error:
            self._refuse(name, known, str(error))
            return
        known = self.streams[name]
        self._sessions.reserve(known)
        self.fingerprints.pop(known.fingerprint, None)
        known.fingerprint = description.fingerprint
        self.fingerprints[description.fingerprint] = name
        self._accept(name, known, subscribers)

    def introduce_again(self, fingerprint: int, listening: Callable[[str], int]) -> bool:
        """Answer a description that came before, byte for byte; tell whether it did. See `Recognizer`."""
        name = self.fingerprints.get(fingerprint)
        if name is None:
            return False
        known = self.streams[name]
        if known.queued:
            return False  # another may wait before it
        known.touched = True
        self._accept(name, known, listening(name))
        return True

    def knows_description(self, frame: bytes) -> bool:
        """Tell whether a message is a description that came before."""
        return is_description(frame) and hash(frame) in self.fingerprints

    def turn_away(self, message: Samples | End, known: KnownStream | None) -> None:
        """Count a message of a stream that has not said what its columns are, or whose columns do not fit."""
        name = message.stream
        undeclared = known is None and name not in self.refused
        self._counts["messages_undeclared" if undeclared else "messages_refused"] += 1
        asked = name in self._asked or len(self._asked) >= self._most_streams
        if undeclared and not asked and stream_name_is_valid(name):
            self._asked.add(name)
            why = f"stream {name} has not been described: send a message of kind 'stream' before its samples"
            self._emit("refused", name, -1, {"reason": why})

    def forget_silent(self, now: int) -> None:
        """Close and forget the streams that have been silent for too long by `now`, on the monotonic clock, ns."""
        self._asked.clear()
        silent = [
            name for name, known in self.streams.items() if known.is_silent(now, self._forget_ns) and not known.queued
        ]
        for name in silent:
            known = self.streams.pop(name)
            self.fingerprints.pop(known.fingerprint, None)
            self._sessions.close(name, known, "idle")
            if known.spare is not None:
                known.spare.close()

    def close_all(self) -> None:
        """Close every session, as when the streamer stops."""
        for name, known in self.streams.items():
            self._sessions.close(name, known, "stopped")

    def _refuse(self, name: str, known: KnownStream | None, why: str) -> None:
        """Say why a stream is not served; one that never was takes no room but that of its name."""
        if known is not None:
            known.refused = True
            self.fingerprints.pop(known.fingerprint, None)
            self._sessions.close(name, known, "refused")
        else:
            self.refused[name] = None
            self.refused.move_to_end(name)
            while len(self.refused) > self._most_streams:
                self.refused.popitem(last=False)
        self._emit("refused", name, -1, {"reason": why[:_MAX_REASON]})

    def _accept(self, name: str, known: KnownStream, subscribers: int) -> None:
        session = known.session.number if known.session else -1
        columns = None if known.order is None else known.order.tolist()
        self._emit("accepted", name, session, self._about | {"columns": columns, "subscribers": subscribers})
