"""The page of questions: its commands run as written, and answer what they are said to answer."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kinestream import LabelSubscriber
from kinestream.replay.demo import BUNDLE, RECORDINGS
from tests.given.streamers import OtherDefaults, free_addresses

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "questions.md").read_text(encoding="utf-8")
BLOCKS = [text.strip() for text in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]
WHY, RIGHT, LATE, PLAYED, KILL = BLOCKS
WAIT_S = 60
NEWEST = "$(pgrep -nf 'kinestream serve')"
QUICKLY = ["--speed", "4", "--json"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads from /proc which process serves")


class Terminal:
    """Runs ``kinestream`` at other default addresses, beside a streamer there."""

    def __init__(self, folder: Path) -> None:
        self.addresses = free_addresses(3)
        main = 'from kinestream.commands.main import main\n\nif __name__ == "__main__":\n    main()\n'
        self.control = ["--control", self.addresses[2]]  # that belongs to the default addresses alone
        self.folder = folder
        command = folder / "kinestream"
        command.write_text(f"#!{sys.executable}\n{OtherDefaults(*self.addresses).prelude}{main}", encoding="utf-8")
        command.chmod(0o755)
        self.environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def begin(self, command: str, *more: str) -> subprocess.Popen[str]:
        words = [
            str(RECORDINGS) if word.endswith("excerpt.zip") else word for word in shlex.split(command, comments=True)
        ]
        return subprocess.Popen(
            [*words, *more],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self, command: str, *more: str) -> str:
        with self.begin(command, *more) as process:
            out, err = process.communicate(timeout=WAIT_S)
        assert process.returncode == 0, err
        return out + err

    @contextmanager
    def serving(self) -> Iterator[subprocess.Popen[str]]:
        with self.begin(f"kinestream serve {BUNDLE}") as process:
            try:
                assert process.stderr.readline().startswith("ready: ")
                yield process
            finally:
                process.terminate()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


def test_what_says_why_and_which_and_how_late(terminal):
    health, watch = WHY.splitlines()
    with terminal.begin(health, "--timeout", "1") as process:
        process.communicate(timeout=WAIT_S)
    assert process.returncode == 2  # no streamer, as the page has it
    with terminal.serving():
        assert "messages received" not in terminal.told(health)
        with terminal.begin(LATE, *terminal.control) as watching:
            scored = terminal.told(RIGHT, "--speed", "4")
            seen, err = watching.communicate(timeout=WAIT_S)
        assert watching.returncode == 0, err
        assert "35 of 35 labels" in scored
        assert "accuracy" in scored
        assert "<html" in (terminal.folder / "score.html").read_text(encoding="utf-8")
        assert "messages received" in terminal.told(health)
        terminal.told(watch.replace("--seconds 5", "--seconds 0.5"), *terminal.control)
        assert len(re.findall(r"s04_01 +[A-Z_]+ +[\d.]+ +[\d.]+ ms", seen)) == 20


def test_a_streamer_that_is_killed_costs_no_label(terminal):
    kill = shlex.split(KILL.replace(NEWEST, ""), comments=True)
    assert NEWEST in KILL
    assert kill == ["kill", "-9"]
    with terminal.serving() as serving, LabelSubscriber(terminal.addresses[1], fill=False, log=False) as labels:
        with terminal.begin(PLAYED, *QUICKLY, *terminal.control) as playing:
            assert labels.receive(timeout_s=WAIT_S) is not None
            (serves,) = Path(f"/proc/{serving.pid}/task/{serving.pid}/children").read_text().split()
            subprocess.run([*kill, serves], check=True)
            assert "ended by SIGKILL" in serving.stderr.readline()
            out, err = playing.communicate(timeout=WAIT_S)
        assert playing.returncode == 0, err
        assert re.search(r'"missing": 0\b', out), out
