"""What a bench found, as JSON with everything needed to judge it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinestream.model.files import write_whole
from kinestream.model.machine import machine
from kinestream.replay.bench.figures import OURS, PLAIN, EngineFigure, TrainingFigure

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from kinestream.replay.bench.live.streams import Point

_PACKAGES = ("kinestream", "torch", "onnxruntime", "numpy", "pyzmq", "msgpack", "polars", "ezmsg", "openvino")


def write(path: Path, content: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write a report: the command, the machine, the settings, the figures."""
    command = " ".join(["kinestream", *sys.argv[1:]])
    whole = {"command": command, "machine": machine(_PACKAGES), "settings": dict(settings), **content}
    write_whole(path, (json.dumps(whole, indent=1) + "\n").encode())


def figures_dict(figures: "Sequence[DataclassInstance]") -> dict[str, Any]:
    """Return figures as JSON takes them."""
    return {"figures": [asdict(figure) for figure in figures]}


def points_dict(points: "Sequence[Point]") -> dict[str, Any]:
    """Return a sweep as JSON takes it."""
    return {"points": [point.as_dict() for point in points]}


def engines_dict(figures: Sequence[EngineFigure]) -> dict[str, Any]:
    """Return figures and the ratios that are claimed."""
    times = {(figure.engine, figure.windows): figure.ms for figure in figures}
    ratios = {
        f"{windows} windows": {
            engine: round(times[engine, windows] / times[OURS, windows], 2)
            for engine in dict.fromkeys(figure.engine for figure in figures)
        }
        for windows in dict.fromkeys(figure.windows for figure in figures)
    }
    return figures_dict(figures) | {"times_ours": ratios}


def training_dict(figures: Sequence[TrainingFigure]) -> dict[str, Any]:
    """Return figures and the ratio that is claimed for each network."""
    speeds = {(figure.network, figure.form): figure.windows_per_second for figure in figures}
    networks = dict.fromkeys(figure.network for figure in figures)
    ratios = {network: round(speeds[network, OURS] / speeds[network, PLAIN], 2) for network in networks}
    return figures_dict(figures) | {"times_plain": ratios}
