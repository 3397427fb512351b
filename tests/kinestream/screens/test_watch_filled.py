"""What a watcher missed, or what was published before it came, is shown all the same, and marked."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from kinestream.screens.watch import watch
from kinestream.streamer.client import SampleSender
from kinestream.streamer.server.server import Streamer
from tests.given.bundles import random_bundle
from tests.given.hostile import until
from tests.given.streamers import running_streamer

BUNDLE = random_bundle(channels=3, classes=4, length=8, stride=4)
LABELS = 9


@pytest.fixture(scope="module")
def streamer():
    """Return a streamer that has labelled all that was sent to it."""
    with running_streamer(BUNDLE, history=300) as streamer:
        with SampleSender("anna", BUNDLE.channels, 50.0, endpoint=streamer.ingest, control=streamer.control) as sender:
            sender.send(np.zeros((40, 3)))
        until(lambda: streamer.totals().get("windows_labelled") == LABELS)
        yield streamer


def test_what_was_published_before_is_marked_in_its_line(streamer: Streamer):
    console = Console(file=io.StringIO(), force_terminal=False)
    seen = watch(streamer.labels, control=streamer.control, count=LABELS, console=console)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == LABELS
    assert all(line.endswith("filled in") for line in lines)
    assert seen.as_dict()["messages_filled"] >= LABELS


def test_what_was_published_before_is_marked_in_json(streamer: Streamer):
    file = io.StringIO()
    watch(streamer.labels, control=streamer.control, count=LABELS, json_to=file)
    messages = [json.loads(line) for line in file.getvalue().splitlines()]
    labels = [message for message in messages if message["kind"] == "label"]
    assert [label["window"] for label in labels] == list(range(LABELS))
    assert all(message["filled"] is True for message in messages)


def test_without_the_control_address_there_is_nothing_to_show(streamer: Streamer):
    file = io.StringIO()
    seen = watch(streamer.labels, seconds=0.3, json_to=file)
    assert (file.getvalue(), seen.filled) == ("", 0)
