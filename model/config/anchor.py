"""Paths in a YAML file are named from its folder; here they become independent of where it lies."""

import os
from pathlib import Path
from typing import Any


def anchor(content: dict[str, Any], folder: Path) -> None:
    """Name somebody's own recordings and the bundle to start from by the root, not by the folder of the YAML file."""
    dataset = content.get("dataset")
    if isinstance(dataset, dict) and any(dataset.get(key) is not None for key in ("tabular", "export")):
        source = dataset.get("source") or "."
        if isinstance(source, str):
            dataset["source"] = os.path.abspath(folder / Path(source).expanduser())
    anchor_start(content, folder)


def anchor_start(content: dict[str, Any], folder: Path) -> None:
    """Name the bundle to start from by the root, not by the folder of the YAML file."""
    train = content.get("train")
    if isinstance(train, dict) and isinstance(start := train.get("start_from"), str) and start:
        train["start_from"] = os.path.abspath(folder / Path(start).expanduser())
