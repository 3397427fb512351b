"""One of a thing is no plural, and a short time is not none."""

import pytest

from kinestream.model.counted import counted, format_seconds


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 streams"), (1, "1 stream"), (2, "2 streams"), (12345, "12,345 streams")]
)
def test_things_are_counted(count, said):
    assert counted(count, "stream") == said


def test_some_plurals_are_told():
    assert counted(3, "person", "people") == "3 people"
    assert counted(1, "person", "people") == "1 person"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "0 s"), (0.0042, "0.0042 s"), (0.12345, "0.12 s"), (75.04, "75.0 s")]
)
def test_a_short_time_is_not_none(seconds, said):
    assert format_seconds(seconds) == said
