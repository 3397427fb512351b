"""What recordings say the activity was, as annotations: whoever watches a replay sees the truth beside the labels."""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from kinestream.model.printable import printable
from kinestream.model.recordings.recording import UNLABELLED, Recording
from kinestream.replay.play.take import Departure, Take
from kinestream.streamer.wire.codec import encode_remark
from kinestream.streamer.wire.messages import MAX_ACTIVITY, Remark


class Segment(NamedTuple):
    """Samples [first, end) of a recording, all of one activity."""

    activity: str
    first: int
    end: int


class Truth:
    """The annotations of one take, each sent with the first message of its segment.

    Where it is played as fast as it goes, nobody knows before how long a segment will take: then it is sent with the
    segment's last message.

    Parameters
    ----------
    take : Take
        What is played.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._left = deque(segments(take.recording))
        self._began: int | None = None

    def planned(self, departure: Departure, origin: int, pace: float, key: int) -> Iterator[bytes]:
        """Yield the messages of the segments that have begun with a departure.

        Parameters
        ----------
        departure : Departure
            What leaves.
        origin : int
            When the take's sample 0 is due, Unix ns.
        pace : float
            How many times as fast as it was recorded.
        key : int
            Whose session it is.
        """
        since = departure.due_s - self._take.start_s
        while self._left and self._lies_s(self._left[0].first) <= since + 1e-9:
            activity, first, end = self._left.popleft()
            begin, over = (origin + round(self._lies_s(place) * 1e9 / pace) for place in (first, end))
            yield encode_remark(Remark(key, activity, max(begin, 0), max(over, 0)))

    def passed(self, departure: Departure, t: int, key: int) -> Iterator[bytes]:
        """Yield the messages of the segments that are over with samples whose last one leaves at `t`, Unix ns."""
        while self._left and departure.end > self._left[0].first:
            activity, _, end = self._left[0]
            began = self._began if self._began is not None else t
            if departure.end < end:
                self._began = began
                return
            self._left.popleft()
            self._began = None
            yield encode_remark(Remark(key, activity, min(began, t), t))

    def _lies_s(self, sample: int) -> float:
        """Return when a sample lies, or the one after the last, in seconds at true rate after the first."""
        recording, count = self._take.recording, len(self._take.recording.samples)
        if self._take.delivery is None:
            return sample / recording.rate_hz
        last = min(sample, count - 1)
        since = int(recording.timestamps[last]) - int(recording.timestamps[0])
        return since / 1e9 + (sample - last) / recording.rate_hz


def segments(recording: Recording) -> list[Segment]:
    """Return what a recording says, in order; what it does not say is left out."""
    labels = recording.labels
    edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(labels)]
    return [
        Segment(printable(recording.classes[labels[first]])[:MAX_ACTIVITY], first, end)
        for first, end in itertools.pairwise(edges)
        if first < end and labels[first] != UNLABELLED
    ]
