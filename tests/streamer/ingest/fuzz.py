"""Millions of messages of senders who do all sorts of things, taken in every way.

    python -m tests.streamer.ingest.fuzz --frames 10000000 --seed 0

The same seed sends the same messages. What differs between the ways ends it with an assertion, and with the seed and
how far it had come.
"""

import argparse
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterator

from tests.streamer.ingest.compare import Comparison, stopped_clock
from tests.streamer.ingest.moves import MOVES, WEARERS, Move, Senders

_ROUNDS = 200  # batches, after which all begin anew: streams, sessions and arena
_BATCH = 400  # moves
_OFTEN = {
    "follow": 120,
    "tracked": 50,
    "begin": 8,
    "describe": 4,
    "worn follow": 40,
    "worn tracked": 30,
    "worn describe": 4,
}
"""How often kinds of moves are chosen; each other one once in three hundred or so."""


def moves(rng: random.Random, wearers: int) -> list[Move]:
    """Return a batch of moves of the first so many wearers."""
    kinds = rng.choices(list(MOVES), [_OFTEN.get(kind, 1) for kind in MOVES], k=_BATCH)
    return [(kind, rng.randrange(wearers), rng.randrange(1 << 20)) for kind in kinds]


def fuzz(frames: int, seed: int) -> Iterator[tuple[int, Comparison, Counter[str]]]:
    """Send so many messages; yield how many were sent, who took them, and the counters, before all begins anew.

    Raises
    ------
    AssertionError
        Where two ways differ.
    """
    rng = random.Random(seed)
    sent = 0
    with stopped_clock():
        while sent < frames:
            senders, ways = Senders(), Comparison()
            ways.give(senders.frames([(kind, who, 0) for who in range(4) for kind in ("describe", "worn describe")]))
            for batch in range(_ROUNDS):
                wearers = 4 + (WEARERS - 4) * batch // _ROUNDS  # ever more, so that the arena grows in between
                messages = senders.frames(moves(rng, wearers))
                ways.give(messages)
                ways.check()
                sent += len(messages)
                if sent >= frames:
                    break
            totals = ways.end()
            yield sent, ways, totals


def main() -> None:
    """Read the options and run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.streamer.ingest.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000_000, help="messages in all (default: ten million)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable()  # what nobody describes is meant
    sums: Counter[str] = Counter()
    sent = outcomes = taken_in_bulk = 0
    try:
        for sent, ways, totals in fuzz(options.frames, options.seed):
            sums += totals
            outcomes += ways.outcomes
            taken_in_bulk += ways.taken_in_bulk
            print(
                f"\r{sent:,} messages, {taken_in_bulk:,} in bulk; {outcomes:,} labels and events",
                end="",
                file=sys.stderr,
            )
    except AssertionError:
        print(f"\nseed {options.seed}, after {sent:,} messages:", file=sys.stderr)
        raise
    print(file=sys.stderr)
    print(*(f"{name} {count:,}" for name, count in sorted(sums.items())), sep="\n")


if __name__ == "__main__":
    main()
