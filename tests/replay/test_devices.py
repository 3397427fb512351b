"""What devices delivered, replayed through sockets, gives label for label what evaluation gives of it offline."""

import os
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.errors import ConfigError, SourceError
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.play.impair import Impairments
from kinestream.replay.run import replay
from tests.given.bundles import random_bundle
from tests.given.listened import replayed
from tests.given.streamers import running_streamer

DATA = Path(os.environ.get("KINESTREAM_DATA", ""))
ACTRECTUT, HAPT = DATA / "ActRecTut.zip", DATA / "HAPT Data Set.zip"
ONE = ("s04_01",)
BUNDLE_READ = read_bundle(BUNDLE)


def assert_same(labels, expected):
    """Compare the labels of a stream with those of evaluation, as far as they go."""
    own = [label for label in labels if label.stream == expected.recording]
    assert len(own) > 10
    np.testing.assert_array_equal([label.window for label in own], expected.windows[: len(own)])
    np.testing.assert_array_equal([label.class_index for label in own], expected.labels[: len(own)])
    probabilities = np.array([label.probabilities for label in own])
    np.testing.assert_allclose(probabilities, expected.probabilities[: len(own)], atol=1e-5)


@pytest.mark.parametrize(
    ("chunk", "worse"),
    [(1, Impairments()), (12, Impairments()), (4, Impairments(reorder=0.3, duplicate=0.3, seed=1))],
    ids=["one by one", "twelve at a time", "reordered and duplicated"],
)
def test_the_phone_and_the_watch_live_are_what_they_are_offline(chunk, worse):
    (expected,) = evaluate(BUNDLE_READ, RECORDINGS, recordings=ONE, devices=True).recordings
    report, labels = replayed(BUNDLE_READ, RECORDINGS, ONE, speed="max", chunk=chunk, impairments=worse, devices=True)
    assert report["labels_expected"] == report["labels_received"] == len(expected.windows) == len(labels)
    assert report["labels_missing"] == report["labels_unexpected"] == report["labels_duplicate"] == 0
    assert report["accuracy"] == pytest.approx(np.mean(expected.labels == expected.truth))
    assert_same(labels, expected)


def test_at_true_rate_times_are_now_and_every_stage_has_its_share():
    (expected,) = evaluate(BUNDLE_READ, RECORDINGS, recordings=ONE, devices=True).recordings
    report, labels = replayed(BUNDLE_READ, RECORDINGS, ONE, duration=6.0, chunk=8, devices=True)
    assert report["labels_missing"] == report["labels_unexpected"] == 0
    last = labels.pop()  # its last samples depend on readings that are not played
    assert last.window == len(labels)
    assert_same(labels, expected)
    # A minute, since the machine may be busy; at the recorded times it would be years.
    assert all(0 < (label.t_published - label.t_source) / 1e9 < 60 for label in labels)
    assert report["labels_untimed"] == 0
    assert all(stage["p50"] >= 0 for stage in report["stages_ms"].values())


def test_what_is_lost_or_wrong_is_expected_to_be_so():
    worse = Impairments(jitter_ms=5, drift_ppm=200, drop=0.05, burst=12, seed=3)
    report, _ = replayed(BUNDLE_READ, RECORDINGS, ("s04_01", "s08_01"), speed="max", impairments=worse, devices=True)
    assert report["labels_expected"] == report["labels_received"] > 60
    assert report["labels_missing"] == report["labels_unexpected"] == 0


def test_every_loop_begins_anew():
    report, _ = replayed(BUNDLE_READ, RECORDINGS, ONE, speed="max", chunk=12, duration=5.0, devices=True)
    with running_streamer(BUNDLE_READ) as streamer:
        looped = replay(
            RECORDINGS,
            recordings=ONE,
            devices=True,
            score=True,
            speed="max",
            chunk=12,
            duration=5.0,
            loop=2,
            ingest=streamer.ingest,
            labels=streamer.labels,
        ).as_dict()
    assert looped["labels_received"] == looped["labels_expected"] == 2 * report["labels_expected"] > 0
    assert looped["labels_unexpected"] == 0


@pytest.mark.skipif(not ACTRECTUT.is_file(), reason="KINESTREAM_DATA names no folder with ActRecTut's recordings")
@pytest.mark.parametrize(("task", "name"), [("walk", "subject2_walk"), ("gestures", "subject2_gesture")])
def test_links_that_really_lost_packets_give_live_what_they_give_offline(task, name):
    source = open_source(ACTRECTUT, task=task)
    bundle = random_bundle(source.channels, classes=5, length=64, stride=32, rate_hz=source.rate_hz)
    (expected,) = evaluate(bundle, ACTRECTUT, task=task, recordings=(name,), devices=True).recordings
    report, labels = replayed(bundle, ACTRECTUT, (name,), task=task, speed="max", chunk=16, devices=True)
    assert report["labels_missing"] == report["labels_unexpected"] == 0
    assert report["labels_received"] == report["labels_expected"] == len(expected.windows)
    assert report["unscored"] == "no window that got a label has a true class in the recordings"
    assert_same(labels, expected)


@pytest.mark.skipif(not HAPT.is_file(), reason="KINESTREAM_DATA names no folder with HAPT's recordings")
def test_a_source_on_one_grid_has_no_devices_to_play():
    with pytest.raises(SourceError, match="hapt has no devices of its own"):
        replay(HAPT, devices=True)


def test_impairments_that_make_no_sense_are_all_named():
    worse = Impairments(jitter_ms=-1, drift_ppm=1e6, drop=1, reorder=-0.1, duplicate=2, burst=-1, seed=-1)
    with pytest.raises(ConfigError) as raised:
        replay(RECORDINGS, devices=True, impairments=worse)
    named = [problem.split(":")[0] for problem in raised.value.problems]
    assert named == ["drop", "reorder", "duplicate", "jitter", "drift", "burst", "seed"]
    with pytest.raises(ConfigError, match=r"jitter: .* add --devices"):
        replay(RECORDINGS, impairments=Impairments(jitter_ms=5))
