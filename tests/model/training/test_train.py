"""Training on a small problem with real files, from the configuration to the bundle."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml
from safetensors import safe_open
from safetensors.torch import save

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.config.file import load_config
from kinestream.model.config.training import TrainConfig
from kinestream.model.errors import BundleError, ConfigError, MissingExtra, TrainingDiverged
from kinestream.model.evaluation.evaluate import evaluate_recordings
from kinestream.model.extras import install
from kinestream.model.training.data import read_training_set
from kinestream.model.training.runfolder import RunFolder
from kinestream.model.training.steps import learning_rate_at, train_epoch
from kinestream.model.training.train import train
from kinestream.model.windows.frozen import FrozenRule, longest_repeats
from kinestream.model.windows.prepare import preparation
from kinestream.screens.training import TrainingScreen
from tests.given.synthetic import CLASSES, write_hapt


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a configuration file for synthetic recordings."""
    folder = tmp_path_factory.mktemp("train")
    content = {
        "dataset": {"name": "hapt", "source": str(write_hapt(folder / "hapt")), "classes": list(CLASSES)},
        "window": {"length": 20, "stride": 10},
        "split": {"test": "published", "validation": [3]},
        "network": {"hidden": 8, "cells": 2, "blocks": 1},
        "train": {
            "epochs": 8,
            "batch": 32,
            "learning_rate": 0.01,
            "worst_batches": 2,
            "l2": 1e-4,
            "average": 0.5,
            "label_smoothing": 0.01,
            "seed": 3,
        },
    }
    path = folder / "synthetic.yaml"
    path.write_text(yaml.dump(content))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(folder / "cache"))
        yield path


@pytest.fixture(scope="module")
def finished(written, tmp_path_factory):
    """Return an uninterrupted run's folder and result."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    return folder, train(load_config(written), folder)


def weights(folder):
    return read_bundle(folder / "bundle").weights


def test_a_learnable_problem_is_learnt_and_told_whole(finished):
    folder, result = finished
    assert result.test.averages.accuracy >= 0.95
    assert result.validation.averages.accuracy >= 0.95
    assert result.test.floor.accuracy < 0.5
    told = json.loads((folder / "result.json").read_text())
    assert told == json.loads(json.dumps(result.as_dict()))
    assert len(json.loads((folder / "history.json").read_text())) == result.epochs == 8
    training = read_bundle(result.bundle).description.training
    assert training["people"] == {"train": ["1", "5", "6", "7", "8"], "validation": ["3"], "test": ["2", "4"]}
    assert training["recordings"]["test"] == ["exp02_user02", "exp04_user04"]
    assert training["seed"] == 3
    assert training["validation"]["accuracy"] >= 0.95
    assert TrainConfig.model_validate(training["config"]).train.epochs == 8


def test_validation_while_training_and_evaluation_afterwards_agree(finished):
    training = read_bundle(finished[1].bundle).description.training
    averages = finished[1].validation.averages
    for name, value in training["validation"].items():
        assert getattr(averages, name) == pytest.approx(value, abs=1e-12)


def test_scaling_knows_the_training_people_alone(written, finished):
    from kinestream.model.datasets import open_dataset

    source = open_dataset(load_config(written).dataset)
    samples = np.concatenate([r.samples for r in source.recordings() if r.person in ("1", "5", "6", "7", "8")])
    bundle = read_bundle(finished[1].bundle)
    np.testing.assert_allclose(bundle.means, np.nanmean(samples, axis=0), atol=1e-5)
    np.testing.assert_allclose(0.5 / bundle.factors, np.nanstd(samples, axis=0), rtol=1e-4)


def test_the_bundle_notes_how_labels_become_activities_and_what_readings_it_knew(finished):
    bundle = read_bundle(finished[1].bundle)
    rules = bundle.description.activities
    assert len(rules.least) == 3
    found = finished[1].figures["test"]
    assert found["activities"]["events"]["total"]["f1"] > found["events"]["total"]["f1"] - 0.05
    assert [each.channels[0] for each in bundle.description.familiar] == ["acc_x", "gyro_x"]
    low, high = bundle.description.familiar[0].size
    assert low < 1 < high  # of gravity, in g


def test_a_killed_run_goes_on_to_the_same_weights(written, tmp_path):
    overrides = ["train.epochs=20", "train.patience=null"]  # seconds more than the kill needs to arrive
    script = (
        "from kinestream import load_config, train; import sys; "
        "from kinestream.screens.training import TrainingScreen; "
        "train(load_config(sys.argv[1], sys.argv[3:]), sys.argv[2], listener=TrainingScreen())"
    )
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-c", script, str(written), str(killed), *overrides]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("epoch 2:"):
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "result.json").exists()
    assert 2 <= len(json.loads((killed / "history.json").read_text())) < 20
    config = load_config(written, overrides)
    result, uninterrupted = train(config, killed, page=False), train(config, whole, page=False)
    before, after = weights(whole), weights(killed)
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
    assert result.as_dict() | {"bundle": ""} == uninterrupted.as_dict() | {"bundle": ""}
    assert read_bundle(result.bundle).id == read_bundle(uninterrupted.bundle).id


def test_history_that_a_kill_left_behind_the_checkpoint_is_written_again(written, tmp_path):
    config = load_config(written, ["train.epochs=2"])
    train(config, tmp_path, page=False)
    whole = (tmp_path / "history.json").read_text()
    (tmp_path / "result.json").unlink()
    (tmp_path / "history.json").write_text(json.dumps(json.loads(whole)[:1]))
    train(config, tmp_path, page=False)
    assert (tmp_path / "history.json").read_text() == whole


@pytest.mark.parametrize("spoil", [lambda content: content[:-100], lambda content: b"", lambda content: content[8:]])
def test_a_damaged_checkpoint_is_one_line_that_says_how_to_start_anew(written, tmp_path, spoil):
    config = load_config(written, ["train.epochs=1"])
    train(config, tmp_path, page=False)
    (tmp_path / "result.json").unlink()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ConfigError, match=r"^[^\n]*checkpoint\.safetensors[^\n]*--restart$"):
        train(config, tmp_path, page=False)
    assert train(config, tmp_path, resume=False, page=False).epochs == 1


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("below", ["", "run"])
def test_a_file_in_the_way_is_refused_before_the_dataset_is_read(written, tmp_path, resume, below):
    path = tmp_path / "taken"
    path.write_text("mine")
    config = load_config(written, ["dataset.source=/nowhere"])
    with pytest.raises(ConfigError, match=r"^[^\n]*taken is a file: choose another folder[^\n]*$"):
        train(config, path / below, resume=resume)
    assert path.read_text() == "mine"


def test_the_bundle_is_scored_on_the_device_that_was_asked_for(written, tmp_path, monkeypatch):
    devices = []

    def noting(*args, device, **options):
        devices.append(device)
        return evaluate_recordings(*args, device=device, **options)

    monkeypatch.setattr("kinestream.model.training.outcome.evaluate_recordings", noting)
    train(load_config(written, ["train.epochs=1"]), tmp_path, device="cpu", page=False)
    assert set(devices) == {"cpu"}


def test_a_finished_run_is_returned_not_repeated(written, finished):
    folder, result = finished
    stamp = (folder / "checkpoint.safetensors").stat().st_mtime_ns
    again = train(load_config(written), folder)
    assert again.finished_before
    assert again.as_dict() == result.as_dict()
    assert (folder / "checkpoint.safetensors").stat().st_mtime_ns == stamp


def test_a_finished_run_has_its_page_and_gets_it_again_when_it_is_gone(written, finished, monkeypatch, capsys):
    folder, result = finished
    page = result.report.read_text(encoding="utf-8")
    kept = f"epoch {result.kept_epoch} kept"
    for word in (read_bundle(result.bundle).id, "Test people", "Validation people", "exp02_user02", kept):
        assert word in page
    result.report.unlink()
    config = load_config(written)
    assert train(config, folder).report.read_text(encoding="utf-8").count("<svg") == page.count("<svg")
    result.report.unlink()
    moved = load_config(written, ["dataset.source=/nowhere"])
    assert train_shown(moved, folder).report is None
    assert capsys.readouterr().err.splitlines()[-1].startswith("no report.html: /nowhere")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        for name in [name for name in sys.modules if name.startswith("kinestream.model.report")]:
            patch.delitem(sys.modules, name)
        assert train_shown(config, folder).report is None
    assert capsys.readouterr().err.endswith(f"a report needs matplotlib: {install('train')}\n")
    assert train(config, folder).report is not None


def train_shown(config, folder, *, resume=True, page=True):
    """Train as the command does."""
    with TrainingScreen(resume=resume) as screen:
        return train(config, folder, resume=resume, page=page, listener=screen)


def interrupt_epoch(number, monkeypatch):
    """Make Ctrl-C come while an epoch is trained."""

    def interrupted(learner, data, section, augment, done, after_batch):
        if done + 1 == number:
            raise KeyboardInterrupt
        return train_epoch(learner, data, section, augment, done, after_batch)

    monkeypatch.setattr("kinestream.model.training.train.train_epoch", interrupted)


def test_elsewhere_than_on_a_terminal_a_run_tells_a_line_an_epoch(written, tmp_path, monkeypatch, capsys):
    config = load_config(written, ["train.epochs=3"])
    with monkeypatch.context() as patch:
        interrupt_epoch(2, patch)
        with pytest.raises(KeyboardInterrupt):
            train_shown(config, tmp_path)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("epoch 1: loss ")
    assert last == "stopped: the same command resumes after epoch 1 of 3"
    train_shown(config, tmp_path)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "resumes after epoch 1 of 3"
    assert [line.partition(":")[0] for line in lines[1:]] == ["epoch 2", "epoch 3"]
    train_shown(config, tmp_path)
    assert capsys.readouterr().err == "already finished: nothing to train; --restart trains it again\n"


@pytest.mark.parametrize(
    ("epoch", "resume", "expected"),
    [
        (1, True, "stopped in the first epoch: nothing is kept yet, the same command starts again"),
        (2, False, "stopped: the same command without --restart resumes after epoch 1 of 2"),
    ],
)
def test_ctrl_c_is_answered_by_how_to_go_on(written, tmp_path, monkeypatch, capsys, epoch, resume, expected):
    interrupt_epoch(epoch, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train_shown(load_config(written, ["train.epochs=2"]), tmp_path, resume=resume)
    assert capsys.readouterr().err.splitlines()[-1] == expected


def test_on_a_terminal_of_80_columns_the_bar_and_all_beside_it_are_whole(written, tmp_path, monkeypatch, capsys):
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": "80"}.items():
        monkeypatch.setenv(name, value)
    train_shown(load_config(written, ["train.epochs=2"]), tmp_path)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert re.search(r"epoch 2/2 ━{20} loss \d\.\d{3}, val F1 \d\.\d{3}, best [12] \d:\d\d:\d\d", shown)
    assert "epoch 2: " not in shown


def test_a_run_that_nobody_watches_tells_nothing(written, tmp_path, capsys, caplog):
    for _ in range(2):
        train(load_config(written, ["train.epochs=1"]), tmp_path, page=False)
    assert capsys.readouterr().err == ""
    assert not caplog.records


def test_a_folder_with_another_run_is_refused_by_naming_what_differs(written, finished):
    with pytest.raises(ConfigError) as caught:
        train(load_config(written, ["train.epochs=3", "network.hidden=6"]), finished[0], page=False)
    assert caught.value.problems == ("network.hidden: 6 here, 8 there", "train.epochs: 3 here, 8 there")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("resume", [True, False])
def test_two_processes_do_not_train_in_one_folder(written, tmp_path, resume):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom kinestream.model.training.runfolder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])) as run:\n    run.clear()\n    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another process trains there"):
            train(load_config(written, ["train.epochs=1"]), tmp_path / "run", resume=resume, page=False)
        assert list((tmp_path / "run").iterdir()) == []
        other.communicate("")
    assert train(load_config(written, ["train.epochs=1"]), tmp_path / "run", resume=resume, page=False).epochs == 1


def test_starting_anew_forgets_the_run_that_is_there(written, tmp_path):
    train(load_config(written, ["train.epochs=1"]), tmp_path, page=False)
    first = weights(tmp_path)
    (tmp_path / "bundle" / "notes.txt").write_text("mine")
    result = train(load_config(written, ["train.epochs=1", "train.seed=4"]), tmp_path, resume=False, page=False)
    assert result.epochs == 1
    assert any(not np.array_equal(first[name], weight) for name, weight in weights(tmp_path).items())
    assert (tmp_path / "bundle" / "notes.txt").read_text() == "mine"


def test_forgetting_a_run_leaves_no_bundle_behind(written, tmp_path):
    train(load_config(written, ["train.epochs=1"]), tmp_path, page=False)
    assert (tmp_path / "bundle").is_dir()
    RunFolder(tmp_path).clear()
    assert not list(tmp_path.iterdir())


def test_a_run_stops_early_and_keeps_its_best_epoch(written, tmp_path):
    overrides = ["train.learning_rate=1e-12", "train.patience=2", "train.worst_batches=0", "network.dropout_head=0.0"]
    result = train(load_config(written, overrides), tmp_path, page=False)
    assert (result.epochs, result.kept_epoch) == (3, 1)  # nothing is learnt, so the first stays the best


def test_without_validation_and_test_the_last_epoch_is_kept(written, tmp_path):
    config = load_config(written, ["train.epochs=2", "train.patience=1", "split={test: [], validation: []}"])
    result = train(config, tmp_path, page=False)
    assert (result.epochs, result.kept_epoch, result.validation, result.test) == (2, 2, None, None)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["dataset.name=sp_sw_har"], "dataset.name: is sp_sw_har, but"),
        (["dataset.classes=[WALKING, SWIMMING]"], "dataset.classes: no SWIMMING"),
        (["dataset.channels=[acc_x, acc_w]"], "dataset.channels: no acc_w"),
        (["split.validation=[2]"], "split.validation: no person or recording 2: there are 1, 3"),
        (["split.validation=[3, 31]"], "split.validation: no person or recording 31"),
        (["split.validation=6"], "split.validation: 6 of 6 people leave none"),
        (["split.test=[1, 2, 3, 4, 5, 6, 7, 8]", "split.validation=[]"], "split: nobody is left"),
        (["window.length=100000"], "window.length: not one labelled window of 100000 samples to train on"),
    ],
)
def test_what_does_not_fit_the_dataset_is_one_line(written, tmp_path, overrides, expected):
    with pytest.raises(ConfigError, match=r"^[^\n]+$") as caught:
        train(load_config(written, overrides), tmp_path, page=False)
    assert caught.value.problems[0].startswith(expected)
    assert not list(tmp_path.iterdir())


def test_training_reads_only_the_channels_asked_for(written, tmp_path):
    config = load_config(written, ["train.epochs=1", "dataset.channels=[gyro_y, acc_x]"])
    result = train(config, tmp_path, page=False)
    assert [channel.name for channel in read_bundle(result.bundle).channels] == ["gyro_y", "acc_x"]
    assert result.test is not None


def test_what_filters_channels_and_splits_none_makes_a_bundle_too(written, tmp_path):
    result = train(load_config(written, ["train.epochs=1", "preprocess.median=true"]), tmp_path, page=False)
    bundle = read_bundle(result.bundle)
    assert [each.name for each in bundle.inputs] == [each.name for each in bundle.channels]
    assert len(bundle.description.derived) == len(bundle.channels)


def test_the_bundle_notes_for_how_long_channels_kept_their_values_and_what_becomes_of_frozen_devices(written, tmp_path):
    config = load_config(written, ["train.epochs=1", "blank_frozen=true", "train.augment.drop_device={gyro: 0.5}"])
    made = read_bundle(train(config, tmp_path, page=False).bundle)
    trained = read_training_set(config).split.train
    assert made.frozen == FrozenRule(longest_repeats([recording.samples for recording in trained]), blank=True)
    assert made.description.training["config"]["blank_frozen"] is True
    assert made.description.training["config"]["train"]["augment"]["drop_device"] == {"gyro": 0.5}


def test_a_dropped_device_is_what_a_silent_one_is_to_the_network(written):
    config = load_config(written, ["preprocess={gravity_channels: [acc_x, acc_y, acc_z], median: true}"])
    data = read_training_set(config)
    samples = next(each.samples for each in data.split.train)[: config.window.length].copy()
    names = [channel.name for channel in data.channels]
    samples[:, [name.startswith("gyro") for name in names]] = np.nan
    prepared = preparation(config.preprocess, names, data.means, data.rate_hz)(samples[None])
    live = (prepared - data.input_means) * (np.float32(config.scaled_deviation) / data.input_deviations)
    gyro = [channel.name.startswith("gyro") for channel in data.inputs]
    np.testing.assert_array_equal(live[0][:, gyro], data.absent[:, gyro])
    assert not np.array_equal(live[0], data.absent)


def test_a_smaller_stride_shows_more_windows_in_training_alone(written, tmp_path):
    dense = train(load_config(written, ["train.epochs=1", "train.stride=5"]), tmp_path, page=False)
    description = read_bundle(dense.bundle).description
    windows = description.training["windows"]
    assert windows["train"] > 8 * windows["validation"]  # five people against one, at half the stride
    assert description.window.stride == 10


def test_one_cycle_climbs_then_falls_to_nothing(written):
    section = load_config(written, ["train.schedule=one_cycle"]).train
    rates = [learning_rate_at(section, share) for share in np.linspace(0, 1, 101)]
    assert rates[0] == pytest.approx(0.01 / 25)
    assert rates[30] == pytest.approx(0.01) == max(rates)
    assert rates[100] == pytest.approx(1e-6)
    assert np.all(np.diff(rates[:31]) > 0)
    assert np.all(np.diff(rates[30:]) < 0)


def test_without_pytorch_the_answer_is_one_line_that_says_what_to_install():
    script = "import sys; sys.modules['torch'] = None\nimport kinestream.model.training.train"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"kinestream.model.errors.{MissingExtra.__name__}: training needs PyTorch: {install('train')}"


@pytest.mark.parametrize("overrides", [["train.learning_rate=1e30"], ["train.learning_rate=1e38", "train.average=0.0"]])
def test_a_training_that_ends_in_no_numbers_writes_no_bundle(written, tmp_path, overrides):
    with pytest.raises(TrainingDiverged, match=r"^[^\n]*diverged in epoch \d[^\n]*lower train\.learning_rate[^\n]*$"):
        train(load_config(written, overrides), tmp_path, page=False)
    assert not (tmp_path / "bundle").exists()
    assert not (tmp_path / "result.json").exists()


def test_a_run_that_an_older_kinestream_left_diverged_writes_no_bundle(written, tmp_path):
    config = load_config(written, ["train.epochs=1"])
    train(config, tmp_path, page=False)
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    path.write_bytes(save({name: t * float("nan") if "head" in name else t for name, t in tensors.items()}, header))
    (tmp_path / "result.json").unlink()
    shutil.rmtree(tmp_path / "bundle")
    with pytest.raises(BundleError, match=r"no bundle is written|not finite numbers"):
        train(config, tmp_path, page=False)
    assert not (tmp_path / "bundle").exists()


def test_classes_that_few_or_none_teach_are_warned_of(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path / "cache"))
    done = {"anna": "AB", "ben": "AB", "cleo": "ABC", "dora": "AB", "eve": "ABCDE"}
    for person, classes in done.items():
        rows = [f"{i % 7},{ord(name) % 5 + i % 3},{name}" for name in classes for i in range(100)]
        (tmp_path / f"{person}.csv").write_text("x,y,label\n" + "\n".join(rows) + "\n")
    (tmp_path / "mine.yaml").write_text(
        "dataset: {name: mine, tabular: {files: '{person}.csv', rate_hz: 50, channels: {x: , y: }, "
        "labels: {column: label, classes: [A, B, C, D, E, F]}}}\nwindow: {length: 20, stride: 10}\n"
        "split: {test: [eve], validation: [dora]}\nnetwork: {hidden: 8}\ntrain: {epochs: 1}\n"
    )
    train_shown(load_config(tmp_path / "mine.yaml"), tmp_path / "run", page=False)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    never = "there is no window to learn it from"
    assert warnings == [
        "warning: C: learnt from one person only, cleo",
        f"warning: D: {never}, only the test people do it (eve): it will never be named",
        f"warning: E: {never}, only the test people do it (eve): it will never be named",
        f"warning: F: {never}: it will never be named",
    ]
    alone = ["split={test: [], validation: [ben, cleo, dora, eve]}", "dataset.classes=[A, B]"]
    train_shown(load_config(tmp_path / "mine.yaml", alone), tmp_path / "alone", page=False)
    assert capsys.readouterr().err.splitlines()[0] == "warning: everything is learnt from one person only, anna"
