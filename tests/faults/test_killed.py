"""A streamer that is killed gives the labels of one that was not, each of them, and repeats say the same."""

import os
import random

import pytest

from tests.faults.killed import killed, takes, undisturbed
from tests.given.long import long_form


def test_no_label_is_lost_or_changed_when_the_streamer_is_killed_at_random():
    """`python -m tests.faults.killed` kills it a hundred times."""
    played = takes(loop=2)
    expected = undisturbed(played)
    outcome = killed(played, expected, kills=6, speed=20.0, rng=random.Random(1))
    assert outcome.is_right, outcome
    assert outcome.expected > 600
    assert outcome.kills >= 4, outcome
    assert outcome.repeats > 0, outcome


@pytest.mark.skipif("KINESTREAM_LONG" not in os.environ, reason="takes half a minute: where KINESTREAM_LONG is set")
def test_nor_when_connections_are_cut_delayed_and_halved_as_well():
    played = takes(loop=2)
    expected = undisturbed(played)
    outcome = killed(played, expected, kills=3, cuts=20, speed=20.0, rng=random.Random(2))
    assert outcome.is_right, outcome
    assert outcome.cuts >= 2, outcome
    assert outcome.kills >= 1, outcome


@long_form
def test_nor_of_devices_each_with_its_times():
    played = takes(devices=True)
    expected = undisturbed(played)
    outcome = killed(played, expected, kills=3, cuts=5, speed=10.0, rng=random.Random(3))
    assert outcome.is_right, outcome
    assert outcome.kills >= 2, outcome
