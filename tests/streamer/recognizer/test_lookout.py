"""Readings nothing like those trained on are told by an event, once, and once when they are as in training again."""

import numpy as np
import pytest

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.config.familiar import SensorRange
from kinestream.streamer.events.words import event_text
from kinestream.streamer.recognizer.lookout import EVERY_S
from kinestream.streamer.recognizer.recognizer import Recognizer
from tests.given.live import BUNDLE, ENGINE

RANGE = SensorRange(channels=("c0", "c1"), means=((-2.0, 2.0), (-2.0, 2.0)), size=(0.0, 3.0), spread=(0.0, 4.0))
PER_LOOK = int(EVERY_S * 50)  # samples


@pytest.fixture
def live():
    about = BUNDLE.description.model_copy(update={"familiar": (RANGE,)})
    return Recognizer(Bundle(about, BUNDLE.weights), ENGINE)


def told(live, x, stream="anna", **options):
    events = []
    labels = live.push(stream, x, on_event=events.append, **options)
    assert len(labels) > 0
    return [event for event in events if event.event == "unusual"]


def readings(looks, size=1.0, seed=0):
    x = np.random.default_rng(seed).normal(0, 0.5, (looks * PER_LOOK, 3))
    return (x + np.array([size, 0, 100])).astype(np.float32)  # nothing is known of the third


def test_it_is_told_once_when_it_lasts_and_once_when_it_is_over(live):
    assert told(live, readings(3)) == []
    (event,) = told(live, readings(4, size=30))
    assert event.details["sensor"] == "c"
    assert event.details["unusual"] is True
    assert "long on average" in event_text(event)
    assert "0 to 3 in training: are they in another unit?" in event_text(event)
    (event,) = told(live, readings(4))
    assert event.details == {"sensor": "c", "unusual": False}
    assert "as in training again" in event_text(event)


def test_a_moment_is_not_told(live):
    x = readings(8)
    x[3 * PER_LOOK : 3 * PER_LOOK + PER_LOOK // 2, 0] += 30
    assert told(live, x) == []


def test_what_is_worn_another_way_round_is_told_by_its_channel(live):
    x = readings(4, size=-2.5)
    (event,) = told(live, x)
    assert event.details["reason"].startswith("readings of c0 average -2.")
    assert event.details["reason"].endswith("is it worn another way round?")


def test_each_session_is_looked_at_anew(live):
    assert len(told(live, readings(4, size=30), session=1)) == 1
    assert len(told(live, readings(4, size=30), session=2)) == 1


def test_streams_that_begin_together_are_not_looked_at_together(live):
    firsts = set()
    for stream in ("anna", "ben", "clara", "dora"):
        live.push(stream, readings(1))
        firsts.add(live._streams[stream].session.look_at)
    assert len(firsts) > 1


def test_labels_do_not_depend_on_it(live):
    x = readings(3, size=30)
    plain = Recognizer(BUNDLE, ENGINE)
    assert [label.probs for label in live.push("a", x, on_event=print)] == [label.probs for label in plain.push("a", x)]


def test_a_bundle_that_knows_nothing_of_its_training_tells_nothing():
    assert told(Recognizer(BUNDLE, ENGINE), readings(4, size=1000)) == []
