"""The shipped bundle on the shipped recordings, of people never seen: only what is wrong with a sensor is told."""

import numpy as np
import pytest

from kinestream.model.datasets import open_source
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.streamer.recognizer.recognizer import Recognizer

FREE_FALL = 9.80665


@pytest.fixture(scope="module")
def samples():
    """Return what five people did, one after the other, shape (N, 12), and what each column is called."""
    source = open_source(RECORDINGS)
    names = [channel.name for channel in source.channels]
    return np.concatenate([each.samples for each in source.recordings()]), names


def told(samples, names, changed=None, by=1.0):
    x = samples.copy()
    for column, name in enumerate(names):
        if changed is not None and name.startswith(changed):
            x[:, column] *= by
    events = []
    Recognizer.load(BUNDLE, device="cpu").push("anna", x, on_event=events.append)
    return [(event.details["sensor"], event.details["unusual"]) for event in events if event.event == "unusual"]


def test_nothing_is_told_of_people_who_wear_it_as_it_was_worn_in_training(samples):
    assert told(*samples) == []


@pytest.mark.parametrize(
    ("sensor", "by"), [("phone_acc", 1 / FREE_FALL), ("watch_acc", 1 / FREE_FALL), ("watch_acc", FREE_FALL)]
)
def test_another_unit_is_told_once(samples, sensor, by):
    assert told(*samples, sensor, by) == [(sensor, True)]


def test_degrees_instead_of_radians_are_told(samples):
    assert ("phone_gyro", True) in told(*samples, "phone_gyro", 57.2958)
