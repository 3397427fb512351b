"""The command line as its users meet it: processes, what they print, how they end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE, RECORDINGS
from kinestream.streamer.client import Event, Label, LabelSubscriber, SampleSender
from tests.given.bundles import random_bundle
from tests.given.streamers import ANY_PORT, unserved_addresses

ON_ANY_PORTS = [each for socket in ("--ingest", "--labels", "--control") for each in (socket, ANY_PORT)]
WAIT_S = 30


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kinestream", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **environment}
    )


def refused(*arguments: object, **environment: str) -> str:
    """Run what must end with status 2 and one line that is not a traceback; return the line."""
    done = run(*arguments, **environment)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("kinestream: ")
    return line


@contextmanager
def serving(*options: object) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run ``kinestream serve`` with the shipped bundle; yield the process and two of its addresses."""
    command = [sys.executable, "-m", "kinestream", "serve", str(BUNDLE), *ON_ANY_PORTS]
    with subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stderr.readline()
            said = re.match(r"ready: samples (\S+), labels (\S+), control (\S+), watch (\S+), bundle (\S+), (.+)", line)
            if "--json" in options:
                told = json.loads(process.stdout.readline())
                assert told.pop("ready") is True
                assert isinstance(told.pop("pid"), int)
                assert told == dict(
                    zip(("samples", "labels", "control", "watch", "bundle", "engine"), said.groups(), strict=True)
                )
            yield process, said[1], said[2]
        finally:
            process.kill()


def test_every_command_explains_itself():
    top = run("--help").stdout
    for name in ("serve", "watch", "replay", "demo", "train", "evaluate", "info", "datasets"):
        assert name in top
        assert "Usage: kinestream" in run(name, "--help").stdout


def test_sigterm_gives_out_every_label_that_is_due_and_every_sample_is_accounted_for():
    recording = 200
    channels = [entry.name for entry in _description().channels]
    with serving("--json") as (process, ingest, labels):
        with (
            LabelSubscriber(labels, events=True) as subscriber,
            SampleSender("anna", channels, 50, endpoint=ingest) as sender,
        ):
            message = None
            while not isinstance(message, Event):
                sender.describe()
                message = subscriber.receive(0.1)
            sender.send([[0.0] * len(channels)] * recording)
            while not isinstance(subscriber.receive(WAIT_S), Label):
                pass  # the samples have arrived
            process.send_signal(signal.SIGTERM)
            told = []
            while not (told and isinstance(told[-1], Event) and told[-1].event == "end"):
                told.append(subscriber.receive(WAIT_S))
        totals = json.loads(process.communicate(timeout=WAIT_S)[0])
    assert process.returncode == 0
    windows = (recording - _description().window.length) // _description().window.stride + 1
    assert sum(isinstance(message, Label) for message in told) == windows - 1  # one was taken before the signal
    assert totals["windows_labelled"] == windows
    assert totals["samples_received"] == recording
    parts = ("used", "late", "duplicate", "outside", "unfinished", "closed_session")
    assert sum(totals.get(f"samples_{part}", 0) for part in parts) == recording


def test_replay_scores_what_a_streamer_answers():
    with serving() as (_, ingest, labels):
        done = run("replay", RECORDINGS, "--speed", "max", "--score", "--json", "--ingest", ingest, "--labels", labels)
    told = json.loads(done.stdout)
    assert told["labels_missing"] == 0
    assert told["labels_received"] == told["labels_expected"] > 0
    keys = {"samples_sent", "accuracy", "f1_weighted", "f1_macro", "achieved_hz", "pacing_error_ms", "latency_ms"}
    assert keys <= told.keys()
    assert set(told["pacing_error_ms"]) == {"p50", "p99", "max"}
    assert set(told["latency_ms"]) == {"p50", "p90", "p99", "max"}
    offline = json.loads(run("evaluate", BUNDLE, RECORDINGS, "--json").stdout)
    assert {name: told[name] for name in ("accuracy", "f1_weighted", "f1_macro")} == {
        name: offline[name] for name in ("accuracy", "f1_weighted", "f1_macro")
    }


def test_info_says_when_a_device_is_frozen_or_that_nothing_tells(tmp_path):
    told = json.loads(run("info", BUNDLE, "--json").stdout)
    assert told["bundle"] == read_bundle(BUNDLE).id
    assert told["channels"][0] == {"name": "phone_acc_x", "unit": "m/s2", "longest_repeat": 3, "frozen_after": 26}
    assert "told after 0.52 s of one reading, and absent then" in run("info", BUNDLE).stdout
    random_bundle().write(tmp_path / "before")
    assert "not told: the bundle does not say" in run("info", tmp_path / "before").stdout
    about = (BUNDLE / "bundle.yaml").read_text(encoding="utf-8")
    shutil.copytree(BUNDLE, tmp_path / "coarse")
    coarse = re.sub(r"longest_repeat: \d+", "longest_repeat: 64", about)
    (tmp_path / "coarse" / "bundle.yaml").write_text(coarse, encoding="utf-8")
    assert "not told: in training" in run("info", tmp_path / "coarse").stdout


def test_evaluate_writes_a_page_where_it_is_told_to_and_says_where(tmp_path):
    page = tmp_path / "new" / "page.html"
    done = run("evaluate", BUNDLE, RECORDINGS, "--report", page)
    assert done.stdout.splitlines()[-1] == str(page)
    assert f"kinestream evaluate {BUNDLE}" in page.read_text(encoding="utf-8")
    (tmp_path / "taken").write_text("mine")
    line = refused("evaluate", BUNDLE, RECORDINGS, "--json", "--report", tmp_path / "taken" / "page.html")
    assert "taken" in line


def test_watch_prints_a_line_a_label_or_a_line_of_json():
    with serving() as (_, ingest, labels):
        watching = [
            subprocess.Popen(
                [sys.executable, "-m", "kinestream", "watch", "--labels", labels, "--count", "5", *options],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for options in ([], ["--json"])
        ]
        for process in watching:
            assert labels in process.stderr.readline()  # it listens
        run("replay", RECORDINGS, "--recording", "s04_01", "--speed", "4", "--wait-for-subscribers",
            "--ingest", ingest, "--labels", labels)  # fmt: skip
        lines, told = (process.communicate(timeout=WAIT_S)[0] for process in watching)
    assert len(lines.splitlines()) == 5
    assert all("s04_01" in line for line in lines.splitlines())
    *messages, totals = map(json.loads, told.splitlines())
    assert {message["kind"] for message in messages} <= {"label", "event", "annotation"}
    assert [message["window"] for message in messages if message["kind"] == "label"] == [0, 1, 2, 3, 4]
    assert all(0 < message["latency_ms"] < 10_000 for message in messages if message["kind"] == "label")
    assert (totals["kind"], totals["labels"], set(totals["streams"])) == ("totals", 5, {"s04_01"})


# Early ends -----------------------------------------------------------------------------------------------------------


def test_a_pipe_that_closes_ends_quietly_with_the_status_of_sigpipe():
    with serving() as (_, ingest, labels):
        watching = [started("watch", "--labels", labels, *options) for options in ([], ["--json"])]
        for process in watching:
            assert labels in process.stderr.readline()
        # Annotations are told on stderr, should one come before the first label that cannot be printed.
        replay = (
            "replay",
            RECORDINGS,
            "--speed",
            "max",
            "--score",
            "--ingest",
            ingest,
            "--labels",
            labels,
            "--no-truth",
        )
        replaying = [
            started(*replay, "--recording", "s04_01"),
            started(*replay, "--recording", "s08_01", "--json"),
        ]
        for process in watching + replaying:
            process.stdout.close()
        for process in watching + replaying:
            assert process.wait(WAIT_S) == 141
            assert process.stderr.read() == ""
            process.stderr.close()


def test_ctrl_c_ends_a_replay_with_what_came_and_status_130():
    with serving() as (_, ingest, labels), LabelSubscriber(labels) as subscriber:
        with started("replay", RECORDINGS, "--score", "--json", "--ingest", ingest, "--labels", labels) as process:
            assert isinstance(subscriber.receive(WAIT_S), Label)
            process.send_signal(signal.SIGINT)
            told, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert json.loads(told)["interrupted"]
    assert json.loads(told)["labels_received"] > 0
    assert said == ""


def test_ctrl_c_ends_a_watch_with_its_totals_and_status_130():
    with unserved_addresses() as (_, labels), started("watch", "--labels", labels, "--json") as process:
        assert labels in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        told, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    assert json.loads(told)["kind"] == "totals"
    assert said == ""


@pytest.mark.parametrize("verb", ["watch", "replay", "demo"])
def test_an_early_ctrl_c_is_no_traceback(verb):
    """While nobody answers a replay, nothing has come to a watcher, a demo begins."""
    with unserved_addresses() as (ingest, labels):
        options = {"watch": ["--labels", labels], "replay": [RECORDINGS, "--ingest", ingest, "--labels", labels]}
        with started(verb, *options.get(verb, []), PYTHONPROFILEIMPORTTIME="1") as process:
            begun = {
                "watch": "kinestream.screens.watch",
                "replay": "kinestream.screens.scores",
                "demo": "kinestream.replay.demo",
            }[verb]
            while not process.stderr.readline().endswith(f" {begun}\n"):
                pass
            process.send_signal(signal.SIGINT)
            told, said = process.communicate(timeout=WAIT_S)
    assert "Traceback" not in said
    assert told == ""
    assert process.returncode == 130


def started(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "kinestream", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


# Wrong input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commands", [(), ("datasets",), ("bench",)])
def test_a_command_without_a_verb_shows_its_help(commands):
    done = run(*commands)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run(*commands, "--help").stdout


def test_an_argument_too_many_names_the_options_it_may_belong_to():
    line = refused("watch", "a/b")
    assert "'a/b' is an argument too many" in line
    assert "--stream" in line
    assert refused("datasets", "list", "mine").startswith("kinestream: 'mine' is an argument too many. Try ")


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("serve", BUNDLE, "--threads", "zero"), "'zero' is not a whole number. Try 'kinestream serve --help'."),
        (("watch", "--seconds", "long"), "'long' is not a number. Try"),
        (("replay", RECORDINGS, "--speed", "fast"), "'fast' is neither a number nor 'max'. Try"),
        (("wach",), "Did you mean 'watch'? Try"),
    ],
)
def test_what_is_wrong_with_an_argument_is_a_sentence_of_its_own(arguments, wrong):
    assert wrong in refused(*arguments)


def test_a_missing_recording_is_named(tmp_path):
    line = refused("evaluate", BUNDLE, tmp_path / "nothing.zip")
    assert "nothing.zip" in line
    assert "no such file" in line


@pytest.mark.parametrize("name", ["a/b", "", "two words", "x" * 65])
def test_watching_a_stream_that_cannot_be_called_so_is_refused(name):
    line = refused("watch", "--stream", name)
    assert "no stream can be called" in line
    assert name in line


def test_a_comparison_without_its_recordings_leaves_no_folder(tmp_path):
    command = [sys.executable, "-m", "kinestream", "compare", "hapt6", "--source", "none.zip"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "none.zip" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_is_not_here_says_how_to_get_it(tmp_path):
    line = refused("datasets", "info", "opportunity", KINESTREAM_DATA=str(tmp_path), XDG_DATA_HOME=str(tmp_path))
    assert "kinestream datasets fetch opportunity" in line


def test_a_truncated_zip_is_told_from_a_whole_one(tmp_path):
    half = tmp_path / "half.zip"
    half.write_bytes(RECORDINGS.read_bytes()[:600_000])
    assert "download it again" in refused("datasets", "info", half)


def test_every_error_of_a_config_is_named(tmp_path):
    config = tmp_path / "wrong.yaml"
    config.write_text(
        "dataset: {name: sp_sw_har}\nwindow: {length: 64, stride: 0}\nsplit: {test: [s04], validation: 2}\n"
        "network: {hiden: 28}\ntrain: {epochs: many}\n"
    )
    line = refused("train", config, "--out", tmp_path / "run")
    for key in ("window.stride", "network.hiden", "train.epochs"):
        assert key in line


def test_every_error_of_a_description_is_named_to_train_and_to_info(tmp_path):
    config = tmp_path / "wrong.yaml"
    config.write_text(
        "dataset:\n  name: mine\n  tabular:\n    files: '{who}.csv'\n    rate_hz: fast\n    text: {separator: tab}\n"
        "    channels: {x: {colum: 1}}\n    labels: {column: 0, classes: [a, b]}\n"
        "window: {length: 64, stride: 16}\nsplit: {test: [], validation: 1}\ntrain: {epochs: 1}\n"
    )
    for line in (refused("train", config, "--out", tmp_path / "run"), refused("datasets", "info", config)):
        assert "5 errors: " in line
        for key in ("files", "rate_hz", "text.separator", "channels.x.colum", "labels.column"):
            assert f"dataset.tabular.{key}: " in line


def test_describing_a_folder_with_nothing_usable_says_so(tmp_path):
    (tmp_path / "notes.txt").write_text("bought milk\n")
    assert "holds no recordings" in refused("datasets", "describe", tmp_path)
    assert "no such file or folder" in refused("datasets", "describe", tmp_path / "nowhere")


def test_describing_overwrites_nothing_unasked(tmp_path):
    out = tmp_path / "mine.yaml"
    out.write_text("precious")
    assert "--overwrite" in refused("datasets", "describe", RECORDINGS, "--out", out)
    assert out.read_text() == "precious"


def test_a_bundle_of_another_version_is_refused(tmp_path):
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    text = (bundle / "bundle.yaml").read_text()
    (bundle / "bundle.yaml").write_text(text.replace("format: 1", "format: 99", 1))
    assert "version 99" in refused("serve", bundle)


def test_a_bundle_whose_weights_do_not_fit_is_refused(tmp_path):
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    text = (bundle / "bundle.yaml").read_text()
    assert "blocks: 3" in text
    (bundle / "bundle.yaml").write_text(text.replace("blocks: 3", "blocks: 4", 1))
    assert "do not fit" in refused("serve", bundle, *ON_ANY_PORTS)


def test_a_bundle_whose_weights_have_changed_is_refused(tmp_path):
    bundle = shutil.copytree(BUNDLE, tmp_path / "bundle")
    weights = bytearray((bundle / "weights.safetensors").read_bytes())
    weights[-100:] = bytes(100)
    (bundle / "weights.safetensors").write_bytes(weights)
    assert "is damaged" in refused("evaluate", bundle, RECORDINGS)


def test_a_zip_that_was_damaged_after_it_was_read_is_found_out(tmp_path):
    archive = tmp_path / "excerpt.zip"
    shutil.copy(RECORDINGS, archive)
    assert run("evaluate", BUNDLE, archive).returncode == 0  # now it is in the cache
    content = bytearray(archive.read_bytes())
    content[600_000:605_000] = bytes(5000)
    archive.write_bytes(content)
    assert "is damaged" in refused("datasets", "verify", archive)


@pytest.mark.parametrize("option", ["--seconds", "--speed"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_the_demo_wants_numbers_that_make_sense(option, value):
    assert option in refused("demo", option, value)


def test_sigterm_ends_the_demo_and_its_streamer():
    with subprocess.Popen(
        [sys.executable, "-m", "kinestream", "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        ready = re.match(r"streamer ready: samples (\S+),", process.stderr.readline())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WAIT_S)
    with zmq.Context() as context, context.socket(zmq.PULL) as socket:
        socket.bind(ready[1])  # nobody holds the port any more


def test_a_bundle_that_is_none_is_refused(tmp_path):
    assert "no bundle" in refused("serve", tmp_path)


@pytest.mark.parametrize("socket", ["--ingest", "--labels", "--control"])
def test_a_port_in_use_is_named(socket):
    with zmq.Context() as context, context.socket(zmq.PULL) as holder:
        holder.bind(ANY_PORT)
        taken = holder.getsockopt_string(zmq.LAST_ENDPOINT)
        line = refused("serve", BUNDLE, *ON_ANY_PORTS, socket, taken)
    assert taken in line
    assert "in use" in line


def test_channels_that_do_not_match_are_named(tmp_path):
    from tests.given.published import write_uci_har

    source = write_uci_har(tmp_path / "UCI HAR Dataset.zip")
    with serving() as (_, ingest, labels):
        line = refused("replay", source, "--ingest", ingest, "--labels", labels, "--score")
    assert "phone_acc_x" in line
    assert "channels do not match" in line


def test_a_replay_without_a_streamer_says_how_to_start_one():
    with unserved_addresses() as (ingest, labels):
        line = refused("replay", RECORDINGS, "--ingest", ingest, "--labels", labels, "--timeout", 0.5)
    assert "kinestream serve" in line


def test_a_malformed_message_is_counted_and_the_streamer_goes_on():
    with serving("--json") as (process, ingest, labels):
        with zmq.Context() as context, context.socket(zmq.PUSH) as sender:
            sender.connect(ingest)
            sender.send(b"not a message")
            sender.send(b"")
            sender.send(b"KS\x02\x01 and no samples")
            done = run(
                "replay", RECORDINGS, "--recording", "s04_01", "--speed", "max", "--score", "--json",
                "--ingest", ingest, "--labels", labels,
            )  # fmt: skip
            sender.close(linger=0)
        process.send_signal(signal.SIGTERM)
        totals = json.loads(process.communicate(timeout=WAIT_S)[0])
    assert json.loads(done.stdout)["labels_missing"] == 0
    assert sum(count for name, count in totals.items() if name.startswith("messages_malformed")) == 3


def _description():
    from kinestream.model.bundle.bundle import read_bundle

    return read_bundle(Path(BUNDLE)).description
