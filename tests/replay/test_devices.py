"""What devices delivered, replayed through sockets, gives label for label what evaluation gives of it offline."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.errors import ConfigError, SourceError
from kinestream.model.evaluation.evaluate import evaluate, evaluate_recordings
from kinestream.model.recordings.laid import during, laid
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.play.delivery import delivered
from kinestream.replay.play.impair import Impairments
from kinestream.replay.play.take import takes_of
from kinestream.replay.run import Addresses, play_takes, replay
from tests.given.bundles import random_bundle
from tests.given.listened import listened, replayed
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
    bundle = random_bundle(source.channels, len(source.classes), length=64, stride=32, rate_hz=source.rate_hz)
    bundle = replace(bundle, description=bundle.description.model_copy(update={"classes": source.classes}))
    (expected,) = evaluate(bundle, ACTRECTUT, task=task, recordings=(name,), devices=True).recordings
    report, labels = replayed(bundle, ACTRECTUT, (name,), task=task, speed="max", chunk=16, devices=True)
    assert report["labels_missing"] == report["labels_unexpected"] == 0
    assert report["labels_received"] == report["labels_expected"] == len(expected.windows)
    assert len(np.unique(expected.truth)) == len(source.classes)
    assert report["accuracy"] == pytest.approx(np.mean(expected.labels == expected.truth))
    assert_same(labels, expected)


def changed(change):
    """Evaluate and replay one recording whose devices are changed; return both, and what events say."""
    source = open_source(RECORDINGS)
    recording = source.read(*ONE)
    devices = tuple(change(each) for each in source.devices(*ONE))
    offline = laid(recording, during(recording, devices), recording.rate_hz, BUNDLE_READ.grid.stride)
    evaluation = evaluate_recordings(BUNDLE_READ, [offline], task=source.task, chosen="one")
    takes = takes_of([recording], first_session=1, deliver=lambda part: delivered(part, devices, 4, Impairments()))

    def play(streamer):
        return play_takes(
            takes, Addresses(streamer.ingest, streamer.labels), speed="max", wait_for_subscribers=True, score=True
        )

    report, labels, events = listened(BUNDLE_READ, ONE, play)
    assert report["labels_missing"] == report["labels_unexpected"] == 0
    assert report["labels_received"] == report["labels_expected"] == evaluation.windows
    assert_same(labels, evaluation.recordings[0])
    return evaluation, labels, events


def test_a_frozen_device_is_told_and_blanked_live_as_offline():
    frozen_at = []

    def freeze(device):
        if device.name != "watch":
            return device
        values, half = device.values.copy(), len(device.values) // 2
        values[half:] = values[half]
        frozen_at.append(int(device.times[half]))
        return replace(device, values=values)

    evaluation, labels, events = changed(freeze)
    absent = [label.missing["watch"] == 1.0 for label in labels]
    assert evaluation.frozen == {"phone": 0, "watch": sum(absent)}
    assert sum(absent) > 10
    assert absent == sorted(absent)
    (told,) = [event.details for event in events if event.event == "device"]
    assert told["device"] == "watch"
    assert told["frozen"] is True
    begin = open_source(RECORDINGS).read(*ONE).timestamps[0]
    shift = labels[0].t_source - int(begin) - labels[0].last_seq * 20_000_000
    assert abs(told["since"] - shift - frozen_at[0]) < 40_000_000  # two samples


def test_no_window_holds_both_sides_of_a_seam_live_or_offline():
    def pause(device):
        times, half = device.times.copy(), len(device.times) // 2
        if device.name == "watch":
            times[half:] += 1_500_000_000  # and its numbers go on
        return replace(device, times=times)

    evaluation, labels, events = changed(pause)
    assert evaluation.at_seams == 3
    (seam,) = [event.details for event in events if event.event == "seam"]
    assert seam["device"] == "watch"
    before, behind = seam["last_seq"], seam["first_seq"]
    assert 60 < behind - before < 80  # a second and a half
    assert any(before < label.last_seq < behind for label in labels)
    assert not any(label.first_seq < behind <= label.last_seq for label in labels)


def test_channels_that_no_device_of_a_recording_delivers_are_told_before_it_is_played(caplog):
    recording = open_source(RECORDINGS).read(*ONE)
    phone = [device for device in open_source(RECORDINGS).devices(*ONE) if device.name == "phone"]
    takes = takes_of(
        [recording],
        first_session=1,
        duration_s=2.0,
        deliver=lambda part: delivered(part, phone, 12, Impairments()),
    )
    with running_streamer(BUNDLE_READ) as streamer:
        play_takes(takes, Addresses(streamer.ingest, streamer.labels), speed="max", chunk=12)
    told = [record.message for record in caplog.records if record.name == "kinestream.replay.play.screen"]
    assert len(told) == 1
    assert told[0].startswith("s04_01: no device delivers watch_acc_x, watch_acc_y, watch_acc_z, watch_gyro_x, ")


def test_a_window_that_ends_where_all_devices_pause_is_named_before_the_seam_live_as_offline():
    def pause(device):
        times, half = device.times.copy(), len(device.times) // 2
        times[half:] += 2_000_000_000  # longer than a window, and the numbers go on
        return replace(device, times=times)

    _, labels, events = changed(pause)
    assert {event.details["device"] for event in events if event.event == "seam"} == {"phone", "watch"}
    behind = max(event.details["first_seq"] for event in events if event.event == "seam")
    last = max((label for label in labels if label.last_seq < behind), key=lambda label: label.window)
    assert all(0 < share <= 0.25 for share in last.missing.values())


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
