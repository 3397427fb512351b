"""A log stays readable whatever goes wrong a thousand times a second."""

import logging
from typing import Any

import pytest

from kinestream.screens import loglimit
from kinestream.screens.loglimit import LogLimit, and_others


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(loglimit, "time", clock)
    return clock


def record(message: str, *arguments: Any, name: str = "kinestream.here") -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "here.py", 1, message, arguments, None)


def test_of_a_kind_so_many_come_at_once_and_two_a_second_in_the_long_run(clock):
    limit = LogLimit()
    came = []
    for number in range(10_000):  # 100 s
        clock.now = number / 100
        one = record("stream %s is odd", number)
        if limit.filter(one):
            came.append(one)
    assert len(came) == pytest.approx(30 + 200, abs=3)
    assert sum(one.left_out for one in came) + len(came) == pytest.approx(10_000, abs=100)
    assert limit.left_out == 10_000 - len(came)
    assert and_others(came[0]) == ""
    assert and_others(came[-1]) == f" (and {came[-1].left_out} more like it, not shown)"


def test_one_kind_that_is_too_much_hides_no_other(clock):
    limit = LogLimit()
    for _ in range(1000):
        limit.filter(record("again and again"))
    assert limit.filter(record("something else"))
    assert limit.filter(record("again and again", name="kinestream.elsewhere"))


def test_all_kinds_together_are_bounded_too(clock):
    limit = LogLimit()
    came = sum(limit.filter(record(f"kind {number}")) for number in range(5000))
    assert came == 200
    clock.now = 10.0
    assert sum(limit.filter(record(f"kind {number}")) for number in range(5000)) == 200
    assert len(limit._kinds) <= 1000
