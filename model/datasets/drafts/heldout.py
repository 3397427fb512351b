"""Chooses who or what is held out of training in a first draft."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from kinestream.model.datasets.drafts.spelled import flow
from kinestream.model.datasets.tabular.pieces import Piece

_SHARE = 5
"""One in so many is tested on, and as many are validated on."""


def held_out(pieces: Sequence[Piece]) -> dict[str, list[str]] | None:
    """Return whom to test and to validate on, or None where there are too few.

    Of three people and more some are held out whole. Of fewer, recordings are: where each is of one activity, as its
    file's name says, some of every activity.

    Parameters
    ----------
    pieces : sequence of Piece
        All recordings.
    """
    people = list(dict.fromkeys(piece.person for piece in pieces))
    if len(people) > 2:
        groups: Iterable[list[str]] = [people]
    elif all(piece.label is not None for piece in pieces):
        groups = _by_label(pieces).values()
    else:
        groups = [[piece.id for piece in pieces]]
    held: dict[str, list[str]] = {"test": [], "validation": []}
    for each in groups:
        if len(each) < 3:
            return None
        some = max(len(each) // _SHARE, 1)
        held["test"] += each[-some:]
        held["validation"] += each[-2 * some : -some]
    return held


def _by_label(pieces: Sequence[Piece]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for piece in pieces:
        found.setdefault(piece.label or "", []).append(piece.id)
    return found


def split_lines(pieces: Sequence[Piece]) -> Iterator[str]:
    """Yield who is held out, where nobody published it."""
    held = held_out(pieces)
    if held is None:
        yield "split: {test_share: 0.2, validation_share: 0.2}  # ends of recordings: there are too few people"
        return
    people = {piece.person for piece in pieces}
    yield "split:  # whom training never sees" + (
        "" if people.issuperset(held["test"]) else "; recordings, for there are too few people"
    )
    yield from (f"  {part}: {flow(names)}" for part, names in held.items())
