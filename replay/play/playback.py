"""What a replay sent, and how well it kept time."""

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kinestream.replay.play.take import Take


class Playback:
    """Every message of a replay; filled while the replay runs.

    Parameters
    ----------
    takes : sequence of Take
        What is played.
    chunk : int
        Samples in a message.

    Attributes
    ----------
    interrupted : bool
        Whether it was stopped before its end.
    """

    def __init__(self, takes: Sequence[Take], chunk: int) -> None:
        self.takes = takes
        self.chunk = chunk
        self.interrupted = False
        self._times = [array("q") for _ in takes]
        self._readings = [_readings_sent(take) for take in takes]  # after each message, device by device

    def add(self, take: int, due_ns: int, sent_ns: int) -> None:
        """Note that a take's next message, due at `due_ns`, was handed to the socket at `sent_ns`; monotonic."""
        self._times[take].extend((due_ns, sent_ns))  # one call, so that Ctrl-C finds both or neither

    def times_of(self, take: int) -> npt.NDArray[np.int64]:
        """Return when each message of a take was due and when it was sent, monotonic ns, shape (messages, 2)."""
        return np.array(self._times[take], dtype=np.int64).reshape(-1, 2)

    def samples_sent_of(self, take: int) -> int:
        """Return how many samples of a take were sent; readings, where it is played device by device."""
        messages, readings = len(self._times[take]) // 2, self._readings[take]
        if readings is not None:
            return int(readings[messages])
        return min(messages * self.chunk, self.takes[take].samples)

    @property
    def samples_sent(self) -> int:
        """Samples of all takes."""
        return sum(map(self.samples_sent_of, range(len(self.takes))))

    @property
    def begun(self) -> dict[tuple[str, int], int]:
        """Index of each take of which something was sent, by stream and session."""
        return {(take.stream, take.session): i for i, take in enumerate(self.takes) if self._times[i]}

    @property
    def pacing_error_ms(self) -> npt.NDArray[np.float64]:
        """How much later than due each message left, in milliseconds, shape (messages,)."""
        times = self._all_times()
        return (times[:, 1] - times[:, 0]) / 1e6

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        times = self._all_times()
        return float(np.ptp(times[:, 1])) / 1e9 if len(times) else 0.0

    @property
    def achieved_hz(self) -> float | None:
        """Samples per second, all streams together; None where there was but one instant.

        What each stream sent first is left out, so that a stream that keeps its true rate achieves exactly that.
        """
        opening = {self.takes[i].stream: i for i in reversed(self.begun.values())}
        later = self.samples_sent - sum(self._first_message(i) for i in opening.values())
        return later / self.seconds if self.seconds else None

    def _first_message(self, take: int) -> int:
        readings = self._readings[take]
        return int(readings[1]) if readings is not None else min(self.chunk, self.samples_sent_of(take))

    def _all_times(self) -> npt.NDArray[np.int64]:
        return np.concatenate([self.times_of(take) for take in range(len(self.takes))])


def _readings_sent(take: Take) -> npt.NDArray[np.int64] | None:
    if take.delivery is None:
        return None
    return np.cumsum([0, *(message.end - message.first for message in take.delivery.messages)])
