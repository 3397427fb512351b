"""The rule by which a fleet grows and shrinks."""

import pytest

from kinestream.streamer.fleet.autoscale import Patience, wanted
from kinestream.streamer.fleet.fleetfile import AutoscaleSection
from kinestream.streamer.fleet.load import Load

RULE = AutoscaleSection(enabled=True, least=2, most=4, processor=0.6, p99_ms=100.0)


def load(processor: float, p99_ms: float | None = 20.0) -> Load:
    return Load(100, processor, 80.0, 50.0, p99_ms)


@pytest.mark.parametrize(
    ("loads", "count"),
    [
        ([load(0.5)] * 3, 3),  # neither
        ([load(0.7)] * 3, 4),  # busy
        ([load(0.9), load(0.7), load(0.1)], 3),  # the average counts: streams cannot be moved from one to the other
        ([load(0.1), load(0.1), load(0.1, 150.0)], 4),  # slow
        ([load(0.7)] * 4, 4),  # no more than that
        ([load(0.25)] * 3, 2),  # two would take 0.375 each, below two thirds of 0.6
        ([load(0.28)] * 3, 3),  # two would take 0.42 each
        ([load(0.0)] * 2, 2),  # no fewer than that
        ([load(0.7), None, load(0.7)], 3),  # one has just come
        ([load(0.1, None)] * 3, 2),  # no labels at all
        ([load(0.5)], 2),
        ([load(0.9)] * 5, 4),
    ],
)
def test_one_more_or_one_less(loads: list[Load | None], count: int):
    assert wanted(RULE, loads) == count


def test_what_is_taken_away_is_not_added_again_by_the_same_load():
    for total in (0.3, 0.5, 0.7, 0.79, 0.81, 1.0, 1.2, 1.5):
        after = wanted(RULE, [load(total / 3)] * 3)
        if after == 2:
            assert wanted(RULE, [load(total / 2)] * 2) == 2


def test_two_looks_in_a_row_must_say_the_same():
    patience = Patience()
    assert [patience.take(count) for count in (3, 4, 3, 3)] == [False, False, False, True]
    patience.begin()
    assert not patience.take(3)
