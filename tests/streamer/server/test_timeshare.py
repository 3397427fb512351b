"""Work beside the labels takes its share of the time, and a process that was put aside is not in debt for long."""

import pytest

from kinestream.streamer.server.timeshare import TimeShare

MS = 1_000_000


def taken(share: TimeShare, piece_ns: int, until_ns: int) -> int:
    """Take pieces whenever any may be taken, and otherwise wait; return how long that was in all, ns."""
    now = taken_ns = 0
    while now < until_ns:
        if share.is_left(now):
            share.take(piece_ns)
            now += piece_ns
            taken_ns += piece_ns
        else:
            now += MS // 10
    return taken_ns


@pytest.mark.parametrize("divisor", [2, 4, 10])
def test_one_part_in_so_many_is_taken(divisor):
    assert taken(TimeShare(divisor, MS, 0), MS // 3, 10_000 * MS) == pytest.approx(10_000 * MS / divisor, rel=0.01)


def test_after_a_rest_no_more_is_taken_at_once_than_is_allowed():
    share = TimeShare(4, MS, 0)
    assert share.is_left(3600 * 1000 * MS)
    share.take(MS)
    assert not share.is_left(3600 * 1000 * MS)


def test_whoever_was_put_aside_in_the_middle_of_a_piece_goes_on_soon():
    share = TimeShare(4, MS, 0)
    share.take(5 * MS)
    assert not share.is_left(5 * MS)
    share.take(2000 * MS)  # by the clock on the wall
    assert share.is_left(2005 * MS)
