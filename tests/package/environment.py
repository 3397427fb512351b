"""An empty environment that a wheel is installed into, where no compiler can be found."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

NO_COMPILER = {"PATH": "/nowhere", "CC": "/bin/false", "CXX": "/bin/false"}
NOT_OURS = ("KINESTREAM_DATA", "PYTHONPATH", "VIRTUAL_ENV")


class Environment:
    """A virtual environment in a folder."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder, self._constraints = folder, checkout / "constraints.txt"
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)

    def install(self, *what: str | Path) -> None:
        """Install what is there built; whatever would have to be built fails."""
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:")
        done = self.run("python", *pip, "--constraint", self._constraints, *what)
        assert done.returncode == 0, done.stderr

    def install_editable(self, source: Path) -> None:
        """Install the sources in a folder so that they are imported from there; this may use a compiler."""
        pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--editable", source)
        done = subprocess.run([self.folder / "bin/python", *pip], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def run(self, command: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command that is installed in it."""
        environment = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        return subprocess.run(
            [self.folder / "bin" / command, *arguments],
            cwd=cwd or self.folder,
            env=environment | NO_COMPILER,
            capture_output=True,
            text=True,
            check=False,
        )

    def megabytes(self) -> float:
        """Return what it takes on the disk, as du counts."""
        files = (path.lstat() for path in self.folder.rglob("*"))
        return sum(found.st_blocks * 512 for found in files) / 1e6

    def seconds_to_help(self) -> float:
        """Return how long ``kinestream --help`` takes, the least of three."""
        return min(self._timed_help() for _ in range(3))

    def _timed_help(self) -> float:
        begin = time.perf_counter()
        assert self.run("kinestream", "--help").returncode == 0
        return time.perf_counter() - begin

    def seconds_to_serve(self, bundle: Path) -> float:
        """Return how long ``kinestream serve`` takes until it is ready, the least of three."""
        return min(self._timed_serve(bundle) for _ in range(3))

    def _timed_serve(self, bundle: Path) -> float:
        anywhere = "tcp://127.0.0.1:*"
        command = [self.folder / "bin/kinestream", "serve", bundle, "--ingest", anywhere, "--labels", anywhere]
        begin = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            assert process.stderr is not None
            said = process.stderr.readline()
            seconds = time.perf_counter() - begin
            process.terminate()
        assert re.match("ready: ", said), said
        return seconds
