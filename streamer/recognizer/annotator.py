"""What people say of activities, on its way from senders and others to subscribers; it meets no window."""

import logging
from collections import Counter

from kinestream.model.clock import monotonic_ns
from kinestream.streamer.recognizer.batcher import Batcher
from kinestream.streamer.streams.stream import ANNOTATIONS_PER_S, Key, KnownStream
from kinestream.streamer.wire.messages import Annotation, Remark

_LOG_INTERVAL_NS = 60_000_000_000

_logger = logging.getLogger(__name__)


class Annotator:
    """Has annotations published, so many of a stream at most.

    Parameters
    ----------
    batcher : Batcher
        Where they wait with the labels of their time.
    counts : Counter
        Where those are counted that were left out.
    """

    def __init__(self, batcher: Batcher, counts: Counter[str]) -> None:
        self._batcher, self._counts = batcher, counts
        self._next_log = 0

    def take(self, key: Key, remark: Remark) -> bool:
        """Take what the sender of a key says; tell whether it is published."""
        return self._publish(key.known, Annotation(key.name, key.session, remark.activity, remark.begin, remark.end))

    def take_of_others(self, name: str, known: KnownStream, activity: str, begin: int, end: int) -> int | str:
        """Take what somebody else says of a stream; return of which session it is published, or why it is not."""
        session = known.session.number if known.session is not None else max(known.closed, 0)
        if self._publish(known, Annotation(name, session, activity, begin, end)):
            return session
        return f"more than {ANNOTATIONS_PER_S:g} annotations a second were sent of stream {name}: send fewer"

    def _publish(self, known: KnownStream, annotation: Annotation) -> bool:
        now = monotonic_ns()
        if known.annotations.allows(now):
            self._batcher.annotate(annotation)
            return True
        self._counts["messages_too_many_annotations"] += 1
        if now >= self._next_log:
            self._next_log = now + _LOG_INTERVAL_NS
            _logger.warning(
                "%d annotations so far were left out, the latest of stream %s: send %g a second at most",
                *(self._counts["messages_too_many_annotations"], annotation.stream, ANNOTATIONS_PER_S),
            )
        return False
