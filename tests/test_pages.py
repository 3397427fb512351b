"""What no other test runs of the pages: commands that are shown exist, with their options; rigs; recordings."""

import re
import shlex
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import click
import pytest

import kinestream.commands.main
from kinestream.commands.root import root
from kinestream.model.bundle.bundle import read_bundle
from kinestream.replay.demo import BUNDLE
from kinestream.streamer.bridges.rig import read_rig
from tests.given.recorded import recording
from tests.given.streamers import OtherDefaults, running_streamer

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "monitoring").glob("*.md")),
]
WAIT_S = 60.0


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Return the words of each ``kinestream ...`` in lines of a shell."""
    joined = text.replace("\\\n", " ")
    lines = [shlex.split(line, comments=True) for line in joined.splitlines()]
    words = [word for line in lines for word in [*line, ";"]]
    found: list[list[str]] = []
    for at, word in enumerate(words):
        if word == "kinestream" and (at == 0 or words[at - 1] in (";", "|", "&&")):
            rest = words[at + 1 :]
            ends = [rest.index(end) for end in (";", "|", ">", "&", "&&") if end in rest]
            found.append(rest[: min(ends)])
    return found


def wrong(words: list[str]) -> str | None:
    """Return what of a command there is not."""
    assert kinestream.commands.main.VERBS  # by which every verb adds itself
    command: click.Command = root
    context = click.Context(root)
    words = list(words)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        inner = command.get_command(context, name)
        if inner is None:
            return name
        command = inner
    known = {name for param in command.params for name in [*param.opts, *param.secondary_opts]} | {"--help", "-h"}
    return next((word for word in words if re.match("--?[a-z]", word) and word.partition("=")[0] not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(page):
    shown = [words for text in blocks(page, "sh") for words in commands(text.replace(";", " ; "))]
    assert [(words, wrong(words)) for words in shown if wrong(words)] == []


def test_commands_are_found_and_what_they_lack_is_told():
    found = commands(
        "a | kinestream watch --nonsense 1 | head\nkinestream health ; echo\nmake kinestream\nkinestream no"
    )
    assert found == [["watch", "--nonsense", "1"], ["health"], ["no"]]
    assert [wrong(words) for words in found] == ["--nonsense", None, "no"]
    assert sum(len(commands(text)) for page in PAGES for text in blocks(page, "sh")) > 40


@pytest.mark.parametrize("number", range(3))
def test_the_rigs_are_sound(number, tmp_path):
    rigs = blocks(ROOT / "docs" / "your-own-sensor.md", "yaml")
    assert len(rigs) == 3
    (tmp_path / "rig.yaml").write_text(rigs[number], encoding="utf-8")
    assert read_rig(tmp_path / "rig.yaml").stream == "anna"


def test_a_recording_is_read_as_shown(tmp_path):
    """Two devices send as the page about devices has it; ``record`` writes; the page about recordings reads it."""
    pytest.importorskip("mcap")
    (reading,) = blocks(ROOT / "docs" / "recordings.md", "python")
    (sending,) = blocks(ROOT / "docs" / "devices.md", "python")
    with running_streamer(read_bundle(BUNDLE), watch="tcp://127.0.0.1:*") as streamer:
        with recording(streamer, tmp_path / "recordings") as recorder:
            defaults = OtherDefaults(streamer.ingest, streamer.labels, streamer.control)
            subprocess.run([sys.executable, "-c", defaults.instead(sending)], check=True, timeout=WAIT_S)
            recorder.stop()
    (file,) = (tmp_path / "recordings").glob("*.mcap")
    code = re.sub(r"recordings/[^\"]*\.mcap", f"recordings/{file.name}", reading)
    done = subprocess.run(
        [sys.executable, "-c", f"{code}        print(readings.shape)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=True,
    )
    shapes = [literal_eval(line) for line in done.stdout.splitlines()]
    assert {width for _, width in shapes} == {6}
    assert sum(rows for rows, _ in shapes) == 400
