"""A fleet on a Ray cluster of three nodes: what becomes of its labels while nodes die, come and are emptied."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killed import BUNDLE, undisturbed
from tests.given.fleetlabels import Heard
from tests.given.long import long_form
from tests.given.raynodes import RayNodes
from tests.given.wearers import Feed, takes_once, wearers

pytest.importorskip("ray")

pytestmark = pytest.mark.timeout(280)
SPEED = 2.0
PATIENCE_S = 110.0  # Ray starts processes of Python that import it, which takes a busy machine long


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayNodes]:
    with RayNodes(tmp_path_factory.mktemp("fleet"), BUNDLE, 3, streamers=3, processors=0.3) as running:
        running.tell("up")
        yield running


def until(is_so: Callable[[], object], what: str) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_S:g} s: {what}"
        time.sleep(0.1)


def where(nodes: RayNodes) -> dict[str, str]:
    """Return on which node, by its address, each slot's streamer serves."""
    status = nodes.tell("status")
    addresses = {each["id"]: each["address"] for each in status["nodes"]}
    return {
        each["slot"]: addresses[each["node"]]
        for each in status["streamers"]
        if each["state"] == "serving" and each["node"] in addresses and each["is_known"]
    }


def pids(nodes: RayNodes) -> dict[str, int]:
    return {each["slot"]: each["pid"] for each in nodes.tell("status")["streamers"]}


def command(nodes: RayNodes, *words: str) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-P", "-m", "kinestream", "fleet", *words]
    return subprocess.run(run, env=nodes.environment, capture_output=True, text=True, check=False, timeout=120)


def test_labels_are_those_of_one_streamer_while_nodes_die_come_and_are_emptied(nodes: RayNodes):
    recordings = wearers(3)
    expected = undisturbed(takes_once(recordings))
    before = where(nodes)
    assert len(set(before.values())) == 3, "one on each node"
    with Heard(nodes.directory) as heard, Feed(nodes.directory, recordings, SPEED) as feed:
        heard.wait(len(recordings))
        dead = before["streamer-0"]
        assert nodes.tell("kill", dead) == ["streamer-0"]
        until(lambda: where(nodes).get("streamer-0", dead) != dead, "streamer-0 serves on another node")
        added = nodes.tell("add")
        emptied = before["streamer-1"]
        moved = nodes.tell("drain", emptied)["moved"]
        assert moved["streamer-1"] in {added, *before.values()} - {dead, emptied}  # Ray may not tell of all room yet
        after = where(nodes)
        assert after.keys() == before.keys()
        assert emptied not in after.values()
        cut = after["streamer-2"]
        assert "streamer-2" in nodes.tell("cut", cut)  # its old streamer goes on, and nobody heeds it
        until(lambda: where(nodes).get("streamer-2", cut) != cut, "streamer-2 serves on another node")
        until(feed.is_over.is_set, "all is sent and acknowledged")
        until(lambda: heard.count >= len(expected), "all labels are there")
    found = {
        (label.stream, label.session, label.window): (label.label, label.probs)
        for labels in heard.labels.values()
        for label in labels
    }
    assert found == expected
    for labels in heard.labels.values():
        assert [label.window for label in labels] == sorted({label.window for label in labels}), "each once, in order"


@long_form
def test_it_grows_and_shrinks_and_takes_another_bundle(nodes: RayNodes, tmp_path: Path):
    nodes.tell("add")
    nodes.tell("scale", 2)
    assert where(nodes).keys() == {"streamer-0", "streamer-1"}
    assert nodes.tell("scale", 3) == {"fleet": "wards", "before": 2, "streamers": 3}
    before = pids(nodes)
    other = tmp_path / "other"
    shutil.copytree(BUNDLE, other)
    assert nodes.tell("reload", str(other))["streamers"] == 3
    assert {each["bundle"] for each in nodes.tell("status")["streamers"]} == {str(other)}
    with pytest.raises(AssertionError, match=r"BundleError: the streamer does not take .*; all others keep .*other"):
        nodes.tell("reload", str(tmp_path / "nothing"))
    assert {each["bundle"] for each in nodes.tell("status")["streamers"]} == {str(other)}
    assert pids(nodes) == before, "no streamer was started again"


def test_a_streamer_outlives_what_keeps_it_and_is_gone_on_with(nodes: RayNodes):
    nodes.tell("scale", 2)
    nodes.tell(
        "scale", 3
    )  # so that Ray keeps it where it is, and not wherever there is room: its first node may be gone
    before = pids(nodes)
    nodes.tell("kill_keeper", "streamer-2")
    until(lambda: "streamer-2" not in where(nodes), "it is kept no more")
    until(lambda: "streamer-2" in where(nodes), "it is kept again")
    assert pids(nodes) == before


def test_commands_tell_how_it_is_and_what_is_wrong(nodes: RayNodes):
    done = command(nodes, "status", "--fleet", str(nodes.path), "--json")
    assert done.returncode == 0, done.stderr
    status: dict[str, Any] = json.loads(done.stdout)
    assert status["directory"]["ready"]
    assert [each["slot"] for each in status["streamers"]] == ["streamer-0", "streamer-1", "streamer-2"]
    assert sum(len(each["slots"]) for each in status["nodes"]) == 3
    shown = command(nodes, "drain", "nowhere", "--fleet", str(nodes.path))
    assert shown.returncode == 2
    assert shown.stderr.startswith("kinestream: no node is called nowhere: give one of 127.0.1.")
    assert shown.stderr.count("\n") == 1
