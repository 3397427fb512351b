"""What is simulated: a fleet, its streams, how quickly things are noticed, and which streamers die when."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kinestream.model.errors import ConfigError
from kinestream.replay.planning.figures import Load, shipped_costs
from kinestream.streamer.directory.roster import PATIENCE_S


class Death(NamedTuple):
    """A streamer dies.

    Attributes
    ----------
    at_s : float
        When.
    slot : int
        Which.
    back_s : float or None
        How long after that one in its place is ready; None: never.
    """

    at_s: float
    slot: int
    back_s: float | None


@dataclass(frozen=True)
class Scene:
    """What is simulated.

    Parameters
    ----------
    streams, slots : int
        How many streams, and streamers.
    channels : int
        Of each stream.
    rate_hz : float
        Samples a second of each.
    chunk : int
        Samples in a message.
    length, stride : int
        Of windows, in samples.
    seconds : float
        How long.
    deaths : tuple of Death
        What goes wrong.
    is_fleet : bool
        Whether a directory passes over a streamer that died; else its streams wait for it.
    history_s : float
        How long labels may be asked for (``serve --history``).
    beat_s : float
        How often a streamer is registered.
    since_beat_s : float or None
        How long before each death the streamer was registered last; by default at random, up to `beat_s`.
    patience_s : float
        How long it may not be heard of.
    hear_s : float
        At most so long it takes a sender to act on a new table, or on a connection that is there again.
    taking_s : float or None
        Seconds that a streamer takes for a message; by default as measured.
    seed : int
        Of all that chance decides.
    names : str
        What streams are called, with ``{}`` for their number.
    """

    streams: int
    slots: int
    channels: int = 24
    rate_hz: float = 50.0
    chunk: int = 25
    length: int = 128
    stride: int = 64
    seconds: float = 40.0
    deaths: tuple[Death, ...] = ()
    is_fleet: bool = True
    history_s: float = 5.0
    beat_s: float = 1.0
    since_beat_s: float | None = None
    patience_s: float = PATIENCE_S
    hear_s: float = 0.05
    taking_s: float | None = None
    seed: int = 0
    names: str = "wearer-{}"

    def __post_init__(self) -> None:
        problems = []
        if self.streams < 1 or self.slots < 1:
            problems.append("streams, slots: give at least 1 of each")
        if not (self.rate_hz > 0 and self.chunk > 0 and 0 < self.stride <= self.length):
            problems.append("rate_hz, chunk, length, stride: give numbers above 0, a stride up to the length")
        problems += [f"deaths: there is no streamer {each.slot}" for each in self.deaths if each.slot >= self.slots]
        if problems:
            raise ConfigError("the simulation", problems)

    @property
    def taking(self) -> float:
        """Seconds that a streamer takes for a message."""
        if self.taking_s is not None:
            return self.taking_s
        return shipped_costs().taking_s(Load(self.channels, self.rate_hz, self.chunk, self.length, self.stride))

    @property
    def period_s(self) -> float:
        """Seconds between two messages of a stream."""
        return self.chunk / self.rate_hz


def random_deaths(scene_slots: int, count: int, first_s: float, last_s: float, back_s: float, seed: int) -> list[Death]:
    """Return deaths at random, of a streamer each."""
    chance = np.random.default_rng(seed)
    slots = chance.choice(scene_slots, size=count, replace=False)
    times = np.sort(chance.uniform(first_s, last_s, count))
    return [Death(float(at), int(slot), back_s) for at, slot in zip(times, slots, strict=True)]
