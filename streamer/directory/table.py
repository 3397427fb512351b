"""What a fleet's directory tells: which slots there are, where their streamers answer, and as of when.

A *slot* is a place for a streamer, ``streamer-0`` to ``streamer-(N-1)``. Streams belong to slots, by name; see
`kinestream.streamer.directory.placement`. A streamer that died and is started again elsewhere takes the same slot, and
with it the same streams; nothing else moves.

A table's *epoch* is Unix time in ms when it changed, and greater than that of any table before: so it rises also where
a directory that has forgotten everything begins anew, as long as clocks do not step back by more than it was away;
those who register tell the highest they know, which covers that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from kinestream.streamer.directory import placement

State = Literal["serving", "draining", "away"]
"""``serving``: streams belong to it. ``draining``: others have its streams; what it published may still be asked for.
``away``: nobody has been heard of for too long, and it is passed over until somebody is."""


@dataclass(frozen=True)
class Addresses:
    """Where a streamer's sockets are, as others connect to them."""

    samples: str
    control: str
    labels: str
    watch: str


@dataclass(frozen=True)
class Slot:
    """A slot, and who serves it.

    Parameters
    ----------
    name : str
        Its name. Of one name there may be several that drain, beside the one that serves.
    state : {"serving", "draining", "away"}
        See `State`.
    addresses : Addresses or None
        Of its streamer; None where it is away.
    """

    name: str
    state: State = "away"
    addresses: Addresses | None = None


@dataclass(frozen=True)
class Table:
    """Who serves what.

    Parameters
    ----------
    fleet : str
        The fleet's name.
    epoch : int
        When this came to be so.
    slots : tuple of Slot
        All that are wanted, in their order, and then those that only drain.
    """

    fleet: str
    epoch: int
    slots: tuple[Slot, ...] = ()

    @cached_property
    def serving(self) -> dict[str, Addresses]:
        """Where each slot's streamer is, of those that serve."""
        return {
            slot.name: slot.addresses for slot in self.slots if slot.state == "serving" and slot.addresses is not None
        }

    @property
    def streamers(self) -> list[Addresses]:
        """Where all streamers are, those that drain, too; each once, in the slots' order."""
        return list(dict.fromkeys(slot.addresses for slot in self.slots if slot.addresses is not None))

    @property
    def named(self) -> dict[str, Slot]:
        """Every slot by a name of its own: of several that have one name, those that only drain are numbered."""
        named: dict[str, Slot] = {}
        for slot in self.slots:
            number = 1 + sum(each.name == slot.name for each in named.values())
            named[slot.name if number == 1 else f"{slot.name} ({number})"] = slot
        return named

    def slot_of(self, stream: str) -> str | None:
        """Return the slot that a stream belongs to now; None where none serves."""
        return placement.owner(stream, self.serving)

    def owner(self, stream: str) -> Addresses | None:
        """Return where a stream belongs to now; None where no slot serves."""
        slot = self.slot_of(stream)
        return None if slot is None else self.serving[slot]


@dataclass(frozen=True)
class Plan:
    """Which slots there shall be.

    Parameters
    ----------
    slots : tuple of str
        Their names, each once.
    draining : frozenset of str
        Those among them that shall give up their streams.
    revision : int
        Unix time in ms when it was made, greater than that of any before.
    """

    slots: tuple[str, ...] = ()
    draining: frozenset[str] = frozenset()
    revision: int = 0


def slot_names(count: int) -> tuple[str, ...]:
    """Return how the slots of a fleet of so many streamers are called."""
    return tuple(f"streamer-{index}" for index in range(count))


def moved(streams: Iterable[str], before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the streams that belong to another slot when there are other slots."""
    return [stream for stream in streams if placement.owner(stream, before) != placement.owner(stream, after)]
