"""The table of devices, for as long as a test may take: `tests/devices/` has its long form."""

import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.devices.table import DEAD, LEAST_DEAD, WAYS, as_page, table
from tests.given.long import long_form

WITHIN = 0.015
"""By how much accuracy may differ from the grid's: five of the 327 windows that are shipped."""


@pytest.fixture(scope="module")
def report():
    return table(read_bundle(BUNDLE), RECORDINGS, rates=(49.6, 200.0), seeds=(0,))


@long_form
def test_devices_of_other_rates_are_named_as_well_as_the_published_grid(report):
    named = {(each["rate_hz"], each["way"]): each["accuracy"] for each in report["devices"] if each["way"] != DEAD.name}
    assert len(named) == 2 * len(WAYS) - 1
    assert all(accuracy >= report["grid_accuracy"] - WITHIN for accuracy in named.values()), named


def test_a_dead_watch_costs_some_labels_not_most(report):
    for each in report["devices"]:
        if each["way"] == DEAD.name:
            assert each["accuracy"] >= LEAST_DEAD


def test_what_a_streamer_lays_is_what_evaluation_lays_of_the_same_readings(report):
    assert {each["samples_unlike_offline"] for each in report["devices"]} == {0}


def test_the_page_marks_what_falls_short(report):
    page = as_page(report)
    assert page.count("(short)") == sum(not each["kept"] for each in report["devices"])
    assert "| 49.6 Hz | 200 Hz * |" in page
