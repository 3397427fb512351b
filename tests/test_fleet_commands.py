"""Commands that are given a fleet's address: what they show is of all streamers, and what is wrong is a line."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import click
import numpy as np
import pytest
import yaml

from kinestream import Label, LabelSubscriber, SampleSender
from kinestream.commands.main import root
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.given.fleets import PATIENCE_S, Fleet, addresses_of, children
from tests.given.streamers import unserved_addresses
from tests.test_commands import refused, run

CHANNELS = read_bundle(BUNDLE).channels
BEGIN = [sys.executable, "-P", "-m", "kinestream"]
NAMES = [f"wearer-{number}" for number in range(20)]


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return a fleet of two streamers."""
    with children(BUNDLE, 2) as pair, Fleet() as fleet:
        for slot, streamer in enumerate(pair):
            fleet.register(f"streamer-{slot}", addresses_of(streamer))
        fleet.plan(2)
        yield fleet


def test_replay_scores_and_watch_shows_streams_of_both_streamers(fleet):
    command = [*BEGIN, "watch", "--fleet", fleet.address, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert "listening at" in watch.stderr.readline()
        done = run("replay", RECORDINGS, "--speed", "max", "--score", "--json", "--fleet", fleet.address)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["labels_missing"] == 0
        assert told["labels_received"] == told["labels_expected"] > 0
        labels: Counter[str] = Counter()
        patience = threading.Timer(PATIENCE_S, watch.kill)
        patience.start()
        try:
            while labels.total() < told["labels_expected"] and (line := watch.stdout.readline()):
                shown = json.loads(line)
                labels[shown["stream"]] += shown["kind"] == "label"
        finally:
            patience.cancel()
        watch.send_signal(signal.SIGINT)
        *_, totals = watch.communicate(timeout=PATIENCE_S)[0].splitlines()
    assert watch.returncode == 130
    assert json.loads(totals)["labels"] == labels.total() == told["labels_expected"]
    assert {fleet.table.slot_of(stream) for stream in labels} == {"streamer-0", "streamer-1"}


def test_a_bridge_carries_lines_to_whom_its_rig_says(fleet, tmp_path):
    channels = {each.name: {"source": at + 1, "unit": each.unit} for at, each in enumerate(CHANNELS)}
    device = {"csv": {}, "rate_hz": 50, "channels": channels}
    rig = {"stream": "anna", "fleet": fleet.address, "devices": {"board": device}}
    (tmp_path / "rig.yaml").write_text(yaml.safe_dump(rig))
    random = np.random.default_rng(1)
    command = [*BEGIN, "bridge", str(tmp_path / "rig.yaml"), "--json"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        LabelSubscriber(fleet=fleet.address, streams=["anna"]) as labels,
        subprocess.Popen(command, **pipes) as bridge,
    ):
        bridge.stdout.readline()
        began, label = time.monotonic(), None
        while label is None:
            assert time.monotonic() - began < PATIENCE_S
            for row in random.normal(size=(5, len(CHANNELS))):
                bridge.stdin.write(",".join(f"{value:.4f}" for value in row) + "\n")
            bridge.stdin.flush()
            label = labels.receive(0.1)  # five lines take as long at 50 Hz
        bridge.stdin.close()
        *_, totals = map(json.loads, bridge.stdout.read().splitlines())
    assert bridge.returncode == 0
    assert totals["kind"] == "totals"
    assert totals["labels"] > 0
    assert totals["accepted"] is True
    assert isinstance(label, Label)
    assert label.epoch == fleet.table.epoch


def test_annotate_and_forget_reach_the_streamer_that_has_the_stream_and_health_asks_all(fleet):
    table = fleet.table
    pair = [next(name for name in NAMES if table.slot_of(name) == slot) for slot in table.serving]
    for name in pair:
        with SampleSender(name, CHANNELS, 50.0, fleet=fleet.address) as sender:
            sender.send(np.zeros((10, len(CHANNELS)), np.float32))
            sender.wait_accepted(PATIENCE_S)
            said = run("annotate", name, "walk", "--since", "1s", "--fleet", fleet.address)
            assert said.returncode == 0, said.stderr
        gone = json.loads(run("forget", name, "--fleet", fleet.address, "--json").stdout)
        assert gone["removed"]["streams"] == 1
    done = run("health", "--fleet", fleet.address, "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)["streamers"]
    assert {slot: each["ready"] for slot, each in told.items()} == {"streamer-0": True, "streamer-1": True}


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", RECORDINGS, "--timeout", 1),
        ("health", "--timeout", 1),
        ("forget", "anna", "--timeout", 1),
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_address_at_which_no_directory_answers_is_a_line(arguments):
    with unserved_addresses(1) as (nobody,):
        line = refused(*arguments, "--fleet", nobody)
    assert line.startswith(f"kinestream: no directory of a fleet answers at {nobody} within ")
    assert "'kinestream fleet up'" in line


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        (("watch",), "--labels"),
        (("replay", RECORDINGS), "--labels"),
        (("dashboard",), "--watch"),
        (("metrics",), "--watch"),
        (("record", "--out", "folder"), "--watch"),
        (("health",), "--control"),
        (("forget", "anna"), "--control"),
        (("annotate", "anna", "walk", "--since", "1s"), "--control"),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_a_streamers_address_beside_a_fleets_is_refused(arguments, address):
    given = [*map(str, arguments), "--fleet", "tcp://127.0.0.1:1", address, "tcp://127.0.0.1:2"]
    with pytest.raises(click.UsageError, match=f"leave out {address}, or --fleet"):
        root.main(given, standalone_mode=False)


def test_that_is_a_line():
    line = refused("health", "--fleet", "tcp://127.0.0.1:1", "--control", "tcp://127.0.0.1:2")
    assert "leave out --control, or --fleet" in line
