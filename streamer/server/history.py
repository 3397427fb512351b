"""Keeps what was published for a while, so that whoever missed some of it can ask.

Ten thousand labels a second are kept as the bytes that left, with no object of their own beside them: a queue for each
stream, and one queue that says of which stream the next oldest message is. A mark every few milliseconds says how many
messages had been published by then, so that no message needs a time.
"""

from collections import deque
from itertools import islice

from kinestream.streamer.wire.history import (
    ANSWER_BYTES,
    ANSWER_FRAMES,
    ANSWER_STREAMS,
    HistoryAnswer,
    HistoryRequest,
    Kept,
    WindowsTold,
    count_since,
)

HISTORY_S = 5.0
"""How long what was published is kept unless it is said."""
HISTORY_BYTES = 128 << 20
"""What all of it may take: the oldest goes first. 10,000 labels a second of some 400 bytes take 25 MB in 5 s."""
STREAM_MESSAGES = 4096
"""What is kept of one stream, however greedy it is: to look through it takes a millisecond."""

_MESSAGE_BYTES, _STREAM_BYTES = 64, 1200  # what one takes besides its bytes: measured
_MARK_NS = 10_000_000  # between two marks
_MESSAGES_PER_CALL = 4096  # let go of at most: half a millisecond


class _Stream(deque[bytes]):
    """What is kept of a stream, the oldest first.

    Attributes
    ----------
    name : str
        Whose.
    born : int
        Streams are counted in the order in which they came.
    gone : int
        The position of the oldest message; positions count up, also over those of a stream that was forgotten since.
    early : int
        Messages that went before their turn, which comes all the same.
    """

    __slots__ = ("born", "early", "gone", "name")

    def __init__(self, name: str, born: int, gone: int) -> None:
        super().__init__()
        self.name, self.born, self.gone, self.early = name, born, gone, 0


class History:
    """The messages that were published in the last seconds, by stream.

    Parameters
    ----------
    seconds : float
        For how long each is kept; 0 keeps none.
    most_bytes : int
        What all may take.
    of_stream : int
        How many messages of one stream are kept.

    Attributes
    ----------
    duration_ns : int
        For how long each is kept.
    dropped : int
        Messages that were let go of earlier, since there was no room for them.
    """

    def __init__(
        self, seconds: float = HISTORY_S, *, most_bytes: int = HISTORY_BYTES, of_stream: int = STREAM_MESSAGES
    ) -> None:
        self.duration_ns = round(seconds * 1e9)
        self.dropped = 0
        self._most_bytes, self._of_stream = most_bytes, of_stream
        self._streams: dict[str, _Stream] = {}
        self._turns: deque[_Stream] = deque()  # whose the oldest message is, whose the next, ...
        self._past = 0  # turns that have been
        self._born = 0
        self._bytes = 0
        self._marks: deque[tuple[int, int]] = deque()  # monotonic ns, and how many messages had come by then

    @property
    def messages(self) -> int:
        """How many messages are kept."""
        return sum(map(len, self._streams.values()))

    @property
    def size(self) -> int:
        """What they take, bytes."""
        return self._bytes + _MESSAGE_BYTES * len(self._turns) + _STREAM_BYTES * len(self._streams)

    def add(self, stream: str, message: bytes) -> None:
        """Keep a message that was published of a stream."""
        kept = self._streams.get(stream)
        if kept is None:
            kept = self._begin(stream)
        elif len(kept) >= self._of_stream:
            self._shorten(kept)
        kept.append(message)
        self._turns.append(kept)
        self._bytes += len(message)

    def tidy(self, now: int) -> None:
        """Let go of what has been kept long enough by `now`, monotonic ns, or takes too much; called often."""
        marks, came = self._marks, self._past + len(self._turns)
        if (marks[-1][1] if marks else self._past) < came and (not marks or now - marks[-1][0] >= _MARK_NS):
            marks.append((now, came))
        most = self._past + _MESSAGES_PER_CALL
        while marks and marks[0][0] <= now - self.duration_ns and self._past < most:
            end = min(marks[0][1], most)
            self._let_go(max(end - self._past, 0))  # where room was made, some went before
            if end == marks[0][1]:
                marks.popleft()
        while self.size > self._most_bytes and self._turns:
            self.dropped += self._let_go(1)

    def answer(self, request: HistoryRequest) -> HistoryAnswer:
        """Return what was asked for, as much as one answer holds."""
        if not request.stream:
            return self._listed(request)
        kept = self._streams.get(request.stream)
        if kept is None:
            return HistoryAnswer(request.id, request.stream, self.duration_ns, False, False, 0, [], [])
        end, complete = _where(kept, request)
        frames: list[bytes] = []
        room = ANSWER_BYTES
        for message in islice(kept, end, None):
            room -= len(message) + 5  # as MessagePack writes it
            if frames and (room < 0 or len(frames) >= ANSWER_FRAMES):
                break
            if len(message) <= ANSWER_BYTES:
                frames.append(message)
            end += 1
        more, position = end < len(kept), kept.gone + end
        return HistoryAnswer(request.id, request.stream, self.duration_ns, complete, more, position, frames, [])

    def forget(self, stream: str) -> int:
        """Let go of all that is kept of a stream; return how many messages that were."""
        kept = self._streams.pop(stream, None)
        if kept is None:
            return 0
        gone = len(kept)
        self._bytes -= sum(map(len, kept))
        kept.clear()
        kept.early += gone  # their turns come all the same
        return gone

    def totals(self) -> dict[str, int]:
        """Return its counters."""
        return {"history_messages": self.messages, "history_bytes": self.size, "history_dropped": self.dropped}

    def _listed(self, request: HistoryRequest) -> HistoryAnswer:
        """Return of which streams anything is kept; they stand in the order in which they came."""
        streams: list[Kept] = []
        more, position = False, request.position
        for name, kept in self._streams.items():
            if kept.born <= request.position:
                continue
            if len(streams) >= ANSWER_STREAMS:
                more = True
                break
            told = map(WindowsTold(name).last, reversed(kept))
            streams.append(Kept(name, *next((each for each in told if each is not None), (-1, -1))))
            position = kept.born
        return HistoryAnswer(request.id, "", self.duration_ns, True, more, position, [], streams)

    def _begin(self, name: str) -> _Stream:
        self._born += 1
        kept = self._streams[name] = _Stream(name, self._born, self._past + len(self._turns))
        return kept

    def _shorten(self, kept: _Stream) -> None:
        """Make room for a message among those of one stream."""
        self._bytes -= len(kept.popleft())
        kept.gone += 1
        kept.early += 1
        self.dropped += 1

    def _let_go(self, count: int) -> int:
        """Let go of as many of the oldest messages as have so many turns; return how many had not gone early."""
        turns, size, early = self._turns, 0, 0
        for _ in range(count):
            kept = turns.popleft()
            if kept.early:
                kept.early -= 1
                early += 1
                continue
            size += len(kept.popleft())
            kept.gone += 1
            if not kept and self._streams.get(kept.name) is kept:
                del self._streams[kept.name]
        self._past += count
        self._bytes -= size
        return count - early


def _where(kept: _Stream, request: HistoryRequest) -> tuple[int, bool]:
    """Return which is the first message that was asked for, and whether none before it is missing."""
    if request.position:
        begin = request.position - kept.gone
        return (begin, True) if 0 <= begin <= len(kept) else (0, False)
    if request.session < 0:
        return 0, False
    since = count_since(reversed(kept), request.stream, request.session, request.window)
    return (0, False) if since is None else (len(kept) - since, True)
