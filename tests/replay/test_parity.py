"""Parity: HAPT replayed through sockets gives, label for label, what evaluation gives offline."""

import os
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.datasets import open_source
from kinestream.model.evaluation.evaluate import evaluate
from tests.given.bundles import random_bundle
from tests.given.listened import replayed

ARCHIVE = Path(os.environ.get("KINESTREAM_DATA", "")) / "HAPT Data Set.zip"
RECORDINGS = 10


@pytest.mark.skipif(not ARCHIVE.is_file(), reason="KINESTREAM_DATA names no folder with HAPT's recordings")
def test_live_labels_of_real_recordings_equal_those_of_evaluation():
    source = open_source(ARCHIVE)
    ids = source.ids[:: len(source.ids) // RECORDINGS][:RECORDINGS]
    bundle = random_bundle(source.channels, classes=12, length=128, stride=64, rate_hz=source.rate_hz)
    offline = evaluate(bundle, ARCHIVE, recordings=ids)
    report, labels = replayed(bundle, ARCHIVE, ids, speed="max", chunk=16)
    assert report["labels_expected"] == report["labels_received"] == offline.windows == len(labels)
    assert report["labels_missing"] == 0
    for expected in offline.recordings:
        own = [label for label in labels if label.stream == expected.recording]
        np.testing.assert_array_equal([label.window for label in own], expected.windows)
        np.testing.assert_array_equal([label.class_index for label in own], expected.labels)
        best = expected.probabilities.max(axis=1)
        np.testing.assert_allclose([label.p for label in own], best, atol=1e-5)
