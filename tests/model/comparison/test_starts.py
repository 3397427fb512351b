"""A protocol makes the bundle that its contenders start from, and holds them against each other person by person."""

import json

import numpy as np
import pytest
import yaml

from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.comparison.page import write_results
from kinestream.model.comparison.pairs import Pair, pairs_of
from kinestream.model.comparison.protocol import Protocol, load_protocol, merged
from kinestream.model.comparison.results import standings
from kinestream.model.comparison.runs import read_run, run_all, run_one
from kinestream.model.errors import ConfigError
from kinestream.model.evaluation.evaluate import evaluate
from tests.given.synthetic import CLASSES, write_hapt

SMALL = {
    "title": "A start",
    "about": "Three activities of eight people.",
    "config": {
        "dataset": {"name": "hapt", "classes": list(CLASSES)},
        "window": {"length": 20, "stride": 10},
        "split": {"validation": []},
        "network": {"preset": "kinestream", "hidden": 8, "cells": 2, "blocks": 1},
        "train": {"epochs": 2, "batch": 32},
    },
    "start": {"split": {"train": [5, 6, 7, 8], "validation": [4]}},
    "rounds": {
        "one": {"split": {"train": [2], "test": [1]}},
        "two": {"split": {"train": [3], "test": [2]}},
        "three": {"split": {"train": [1], "test": [3]}},
    },
    "contenders": {
        "started": {"start": "trained_further", "against": ["scratch", "as it is"], "split": {"train_minutes": 0.2}},
        "scratch": {"split": {"train_minutes": 0.2}},
        "as it is": {"start": "unchanged"},
    },
    "ours": "started",
    "seeds": [0],
}


def load(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "small.yaml"
    path.write_text(yaml.dump(content, sort_keys=False))
    return load_protocol(str(path))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a protocol that has been run, the folder of its results, and the recordings."""
    folder = tmp_path_factory.mktemp("starts")
    source = write_hapt(folder / "hapt")
    protocol = load(folder, SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINESTREAM_CACHE", str(folder / "cache"))
        run_all(protocol.runs, folder / "results", folder / "work", source=str(source), jobs=1, show=lambda line: None)
        yield protocol, folder, source


def results(protocol, folder, contender):
    return {r.round: read_run(folder / "results", r) for r in protocol.runs if r.contender == contender}


def test_the_bundle_is_made_once_and_started_from(done):
    protocol, folder, _ = done
    starts = {run.start.key for run in protocol.runs if run.start}
    assert starts == {"start/all-seed0"}
    made = read_bundle(folder / "work" / "small" / "start" / "all-seed0" / "bundle")
    assert made.description.training["people"] == {"train": ["5", "6", "7", "8"], "validation": ["4"], "test": []}
    for content in results(protocol, folder, "started").values():
        assert content["config"]["train"]["start_from"] == made.id
        assert content["epochs"] == 2
    assert all("start_from" not in each["config"]["train"] for each in results(protocol, folder, "scratch").values())


def test_unchanged_is_that_bundle_on_who_is_tested_on(done):
    protocol, folder, source = done
    bundle = folder / "work" / "small" / "start" / "all-seed0" / "bundle"
    for (_, content), person in zip(results(protocol, folder, "as it is").items(), "123", strict=True):
        alone = json.loads(json.dumps(evaluate(bundle, source, people=[person]).as_dict()))
        assert content["test"]["confusion"] == alone["confusion"]
        assert (content["epochs"], content["history"]) == (0, [])


def test_results_are_known_without_the_bundle_and_by_how_it_was_made(done, tmp_path):
    protocol, folder, _ = done
    elsewhere = load(tmp_path / "elsewhere", SMALL)  # no bundle lies here
    assert all(read_run(folder / "results", run) for run in elsewhere.runs)
    other = load(tmp_path / "other", merged(SMALL, {"start": {"train": {"epochs": 3}}}))
    known = {run.contender for run in other.runs if read_run(folder / "results", run)}
    assert known == {"scratch"}
    digests = [run.digest for run in protocol.runs]
    assert len(set(digests)) == len(digests)


def test_a_bundle_that_knows_who_is_tested_on_is_refused(done, tmp_path):
    _, _, source = done
    seen = load(tmp_path, merged(SMALL, {"start": {"split": {"train": [1, 5], "validation": [4]}}}))
    run = next(run for run in seen.runs if run.contender == "as it is" and run.round == "one")
    with pytest.raises(ConfigError, match=r"start.split: small-start-all-0-\w+ has learnt from 1, tested on in one"):
        run_one(run, tmp_path / "results", tmp_path / "work", str(source))


def test_a_round_may_start_from_a_bundle_of_its_own(tmp_path):
    own = {"rounds": {"two": {"start": {"split": {"train": [7, 8]}}}}}
    protocol = load(tmp_path, merged(SMALL, own))
    trained = {run.round: run.start.config.split.train for run in protocol.runs if run.start}
    assert trained == {"one": ("5", "6", "7", "8"), "two": ("7", "8"), "three": ("5", "6", "7", "8")}
    assert {run.start.key for run in protocol.runs if run.start} == {"start/all-seed0", "start/two-seed0"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"start": None}, "contenders.started.start: trained_further, but the protocol has no section start"),
        ({"contenders": {"started": {"start": "anew"}}}, "contenders.started.start: "),
        ({"contenders": {"started": {"against": ["nobody"]}}}, "contenders.started.against: no contender nobody"),
        ({"start": {"train": {"epoch": 3}}}, "start.train.epoch: unknown key"),
    ],
)
def test_what_is_wrong_with_a_start_is_said_by_key(tmp_path, change, expected):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, merged(SMALL, change))
    assert caught.value.problems[0].startswith(expected)


def test_a_pair_is_ahead_by_the_mean_over_rounds_with_students_interval():
    pair = Pair("a", "b", {"accuracy": {"x": 0.3, "y": -0.1, "z": 0.1}}, {"accuracy": (0.6, 0.5)})
    assert pair.lead("accuracy") == pytest.approx(0.1)
    # The deviation is 0.2, t of two degrees of freedom 4.303.
    assert pair.interval("accuracy") == pytest.approx(
        (0.1 - 4.303 * 0.2 / 3**0.5, 0.1 + 4.303 * 0.2 / 3**0.5), abs=1e-3
    )
    assert pair.behind("accuracy") == {"y": -0.1}
    assert Pair("a", "b", {"accuracy": {"x": 0.3, "y": -0.1}}, {}).interval("accuracy") is None


def test_pairs_are_those_of_the_files_and_the_page_shows_them(done):
    protocol, folder, _ = done
    found = pairs_of(protocol, standings(protocol, folder / "results"), ["accuracy"])
    assert [(pair.name, pair.other) for pair in found] == [("started", "scratch"), ("started", "as it is")]
    ours, theirs = (results(protocol, folder, name) for name in ("started", "scratch"))
    leads = {name: ours[name]["test"]["accuracy"] - theirs[name]["test"]["accuracy"] for name in ours}
    assert found[0].leads["accuracy"] == pytest.approx(leads)
    text = write_results([protocol], folder / "results").read_text()
    assert f"{np.mean(list(leads.values())):+.3f} [" in text
    low, high = found[0].interval("accuracy")
    assert f"[{low:+.3f}, {high:+.3f}]" in text
    losing = found[0].behind("accuracy")
    assert (f"{len(losing)} of 3: " in text) or not losing


def test_two_rounds_have_no_interval_and_are_shown_each(done):
    protocol, folder, _ = done
    runs = tuple(run for run in protocol.runs if run.round != "three")
    rounds = {name: part for name, part in protocol.about.rounds.items() if name != "three"}
    two = Protocol(protocol.name, protocol.about.model_copy(update={"rounds": rounds}), runs)
    pair = pairs_of(two, standings(two, folder / "results"), ["accuracy"])[0]
    assert pair.interval("accuracy") is None
    text = write_results([two], folder / "results").read_text()
    assert f"(one: {pair.leads['accuracy']['one']:+.3f}, two: {pair.leads['accuracy']['two']:+.3f})" in text
