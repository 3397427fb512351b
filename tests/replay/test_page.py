"""The page of a replay: its figures are those that were measured, it needs nothing but itself, and names are text."""

import re
from dataclasses import replace

import numpy as np
import pytest

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.page import as_evaluation, render_replay_page, signal_of, write_replay_page
from kinestream.replay.play.take import takes_of
from kinestream.replay.report import ReplayReport
from kinestream.replay.run import Addresses, play_takes
from kinestream.replay.score.expected import ExpectedWindows
from kinestream.streamer.wire.messages import Event
from tests.given.bundles import random_bundle
from tests.given.replayed import made_up, silenced
from tests.given.streamers import running_streamer
from tests.model.activity.test_smoother import settings_of
from tests.model.report.test_page import LOADING, Read

IDS = ("s04_01", "s08_01")


def played(bundle: Bundle, recordings, **options) -> ReplayReport:
    with running_streamer(bundle) as streamer:
        takes = takes_of(recordings, first_session=1, loop=options.pop("loop", 1))
        addresses = Addresses(streamer.ingest, streamer.labels)
        return play_takes(takes, addresses, score=True, keep=True, **options)


@pytest.fixture(scope="module")
def bundle():
    return read_bundle(BUNDLE)


@pytest.fixture(scope="module")
def report(bundle):
    return played(bundle, open_source(RECORDINGS).recordings(IDS), speed=40.0)


@pytest.fixture(scope="module")
def page(report):
    return render_replay_page(report, source="excerpt.zip", command="kinestream replay excerpt.zip --score")


@pytest.fixture(scope="module")
def read(page):
    return Read(page)


def test_its_scores_are_those_of_the_same_labels_offline(report, bundle):
    live = as_evaluation(report.live, report.played, next(iter(report.played.accepted.values())))
    offline = evaluate(bundle, RECORDINGS, recordings=IDS)
    assert live.scores == offline.scores
    assert live.timeline == offline.timeline
    for one, other in zip(live.recordings, offline.recordings, strict=True):
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
        np.testing.assert_array_equal(one.last, other.last)
    assert (live.activities is None) == (bundle.description.activities is None)


def test_it_tells_what_was_measured(read, report):
    content = report.as_dict()
    told = read.words
    for figures in (content["latency_ms"], *content["stages_ms"].values()):
        for value in figures.values():
            assert f"{value:.3f}" in told
    assert f"{report.live.received} of {report.live.expected} labels came, none missing" in told
    assert "Sent" in told
    assert f"{report.samples_sent:,} samples in" in told
    assert "kinestream replay excerpt.zip --score" in told
    assert report.bundle in told
    assert {"send", "transport", "ready", "infer", "publish", "deliver", "total"} <= set(read.drawn["latency-stages"])


def test_it_shows_the_signal_above_each_time_line(read, report):
    assert "First the signal, of one sensor" in read.words
    assert "phone_acc_x grey, phone_acc_y blue, phone_acc_z strong, in m/s2" in read.words
    assert sum(name.startswith("labels-line") for name in read.drawn) == len(IDS)
    signal = signal_of(report.played.takes[0].recording)
    assert signal.samples.shape[1] == 3


def test_it_needs_nothing_but_itself(page, read):
    assert not LOADING & {tag for tag, _ in read.tags}
    named = {attributes["id"] for _, attributes in read.tags if "id" in attributes}
    assert len(named) == sum("id" in attributes for _, attributes in read.tags)
    for _, attributes in read.tags:
        assert not {"src", "srcset", "data", "poster", "action", "xlink:href"} & attributes.keys()
        assert not [name for name in attributes if name.startswith("on")]
        if "href" in attributes:
            assert attributes["href"].removeprefix("#") in named
    assert "@import" not in page
    assert {found for found in re.findall(r"https?://[^\"'<\s]*", page)} <= {"http://www.w3.org/2000/svg"}


def test_names_that_mean_harm_are_shown_as_text(report):
    harm = '<script>alert("x")</script>'
    played, live = report.played, report.live
    accepted = {
        name: replace(about, classes=(harm, *about.classes[1:]), bundle=harm) for name, about in played.accepted.items()
    }
    told = [Event("skipped", harm, 1, {"first_window": 0, "last_window": 2, "reason": harm})]
    takes = tuple(replace(labels, expected=renamed(labels.expected, harm)) for labels in live.takes)
    streams = tuple(replace(stream, stream=harm) for stream in live.streams)
    bad = replace(
        report,
        bundle=harm,
        vanished=harm,
        live=replace(live, takes=takes, streams=streams, skipped={harm: 3}),
        played=replace(played, accepted=accepted, events=told),
    )
    read = Read(render_replay_page(bad, source=harm, command=harm))
    assert "script" not in {tag for tag, _ in read.tags}
    assert read.words.count(harm) >= 10


def renamed(expected: ExpectedWindows, name: str) -> ExpectedWindows:
    """Return expected windows of a recording whose channels are called so."""
    channels = [replace(each, name=f"{each.name}{name}_{each.name[-1]}") for each in expected.recording.channels]
    return expected._replace(recording=replace(expected.recording, channels=tuple(channels)))


def test_gaps_skips_and_loops_are_told():
    bundle = random_bundle(channels=3, classes=4, length=8, stride=4)
    rules = settings_of(4, least=(2, 2, 2, 2))
    bundle = Bundle(bundle.description.model_copy(update={"activities": rules}), bundle.weights)
    report = played(bundle, [silenced(made_up("a", 100), 40, 48), made_up("b", 60)], speed="max", loop=2)
    read = Read(render_replay_page(report, source="made up"))
    assert "windows skipped (missing)" in read.words
    assert "a, session 2" in read.words
    assert "What the streamer said besides" in read.words
    assert "no latency of a live stream" in read.words
    assert "Labels and the activities made of them" in read.words
    assert "pacing" not in read.drawn


def test_a_replay_of_which_nothing_came_back_has_a_page(tmp_path):
    report = played(random_bundle(channels=3, classes=4, length=8, stride=4), [made_up("a", 6)], speed="max")
    write_replay_page(tmp_path / "new" / "page.html", report, source="short")
    read = Read((tmp_path / "new" / "page.html").read_text())
    assert "No label came back" in read.words
    assert "Nothing to score: no window of 8 samples was sent whole." in read.words
