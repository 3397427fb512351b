"""Writes small recordings in every layout a description can say, and the description."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.datasets import Channel, Recording, Source, open_source

ROWS = 12
CLASSES = ("WALKING", "SITTING")
LABELS = np.repeat(np.array(CLASSES), ROWS // 2)
CODES = np.repeat([0, 1], ROWS // 2)


def signal(seed: int = 0, rows: int = ROWS, channels: int = 2) -> npt.NDArray[np.float64]:
    """Return numbers that float32 holds exactly, shape (rows, channels)."""
    return np.random.default_rng(seed).integers(-1000, 1000, (rows, channels)) / 8.0


def csv(seed: int = 0, *, rows: int = ROWS, header: str = "ax,ay,activity") -> str:
    """Return a recording as CSV."""
    labels = np.resize(LABELS, rows)
    lines = [f"{x},{y},{label}" for (x, y), label in zip(signal(seed, rows), labels, strict=True)]
    return "\n".join([header, *lines]) + "\n"


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files below a folder, or into a zip where it is called so."""
    if folder.suffix == ".zip":
        with zipfile.ZipFile(folder, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return folder
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def description(**tabular: Any) -> dict[str, Any]:
    """Return a description of what `csv` writes, with some of its keys said otherwise; None leaves one out."""
    said = {
        "files": "{person}.csv",
        "rate_hz": 50,
        "channels": {"ax": {"unit": "g"}, "ay": {"unit": "g"}},
        "labels": {"column": "activity", "classes": CLASSES},
        **tabular,
    }
    given = {key: value for key, value in said.items() if value is not None}
    return {"name": "mine", "source": "data", "tabular": given}


def described(folder: Path, **tabular: Any) -> Path:
    """Write a YAML file that says only what the dataset is."""
    path = folder / "mine.yaml"
    path.write_text(json.dumps({"dataset": description(**tabular)}, indent=1), encoding="utf-8")
    return path


def opened(folder: Path, contents: dict[str, str | bytes], /, **tabular: Any) -> Source:
    """Write files and their description, and open it."""
    write(folder / "data", contents)
    return open_source(described(folder, **tabular))


def check(recording: Recording, seed: int = 0) -> None:
    np.testing.assert_array_equal(recording.samples, signal(seed))
    np.testing.assert_array_equal(recording.labels, CODES)
    np.testing.assert_array_equal(recording.timestamps, np.arange(ROWS) * 20_000_000)
    assert recording.channels == (Channel("ax", "g"), Channel("ay", "g"))
    assert recording.classes == CLASSES


def only(folder: Path, content: str | bytes, name: str = "anna.csv", **tabular: Any) -> Recording:
    (recording,) = opened(folder, {name: content}, **tabular).recordings()
    return recording
