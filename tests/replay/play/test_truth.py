"""What recordings say reaches whoever asks for it, beside the labels and without touching them."""

from itertools import groupby

import numpy as np
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.recordings.recording import UNLABELLED, Channel, Recording
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.play.truth import Segment, segments
from kinestream.replay.run import replay
from kinestream.streamer.client import Annotation, Label, LabelSubscriber
from tests.given.streamers import running_streamer

SECONDS = 20.0
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def recording() -> Recording:
    return next(iter(open_source(RECORDINGS).recordings()))


def test_segments_are_runs_of_one_class_and_what_is_not_labelled_is_left_out():
    labels = np.array([0, 0, UNLABELLED, 1, 1, 0, UNLABELLED], np.int16)
    x, classes = np.zeros((7, 1), np.float32), ("walk", "x" * 300)
    made = Recording("a", "1", "d", 50.0, (Channel("c"),), x, np.arange(7), labels, classes)
    assert segments(made) == [Segment("walk", 0, 2), Segment("x" * 255, 3, 5), Segment("walk", 5, 6)]


def played(recording: Recording, **options: object) -> tuple[list[Label], list[Annotation]]:
    """Replay some of it; return what a subscriber hears until its session has ended."""
    labels, annotations = [], []
    with (
        running_streamer(read_bundle(BUNDLE)) as streamer,
        LabelSubscriber(streamer.labels, events=True, annotations=True) as subscriber,
    ):
        addresses = {"ingest": streamer.ingest, "labels": streamer.labels}
        replay(
            RECORDINGS, recordings=[recording.id], duration=SECONDS, wait_for_subscribers=True, **addresses, **options
        )
        while True:
            message = subscriber.receive(PATIENCE_S)
            assert message is not None
            if isinstance(message, Label):
                labels.append(message)
            elif isinstance(message, Annotation):
                annotations.append(message)
            elif message.event == "end":
                break
        while (message := subscriber.receive(0.2)) is not None:
            assert isinstance(message, Annotation)  # of the last samples
            annotations.append(message)
    return labels, annotations


def said_by(recording: Recording) -> list[str]:
    count = round(SECONDS * recording.rate_hz)
    runs = groupby(label for label in recording.labels[:count].tolist())
    return [recording.classes[label] for label, _ in runs if label != UNLABELLED]


@pytest.mark.parametrize("options", [{"speed": 20.0}, {"speed": "max", "chunk": 7}])
def test_a_replay_says_what_the_activity_was_when_its_samples_were_taken(recording, options):
    labels, annotations = played(recording, **options)
    assert [each.activity for each in annotations] == said_by(recording)
    assert {(each.stream, each.session) for each in annotations} == {(labels[0].stream, labels[0].session)}
    if options["speed"] == "max":
        return
    truth = [recording.classes[recording.labels[label.last_seq]] for label in labels]
    said = [[each.activity for each in annotations if each.begin <= label.t_source < each.end] for label in labels]
    assert said == [[each] for each in truth]


def test_labels_are_the_same_without_it(recording):
    with_truth, annotations = played(recording, speed="max")
    without, none = played(recording, speed="max", truth=False)
    assert annotations
    assert none == []
    assert [(each.window, each.probs) for each in with_truth] == [(each.window, each.probs) for each in without]
