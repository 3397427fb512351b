"""How much each client may ask of a streamer, and what is said where one asks for more.

What is over a quota is dropped, or refused where its sender hears answers: a stream too many and a request too many are
refused with the reason, messages too many are dropped as they come. Nothing is put off: other clients wait for nobody's
excess. A `quota` event tells of the streams whose samples were dropped, once a second; a log line once a minute.
"""

import logging
from collections import Counter
from collections.abc import Sequence

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.keys.allowed import Quota
from kinestream.streamer.keys.bucket import Bucket
from kinestream.streamer.recognizer.recognizer import Recognizer
from kinestream.streamer.server import tuning
from kinestream.streamer.wire.messages import MAX_BYTES

_TOLD_EVERY_NS = 1_000_000_000
_LOGGED_EVERY_NS = 60_000_000_000

_logger = logging.getLogger(__name__)


class _Used:
    """What a client has used."""

    __slots__ = ("bytes", "history", "messages", "quota", "streams")

    def __init__(self, quota: Quota, streams: set[str]) -> None:
        self.quota, self.streams = quota, streams
        self.messages = None if quota.messages_per_s is None else Bucket(quota.messages_per_s)
        # A message of the largest size must come through, however little there may be of it.
        self.bytes = None if (much := quota.bytes_per_s) is None else Bucket(much, max(much, MAX_BYTES))
        self.history = None if (per_min := quota.history_per_min) is None else Bucket(per_min / 60.0, max(per_min, 1.0))


class Quotas:
    """Keeps count of every client.

    Parameters
    ----------
    recognizer : Recognizer
        Which streams there are, and who is told of them.
    counts : Counter
        Where is counted what was dropped.
    """

    def __init__(self, recognizer: Recognizer, counts: Counter[str]) -> None:
        self._recognizer, self._counts = recognizer, counts
        self._of: dict[str, _Used] = {}  # by public key
        self._dropped: Counter[int] = Counter()  # messages, by the key of their description
        self._reasons: dict[int, str] = {}
        self._told_at = 0
        self._logged: dict[str, int] = {}  # when, by client

    def messages(self, user: str, quota: Quota, sizes: Sequence[int], now: int) -> int:
        """Return how many of messages of these sizes, the first of them, may come in by now, monotonic, ns."""
        used = self._used(user, quota)
        buckets = [bucket for bucket in (used.messages, used.bytes) if bucket is not None]
        for bucket in buckets:
            bucket.fill(now)
        for count, size in enumerate(sizes):
            if used.messages is not None and not used.messages.holds(1):
                return count
            if used.bytes is not None and not used.bytes.holds(size):
                return count
            if used.messages is not None:
                used.messages.take(1)
            if used.bytes is not None:
                used.bytes.take(size)
        return len(sizes)

    def note_dropped(self, name: str, quota: Quota, key: int | None) -> None:
        """Note that a message of a client was dropped, of samples under a key or of something else."""
        self._counts["messages_over_quota"] += 1
        limits = {"messages": quota.messages_per_s, "bytes": quota.bytes_per_s}
        allowed = " and ".join(f"{limit:g} {what}" for what, limit in limits.items() if limit is not None)
        why = f"{name} may send {allowed} a second: what is more is dropped"
        if key is not None and (key in self._dropped or len(self._dropped) < tuning.TOLD_OF_BUNDLE):
            self._dropped[key] += 1
            self._reasons[key] = why
        now = monotonic_ns()
        if now - self._logged.get(name, -_LOGGED_EVERY_NS) >= _LOGGED_EVERY_NS:
            self._logged[name] = now
            _logger.warning("%s (%d messages of all clients so far)", why, self._counts["messages_over_quota"])

    def tell(self) -> None:
        """Tell of streams whose samples were dropped, once a second."""
        now = monotonic_ns()
        if not self._dropped or now - self._told_at < _TOLD_EVERY_NS:
            return
        self._told_at = now
        for key, count in self._dropped.items():
            self._recognizer.tell(key, "quota", {"count": count, "reason": self._reasons[key]})
        self._dropped.clear()
        self._reasons.clear()

    def has_room(self, user: str, quota: Quota, stream: str) -> bool:
        """Tell whether a client may have a stream besides those it has."""
        streams = self._used(user, quota).streams
        if quota.streams is None or stream in streams or len(streams) < quota.streams:
            return True
        streams.intersection_update([name for name in streams if self._recognizer.knows(name)])
        return len(streams) < quota.streams

    def note_stream(self, user: str, stream: str) -> None:
        """Note that a client has a stream, where it may not have as many as it likes."""
        used = self._of.get(user)
        if used is not None and used.quota.streams is not None:
            used.streams.add(stream)

    def history(self, user: str, quota: Quota) -> bool:
        """Tell whether a client may ask for the history now, and count it."""
        bucket = self._used(user, quota).history
        if bucket is None:
            return True
        bucket.fill(monotonic_ns())
        if not bucket.holds(1):
            return False
        bucket.take(1)
        return True

    def _used(self, user: str, quota: Quota) -> _Used:
        used = self._of.get(user)
        if used is None or used.quota != quota:
            used = self._of[user] = _Used(quota, set() if used is None else used.streams)
        return used
