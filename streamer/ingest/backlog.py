"""Messages that hold much, or come after such: taken a piece at a time, by streams in turn.

What a sender uploads in one go holds hundreds of windows. To take them all before the next stream's single sample would
hold up that stream's label for as long. So such a message waits here, with whatever its stream sends after it, and a
few windows' worth of it is taken at a time, one stream after the other. It is bounded by whoever fills it: past
`Recognizer.backlog_bytes` a streamer reads nothing more.
"""

from collections import deque
from typing import NamedTuple

from kinestream.streamer.streams.stream import Key
from kinestream.streamer.wire.messages import End, Readings

_OVERHEAD = 512  # bytes a message takes here besides its readings


class Queued(NamedTuple):
    """A message that waits; `received` at that Unix time in ns, from a sender that does not wait where `lossy`.

    Where there is no message, it is for more of what devices have delivered to be laid. `laid` is how many bytes of
    samples may come of it besides its own.
    """

    key: Key
    message: Readings | End | None
    received: int
    lossy: bool
    laid: int = 0


class Piece(NamedTuple):
    """What is taken in one turn.

    Attributes
    ----------
    queued : Queued
        The message.
    first, end : int
        Which of its bytes of readings; both 0 where it has none.
    done : bool
        Whether this is the last of its stream's that waited.
    """

    queued: Queued
    first: int
    end: int
    done: bool


class Backlog:
    """Messages by stream.

    Attributes
    ----------
    bytes : int
        What they hold.
    messages : int
        How many they are.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.messages = 0
        self._queues: dict[str, deque[Queued]] = {}
        self._taken: dict[str, int] = {}  # bytes of each stream's first message that were taken
        self._turns: deque[str] = deque()

    def add(self, queued: Queued) -> None:
        """Let a message wait behind what its stream has here."""
        name = queued.key.name
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = deque()
            self._taken[name] = 0
            self._turns.append(name)
        queue.append(queued)
        self.bytes += _size(queued)
        self.messages += 1

    def put_back(self, queued: Queued) -> None:
        """Let something wait before all else of its stream, none of which has been begun."""
        name = queued.key.name
        if name in self._queues:
            self._queues[name].appendleft(queued)
            self.bytes += _size(queued)
            self.messages += 1
        else:
            self.add(queued)

    def take(self, most: int) -> Piece:
        """Return the next piece of the stream whose turn it is, of up to `most` bytes of readings.

        Parameters
        ----------
        most : int
            A multiple of what a sample's readings take.

        Raises
        ------
        IndexError
            Where nothing waits.
        """
        name = self._turns.popleft()
        queue = self._queues[name]
        queued = queue[0]
        first = self._taken[name]
        whole = len(queued.message.x) if isinstance(queued.message, Readings) else 0
        end = min(first + most, whole)
        self._taken[name] = end
        if end == whole:
            queue.popleft()
            self._taken[name] = 0
            self.bytes -= _size(queued)
            self.messages -= 1
        done = not queue
        if done:
            del self._queues[name], self._taken[name]
        else:
            self._turns.append(name)
        return Piece(queued, first, end, done)

    @property
    def next(self) -> Queued:
        """The message that the next piece is of; there must be one."""
        return self._queues[self._turns[0]][0]

    def drop(self, name: str) -> int:
        """Give up all that waits of a stream, and return how many messages that was."""
        queue = self._queues.pop(name, None)
        if queue is None:
            return 0
        del self._taken[name]
        self._turns.remove(name)
        self.bytes -= sum(_size(queued) for queued in queue)
        self.messages -= len(queue)
        return len(queue)

    def clear(self) -> int:
        """Give up all that waits and return how many messages that were."""
        count = self.messages
        self.bytes = self.messages = 0
        self._queues.clear()
        self._taken.clear()
        self._turns.clear()
        return count


def _size(queued: Queued) -> int:
    message = queued.message
    own = len(message.x) + len(message.times) if isinstance(message, Readings) else 0
    return _OVERHEAD + own + queued.laid
