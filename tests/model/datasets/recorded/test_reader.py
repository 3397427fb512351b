"""What was recorded of live streams is a source: sessions become recordings, annotations their truth."""

import logging

import msgpack
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.config.file import load_config
from kinestream.model.datasets import open_source
from kinestream.model.datasets.describe import describe
from kinestream.model.datasets.drafts.first import first_draft
from kinestream.model.errors import SourceError
from kinestream.model.recordings.recording import UNLABELLED, Channel
from kinestream.model.recordings.resample import resample, resampling
from kinestream.model.recordings.samplegrid import SampleGrid, exact_rate
from kinestream.model.training.train import train
from kinestream.streamer.wire.signals import SignalWriter
from tests.given.recorded import ABOUT, SECOND, MadeUp, channels

PERIOD = SECOND // 50


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def made(tmp_path):
    return MadeUp(tmp_path / "made")


def wave(count, width=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


def test_samples_lie_where_their_numbers_say_and_holes_stay_holes(made):
    x = wave(100)
    for first, end in [(0, 10), (10, 30), (50, 70), (40, 50), (65, 80), (80, 100)]:
        made.signal(x[first:end], first, tells=first == 0)
    source = open_source(made.finish())
    assert (source.ids, source.rate_hz, source.channels) == (("anna",), 50.0, tuple(channels(3)))
    recording = source.read("anna")
    expected = x.copy()
    expected[30:40] = np.nan
    np.testing.assert_array_equal(recording.samples, expected)
    np.testing.assert_array_equal(recording.timestamps, np.arange(100) * PERIOD)
    assert (recording.person, recording.classes) == ("anna", ())
    assert recording.rows.read == 90


def test_a_file_alone_is_a_source_too_and_the_command_tells_of_it(made):
    made.signal(wave(100))
    (path,) = made.finish().glob("*.mcap")
    described = describe(open_source(path))
    assert (described["dataset"], described["recordings"], described["people"]) == ("recorded", 1, ["anna"])
    assert described["seconds"] == 2.0
    with pytest.raises(SourceError, match="has no task"):
        open_source(path, task="other")


def test_what_was_joined_in_the_middle_begins_where_a_window_does(made):
    x = wave(50)
    made.signal(x, 1_000_003)
    recording = open_source(made.finish()).read("anna")
    np.testing.assert_array_equal(recording.samples, x[1:])  # 1,000,004 is a multiple of the stride, 4
    assert recording.timestamps[0] == 1_000_004 * PERIOD


def test_sessions_and_long_silences_part_recordings(made):
    x = wave(200)
    made.signal(x[:100], 0, session=7)
    made.signal(x[100:150], 50 * 300, session=7)  # five minutes later
    made.signal(x[150:], 0, session=9, t=400 * SECOND)
    made.signal(x[:20], 0, stream="ben", session=1)
    source = open_source(made.finish())
    assert source.ids == ("anna:1", "anna:2", "anna:3", "ben")
    assert [len(each.samples) for each in source.recordings()] == [100, 50, 50, 20]
    np.testing.assert_array_equal(source.read("anna:2").samples, x[100:150])
    assert {each.person for each in source.outlines()} == {"anna", "ben"}


def test_annotations_are_the_truth_and_the_latest_counts(made):
    made.annotation("walk", 0, 20 * PERIOD)
    made.annotation("sit", 20 * PERIOD, 60 * PERIOD)
    made.annotation("run", 50 * PERIOD, 60 * PERIOD)
    made.annotation("sit", 0, 100 * PERIOD, session=99, stream="ben")
    made.signal(wave(100))
    recording = open_source(made.finish()).read("anna")
    assert recording.classes == ("walk", "sit", "run")  # the bundle's, and what else was said
    said = [recording.classes[code] if code != UNLABELLED else "" for code in recording.labels]
    assert said == ["walk"] * 20 + ["sit"] * 30 + ["run"] * 10 + [""] * 40


def test_an_annotation_is_of_its_own_session_or_of_one_that_was_not_recorded(made):
    made.annotation("walk", 0, 50 * PERIOD, session=1)
    made.annotation("sit", 20 * PERIOD, 50 * PERIOD, session=3)
    made.signal(wave(50), session=1)
    made.signal(wave(50), session=2)
    one, other = open_source(made.finish()).recordings()
    assert set(one.labels[:20].tolist()) == {0}
    assert set(one.labels[20:].tolist()) == {1}
    assert set(other.labels[:20].tolist()) == {UNLABELLED}
    assert set(other.labels[20:].tolist()) == {1}


def test_times_of_messages_say_when_samples_were_taken_however_fast_they_came(made):
    x = wave(100)
    for first in range(0, 100, 5):
        made.signal(x[first : first + 5], first, t=1000 * SECOND + (first + 4) * PERIOD // 20)
    made.annotation("walk", 1000 * SECOND + 40 * PERIOD // 20, 1000 * SECOND + 60 * PERIOD // 20)
    recording = open_source(made.finish()).read("anna")
    np.testing.assert_array_equal(recording.timestamps, 1000 * SECOND + np.arange(100) * PERIOD // 20)
    assert np.flatnonzero(recording.labels == 0).tolist() == list(range(40, 60))


def test_devices_with_times_are_laid_on_the_grid_of_their_session(made):
    origin = 1_700_000_000 * SECOND
    named = {"watch": [Channel("w")], "phone": [Channel("p", "g"), Channel("q", "g")]}
    devices = {}
    for name, rate in (("watch", 52.0), ("phone", 99.0)):
        times = origin + 7_000_000 + np.round(np.arange(300) * SECOND / rate).astype(np.int64)
        x = wave(300, len(named[name]), seed=len(name))
        devices[name] = times, x, rate
        for first in [0, *range(60, 300, 60), 30]:
            part = slice(first, first + (60 if first not in (0, 30) else 30))
            where = {"session": 3, "device": name, "origin": origin, "rate_hz": rate, "named": named[name]}
            made.signal(x[part], first, times=times[part], **where)
    source = open_source(made.finish())
    assert source.reader.has_devices
    assert [channel.name for channel in source.channels] == ["p", "q", "w"]
    for device in source.devices("anna"):
        times, x, rate = devices[device.name]
        np.testing.assert_array_equal(device.times, times)
        np.testing.assert_array_equal(device.values, x)
        np.testing.assert_array_equal(device.numbers, np.arange(300))
        assert device.rate_hz == rate
    recording = source.read("anna")
    grid = SampleGrid(origin, exact_rate(50.0))
    count = grid.at_or_after(max(int(times[-1]) for times, _, _ in devices.values()) + 1)
    np.testing.assert_array_equal(recording.timestamps, grid.times(0, count))
    columns = [
        resample(*devices[name][:2], grid, 0, count, resampling(devices[name][2], grid)) for name in ("phone", "watch")
    ]
    np.testing.assert_array_equal(recording.samples, np.hstack(columns))


def test_a_grid_anchored_at_the_epoch_begins_where_a_window_does(made):
    at = 1_700_000_000 * SECOND + 12_345
    times = at + np.arange(200) * PERIOD
    made.signal(wave(200), times=times, session=0, origin=0)
    recording = open_source(made.finish()).read("anna")
    first = recording.timestamps[0]
    assert first % (4 * PERIOD) == 0
    assert at - 4 * PERIOD < first <= at


def test_counters_that_wrap_go_on_and_times_that_step_back_are_left_out(made):
    times = SECOND + np.arange(30) * PERIOD
    made.signal(wave(10), 100, times=times[:10], origin=SECOND)
    made.signal(wave(10), 0, times=times[10:20], origin=SECOND)
    made.signal(wave(2), 10, times=times[3:5], origin=SECOND)
    made.signal(wave(8), 12, times=times[22:30], origin=SECOND)
    (device,) = open_source(made.finish()).devices("anna")
    np.testing.assert_array_equal(device.times, np.delete(times, [20, 21]))
    assert np.diff(device.numbers).tolist() == [1] * 19 + [3] + [1] * 7


def test_sessions_of_other_channels_are_left_out_and_named(made, caplog):
    made.signal(wave(100))
    made.signal(wave(50), stream="ben", named=[*channels(3)[::-1]])  # the same, in another order
    made.signal(wave(20, 4), stream="carl", named=[Channel("x"), *channels(3)])  # more than those
    made.signal(wave(20, 2), stream="dora")
    made.signal(wave(20), stream="emil", tells=False)  # nobody said what its columns are
    with caplog.at_level(logging.WARNING):
        source = open_source(made.finish())
    assert source.ids == ("anna", "ben", "carl")
    assert "1 recording of other channels or another rate left out: dora" in caplog.text
    np.testing.assert_array_equal(source.read("ben").samples, wave(50)[:, ::-1])
    np.testing.assert_array_equal(source.read("carl").samples, wave(20, 4)[:, 1:])


def test_a_file_that_was_cut_off_is_read_up_to_there_and_says_so(tmp_path, caplog):
    made = MadeUp(tmp_path / "made")
    made.signal(wave(100))
    (path,) = made.finish().glob("*.mcap")
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.index(b"channels") + 500])
    with pytest.raises(SourceError, match="holds no readings"):
        open_source(path)
    assert "it is still being written or was cut off: read up to byte" in caplog.text


def test_messages_that_make_no_sense_are_left_out_and_counted(made, caplog):
    made.signal(wave(10))
    made._writer.add("signal/anna/sensor", "kinestream.Signal", b"\x81\xa1v\x02", 1, 1)
    made._writer.add("annotation/anna", "kinestream.Annotation", b"nonsense", 1, 1)
    source = open_source(made.finish())
    assert len(source.read("anna").samples) == 10
    assert "2 messages cannot be read" in caplog.text


def test_nothing_said_of_the_streamer_is_no_hindrance(tmp_path):
    made = MadeUp(tmp_path / "made", {key: "x" for key in ABOUT})
    made.signal(wave(50), 7)
    made.annotation("walk", 0, SECOND)
    recording = open_source(made.finish()).read("anna")
    assert len(recording.samples) == 50
    assert recording.classes == ("walk",)


def test_what_is_no_recording_is_told(tmp_path):
    path = tmp_path / "it.mcap"
    path.write_bytes(b"nonsense")
    with pytest.raises(SourceError, match="no MCAP file"):
        open_source(path)
    path.write_bytes(b"")
    with pytest.raises(SourceError, match="holds no readings"):
        open_source(path)


def test_a_recording_needs_no_description(made):
    made.signal(wave(10))
    with pytest.raises(SourceError, match="needs no description"):
        first_draft(made.finish())


def test_what_was_annotated_is_trained_on(made, tmp_path):
    for number, stream in enumerate(("anna", "ben", "carl")):
        x = wave(400, seed=number) * 0.1
        x[200:] += 1
        made.signal(x, stream=stream)
        made.annotation("walk", 0, 200 * PERIOD, stream=stream)
        made.annotation("sit", 200 * PERIOD, 400 * PERIOD, stream=stream)
    content = {
        "dataset": {"name": "recorded", "source": str(made.finish())},
        "window": {"length": 20, "stride": 10},
        "split": {"test": ["carl"], "validation": ["ben"]},
        "network": {"hidden": 8, "cells": 1, "blocks": 1},
        "train": {"epochs": 3, "batch": 8, "learning_rate": 0.02},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.dump(content))
    result = train(load_config(path), tmp_path / "run", page=False)
    assert result.test.averages.accuracy > 0.9
    assert read_bundle(tmp_path / "run" / "bundle").description.classes == ("walk", "sit")


@settings(max_examples=60)
@given(st.data())
def test_whatever_a_message_says_is_read_or_left_out(tmp_path_factory, data):
    made = MadeUp(tmp_path_factory.mktemp("it") / "made")
    writer = SignalWriter("anna", 1, "phone", 0, 50.0, "times", channels(2))
    times = np.arange(4, dtype="<i8").tobytes()
    content = msgpack.unpackb(writer.frames(0, 0, 3, bytes(32), times, channels=True)[1])
    odd = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 62), 1 << 62),
        st.floats(),
        st.binary(max_size=64),
        st.text(max_size=3),
    )
    for key in data.draw(st.lists(st.sampled_from(sorted(content)), min_size=1, max_size=3)):
        content[key] = data.draw(odd)
    for _ in range(2):
        made._writer.add("signal/anna/phone", "kinestream.Signal", msgpack.packb(content), 1, 1)
    made.signal(wave(10, 2), stream="ben")
    source = open_source(made.finish())
    assert "ben" in source.ids
    for name in source.ids:
        try:
            source.reader.read(name)
            source.reader.devices(name)
        except SourceError:
            pass
