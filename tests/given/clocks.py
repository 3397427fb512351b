"""A wall clock that tests can set, as seen by the processes that they start with it."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

HOUR_S = 3600.0
_SOURCE = Path(__file__).parent / "stepped_clock.c"


class SteppedClock:
    """The wall clock of every process that has `environment`; it can be set while they run."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("there is no C compiler to make a wall clock that can be set")
        library, self._file = folder / "stepped_clock.so", folder / "ahead"
        made = subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            pytest.skip(f"a wall clock that can be set needs another system: {made.stderr.splitlines()[-1]}")
        self.set(0.0)
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "STEPPED_CLOCK": str(self._file)}

    def set(self, ahead_s: float) -> None:
        """Set it so many seconds ahead of the real one."""
        with self._file.open("r+b" if self._file.exists() else "wb") as file:  # the same file: it is mapped into memory
            file.write(struct.pack("=q", round(ahead_s * 1e9)))


@pytest.fixture
def stepped_clock(tmp_path: Path) -> SteppedClock:
    """Return a wall clock that shows the right time until it is set."""
    return SteppedClock(tmp_path)
