"""Watching activities: a line when one starts and one when it ends, JSON for each change, their names in the table."""

import io
import json

import numpy as np

from kinestream.screens.watch import watch
from kinestream.streamer.wire.messages import Event
from tests.given.labels import label_of
from tests.kinestream.screens.test_watch import plain, publishing, terminal, written
from tests.model.activity.test_smoother import settings_of
from tests.model.activity.test_tracker import PLAIN
from tests.streamer.client.test_activities import STRIDE_NS, accepted

RULES = settings_of(2, **(PLAIN | {"stay": 0.5}))
END = Event("end", "anna", 1, {"reason": "end"})


def run_of(*classes):
    """Return what a streamer publishes of a session whose windows are of these classes."""
    labels = [
        label_of(
            "anna",
            window,
            probs=np.eye(2, dtype="<f4")[which].tobytes(),
            t_source=(window + 2) * STRIDE_NS,
        )
        for window, which in enumerate(classes)
    ]
    return [accepted(rules=RULES), *labels, END]


def test_a_line_tells_what_starts_and_what_ends():
    console = plain()
    with publishing(run_of(0, 0, 1)) as address:
        watch(address, count=9, activities=True, console=console)
    lines = [line.split("  ", 2)[2].strip() for line in written(console).splitlines()]
    assert any(line.startswith("walk  1.000  started") for line in lines)
    assert any(line.startswith("walk  1.000  ended after 0.16 s") for line in lines)
    assert any(line.startswith("sit   1.000  started") for line in lines)
    assert {line.split()[2] for line in lines} <= {"started", "ended"}


def test_json_has_every_change_and_no_label():
    file = io.StringIO()
    with publishing(run_of(0, 0, 1)) as address:
        watch(address, count=9, activities=True, json_to=file)
    told = [json.loads(line) for line in file.getvalue().splitlines()]
    assert {each["kind"] for each in told} == {"activity", "event"}
    assert {each["state"] for each in told if each["kind"] == "activity"} == {"started", "ongoing", "ended"}
    (began, *_) = [each for each in told if each["kind"] == "activity" and each["state"] == "started"]
    assert began["class"] in (0, 1)
    assert began["end"] - began["begin"] == STRIDE_NS


def test_the_table_shows_the_activity_in_place_of_the_label():
    console = terminal()
    with publishing(run_of(1, 1, 1)) as address:  # whose labels all say walk
        watch(address, count=9, activities=True, console=console)
    assert "sit" in written(console)
