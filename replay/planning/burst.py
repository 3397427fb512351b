"""A table that changes, for so many streams that only counts are left: who goes where, and what is sent again."""

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kinestream.replay.planning.scene import Scene
from kinestream.streamer.directory.placement import Hashes, hashes, owners
from kinestream.streamer.directory.table import slot_names


@dataclass(frozen=True)
class Burst:
    """What follows when the slots change.

    Parameters
    ----------
    moved : int
        Streams that go elsewhere.
    most_moved : int
        Those that one streamer gets.
    messages : int
        That are sent again to whoever gets most.
    caught_up_s : float
        How long it takes to have taken them, beside what comes anyway; infinite where it cannot.
    most_streams, least_streams : int
        Of a streamer, after the change.
    placed_s : float
        How long it took to place all streams on the slots after the change.
    """

    moved: int
    most_moved: int
    messages: int
    caught_up_s: float
    most_streams: int
    least_streams: int
    placed_s: float


def burst(scene: Scene, before: int, after: int, *, dies: int | None = None, outage_s: float = 0.0) -> Burst:
    """Return what follows when a fleet of `before` streamers becomes one of `after`, or streamer `dies` of it does.

    Parameters
    ----------
    scene : Scene
        The streams; its slots and deaths do not count.
    before, after : int
        Slots.
    dies : int, optional
        The slot that is passed over, of those before; then `after` does not count.
    outage_s : float
        How long nobody took what was sent.
    """
    names = slot_names(max(before, after))
    remaining = [slot for slot in range(before) if slot != dies] if dies is not None else list(range(after))
    first = _placed(scene.names, scene.streams, names[:before])
    begins = time.perf_counter()
    after_names = tuple(names[slot] for slot in remaining)
    second = np.asarray(remaining, np.intp)[_placed(scene.names, scene.streams, after_names)]
    placed_s = time.perf_counter() - begins
    goes = first != second
    came = np.bincount(second[goes], minlength=len(names))
    has = np.bincount(second, minlength=len(names))
    worst = int(came.argmax())
    messages = int(came[worst] * kept_messages(scene, outage_s))
    busy = float(has[worst]) / scene.period_s * scene.taking
    caught_up_s = messages * scene.taking / (1 - busy) if busy < 1 else float("inf")
    of_slots = has[remaining]
    return Burst(
        int(goes.sum()), int(came.max()), messages, caught_up_s, int(of_slots.max()), int(of_slots.min()), placed_s
    )


@lru_cache(maxsize=4)  # a plan asks twice from the same slots
def _placed(names: str, streams: int, slots: tuple[str, ...]) -> npt.NDArray[np.intp]:
    return owners(_hashes(names, streams), slots)


@lru_cache(maxsize=1)
def _hashes(names: str, streams: int) -> Hashes:
    return hashes(names.format(number) for number in range(streams))


def kept_messages(scene: Scene, outage_s: float = 0.0) -> float:
    """Return how many messages a sender keeps: of the open window, and until they are acknowledged.

    On average a note is made half a second after a message was taken, holds once the history has passed, is looked at
    up to a second after that, and told up to a second later.
    """
    return (scene.history_s + 2.0 + outage_s + scene.length / scene.rate_hz) / scene.period_s
