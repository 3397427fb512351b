"""Which slot of a fleet a stream belongs to: rendezvous hashing.

The problem. Senders, subscribers and streamers must agree on who serves a stream, without a list of streams, and a slot
that comes or goes must move as few of them as can be.

How it works. Each pair of a stream and a slot has a score, a hash of both names; the stream belongs to the slot whose
score is highest. A slot that is added takes those streams for which its score beats all others, one in N; one that goes
gives up its own, spread over all others; no other stream moves (Thaler and Ravishankar, IEEE/ACM Transactions on
Networking 6(1), 1998). All slots weigh the same.

A name becomes 64 bits by BLAKE2b once; a pair's score mixes the bits of both (the last step of SplitMix64: Steele, Lea
and Flood, OOPSLA 2014), so that a million streams on hundreds of slots take seconds in NumPy. Everything here is a pure
function of names: any process, in any language, gets the same answer.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_MASK = (1 << 64) - 1
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_PART = 1 << 16  # streams that are scored at a time: half a megabyte, which stays in a cache


def name_hash(name: str) -> int:
    """Return the 64 bits that stand for a name of a stream or slot."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def hashes(names: Iterable[str]) -> Hashes:
    """Return the 64 bits that stand for each of some names, shape (n,)."""
    digests = b"".join([blake2b(name.encode(), digest_size=8).digest() for name in names])
    return np.frombuffer(digests, "<u8").astype(np.uint64, copy=False)


def score(stream: int, slot: int) -> int:
    """Return how well a stream and a slot, given by their hashes, go together: below 2^64."""
    mixed = stream ^ slot
    mixed = (mixed ^ (mixed >> 30)) * _FIRST & _MASK
    mixed = (mixed ^ (mixed >> 27)) * _SECOND & _MASK
    return mixed ^ (mixed >> 31)


def owner(stream: str, slots: Iterable[str]) -> str | None:
    """Return the slot that a stream belongs to, whatever their order; None where there is none."""
    known = name_hash(stream)
    return max(slots, key=lambda slot: (score(known, _slot_hash(slot)), slot), default=None)


def ranking(stream: str, slots: Iterable[str]) -> list[str]:
    """Return all slots: the one that a stream belongs to, then who has it where that is passed over, and so on."""
    known = name_hash(stream)
    return sorted(slots, key=lambda slot: (score(known, _slot_hash(slot)), slot), reverse=True)


def owners(streams: Hashes, slots: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return for each stream the index of the slot that it belongs to.

    Parameters
    ----------
    streams : ndarray of uint64, shape (n,)
        The streams' hashes; see `hashes`.
    slots : sequence of str
        The slots, at least one.

    Returns
    -------
    ndarray of int, shape (n,)
        As `owner` says, one for one.
    """
    if not slots:
        raise ValueError("no slots: a stream cannot belong to any")
    order = sorted(range(len(slots)), key=lambda index: slots[index], reverse=True)  # of equal scores, as `owner`
    of_slots = hashes(slots[index] for index in order)
    best = np.empty(len(streams), np.intp)
    for first in range(0, len(streams), _PART):
        part = streams[first : first + _PART]
        highest, chosen = _scores(part, of_slots[0]), np.zeros(len(part), np.intp)
        for index in range(1, len(order)):
            scores = _scores(part, of_slots[index])
            better = scores > highest
            highest[better] = scores[better]
            chosen[better] = index
        best[first : first + len(part)] = chosen
    return np.asarray(order, np.intp)[best]


def _scores(streams: Hashes, slot: np.uint64) -> Hashes:
    """Return `score` of each stream with a slot; multiplication goes round at 2^64."""
    mixed = streams ^ slot
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(_FIRST)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(_SECOND)
    mixed ^= mixed >> np.uint64(31)
    return mixed


@lru_cache(maxsize=4096)
def _slot_hash(slot: str) -> int:
    return name_hash(slot)
