"""`serve --config`: one file for all options, checked whole, and the command line wins."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kinestream.commands.optionfile import keys_of
from kinestream.commands.serve import serve
from kinestream.model.bundle.bundle import read_bundle
from kinestream.streamer.client.keeper import health
from tests.given.hostile import DEMO, PATIENCE_S
from tests.given.streamers import ANY_PORT

RUN = [sys.executable, "-P", "-m", "kinestream", "serve"]
ADDRESSES = "".join(f"{name}: {ANY_PORT}\n" for name in ("ingest", "labels", "control"))


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*RUN, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def written(folder: Path, text: str) -> Path:
    path = folder / "serve.yaml"
    path.write_text(text)
    return path


def test_a_streamer_is_what_its_file_says_unless_the_line_says_otherwise(tmp_path):
    (tmp_path / "model").symlink_to(DEMO)
    text = (
        f"{ADDRESSES}bundle: model\nmax_streams: 1\njson: true\nrestart: false\nlog: json\nwarm_up: false\ndrain: 9\n"
    )
    path = written(tmp_path, text)
    with subprocess.Popen(
        [*RUN, "--config", str(path), "--log", "text"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())  # as `json` has it
        assert ready["pid"] == process.pid  # as `restart` has it
        assert health(ready["control"]).bundle == read_bundle(DEMO).id
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert said.startswith("ready: ")  # text, as the line has it
    assert "9 s at most" in said


def test_everything_that_is_wrong_is_said_at_once_a_line_each(tmp_path):
    path = written(
        tmp_path,
        "bundle: nowhere\ningest: nowhere\nlabels: tcp://*:5571\ncontrol: 'tcp://*:5571'\nsubscribe: tcp://a:1\n"
        "threads: 0\npatience: quick\nmax_streems: 3\nwarm_up: 1\ndevice: tpu\nlog: json\nlog: text\nconfig: x\n",
    )
    for more in ([], ["--check"]):
        done = run("--config", path, *more)
        assert (done.returncode, done.stdout) == (2, "")
        lines = done.stderr.splitlines()
        assert all(line.startswith(f"kinestream: {path}: ") for line in lines)
        keys = [line.removeprefix(f"kinestream: {path}: ").partition(":")[0] for line in lines]
        expected = ["log", "subscribe", "threads", "patience", "max_streems", "warm_up", "device", "config"]
        assert keys == [*expected, "ingest", "control", "bundle"]
        said = dict(zip(keys, lines, strict=True))
        assert "did you mean max_streams?" in said["max_streems"]
        assert "should be true or false, not 1" in said["warm_up"]
        assert "is the address of labels already" in said["control"]
        assert f"{tmp_path / 'nowhere'} is no bundle" in said["bundle"]


def test_it_is_checked_without_starting(tmp_path):
    path = written(tmp_path, f"{ADDRESSES}bundle: {DEMO}\n")
    assert run("--config", path, "--check").stdout == "nothing is wrong with it\n"
    assert json.loads(run("--config", path, "--check", "--json").stdout) == {"ok": True}
    done = run("--config", path, tmp_path, "--check", "--ingest", "nowhere")
    assert done.returncode == 2
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == ["ingest", "bundle"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("- a list", "should be keys and values"),
        ("a: [", "not YAML"),
        ("threads: 2", "Missing argument 'BUNDLE'"),
        ("bundle: ''", "bundle: it is empty"),
    ],
)
def test_a_file_that_says_nothing_of_use_is_one_line(tmp_path, text, wrong):
    done = run("--config", written(tmp_path, text))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert wrong in done.stderr


def test_every_option_has_a_key():
    keys = {key for key, _ in keys_of(serve)}
    text = subprocess.run([*RUN, "--help"], capture_output=True, text=True, check=True).stdout
    options = {each.replace("-", "_") for each in re.findall(r"^  --([a-z-]+)", text, re.MULTILINE)}
    assert options - {"config", "check"} | {"bundle"} == keys


@pytest.mark.parametrize("page", ["docs/systemd/serve.yaml", "docs/operations.md"])
def test_the_examples_are_sound(page, tmp_path):
    text = (Path(__file__).resolve().parent.parent / page).read_text()
    if page.endswith(".md"):
        (text,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "bundle").symlink_to(DEMO)
    done = run("--config", written(tmp_path, text), "--check")
    assert (done.returncode, done.stderr) == (0, "")
