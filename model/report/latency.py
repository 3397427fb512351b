"""Drawings of how long things take: how their milliseconds are distributed, from plain arrays."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from kinestream.model.report.colours import INK, LINE, MUTED, RIGHT, WRONG
from kinestream.model.report.drawing import bare, new_figure, style

Milliseconds = npt.NDArray[np.float64]

_LEAST_MS = 1e-3  # what is less is drawn there: the axis has no zero
_DOTS = 160  # of a row, at even shares of what was measured


def draw_stages(stages: Mapping[str, Milliseconds], *, total: str) -> Figure:
    """Draw how long each stage takes, a row each, on a logarithmic axis.

    A dot stands for as many measurements as any other of its row; the bar reaches from the median to what nine in ten
    stay below, the line to what 99 in a hundred do; a ring is the longest.

    Parameters
    ----------
    stages : mapping of str to ndarray of float64
        Milliseconds of each, in order; those without a measurement are left out.
    total : str
        Which of them is the sum of the others.
    """
    shown = {name: np.maximum(ms, _LEAST_MS) for name, ms in stages.items() if len(ms)}
    with style():
        figure = new_figure(7.4, 0.44 * len(shown) + 0.75)
        axes = figure.subplots()
        for row, (name, ms) in enumerate(shown.items()):
            colour = INK if name == total else RIGHT
            at = np.quantile(ms, np.linspace(0, 1, min(_DOTS, len(ms))))
            heights = row + 0.17 + 0.06 * (np.arange(len(at)) % 3)
            axes.plot(at, heights, ".", color=colour.hex, markersize=3.4, alpha=0.5, markeredgewidth=0)
            median, nine, nearly, longest = np.percentile(ms, [50, 90, 99, 100]).tolist()
            axes.plot([median, nearly], [row - 0.05] * 2, color=colour.hex, linewidth=1)
            axes.plot([median, nine], [row - 0.05] * 2, color=colour.hex, linewidth=5, solid_capstyle="butt")
            axes.plot([longest], [row - 0.05], "o", color="none", markeredgecolor=WRONG.hex, markersize=4.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=9))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: milliseconds(value)))
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
        axes.set_yticks(range(len(shown)), list(shown), color=INK.hex)
        axes.set_ylim(len(shown) - 0.4, -0.5)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        bare(axes)
    return figure


def draw_pacing(errors: Milliseconds) -> Figure:
    """Draw how much later than due messages left, as counts over milliseconds on a logarithmic axis."""
    late = np.maximum(errors, _LEAST_MS)
    bins = np.geomspace(min(float(late.min()), 0.01), max(float(late.max()), 1.0) * 1.001, 61)
    with style():
        figure = new_figure(5.2, 2.6)
        axes = figure.subplots()
        axes.hist(late, bins=bins.tolist(), color=RIGHT.hex, linewidth=0)
        for percent, dashes in ((50, (0, (1, 2))), (99, (0, (4, 3)))):
            value = float(np.percentile(late, percent))
            axes.axvline(
                value, color=MUTED.hex, linewidth=1, linestyle=dashes, label=f"p{percent} {milliseconds(value)}"
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=7))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: milliseconds(value)))
        axes.xaxis.set_minor_locator(LogLocator(subs=()))
        axes.set_ylabel("messages")
        axes.grid(axis="y", color=LINE.hex)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        figure.legend(loc="outside upper right", ncols=2, fontsize=8.5, handlelength=1.8)
    return figure


def milliseconds(value: float) -> str:
    """Return a duration with a unit of its size: ``20 µs``, ``1.5 ms``, ``2 s``."""
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms" if value >= 1 else f"{1000 * value:.3g} µs"
