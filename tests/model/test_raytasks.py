"""On a Ray cluster, work comes to the same as here; what fails there is told here; and nothing needs Ray without it."""

import gc
import importlib.util
import json
import logging
import os
import socket
import subprocess
import sys
from contextlib import closing
from functools import partial

import pytest
import yaml

from kinestream.model import extras
from kinestream.model.cluster import connect
from kinestream.model.comparison.protocol import load_protocol
from kinestream.model.comparison.runs import read_run, run_all
from kinestream.model.errors import ConfigError, EndpointError, MissingExtra
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.model.raytasks import spread
from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.given.long import long_form
from tests.given.synthetic import CLASSES, write_hapt

PROTOCOL = {
    "title": "A small one",
    "about": "Three activities of six people.",
    "config": {
        "dataset": {"name": "hapt", "classes": list(CLASSES)},
        "window": {"length": 20, "stride": 10},
        "split": {"train": [1, 2], "validation": [3], "test": [4, 5]},
        "network": {"preset": "kinestream", "hidden": 8, "cells": 2, "blocks": 1},
        "train": {"epochs": 2, "batch": 32},
    },
    "contenders": {"ours": {}},
    "ours": "ours",
    "seeds": [0, 1],
}
VARYING = {"seconds", "cpu_seconds"}


@pytest.fixture(scope="module")
def cluster():
    """Start a cluster of two processors for all that follow."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("RAY_")]:
            environment.delenv(name)
        before = set(os.environ)
        connect(cpus=2)
        import ray  # not before: it looks then whether there is a token

        yield ray
        started = [
            each for each in gc.get_objects() if issubclass(type(each), subprocess.Popen) and each.returncode is None
        ]
        ray.shutdown()
        for name in set(os.environ) - before:
            del os.environ[name]
    for each in started:  # Ray ends its processes and does not wait for them
        each.wait(30)


def test_a_bundle_evaluated_there_scores_as_here(cluster):
    seen = []
    here = evaluate(BUNDLE, RECORDINGS, device="cpu")
    there = evaluate(BUNDLE, RECORDINGS, device="cpu", ray="local", progress=lambda each: seen.append(each.done))
    assert json.dumps(there.as_dict()) == json.dumps(here.as_dict())
    assert seen == list(range(len(here.recordings) + 1))
    for one, other in zip(here.recordings, there.recordings, strict=True):
        assert one.probabilities.tobytes() == other.probabilities.tobytes()


def steady(content):
    """Return a run's result without what depends on when and where it ran."""
    if isinstance(content, dict):
        return {key: steady(value) for key, value in content.items() if key not in VARYING}
    return [steady(each) for each in content] if isinstance(content, list) else content


def test_trainings_there_come_to_the_same_and_only_what_is_missing_is_trained(cluster, tmp_path, monkeypatch):
    source = str(write_hapt(tmp_path / "hapt"))
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "small.yaml"
    path.write_text(yaml.dump(PROTOCOL, sort_keys=False))
    runs = load_protocol(str(path)).runs
    told = []
    here, there = tmp_path / "here", tmp_path / "there"
    train = partial(run_all, runs, source=source, jobs=1, show=told.append)
    train(here / "results", here / "work")
    del told[:]
    assert train(there / "results", there / "work", ray="local") == 2
    for run in runs:
        assert steady(read_run(there / "results", run)) == steady(read_run(here / "results", run))
    assert told[0] == "2 runs, 0 of them done before"
    assert any(line.startswith("2 of 2: small ours seed ") for line in told)
    assert train(there / "results", there / "work", ray="local") == 0
    assert told[-1] == "2 runs, 2 of them done before"


def warn(shared, task, note):
    logging.getLogger("kinestream.there").warning("%s %s", shared, task)
    note("warned")
    return task * 2


def test_what_a_task_returns_and_logs_comes_here(cluster, caplog):
    ended = []
    spread("local", warn, [1, 2, 3], "task", ended=ended.append)
    assert {(each.number, each.result) for each in ended} == {(0, 2), (1, 4), (2, 6)}
    assert sorted(line.partition(": ")[2] for line in caplog.messages) == ["task 1", "task 2", "task 3"]


def refuse(task, note):
    raise ConfigError("protocol.yaml", [f"seeds: {task}"])


def test_what_a_user_can_mend_is_raised_here_as_it_was_there(cluster):
    with pytest.raises(ConfigError) as raised:
        spread("local", refuse, [7], ended=lambda task: None)
    assert raised.value.problems == ("seeds: 7",)


def die_once(folder, task, note):
    try:
        (folder / str(task)).mkdir()
    except FileExistsError:
        return task
    os._exit(1)  # as where a node dies: nothing is said, the process is gone


@long_form
def test_a_task_whose_process_dies_is_done_again(cluster, tmp_path):
    ended = []
    spread("local", die_once, [1, 2], tmp_path, ended=ended.append)
    assert sorted(each.result for each in ended) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"^a cluster needs ray: pip install .*\[fleet\]'$"):
        connect()


def test_where_nobody_answers_a_line_says_so_at_once(monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"  # bound and not listening: nobody else gets it
        with pytest.raises(EndpointError, match=rf"^Ray cluster at {address}: nobody answers .*ray start --head"):
            connect(address)
    with pytest.raises(EndpointError, match="give host:port of its head node, auto or local"):
        connect("somewhere")


def test_nothing_imports_ray_unasked():
    script = f"""
import sys
from kinestream.commands import main
from kinestream.model.comparison import runs, spread
from kinestream.model.evaluation.evaluate import evaluate
evaluate({str(BUNDLE)!r}, {str(RECORDINGS)!r}, device="cpu")
print([name for name in sys.modules if name.partition(".")[0] == "ray"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "[]", done.stderr
