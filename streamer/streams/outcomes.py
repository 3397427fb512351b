"""What comes of samples: windows that are due, runs of empty ones, gaps and seams; and how samples are counted."""

from dataclasses import dataclass
from typing import NamedTuple

from kinestream.streamer.streams.arena import Rows


class DueWindow(NamedTuple):
    """A window whose last sample, or a later one, has come.

    Attributes
    ----------
    window : int
        Its number in the session.
    first_seq : int
        Its first sample.
    rows : ndarray of float32, shape (T, C)
        Its samples, NaN where there is none: of `StreamBuffer.push` a copy.
    behind : int
        Samples from its last one to the last one of the message that made it due.
    """

    window: int
    first_seq: int
    rows: Rows
    behind: int


class EmptyWindows(NamedTuple):
    """A run of windows of which too few samples came for a label, or none."""

    first: int
    last: int


class Gap(NamedTuple):
    """Samples that had not come when a later one did."""

    first_seq: int
    last_seq: int


class Seam(NamedTuple):
    """Where the numbers part: `first_seq` came after `last_seq`, further on than any gap is long.

    The windows that were open are given up, and they begin anew behind it, as where a session begins: after
    `last_window`, or the one before the first where nothing came of any, the next to come is `next_window`.
    """

    last_seq: int
    first_seq: int
    last_window: int
    next_window: int


Outcome = DueWindow | EmptyWindows | Gap | Seam


@dataclass
class SampleCounts:
    """What became of the samples of a session.

    Every sample is counted once::

        received = used + late + duplicate + outside + unfinished + held

    `used` were part of a window that came due, `late` came when their last window had been cut, `duplicate` had come
    before, `outside` belong to no window (before the first whole one, or between windows where the stride is longer
    than the window), `unfinished` were still waiting for their first window when the session ended or came to a seam,
    `held` are waiting now: `StreamBuffer.held`.
    """

    received: int = 0
    used: int = 0
    late: int = 0
    duplicate: int = 0
    outside: int = 0
    unfinished: int = 0

    def by_name(self) -> dict[str, int]:
        """Return them under the names they have among a streamer's counters."""
        return {f"samples_{name}": count for name, count in vars(self).items()}

    def add(self, other: "SampleCounts") -> None:
        """Add those of another session; written out, since it is done for each of thousands at a time."""
        self.received += other.received
        self.used += other.used
        self.late += other.late
        self.duplicate += other.duplicate
        self.outside += other.outside
        self.unfinished += other.unfinished


def add_empty(outcomes: list[Outcome], first: int, last: int) -> None:
    """Add a run of empty windows to outcomes, as one with a run that ends just before it."""
    before = outcomes[-1] if outcomes else None
    if isinstance(before, EmptyWindows) and before.last == first - 1:
        outcomes[-1] = EmptyWindows(before.first, last)
    else:
        outcomes.append(EmptyWindows(first, last))
