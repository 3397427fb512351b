"""A protocol is run whole, once, and every figure of the page comes from a result beside it."""

import io
import json
import pickle
import re
import shutil

import numpy as np
import pytest
import yaml

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.comparison.page import write_results
from kinestream.model.comparison.protocol import choose, load_protocol, merged, shipped_protocols
from kinestream.model.comparison.results import ahead, standings
from kinestream.model.comparison.runs import read_run, result_path, run_all, run_one
from kinestream.model.errors import ConfigError, FileError, SourceError
from kinestream.screens.console import SafeConsole
from kinestream.screens.results import print_standings
from tests.given.long import long_form
from tests.given.synthetic import CLASSES, write_hapt

SMALL = {
    "title": "A small comparison",
    "about": "Three activities of eight people.",
    "config": {
        "dataset": {"name": "hapt", "classes": list(CLASSES)},
        "window": {"length": 20, "stride": 10},
        "split": {"test": "published", "validation": [3]},
        "train": {"epochs": 2, "batch": 32},
    },
    "contenders": {
        "kinestream": {"network": {"hidden": 8, "cells": 2, "blocks": 1}, "seeds": [0, 1, 2]},
        "lstm": {"network": {"hidden": 6}},
        "deepconvlstm": {"network": {"filters": 4, "hidden": 8, "convolutions": 2}},
    },
    "seeds": [0, 1],
    "published": [{"who": "Somebody", "protocol": "elsewhere", "accuracy": 0.5}],
}


@pytest.fixture
def write(tmp_path):
    def write(content, name="small"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.dump(content, sort_keys=False))
        return str(path)

    return write


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a protocol that has been run, and the folder of its results."""
    folder = tmp_path_factory.mktemp("compare")
    source = write_hapt(folder / "hapt")
    path = folder / "small.yaml"
    path.write_text(yaml.dump(SMALL, sort_keys=False))
    protocol = load_protocol(str(path))
    told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(folder / "cache"))
        run_all(protocol.runs, folder / "results", folder / "work", source=str(source), jobs=1, show=told.append)
    return protocol, folder, source, told


@pytest.mark.parametrize("name", shipped_protocols())
def test_every_shipped_protocol_is_sound_and_compares_like_with_like(name):
    protocol = load_protocol(name)
    if protocol.about.start is None:
        assert protocol.contenders[0] == "kinestream"
    else:  # every start has its opponent from scratch, and the bundle without any own data
        assert {run.contender for run in protocol.runs if run.start and run.start.unchanged} == {"the bundle as it is"}
        for run in protocol.runs:
            if run.start and not run.start.unchanged:
                against = protocol.about.contenders[run.contender]["against"]
                assert any(alike(run, each) and not each.start for each in protocol.runs if each.contender in against)
                assert "the bundle as it is" in against
    if not protocol.decides and protocol.about.start is None:
        assert set(protocol.contenders) >= {"kinestream", "reference", "deepconvlstm", "lstm"}
    for run in protocol.runs:  # the same windows of the same people, or as many minutes of them as each has
        assert all(
            alike(run, each, minutes=protocol.about.start is None) for each in protocol.runs if beside(run, each)
        )


def beside(run, other):
    return (run.round, run.seed) == (other.round, other.seed)


def alike(run, other, *, minutes=True):
    """Tell whether two runs read the same recordings in the same windows, and, if asked, as many minutes of them."""
    parts = [(each.config.dataset, each.config.window, each.config.split) for each in (run, other)]
    if not minutes:
        parts = [(*others, split.model_copy(update={"train_minutes": None})) for *others, split in parts]
    return beside(run, other) and parts[0] == parts[1]


def test_a_contender_has_its_presets_network_and_recipe_unless_it_says_otherwise(write):
    runs = load_protocol(write(SMALL)).runs
    assert [(run.contender, run.seed) for run in runs if run.contender != "lstm"] == [
        ("kinestream", 0),
        ("kinestream", 1),
        ("kinestream", 2),
        ("deepconvlstm", 0),
        ("deepconvlstm", 1),
    ]
    lstm = next(run for run in runs if run.contender == "lstm").config
    assert (lstm.network.kind, lstm.network.hidden, lstm.train.learning_rate) == ("lstm", 6, 2.5e-3)
    assert lstm.train.epochs == 2  # the protocol's word is the last


def test_every_problem_is_named_under_its_contender(write):
    content = merged(SMALL, {"contenders": {"lstm": {"network": {"hiden": 3}}, "kinestream": {"train": {"batch": 0}}}})
    with pytest.raises(ConfigError) as caught:
        load_protocol(write(content))
    assert "contenders.lstm.network.hiden: unknown key (did you mean network.hidden?)" in caught.value.problems
    assert any(problem.startswith("contenders.kinestream.train.batch: ") for problem in caught.value.problems)
    assert len(caught.value.problems) == 2


def test_a_protocol_that_tests_on_nobody_is_told_so(write):
    content = merged(SMALL, {"config": {"split": {"test": []}}})
    with pytest.raises(ConfigError) as caught:
        load_protocol(write(content))
    told = [problem.partition(".split.test: missing") for problem in caught.value.problems]
    assert [before for before, found, _ in told if found] == [f"contenders.{name}" for name in SMALL["contenders"]]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seeds": []}, "seeds: "),
        ({"ours": "theirs"}, "ours: no contender theirs"),
        ({"winner": 1}, "winner: "),
    ],
)
def test_what_is_wrong_with_a_protocol_is_said_by_key(write, change, expected):
    with pytest.raises(ConfigError) as caught:
        load_protocol(write(SMALL | change))
    assert caught.value.problems[0].startswith(expected)


def test_an_unknown_contender_is_named(write):
    with pytest.raises(ConfigError, match="no contender svm: there are kinestream, lstm, deepconvlstm"):
        choose(load_protocol(write(SMALL)).runs, ["svm"], None)


def test_every_run_leaves_a_result_that_says_all_of_itself(done):
    protocol, folder, _, told = done
    assert told[0] == "7 runs, 0 of them done before"
    for run in protocol.runs:
        content = read_run(folder / "results", run)
        assert content["test"]["windows"] > 0
        assert {"samples", "events", "delay", "calibration", "confusion", "floor"} <= content["test"].keys()
        assert len(content["history"]) == content["epochs"] == 2
        assert content["config"]["train"]["seed"] == run.seed == content["seed"]
        assert {"cpu", "cores", "versions"} <= content["machine"].keys()


def test_what_is_done_is_left_alone_and_a_gap_is_filled(done):
    protocol, folder, source, _ = done
    results = folder / "again"
    shutil.copytree(folder / "results", results)
    gap = protocol.runs[-1]
    before = json.loads(result_path(results, gap).read_text())
    result_path(results, gap).unlink()
    told = []
    assert run_all(protocol.runs, results, folder / "anew", source=str(source), jobs=1, show=told.append) == 1
    assert told[0] == "7 runs, 6 of them done before"
    after = read_run(results, gap)
    assert after["test"] == before["test"]  # the same seed on the same machine


def test_what_a_killed_run_took_before_counts_as_well(done, tmp_path):
    protocol, folder, source, _ = done
    run = choose(protocol.runs, ["lstm"], [0])[0]
    work = tmp_path / "small" / run.key
    shutil.copytree(folder / "work" / "small" / run.key, work)
    path = work / "history.json"
    epochs = json.loads(path.read_text())
    assert all(epoch["cpu_seconds"] > 0 for epoch in epochs)
    path.write_text(json.dumps([epoch | {"seconds": 2000.0, "cpu_seconds": 1000.0} for epoch in epochs]))
    content = run_one(run, tmp_path / "results", tmp_path, str(source))
    assert 2000 <= content["cpu_seconds"] < 2100
    assert 4000 <= content["seconds"] < 4100


def test_side_by_side_gives_the_same_as_one_after_the_other(done, tmp_path):
    protocol, folder, source, _ = done
    runs = choose(protocol.runs, ["lstm"], None)
    assert (
        run_all(runs, tmp_path / "results", tmp_path / "work", source=str(source), jobs=2, show=lambda line: None) == 2
    )
    for run in runs:
        assert read_run(tmp_path / "results", run)["test"] == read_run(folder / "results", run)["test"]


def test_a_contender_starts_from_a_bundle_wherever_that_lies(done, tmp_path):
    _, folder, source, _ = done
    bundle = folder / "work" / "small" / "lstm" / "all-seed0" / "bundle"
    runs = []
    for place in ("here", "there"):
        shutil.copytree(bundle, tmp_path / place / "first")
        content = SMALL | {"contenders": {"lstm": {}, "started": {"train": {"start_from": "first"}}}, "ours": "started"}
        (tmp_path / place / "small.yaml").write_text(yaml.dump(content, sort_keys=False))
        runs += choose(load_protocol(str(tmp_path / place / "small.yaml")).runs, ["started"], [0])
    assert runs[0].digest == runs[1].digest
    content = run_one(runs[0], tmp_path / "results", tmp_path / "work", str(source))
    assert content["config"]["train"]["start_from"] == read_bundle(bundle).id
    assert content["config"]["network"]["kind"] == "lstm"


def test_a_result_of_another_configuration_is_missing(done, write):
    _, folder, _, _ = done
    other = load_protocol(write(merged(SMALL, {"config": {"train": {"epochs": 3}}})))
    assert all(read_run(folder / "results", run) is None for run in other.runs)


def test_means_deviations_and_the_lead_are_those_of_the_files(done):
    protocol, folder, _, _ = done
    entries = {entry.name: entry for entry in standings(protocol, folder / "results")}
    found = {
        run.contender: [
            read_run(folder / "results", each)["test"]["f1_macro"]
            for each in protocol.runs
            if each.contender == run.contender
        ]
        for run in protocol.runs
    }
    for name, entry in entries.items():
        assert entry.figure("f1_macro").mean == pytest.approx(np.mean(found[name]))
        assert entry.figure("f1_macro").deviation == pytest.approx(np.std(found[name], ddof=1))
    lead = ahead(entries["kinestream"], entries["lstm"], "f1_macro")
    assert lead.values == pytest.approx(np.subtract(found["kinestream"][:2], found["lstm"]))  # the seeds both have


def test_the_page_shows_every_figure_and_the_command_that_repeats_it(done):
    protocol, folder, _, _ = done
    page = write_results([protocol], folder / "results")
    text = page.read_text()
    for entry in standings(protocol, folder / "results"):
        figure = entry.figure("accuracy")
        assert f"{figure.mean:.3f} ± {figure.deviation:.3f}" in text
    assert "kinestream compare small\n" in text
    assert "| Somebody | elsewhere | 0.500 |" in text
    for name in re.findall(r"\]\((small/[^)]+)\)", text):
        assert (page.parent / name).read_bytes().startswith(b"\x89PNG")


def test_a_protocol_without_results_is_marked_as_not_run(done, write):
    protocol, folder, _, _ = done
    absent = load_protocol(write(SMALL | {"title": "Elsewhere"}, name="absent"))
    text = write_results([protocol, absent], folder / "results").read_text()
    assert "Not run here" in text.partition("Elsewhere")[2]


def test_no_results_at_all_is_one_line(done, tmp_path):
    with pytest.raises(ConfigError, match=r"holds no results: run 'kinestream compare' first"):
        write_results([done[0]], tmp_path)


def test_what_was_compared_is_told_as_a_table(done):
    protocol, folder, _, _ = done
    console = SafeConsole(file=io.StringIO(), width=100)
    print_standings(protocol.name, standings(protocol, folder / "results"), console)
    lines = console.file.getvalue().splitlines()
    rows = {line.split()[1]: line for line in lines if line.startswith("│")}
    assert list(rows) == ["kinestream", "lstm", "deepconvlstm", "always"]
    mean = standings(protocol, folder / "results")[0].figure("accuracy").mean
    assert f"{mean:.3f} ±" in rows["kinestream"]


def test_a_result_that_is_damaged_is_not_trained_again_unasked(done):
    protocol, folder, _, _ = done
    path = result_path(folder / "results", protocol.runs[0])
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:100])
        with pytest.raises(FileError, match=r"^[^\n]*damaged[^\n]*remove it[^\n]*$"):
            read_run(folder / "results", protocol.runs[0])
    finally:
        path.write_bytes(whole)


@long_form
def test_an_error_of_a_training_beside_others_is_one_line_too(done, tmp_path):
    protocol, *_ = done
    runs, source = protocol.runs[:2], str(tmp_path / "nowhere.zip")
    with pytest.raises(SourceError, match="no such file"):
        run_all(runs, tmp_path / "results", tmp_path / "work", source=source, jobs=2, show=lambda line: None)
    error = ConfigError("here", ["a: is wrong", "b: too"])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problems) == (str(error), error.problems)
