"""The page about keys: its five commands and its Python run as written, and its list names tests that there are."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kinestream.replay.demo import BUNDLE
from tests.given.streamers import OtherDefaults, free_addresses

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
WAIT_S = 60

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the folder of settings is another")


class Machine:
    """A home in which ``kinestream`` is this checkout's, at ports that nobody has."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.others = OtherDefaults(*free_addresses(3))
        tools = home / "bin"
        tools.mkdir()
        main = 'from kinestream.commands.main import main\n\nif __name__ == "__main__":\n    main()\n'
        command = tools / "kinestream"
        command.write_text(f"#!{sys.executable}\n{self.others.prelude}{main}")
        command.chmod(0o755)
        path = f"{tools}:{os.environ['PATH']}"
        self.environment = {**os.environ, "HOME": str(home), "PATH": path, "PYTHONPATH": str(ROOT)}
        self.environment.pop("XDG_CONFIG_HOME", None)
        self.environment.pop("KINESTREAM_KEYS", None)

    def command(self, language: str, block: str) -> list[str]:
        """Return what runs a block at those ports."""
        block = self.others.instead(block) if language == "python" else self._elsewhere(block)
        return [sys.executable, "-c", block] if language == "python" else ["sh", "-ec", block]

    def run(self, language: str, block: str) -> str:
        done = subprocess.run(
            self.command(language, block),
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, block: str) -> Iterator[list[str]]:
        """Run the block that serves, and yield the lines that it says."""
        command = self.command("sh", "exec " + block.replace("runs/hapt/bundle", str(BUNDLE)))
        with subprocess.Popen(
            command, cwd=self.home, env=self.environment, stderr=subprocess.PIPE, text=True
        ) as process:
            said = [process.stderr.readline()]
            try:
                yield said
            finally:
                process.terminate()
                said += process.stderr.readlines()

    def _elsewhere(self, block: str) -> str:
        for default, other in self.others._instead.items():
            block = block.replace(default, other)
            anywhere = "tcp://0.0.0.0:"
            block = block.replace(anywhere + default.rpartition(":")[2], anywhere + other.rpartition(":")[2])
        return block


def test_the_five_commands_and_the_python_run_as_written(tmp_path):
    machine = Machine(tmp_path)
    (_, make), (_, serve), (_, watch), (_, python), (_, revoke), (kind, _) = BLOCKS
    assert kind == "text"
    told = machine.run("sh", make)
    assert "anna*" in told
    secret = tmp_path / ".config/kinestream/keys/phone.secret"
    with machine.serving(serve) as said:
        assert said[0].startswith("ready: "), said
        (tmp_path / "phone.secret").write_bytes(secret.read_bytes())
        (tmp_path / "phone.secret").chmod(0o600)
        machine.run("sh", watch)
        assert machine.run("python", python) == "anna\n"
        assert "no clients" in machine.run("sh", revoke)
        command = machine.command("sh", watch.replace("--seconds 1", "--seconds 30"))
        began = time.monotonic()
        out = subprocess.run(
            command,
            cwd=tmp_path,
            env=machine.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert out.returncode == 2
        assert re.search("does not accept the key of client phone.*it was revoked", out.stderr)
        assert time.monotonic() - began < 20
    assert not [line for line in said if len(secret_of(tmp_path)) and secret_of(tmp_path) in line]


def secret_of(home: Path) -> str:
    return re.search("secret: '?([^'\n]+)", (home / "phone.secret").read_text())[1]


def test_without_keys_the_same_is_refused_in_a_line(tmp_path):
    machine = Machine(tmp_path)
    serve = re.sub(r"--keys \S+", "", BLOCKS[1][1])
    command = machine.command("sh", serve.replace("runs/hapt/bundle", str(BUNDLE)))
    done = subprocess.run(
        command, cwd=tmp_path, env=machine.environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"kinestream: tcp://0.0.0.0:\d+ is open to other machines.*--insecure\n", done.stderr)
    with machine.serving(serve.strip() + " --insecure") as said:
        assert said[0].startswith("ready: "), said


def test_there_is_a_test_of_each_kind_of_stranger():
    tried = (ROOT / "tests/streamer/keys").glob("test_*.py")
    names = {name for path in tried for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    listed = PAGE[PAGE.index("## What was tried") :]
    rows = re.findall(r"^\| (?!who \||---)[^|]+\|[^|]*\|[^|]*\|$", listed, re.MULTILINE)
    assert len(rows) >= 20
    assert {
        "test_nothing_comes_in_and_nothing_goes_out",
        "test_each_right_opens_its_own_port",
        "test_requests_take_their_rights",
        "test_a_client_describes_its_own_streams_only",
        "test_a_client_that_knows_anothers_description_is_not_taken_for_it",
        "test_publishers_show_keys_too",
        "test_whoever_speaks_the_protocol_wrongly_is_hung_up_on",
        "test_a_sender_that_ignores_everything_is_out_within_a_second",
        "test_what_it_described_means_nothing_to_others_either",
        "test_a_reader_that_ignores_everything_is_out_within_a_second_and_others_miss_nothing",
        "test_other_readers_get_every_label",
        "test_a_right_less_takes_what_it_was_for_and_nothing_else",
        "test_whoever_is_made_anew_has_another_key",
        "test_messages_too_many_are_dropped_and_told_and_others_do_not_wait",
    } <= names
