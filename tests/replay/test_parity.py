"""Parity: HAPT replayed through sockets gives, label for label, what evaluation gives offline."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import open_source
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.replay.run import replay
from kinestream.streamer.client import Event, Label, LabelSubscriber
from tests.given.bundles import random_bundle
from tests.given.streamers import running_streamer

ARCHIVE = Path(os.environ.get("KINESTREAM_DATA", "")) / "HAPT Data Set.zip"
RECORDINGS = 10


def _collect(address: str, streams: tuple[str, ...], labels: list[Label]) -> None:
    running = set(streams)
    with LabelSubscriber(address, streams=streams, events=True) as subscriber:
        while running:
            message = subscriber.receive(60)
            assert message is not None
            if isinstance(message, Label):
                labels.append(message)
            elif isinstance(message, Event) and message.event == "end":
                running.discard(message.stream)


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="KINESTREAM_DATA names no folder with HAPT's recordings")
def test_live_labels_of_real_recordings_equal_those_of_evaluation():
    source = open_source(ARCHIVE)
    ids = source.ids[:: len(source.ids) // RECORDINGS][:RECORDINGS]
    bundle = random_bundle(source.channels, classes=12, length=128, stride=64, rate_hz=source.rate_hz)
    offline = evaluate(bundle, ARCHIVE, recordings=ids)
    labels: list[Label] = []
    with running_streamer(bundle) as streamer:
        listener = threading.Thread(target=_collect, args=(streamer.labels, ids, labels))
        listener.start()
        report = replay(
            ARCHIVE,
            recordings=ids,
            speed="max",
            chunk=16,
            wait_for_subscribers=True,
            score=True,
            ingest=streamer.ingest,
            labels=streamer.labels,
        ).as_dict()
        listener.join()
    assert report["labels_expected"] == report["labels_received"] == offline.windows == len(labels)
    assert report["labels_missing"] == 0
    for expected in offline.recordings:
        own = [label for label in labels if label.stream == expected.recording]
        np.testing.assert_array_equal([label.window for label in own], expected.windows)
        np.testing.assert_array_equal([label.class_index for label in own], expected.labels)
        best = expected.probabilities.max(axis=1)
        np.testing.assert_allclose([label.p for label in own], best, atol=1e-5)
