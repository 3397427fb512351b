"""No label of any session is lost, however streamers are killed; and who tries that finds what is wrong."""

from unittest import mock

import pytest

from kinestream.streamer.client.deliveries import Deliveries
from tests.streamer.reliable.sessions import run

RUNS = 60


def test_no_label_is_lost_of_sessions_that_follow_one_another():
    """`python -m tests.streamer.reliable.sessions` goes further."""
    labels, kills = run(0, RUNS)
    assert labels > 3000
    assert kills > 300


def test_a_sender_that_does_not_say_what_comes_first_is_found_out():
    with mock.patch.object(Deliveries, "_after", return_value=0), pytest.raises(AssertionError, match="not delivered"):
        run(0, RUNS)
