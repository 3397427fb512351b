"""Reading a full-size Opportunity zip, against what anybody would read it with."""

import io
import multiprocessing
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

RUNS = tuple(f"S{person}-{run}" for person in range(1, 5) for run in (*(f"ADL{k}" for k in range(1, 6)), "Drill"))
COLUMNS = 250
ROWS = 36_250
"""A run on average: 24 of them have some 870,000 rows, and the 18 of the published split (676,713) the same each."""

_LOCOMOTION, _GESTURES = 243, 249
_CODES = np.array([0, 406516, 404516, 406520, 406505, 406519, 406511, 406508, 408512, 407521, 405506])
_MISSING = 0.1


@dataclass(frozen=True)
class ReadingFigure:
    """One way of reading: seconds, and the largest resident memory of the process that read."""

    name: str
    seconds: float
    peak_mb: float
    rows: int


def write_full_size(path: Path, rows: int = ROWS, show: Callable[[str], None] = lambda line: None) -> None:
    """Write a zip in the published layout: 24 runs of `rows` rows of 250 columns, in bursts without readings."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for run in RUNS:
            show(f"writing {run}")
            archive.writestr(f"OpportunityUCIDataset/dataset/{run}.dat", _run(rng, rows))


def _run(rng: np.random.Generator, rows: int) -> bytes:
    values = rng.integers(-2000, 2000, (rows, COLUMNS)).astype(object)
    values[:, 0] = (np.arange(rows) * 100 // 3).astype(object)
    for column in range(1, _LOCOMOTION):
        if rng.random() < 0.5:  # a sensor that drops out in bursts
            begin = int(rng.integers(0, rows))
            values[begin : begin + int(rows * _MISSING * 2), column] = "NaN"
    values[:, _LOCOMOTION] = rng.choice(np.array([0, 1, 2, 4, 5]), rows)
    values[:, _GESTURES] = rng.choice(_CODES, rows)
    return "\n".join(" ".join(map(str, row)) for row in values).encode() + b"\n"


def measure_reading(folder: Path | None = None, show: Callable[[str], None] = lambda line: None) -> list[ReadingFigure]:
    """Read the same zip in several ways, each in a process of its own.

    Parameters
    ----------
    folder : Path, optional
        Where to keep the zip, 200 MB or so, for the next time; a temporary one by default.
    show : callable
        Called with a line before each step.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = (folder or Path(scratch)) / "OpportunityUCIDataset.zip"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_full_size(path, show=show)
        os.environ["KINESTREAM_CACHE"] = scratch
        figures = []
        for name, read in (("kinestream", _ours), ("kinestream, from its cache", _ours), ("numpy.loadtxt", _loadtxt)):
            show(f"reading with {name}")
            figures.append(_in_a_process(name, read, path))
    return figures


def _in_a_process(name: str, read: Callable[[Path], int], path: Path) -> ReadingFigure:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_measure, args=(theirs, read, path))
    process.start()
    seconds, peak_mb, rows = ours.recv()
    process.join()
    return ReadingFigure(name, seconds, peak_mb, rows)


def _measure(connection: "Connection[Any, Any]", read: Callable[[Path], int], path: Path) -> None:
    begin = time.perf_counter()
    rows = read(path)
    seconds = time.perf_counter() - begin
    connection.send((seconds, _peak_mb(), rows))


def _peak_mb() -> float:
    """Return the largest resident memory since this process began; getrusage's goes on from its parent's."""
    path = Path("/proc/self/status")
    if not path.is_file():  # not Linux: what it has now is the nearest that all systems tell
        import psutil

        return float(psutil.Process().memory_info().rss) / 1e6
    status = path.read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def _ours(path: Path) -> int:
    from kinestream.model.datasets import open_source

    return sum(len(recording.samples) for recording in open_source(path).recordings())


def _loadtxt(path: Path) -> int:
    rows = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            rows += len(np.loadtxt(io.BytesIO(archive.read(name)), dtype=np.float32))
    return rows
