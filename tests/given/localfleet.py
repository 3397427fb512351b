"""A fleet on this machine alone, by its file and its commands, as from an account that has no other."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import psutil
import yaml

from kinestream.replay.demo import BUNDLE
from tests.given.streamers import free_addresses

MARK = "KINESTREAM_TEST_FLEET"


class LocalFleet:
    """A fleet file in a folder, and the commands that are given it, as from an account that has no other."""

    def __init__(self, folder: Path, **file: object) -> None:
        self.folder, self.path = folder, folder / "fleet.yaml"
        self.directory, updates = free_addresses()
        self.file: dict[str, object] = {
            "name": "home",
            "bundle": str(BUNDLE),
            "streamers": 2,
            "state": str(folder / "state"),
            "directory": self.directory,
            "updates": updates,
            "history": 1,
            "drain": 5,
            "processors": 0.5,
            "memory_mb": 100,
            **file,
        }
        self.path.write_text(yaml.dump(self.file))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        self.environment = kept | {MARK: str(folder), "XDG_STATE_HOME": str(folder / "account"), "COLUMNS": "80"}

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "kinestream", "fleet", *words]
        return self.ended(command, **environment)

    def ended(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        everything = self.environment | environment
        return subprocess.run(command, env=everything, capture_output=True, text=True, check=False, timeout=200)

    def done(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *words: str, **environment: str) -> str:
        return self.line(self.run(*words, **environment))

    def line(self, done: subprocess.CompletedProcess[str]) -> str:
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        [line] = done.stderr.splitlines()
        assert line.startswith("kinestream: ")
        return line.removeprefix("kinestream: ")

    def other(self, **file: object) -> str:
        """Write another fleet file, of the same fleet."""
        path = self.folder / f"{secrets.token_hex(4)}.yaml"
        path.write_text(yaml.dump({**self.file, **file}))
        return str(path)

    def processes(self) -> list[psutil.Process]:
        """Return all that were started by the commands, wherever they have gone since."""
        found = []
        for each in psutil.process_iter():
            try:
                if each.environ().get(MARK) == str(self.folder) and each.status() != psutil.STATUS_ZOMBIE:
                    found.append(each)
            except psutil.Error:
                continue
        return found
