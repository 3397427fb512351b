"""Training that starts from a bundle: what is kept answers as before, what is frozen stays, what differs is refused."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.bundle.description import ChannelEntry
from kinestream.model.config.file import load_config
from kinestream.model.config.training import PreprocessSection, TrainSection
from kinestream.model.engine.load import load_engine
from kinestream.model.errors import ConfigError
from kinestream.model.recordings.recording import Channel
from kinestream.model.report.facts import model_facts
from kinestream.model.training.data import read_training_set
from kinestream.model.training.start import Start
from kinestream.model.training.steps import train_epoch
from kinestream.model.training.train import train
from kinestream.model.training.transfer import transferred
from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.given.bundles import SMALL_NETWORKS, random_bundle
from tests.given.long import LONG
from tests.given.synthetic import CLASSES, write_hapt


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a configuration that says nothing of a network, and names its bundle from its own folder."""
    folder = tmp_path_factory.mktemp("start")
    content = {
        "dataset": {"name": "hapt", "source": str(write_hapt(folder / "hapt")), "classes": list(CLASSES)},
        "window": {"length": 20, "stride": 10},
        "split": {"test": "published", "validation": [3]},
        "train": {"epochs": 1, "batch": 32, "seed": 3, "start_from": "first"},
    }
    path = folder / "synthetic.yaml"
    path.write_text(yaml.dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(folder / "cache"))
        first(folder / "first")
        yield path


NAMES = [f"{sensor}_{axis}" for sensor in ("acc", "gyro") for axis in "xyz"]
UNITS = {"acc": "g", "gyro": "rad/s"}


def first(folder, names=NAMES, classes=("LAYING", "WALKING", "JUMP"), **changes):
    """Write a bundle of random weights that fits the recordings."""
    channels = [Channel(name, UNITS.get(name.partition("_")[0], "")) for name in names]
    network = changes.pop("network", {"hidden": 8, "cells": 2, "blocks": 1, "stem_kernel": 4})
    made = random_bundle(channels, len(classes), length=changes.pop("length", 20), **network)
    about = made.description.model_copy(update={"classes": classes, **changes})
    made = replace(made, description=about)
    made.write(folder)
    return made


def test_what_is_not_said_is_the_bundles_and_the_folder_leaves_no_trace(written, tmp_path, capsys):
    result = train(load_config(written), tmp_path / "run", page=False)
    made, start = read_bundle(result.bundle), read_bundle(written.parent / "first")
    assert made.description.network == start.description.network
    said = made.description.training["start"]
    assert said == (
        f"starts from {start.id}: 6 of 6 channels, 2 of 3 classes kept; new: SITTING; left out of it: JUMP; "
        "as in it: network, preprocess, scaled_deviation"
    )
    assert ("Start", said.removeprefix("starts from ")) in model_facts(made)
    for file in ("bundle/bundle.yaml", "config.yaml"):
        assert str(written.parent) not in (tmp_path / "run" / file).read_text()
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["train"]["start_from"] == start.id
    assert capsys.readouterr().out == ""


def test_the_command_line_says_what_is_kept_before_it_trains(written, tmp_path):
    command = [sys.executable, "-m", "kinestream", "train", written, "train.freeze=body", "--out", tmp_path / "run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (at,) = [i for i, line in enumerate(done.stderr.splitlines()) if line.startswith("starts from random-")]
    assert done.stderr.splitlines()[at].endswith("; frozen: the body")
    assert any(line.startswith("epoch 1:") for line in done.stderr.splitlines()[at:])


def test_with_nothing_learnt_the_bundle_answers_as_the_one_it_started_from(written, tmp_path):
    start = first(tmp_path / "first", classes=CLASSES, temperature=1.0)
    overrides = [f"train.start_from={tmp_path / 'first'}", "train.learning_rate=1e-12", "split.validation=[]"]
    made = read_bundle(train(load_config(written, overrides), tmp_path / "run", page=False).bundle)
    np.testing.assert_allclose(made.means, start.means)
    np.testing.assert_allclose(made.factors, start.factors)
    raw = np.random.default_rng(0).normal(size=(4, 20, 6)).astype(np.float32)
    np.testing.assert_allclose(
        load_engine(made, "cpu").probabilities(raw), load_engine(start, "cpu").probabilities(raw), rtol=1e-4, atol=1e-6
    )


def test_known_channels_are_scaled_as_in_the_bundle_and_new_ones_by_their_own_recordings(written, tmp_path):
    start = first(tmp_path / "first", names=["gyro_z", "acc_x", "hip"])
    scratch = read_training_set(load_config(written, ["train.start_from=null"]))
    data = read_training_set(*Start.open(load_config(written, [f"train.start_from={tmp_path / 'first'}"])))
    known = {each.name: each for each in start.description.channels}
    for i, name in enumerate(NAMES):
        mean = known[name].mean if name in known else scratch.means[i]
        deviation = known[name].deviation if name in known else scratch.deviations[i]
        assert data.means[i] == data.input_means[i] == np.float32(mean)
        assert data.input_deviations[i] == np.float32(deviation)
    np.testing.assert_allclose(
        data.train.windows * (data.input_deviations / 0.5) + data.input_means,
        scratch.train.windows * (scratch.input_deviations / 0.5) + scratch.input_means,
        atol=1e-4,
    )


@pytest.mark.parametrize(("noted", "least"), [(None, None), (9999, 9999)])
def test_a_start_from_a_bundle_repeats_itself_for_as_long_as_either_did(written, tmp_path, noted, least):
    before = first(tmp_path / "first", names=NAMES[:3])
    entries = [entry.model_copy(update={"longest_repeat": noted}) for entry in before.description.channels]
    about = before.description.model_copy(update={"channels": tuple(entries)})
    replace(before, description=about).write(tmp_path / "first")
    data = read_training_set(*Start.open(load_config(written, [f"train.start_from={tmp_path / 'first'}"])))
    known, new = data.repeats[:3], data.repeats[3:]
    assert known == (least,) * 3
    assert all(isinstance(each, int) for each in new)


@pytest.mark.parametrize("split", [["acc_x", "acc_y", "acc_z"], ["acc_y"]])
def test_what_is_derived_is_matched_by_its_own_name(written, tmp_path, split):
    names = ["body_acc_x", "body_acc_y", "gyro_x", "total_acc_x", "total_acc_y"]
    made = random_bundle([Channel(name) for name in names], 3, length=20, stem_kernel=4)
    entries = {each.name: each for each in made.description.channels}
    channels = tuple(ChannelEntry(name=name, mean=0.0, deviation=1.0) for name in ("acc_x", "acc_y", "gyro_x"))
    section = PreprocessSection(median=True, gravity_channels=("acc_x", "acc_y"))
    changes = {"preprocess": section, "derived": made.description.channels, "channels": channels}
    made = replace(made, description=made.description.model_copy(update=changes))
    made.write(tmp_path / "first")
    knobs = f"preprocess={json.dumps({'median': True, 'gravity_channels': split})}"
    data = read_training_set(*Start.open(load_config(written, [f"train.start_from={tmp_path / 'first'}", knobs])))
    kept = [each.name for each in data.inputs if each.name in entries]
    assert kept == [name for name in names if name == "gyro_x" or name.partition("_")[2] in split]
    for i, each in enumerate(data.inputs):
        if each.name in entries:
            assert data.input_means[i] == np.float32(entries[each.name].mean)
    assert f"{len(kept)} of {len(data.inputs)} inputs" in data.start


@pytest.mark.parametrize(
    ("changes", "overrides", "problem"),
    [
        ({}, ["window.length=24"], "window.length: 24 here, 20 in random-"),
        ({"rate_hz": 32.0}, [], "dataset: 50 samples a second here, 32 in random-"),
        ({}, ["network={kind: lstm}"], "network.kind: lstm here, residual_bilstm in random-"),
        ({}, ["scaled_deviation=1.0"], "scaled_deviation: 1.0 here, 0.5 in random-"),
        ({}, ["preprocess.median=true"], "preprocess.median: True here, False in random-"),
        ({"names": ["hip", "knee"]}, [], "dataset.channels: none is one of random-"),
        ({"network": {"hidden": 6, "residual": "identity"}, "names": NAMES[::-1]}, [], "dataset.channels: random-"),
    ],
)
def test_what_does_not_agree_is_one_line_that_names_both(written, tmp_path, changes, overrides, problem):
    first(tmp_path / "first", **changes)
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as caught:
        train(load_config(written, [f"train.start_from={tmp_path / 'first'}", *overrides]), tmp_path / "run")
    (found,) = caught.value.problems
    assert found.startswith(problem)
    assert not (tmp_path / "run").exists()


def test_another_unit_is_refused_by_name(written, tmp_path, monkeypatch):
    monkeypatch.setitem(UNITS, "acc", "m/s2")
    made = first(tmp_path / "first")
    with pytest.raises(ConfigError) as caught:
        train(load_config(written, [f"train.start_from={tmp_path / 'first'}"]), tmp_path / "run")
    assert caught.value.problems == tuple(
        f"dataset.channels: acc_{axis} is in g here, in m/s2 in {made.id}" for axis in "xyz"
    )


def test_another_spelling_of_a_unit_is_taken(written, tmp_path, monkeypatch):
    monkeypatch.setitem(UNITS, "gyro", "rad s-1")
    first(tmp_path / "first")
    start = Start.open(load_config(written, [f"train.start_from={tmp_path / 'first'}"]))
    assert read_training_set(*start).channels[-1].unit == "rad/s"


def test_a_network_section_must_agree_but_for_how_it_learns(written, tmp_path):
    agreeing = "{hidden: 8, cells: 2, blocks: 1, stem_kernel: 4, kind: residual_bilstm"
    config, _ = Start.open(load_config(written, [f"network={agreeing}, dropout_head: 0.5, init: published}}"]))
    assert config.network.dropout_head == 0.5
    with pytest.raises(ConfigError) as caught:
        Start.open(load_config(written, [f"network={agreeing}, detail: 5, readout: last}}"]))
    assert [line.partition(" in ")[0] for line in caught.value.problems] == [
        "network.detail: 5.0 here, 0.0",
        "network.readout: last here, mean",
    ]


def test_a_folder_without_a_bundle_is_one_line(written, tmp_path):
    with pytest.raises(ConfigError, match=r"^[^\n]*train\.start_from: [^\n]*nothing is no bundle[^\n]*$"):
        train(load_config(written, [f"train.start_from={tmp_path / 'nothing'}"]), tmp_path / "run")


def test_freezing_needs_something_to_freeze(written):
    with pytest.raises(ConfigError, match=r"train\.freeze: body without train\.start_from"):
        load_config(written, ["train.start_from=null", "train.freeze=body"])


def test_the_bundle_is_named_from_the_file_and_on_the_command_line_from_here(written, tmp_path, monkeypatch):
    assert load_config(written).train.start_from == str(written.parent / "first")
    monkeypatch.chdir(tmp_path)
    first(tmp_path / "runs" / "mine" / "bundle")
    _, start = Start.open(load_config(written, ["train.start_from=runs/mine"]))
    assert start.bundle.id == read_bundle(tmp_path / "runs" / "mine" / "bundle").id


@pytest.mark.parametrize(
    ("kind", "extra"),
    [(kind, extra) for kind in SMALL_NETWORKS for extra in (False, True) if LONG or not extra or kind == "plain"],
)
def test_a_frozen_body_does_not_move(written, tmp_path, kind, extra):
    names = NAMES[:5] if extra else NAMES
    start = first(tmp_path / "first", names=names, network=SMALL_NETWORKS[kind])
    knobs = ["train.freeze=body", "train.weight_decay=0.1", "train.l2=0.01", "train.average=0.5", "train.epochs=2"]
    config = load_config(written, [f"train.start_from={tmp_path / 'first'}", *knobs])
    made = read_bundle(train(config, tmp_path / "run", page=False).bundle)
    fresh = {name: np.zeros_like(values) for name, values in made.weights.items()}
    moved = False
    for name, (values, kept) in transferred(start, fresh, NAMES, CLASSES).items():
        if name.startswith("head."):
            assert not np.array_equal(made.weights[name], values)
            continue
        np.testing.assert_array_equal(made.weights[name][kept], values[kept], err_msg=name)
        moved |= bool((made.weights[name][~kept] != 0).any())
    assert moved == extra


def test_a_run_that_stopped_goes_on_to_the_same_weights(written, tmp_path, monkeypatch):
    config = load_config(written, ["train.epochs=3", "train.freeze=body", "dataset.channels=[acc_x, acc_y]"])
    first(tmp_path / "first", names=["acc_x"])
    config = config.model_copy(
        update={"train": config.train.model_copy(update={"start_from": str(tmp_path / "first")})}
    )
    whole = train(config, tmp_path / "whole", page=False)

    def stopped(learner, data, section, augment, done, after_batch):
        if done == 1:
            raise KeyboardInterrupt
        return train_epoch(learner, data, section, augment, done, after_batch)

    with monkeypatch.context() as patch:
        patch.setattr("kinestream.model.training.train.train_epoch", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped", page=False)
    resumed = train(config, tmp_path / "stopped", page=False)
    assert read_bundle(resumed.bundle).id == read_bundle(whole.bundle).id
    first(tmp_path / "first", names=["acc_x", "acc_y"])
    with pytest.raises(ConfigError, match=r"train\.start_from: 'random-\w+' here, 'random-\w+' there"):
        train(config, tmp_path / "stopped", page=False)


def test_what_starts_from_scratch_is_written_as_ever():
    assert {"start_from", "freeze"}.isdisjoint(TrainSection(epochs=3).model_dump(mode="json"))
    assert TrainSection(epochs=3, start_from="x").model_dump(mode="json")["freeze"] == "none"


def test_people_whom_the_bundle_has_learnt_from_are_named_where_they_are_held_out(written, tmp_path):
    about = {"dataset": "hapt", "people": {"train": ["1", "2"], "validation": ["3"], "test": ["4"]}}
    first(tmp_path / "first", training=about)
    data = read_training_set(*Start.open(load_config(written, [f"train.start_from={tmp_path / 'first'}"])))
    assert data.start.endswith("it has learnt from people held out here: 2, 3")


def test_a_start_from_the_shipped_bundle_is_ahead_after_one_epoch(tmp_path, monkeypatch):
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path / "cache"))
    about = read_bundle(BUNDLE).description
    content = {
        "dataset": {"name": "sp_sw_har", "source": str(RECORDINGS)},
        "window": {"length": 64, "stride": 16},
        "split": {"test": ["s20"], "validation": ["s16"]},
        "train": {"preset": "kinestream", "epochs": 1, "stride": 16},
    }
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.dump(content | {"network": about.network.model_dump()}))
    scratch = train(load_config(path), tmp_path / "scratch", page=False)
    path.write_text(yaml.dump(content))
    started = train(load_config(path, [f"train.start_from={BUNDLE}"]), tmp_path / "started", page=False)
    assert started.validation.averages.f1_macro > scratch.validation.averages.f1_macro + 0.2
    said = read_bundle(started.bundle).description.training["start"]
    assert said.startswith(f"starts from {read_bundle(BUNDLE).id}: 12 of 12 channels, 5 of 5 classes kept; as in it: ")
