"""A recorder beside a real streamer: what it writes is what was published, and replayed gives the same labels."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from kinestream import Label, LabelSubscriber, SampleSender
from kinestream.model.bundle.bundle import read_bundle
from kinestream.model.datasets import open_source
from kinestream.model.evaluation.evaluate import evaluate
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.replay.run import replay
from kinestream.streamer.directory.table import Addresses
from kinestream.streamer.server.server import Streamer
from tests.given.fleets import Fleet
from tests.given.hostile import PATIENCE_S, until
from tests.given.recorded import RECORD, messages_of, recording
from tests.given.streamers import free_addresses, running_streamer, unserved_addresses

BUNDLE_READ = read_bundle(BUNDLE)
IDS = ("s04_01", "s08_01", "s12_02")
WAIT_S = 30.0


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("KINESTREAM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def streamer() -> Iterator[Streamer]:
    with running_streamer(BUNDLE_READ) as streamer:
        yield streamer


def played(streamer: Streamer, ids=IDS, **options: object) -> None:
    replay(RECORDINGS, recordings=ids, ingest=streamer.ingest, labels=streamer.labels, **options)


def wait_until_over(streamer: Streamer) -> None:
    """Wait until every session that was begun is over, and its labels are out."""
    until(lambda: all(known.session is None for known in list(streamer.recognizer.known.values())))


def labels_of(folder: Path) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = {}
    for topic, content in messages_of(folder):
        if topic.startswith("label/"):
            found.setdefault(content["stream"], []).append(content)
    return found


@pytest.mark.parametrize("devices", [False, True], ids=["on one grid", "as delivered"])
def test_a_recording_gives_the_labels_that_were_recorded_one_for_one(streamer, tmp_path, devices):
    with recording(streamer, tmp_path) as recorder:
        played(streamer, speed="max", devices=devices)
        wait_until_over(streamer)
        said = recorder.stop()
    assert said["missed"] == said["malformed"] == said["holes"] == 0
    assert said["labels"] > 60
    recorded = labels_of(tmp_path)
    evaluated = evaluate(BUNDLE_READ, tmp_path, devices=devices).recordings
    assert [each.recording for each in evaluated] == sorted(IDS) == sorted(recorded)
    for each in evaluated:
        own = recorded[each.recording]
        assert [label["window"] for label in own] == each.windows.tolist()
        assert [label["class"] for label in own] == each.labels.tolist()
        probabilities = np.array([np.frombuffer(label["probs"], "<f4") for label in own])
        np.testing.assert_allclose(probabilities, each.probabilities, atol=1e-5)
    original = open_source(RECORDINGS)
    source = open_source(tmp_path)
    for name in IDS:
        if devices:
            for ours, theirs in zip(source.devices(name), original.devices(name), strict=True):
                assert (ours.name, ours.rate_hz, ours.channels) == (theirs.name, theirs.rate_hz, theirs.channels)
                first = np.flatnonzero((theirs.values == ours.values[0]).all(axis=1))
                assert any(np.array_equal(theirs.values[k : k + len(ours.values)], ours.values) for k in first)
        else:
            np.testing.assert_array_equal(source.read(name).samples, original.read(name).samples)


def test_a_recording_replays_like_the_one_that_was_recorded(streamer, tmp_path):
    with recording(streamer, tmp_path / "one") as recorder:
        played(streamer, IDS[:1], speed="max", devices=True)
        wait_until_over(streamer)
        recorder.stop()
    with recording(streamer, tmp_path / "other") as recorder:
        report = replay(
            tmp_path / "one", speed="max", devices=True, score=True, ingest=streamer.ingest, labels=streamer.labels
        )
        wait_until_over(streamer)
        recorder.stop()
    assert report.as_dict()["labels_missing"] == 0
    one, other = (labels_of(tmp_path / name)[IDS[0]] for name in ("one", "other"))
    assert [each["window"] for each in one] == [each["window"] for each in other]
    ours, theirs = (np.array([np.frombuffer(each["probs"], "<f4") for each in labels]) for labels in (one, other))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert len(one) > 20


def test_of_a_fleet_streams_of_all_streamers_are_recorded(streamer, tmp_path):
    with running_streamer(BUNDLE_READ) as other, Fleet() as fleet:
        for slot, each in enumerate((streamer, other)):
            fleet.register(f"streamer-{slot}", Addresses(each.ingest, each.control, each.labels, each.watch))
        table = fleet.plan(2)
        with recording(streamer, tmp_path / "live", fleet=fleet.address, others=[other]) as recorder:
            report = replay(RECORDINGS, recordings=("s04_01", "s04_02"), fleet=fleet.address, speed="max", score=True)
            told = recorder.stop()
    labels = labels_of(tmp_path / "live")
    assert {table.slot_of(stream) for stream in labels} == {"streamer-0", "streamer-1"}
    assert told["labels"] == sum(map(len, labels.values())) == report.as_dict()["labels_expected"]
    assert told["readings"] == report.as_dict()["samples_sent"]
    assert (told["missed"], told["holes"]) == (0, 0)


def test_what_was_annotated_is_the_truth(streamer, tmp_path):
    with recording(streamer, tmp_path) as recorder:
        played(streamer, speed=25.0)
        wait_until_over(streamer)
        said = recorder.stop()
    assert said["annotations"] > 15
    original, source = open_source(RECORDINGS), open_source(tmp_path)
    assert source.classes == original.classes
    for name in IDS:
        np.testing.assert_array_equal(source.read(name).labels, original.read(name).labels)
    ours, theirs = (evaluate(BUNDLE_READ, where, recordings=IDS) for where in (tmp_path, RECORDINGS))
    assert ours.scores.as_dict() == theirs.scores.as_dict()


def test_files_end_after_a_while_and_together_are_one_recording(streamer, tmp_path):
    with recording(streamer, tmp_path, "--max-minutes", 0.01, "--streams", "s04_01") as recorder:
        played(streamer, IDS[:2], speed=6.0)
        wait_until_over(streamer)
        said = recorder.stop()
    assert len(said["files"]) >= 3
    assert sorted(map(str, tmp_path.iterdir())) == sorted(said["files"])
    assert set(labels_of(tmp_path)) == {"s04_01"}
    (name,) = open_source(tmp_path).ids
    np.testing.assert_array_equal(open_source(tmp_path).read(name).samples, open_source(RECORDINGS).read(name).samples)


def test_a_recorder_that_is_killed_has_lost_a_moment_and_no_more(streamer, tmp_path, caplog):
    x = np.random.default_rng(0).normal(size=(100_000, len(BUNDLE_READ.channels))).astype(np.float32)
    with (
        recording(streamer, tmp_path, "--sync", 0.05) as recorder,
        SampleSender("anna", BUNDLE_READ.channels, 50, endpoint=streamer.ingest, control=streamer.control) as sender,
    ):
        sender.wait_accepted()
        sent, began = 0, time.monotonic()
        while time.monotonic() - began < 1.5:
            sender.send(x[sent : sent + 10], seq=sent)
            sent += 10
            time.sleep(0.002)
            if time.monotonic() - began < 1.0:
                early = sent
        recorder.process.kill()
        recorder.process.wait()
    recovered = open_source(tmp_path).read("anna").samples
    assert "it is still being written or was cut off: read up to byte" in caplog.text
    assert early <= len(recovered) <= sent
    np.testing.assert_array_equal(recovered, x[: len(recovered)])


def test_where_the_disk_is_full_the_recording_ends_with_a_line_and_labels_go_on(streamer, tmp_path):
    script = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000)); "
    limited = [sys.executable, "-c", script + "os.execv(sys.argv[1], sys.argv[1:])"]
    x = np.random.default_rng(0).normal(size=(2000, len(BUNDLE_READ.channels))).astype(np.float32)
    where = {"endpoint": streamer.ingest, "control": streamer.control}
    with (
        recording(streamer, tmp_path, "--sync", 0.05, before=limited) as recorder,
        SampleSender("anna", BUNDLE_READ.channels, 50, **where) as sender,
        LabelSubscriber(streamer.labels, streams=["anna"], log=False) as labels,
    ):
        sender.wait_accepted()
        until(lambda: streamer.ports.subscriptions.listening("anna") == 2)
        sent = 0
        while recorder.process.poll() is None:
            at = sent % len(x)
            sender.send(x[at : at + 10], seq=sent)
            sent += 10
            time.sleep(0.001)
        status, (out, err) = recorder.process.returncode, recorder.said
        sender.send(x[:200], seq=sent)
        last = None
        while last is None or last.last_seq < sent:
            last = labels.receive(WAIT_S)
            assert isinstance(last, Label)
    assert (status, out) == (2, "")
    line = err.splitlines()[-1]
    assert line.startswith(f"kinestream: {tmp_path}")
    assert "File too large" in line
    assert "Traceback" not in err
    samples = open_source(tmp_path).read("anna").samples
    assert 200 < len(samples) < sent


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a small disk")
def test_a_disk_that_is_really_full(streamer, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        with recording(streamer, disk, "--sync", 0.05) as recorder:
            played(streamer, None, speed="max")
            assert "No space left on device" in recorder.said[1].splitlines()[-1]
        assert recorder.process.returncode == 2
        assert sum(1 for _ in messages_of(disk)) > 10  # labels or readings, whichever came first
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_readings_that_never_came_are_a_hole(streamer, tmp_path):
    x = np.zeros((400, len(BUNDLE_READ.channels)), np.float32)
    with recording(streamer, tmp_path) as recorder:
        where = {"endpoint": streamer.ingest, "control": streamer.control}
        with SampleSender("anna", BUNDLE_READ.channels, 50, **where) as sender:
            sender.wait_accepted()
            sender.send(x[:100], seq=0)
            sender.send(x[150:], seq=150)
        wait_until_over(streamer)
        assert recorder.stop()["holes"] == 1
    holes = [content for topic, content in messages_of(tmp_path) if topic == "hole/anna"]
    (hole,) = holes
    assert {key: hole[key] for key in ("kind", "device", "first_seq", "last_seq", "reason")} == {
        "kind": "hole",
        "device": "sensor",
        "first_seq": 100,
        "last_seq": 149,
        "reason": "lost",
    }
    assert np.isnan(open_source(tmp_path).read("anna").samples[100:150]).all()


def test_it_waits_for_a_streamer_and_says_so(tmp_path):
    with unserved_addresses(2) as (labels, watch):
        command = [*RECORD, "--out", str(tmp_path), "--labels", labels, "--watch", watch, "--seconds", "4"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0
    assert f"nobody publishes at {labels} yet" in done.stderr
    assert json.loads(done.stdout)["files"] == []


def test_ctrl_c_ends_it_as_it_should(streamer, tmp_path):
    with recording(streamer, tmp_path) as recorder:
        played(streamer, IDS[:1], speed="max", duration=5.0)
        recorder.process.send_signal(signal.SIGINT)
        out, err = recorder.said
    assert recorder.process.returncode == 0, err
    assert json.loads(out)["labels"] > 0


def test_what_cannot_be_written_is_told(streamer, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    with recording(streamer, taken / "below") as recorder:
        assert recorder.said[1].splitlines()[-1].startswith(f"kinestream: {taken}")
    assert recorder.process.returncode == 2


def test_it_goes_on_when_the_streamer_was_started_again(tmp_path):
    ingest, labels, control, watch = free_addresses(4)
    where = {"ingest": ingest, "labels": labels, "control": control, "watch": watch}
    x = np.random.default_rng(0).normal(size=(300, len(BUNDLE_READ.channels))).astype(np.float32)

    def send(streamer: Streamer, samples: np.ndarray, session: int) -> None:
        with SampleSender(
            "anna", BUNDLE_READ.channels, 50, session=session, endpoint=ingest, control=control
        ) as sender:
            sender.wait_accepted()
            sender.send(samples, seq=0)
            until(lambda: streamer.totals().get("samples_used", 0) > 0)

    with ExitStack() as stack:
        with running_streamer(BUNDLE_READ, **where) as first:
            recorder = stack.enter_context(recording(first, tmp_path, "--sync", 0.05))
            send(first, x[:100], session=7)
        with running_streamer(BUNDLE_READ, **where) as second:
            until(lambda: second.ports.watched.matching(b"signal/x/") and second.ports.subscriptions.listening("x"))
            send(second, x[100:], session=8)
            wait_until_over(second)
            said = recorder.stop()
    assert said["malformed"] == 0
    one, other = open_source(tmp_path).recordings()
    np.testing.assert_array_equal(one.samples, x[:100])
    np.testing.assert_array_equal(other.samples, x[100:])
