"""Draws plots of what reports hold, without measuring anything anew."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kinestream.model.errors import FileError
from kinestream.model.files import read_whole
from kinestream.model.plaindata import parse_json
from kinestream.replay.bench.bundles import CHANNELS
from kinestream.replay.bench.figures import OURS_GRID, OURS_WORN, EngineFigure, LatencyFigure, StreamsFigure

_MOST_BYTES = 64_000_000


def redraw(report: Path) -> Path | None:
    """Draw what a report holds beside it, and return where; None where there is nothing to draw of it.

    Raises
    ------
    FileError
        If it cannot be read, or is no report of a bench.
    """
    if not is_drawn(report):
        return None
    draw = next(draw for stem, draw in _DRAWN.items() if report.stem.startswith(stem))
    path = report.with_suffix(".png")
    try:
        draw(parse_json(read_whole(report, _MOST_BYTES)), path)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise FileError(f"{report} is no report of a bench: {type(error).__name__} {error}") from error
    return path


def is_drawn(report: Path) -> bool:
    """Tell whether a report, by its name, holds what is drawn."""
    return report.stem.startswith(tuple(_DRAWN))


def redraw_all(folder: Path) -> list[Path]:
    """Draw what all reports in a folder and below hold; return the plots.

    Raises
    ------
    FileError
        If there is none, or one cannot be read.
    """
    plots = [path for report in sorted(folder.rglob("*.json")) if (path := redraw(report)) is not None]
    if not plots:
        raise FileError(f"{folder} holds no report that is drawn: give a folder that 'kinestream bench --out' wrote")
    return plots


def _engines(report: Mapping[str, Any], path: Path) -> None:
    from kinestream.replay.bench.plots import plot_engines

    plot_engines([EngineFigure(**each) for each in report["figures"]], path)


def _latency(report: Mapping[str, Any], path: Path) -> None:
    """Draw those that are played the same stream: whoever wears two devices has another bundle."""
    from kinestream.replay.bench.plots import plot_latency

    figures = [LatencyFigure(**{"cpu": math.nan, **each}) for each in report["figures"]]  # 0.1 did not tell it
    plot_latency([each for each in figures if each.name not in (OURS_GRID, OURS_WORN)], path)


def _streams(report: Mapping[str, Any], path: Path) -> None:
    from kinestream.replay.bench.plots import plot_streams

    settings = report["settings"]
    if devices := settings.get("devices"):
        each = f"{devices} devices at {settings['device_rate_hz']:g} Hz each"
    else:  # reports of 0.1 tell no channels: their bundles were of the bench's own size
        each = f"{settings.get('channels', CHANNELS)} channels at {settings['rate_hz']:g} Hz"
    plot_streams([StreamsFigure.of_point(point) for point in report["points"]], path, f"streams of {each}")


_DRAWN: dict[str, Callable[[Mapping[str, Any], Path], None]] = {
    "engines": _engines,
    "latency": _latency,
    "streams": _streams,
}
"""By how a report's name begins."""
