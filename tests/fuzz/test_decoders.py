"""Whatever comes, a decoder reads it or says that it is malformed, and does so soon."""

import random
import time

import pytest

from tests.fuzz.targets import LONGEST_NS, TARGETS, feed, quickest


@pytest.mark.parametrize("name", TARGETS)
def test_the_good_ones_are_read(name):
    target, good = TARGETS[name]
    assert all(feed(target, frame) for frame in good)


@pytest.mark.parametrize("name", TARGETS)
def test_bent_ones_are_read_or_refused(name):
    """`python -m tests.fuzz.decoders` bends ten million, guided by what they reach."""
    target, good = TARGETS[name]
    rng = random.Random(name)
    read, slowest = 0, 0
    for _ in range(20_000):
        frame = bytearray(rng.choice(good))
        for _ in range(rng.randint(1, 3)):
            _bend(frame, rng)
        began = time.perf_counter_ns()
        read += feed(target, bytes(frame))
        if time.perf_counter_ns() - began > LONGEST_NS:
            slowest = max(slowest, quickest(target, bytes(frame)))
    assert 0 < read < 20_000
    assert slowest <= LONGEST_NS


def _bend(frame: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(frame) + 1)
    match rng.randrange(5):
        case 0 if at < len(frame):
            frame[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(frame):
            frame[at] = rng.choice((0x00, 0x7F, 0x80, 0xC1, 0xCF, 0xD9, 0xDC, 0xDF, 0xFF))
        case 2:
            frame[at:at] = rng.randbytes(rng.randint(1, 9))
        case 3:
            del frame[at : at + rng.randint(1, 9)]
        case _:
            frame[at : at + 8] = rng.choice((0, 1, (1 << 62) - 1, 1 << 62, (1 << 64) - 1)).to_bytes(8, "little")
