"""What a bench found, drawn in the style of every other page."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, StrMethodFormatter

from kinestream.model.report.colours import CLASSES, INK, MUTED, RIGHT
from kinestream.model.report.drawing import bare, new_figure, style, write_png
from kinestream.model.report.latency import milliseconds
from kinestream.replay.bench.figures import OURS, EngineFigure, LatencyFigure, StreamsFigure

_OTHERS = [shade.hex for shade in CLASSES[1:]]
_APART = 0.055  # of the plot's height: names at its edge stand no closer


def plot_engines(figures: Sequence[EngineFigure], path: Path) -> None:
    """Draw time a window over windows in a batch, each line with its name at its end."""
    names = list(dict.fromkeys(figure.engine for figure in figures))
    colours = _colours(names)
    with style():
        figure = new_figure(7.4, 4.0)
        axes = figure.subplots()
        last = {}
        for name in names:
            own = [each for each in figures if each.engine == name]
            strong: dict[str, Any] = {"linewidth": 2.6, "zorder": 3} if name == OURS else {"linewidth": 1.3}
            times = [each.ms / each.windows for each in own]
            axes.plot([each.windows for each in own], times, marker="o", markersize=4, color=colours[name], **strong)
            last[name] = times[-1]
        axes.set(xscale="log", yscale="log", xlabel="windows in a batch", title="a window's time, one thread")
        batches = sorted({figure.windows for figure in figures})
        axes.set_xticks(batches, [f"{count:,}" for count in batches])
        axes.xaxis.set_minor_locator(NullLocator())
        _milliseconds(axes)
        _name_ends(axes, last, colours)
    write_png(figure, path)


def plot_latency(figures: Sequence[LatencyFigure], path: Path) -> None:
    """Draw the median latency of each by stage, with its p99."""
    stages = list(figures[0].stages_ms)
    with style():
        figure = new_figure(7.4, 0.42 * len(figures) + 1.25)
        axes = figure.subplots()
        rows = range(len(figures))
        left = np.zeros(len(figures))
        for stage, shade in zip(stages, (*CLASSES, *CLASSES), strict=False):
            widths = np.array([each.stages_ms[stage]["p50"] or 0.0 for each in figures])
            axes.barh(rows, widths, 0.6, left=left, color=shade.hex, label=stage, linewidth=0)
            left += widths
        for row, each in enumerate(figures):
            p99 = each.latency_ms["p99"]
            if p99 is not None:
                axes.plot([p99] * 2, [row - 0.3, row + 0.3], color=INK.hex, label="p99" if row == 0 else None)
                axes.annotate(
                    milliseconds(p99), (p99, row), (5, 0), textcoords="offset points", va="center", color=MUTED.hex
                )
        axes.set_yticks(rows, [each.name for each in figures], color=INK.hex)
        axes.set_ylim(len(figures) - 0.5, -0.5)
        axes.margins(x=0.09)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
        axes.set_xlabel("from a window's last sample to its label with a subscriber, medians by stage")
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        bare(axes)
        figure.legend(loc="outside upper left", ncols=len(stages) + 1, fontsize=8.5, handlelength=1.0)
    write_png(figure, path)


def plot_streams(figures: Sequence[StreamsFigure], path: Path, what: str) -> None:
    """Draw latency and, below it, the processors used over the number of streams; `what` says what those are."""
    streams = [each.streams for each in figures]
    with style():
        figure = new_figure(7.4, 4.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
        ends = {}
        lines: dict[str, tuple[Callable[[StreamsFigure], float | None], str]] = {
            "p99": (lambda each: each.latency_p99_ms, RIGHT.hex),
            "p90": (lambda each: each.latency_p90_ms, _OTHERS[0]),
            "p50": (lambda each: each.latency_p50_ms, _OTHERS[1]),
        }
        for name, (value_of, colour) in lines.items():
            values = [np.nan if (value := value_of(each)) is None else value for each in figures]
            above.plot(streams, values, marker="o", markersize=4, color=colour)
            ends[name] = values[-1]
        above.set(yscale="log", title="from a window's last sample to its label")
        _milliseconds(above)
        _name_ends(above, ends, {name: colour for name, (_, colour) in lines.items()})
        below.plot(streams, [each.cores for each in figures], marker="o", markersize=4, color=INK.hex)
        below.set(ylim=(0, max(1.25, 1.1 * max(each.cores for each in figures))), title="processors the streamer uses")
        below.set_xlabel(what)
        below.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        below.grid(axis="y")
        below.tick_params(length=0)
        if len(streams) == 1:
            below.set_xticks(streams)
            below.set_xlim(0, 2 * streams[0])
        else:
            below.set_xlim(left=0)
    write_png(figure, path)


def _colours(names: Sequence[str]) -> dict[str, str]:
    others = iter(_OTHERS * (1 + len(names) // len(_OTHERS)))
    return {name: RIGHT.hex if name == OURS else next(others) for name in names}


def _milliseconds(axes: Axes) -> None:
    """Have a logarithmic axis say what stands at its lines, and widen it to at least a decade."""
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.8 * high / 10), max(high, 10 * low))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: milliseconds(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _name_ends(axes: Axes, ends: dict[str, float], colours: dict[str, str]) -> None:
    """Write each line's name at its right end, moved apart where two would overlap."""
    low, high = np.log(axes.get_ylim())
    at = -np.inf
    for name, value in sorted(ends.items(), key=lambda each: each[1]):
        if not value > 0:
            continue
        at = max((np.log(value) - low) / (high - low), at + _APART)
        axes.annotate(
            name,
            (1, at),
            (6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            color=INK.hex if name == OURS else MUTED.hex,
            weight="bold" if name == OURS else "normal",
            fontsize=8.5,
        )
        axes.plot([1.0], [at], "s", color=colours[name], markersize=4, transform=axes.transAxes, clip_on=False)
