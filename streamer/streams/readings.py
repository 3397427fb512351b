"""What comes of readings with times: samples on the grid, seams and losses; and how readings are counted."""

from dataclasses import dataclass
from typing import NamedTuple

from kinestream.streamer.streams.arena import Rows


class Laid(NamedTuple):
    """Samples on the grid, the first of which is number `first`; of all the bundle's channels, NaN for no reading."""

    first: int
    rows: Rows


class Break(NamedTuple):
    """A seam: where a device's times and numbers part. Samples from `first` on lie behind it: windows begin anew."""

    device: str
    last: int
    first: int


class StepBack(NamedTuple):
    """A device's clock was set back: all devices begin anew, and a session with a number has ended."""

    device: str
    before: int
    after: int


class Lost(NamedTuple):
    """Readings of a device that are waited for no longer."""

    device: str
    first_seq: int
    last_seq: int


class Undelivered(NamedTuple):
    """Channels of the bundle that no device delivers: until one does, nothing is laid."""

    channels: tuple[int, ...]


class WrongRate(NamedTuple):
    """A device delivers at another rate than it declared."""

    device: str
    declared: float
    measured: float


Outcome = Laid | Break | StepBack | Lost | Undelivered | WrongRate


@dataclass
class ReadingCounts:
    """What became of a session's readings.

    Every reading is counted once::

        received = used + late + duplicate + astray + dropped + unfinished + waiting

    `used` waited when the samples they belong to were laid, `late` came when no sample needed them any more, or when
    their numbers had been given up, `duplicate` had come before, `astray` had times that fit neither the reading before
    nor the one after, `dropped` were too many to be kept, `unfinished` were still waiting when the session ended or a
    clock was set back, `waiting` are so now: `kinestream.streamer.streams.device.Device.waiting`.
    """

    received: int = 0
    used: int = 0
    late: int = 0
    duplicate: int = 0
    astray: int = 0
    dropped: int = 0
    unfinished: int = 0

    def by_name(self) -> dict[str, int]:
        """Return them under the names they have among a streamer's counters."""
        return {f"readings_{name}": count for name, count in vars(self).items()}
