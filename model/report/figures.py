"""Drawings of what a model is worth, from plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from kinestream.model.report.colours import CLASSES, INK, LINE, MUTED, ON_FULL, RIGHT, TILE, WRONG
from kinestream.model.report.drawing import bare, new_figure, style

_CELL = 0.43  # inches
_FULL = 0.8  # from this share of a row on, a cell is so dark that its count is written in white


@dataclass(frozen=True)
class Curve:
    """One line over the epochs; `values` has a figure for each, shape (E,)."""

    name: str
    values: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """How often labels are right that claim a probability.

    Parameters
    ----------
    name : str
        Which probabilities: ``as trained``, ``after temperature``.
    edges : ndarray of float64, shape (B + 1,)
        Of the bins of probability.
    confidence, accuracy : ndarray of float64, shape (B,)
        Mean probability of a bin's labels, and the share of them that is right; NaN in an empty bin.
    counts : ndarray of int64, shape (B,)
        Labels in a bin.
    ece : float
        Expected calibration error: the mean distance of the two, weighed by `counts`.
    """

    name: str
    edges: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    ece: float


@dataclass(frozen=True)
class Panel:
    """How something is divided, class by class: parts with a name, a colour and an amount of each class, shape (K,)."""

    title: str
    parts: tuple[tuple[str, str, npt.NDArray[np.float64]], ...]


def draw_confusion(confusion: npt.NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """Draw who was taken for whom: a tile's colour is its share of its row, its number counts windows.

    Parameters
    ----------
    confusion : ndarray of int64, shape (K, K)
        Rows are the truth, columns the labels.
    classes : sequence of str
        K names.
    """
    size = len(classes)
    side = size * _CELL
    with style():
        figure = new_figure(side + 2.2, side + 1.5)
        axes = figure.subplots()
        shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
        for truth, label in np.ndindex(size, size):
            _tile(axes, truth, label, int(confusion[truth, label]), float(shares[truth, label]))
        _margins(axes, confusion)
        axes.set(xlim=(-0.5, size + 0.75), ylim=(size + 0.35, -0.5), aspect="equal", ylabel="truth")
        axes.set_yticks(range(size), classes, color=INK.hex)
        axes.set_xticks(range(size), classes, color=INK.hex, rotation=40, ha="left", rotation_mode="anchor")
        axes.xaxis.tick_top()
        axes.set_title("label", color=MUTED.hex)
        bare(axes)
    return figure


def _tile(axes: Axes, truth: int, label: int, count: int, share: float) -> None:
    colour = RIGHT if truth == label else WRONG
    corner = (label - 0.47, truth - 0.47)
    axes.add_patch(Rectangle(corner, 0.94, 0.94, facecolor=TILE.hex))
    if count:
        axes.add_patch(Rectangle(corner, 0.94, 0.94, facecolor=colour.hex, alpha=max(share, 0.04)))
        ink = ON_FULL if share > _FULL else INK
        axes.text(label, truth, str(count), ha="center", va="center", color=ink.hex, fontsize=8 if count < 1e4 else 6)


def _margins(axes: Axes, confusion: npt.NDArray[np.int64]) -> None:
    """Write recall next to the rows and precision below the columns, in per cent."""
    size = len(confusion)
    options: dict[str, Any] = {"fontsize": 7.5, "color": MUTED.hex, "va": "center"}
    for i in range(size):
        true, labelled = confusion[i].sum(), confusion[:, i].sum()
        axes.text(size - 0.35, i, _percent(confusion[i, i], true), ha="left", **options)
        axes.text(i, size - 0.2, _percent(confusion[i, i], labelled), ha="center", **options)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def draw_curves(curves: Sequence[Curve], kept: int | None, ylabel: str, *, share: bool = False) -> Figure:
    """Draw how something changes over the epochs.

    Parameters
    ----------
    curves : sequence of Curve
        The first is the one that counts.
    kept : int, optional
        The epoch whose weights were kept, counted from 1; it is marked.
    ylabel : str
        What is drawn.
    share : bool
        Whether it cannot be more than 1, so that the axis ends there.
    """
    with style():
        figure = new_figure(5.2, 3.2)
        axes = figure.subplots()
        for i, curve in enumerate(curves):
            epochs = np.arange(1, len(curve.values) + 1)
            strong: dict[str, Any] = {"linewidth": 2.2, "zorder": 3} if i == 0 else {"linewidth": 1.3}
            colour = (RIGHT, *CLASSES[1:])[i % len(CLASSES)].hex
            axes.plot(
                epochs, curve.values, color=colour, label=curve.name, marker="." if len(epochs) < 3 else "", **strong
            )
        if kept is not None and curves:
            _mark_kept(axes, kept, float(curves[0].values[kept - 1]), above=not share)
        axes.set(xlabel="epoch", ylabel=ylabel)
        axes.margins(x=0.03)
        if share:
            axes.set_ylim(top=1.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.grid(axis="y")
        axes.tick_params(length=0)
        if len(curves) > 1:
            figure.legend(loc="outside upper left", ncols=len(curves), fontsize=8.5, handlelength=1.4)
    return figure


def _mark_kept(axes: Axes, kept: int, value: float, *, above: bool) -> None:
    """Mark the epoch, and write its figure where such a curve leaves room: a loss falls, a share rises."""
    axes.axvline(kept, color=MUTED.hex, linewidth=0.9, linestyle=(0, (3, 3)), zorder=1)
    axes.plot(
        [kept], [value], marker="o", markersize=6, color=RIGHT.hex, markeredgecolor=ON_FULL.hex, zorder=4, clip_on=False
    )
    left = kept > sum(axes.get_xlim()) / 2
    axes.annotate(
        f"epoch {kept} kept: {value:.3f}",
        (kept, 1 if above else 0),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if left else 5, -6 if above else 6),
        textcoords="offset points",
        ha="right" if left else "left",
        va="top" if above else "bottom",
        fontsize=8.5,
    )


def draw_reliability(curves: Sequence[Reliability]) -> Figure:
    """Draw how often labels are right over the probability they claim, and how many claim it.

    Parameters
    ----------
    curves : sequence of Reliability
        At least one; the last is the one that counts, the others are drawn behind it.
    """
    with style():
        figure = new_figure(4.5, 4.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        above.plot([0, 1], [0, 1], color=MUTED.hex, linewidth=0.9, linestyle=(0, (3, 3)))
        for curve in curves:
            _reliability(above, curve, counts=curve is curves[-1])
        above.set(ylim=(0, 1), ylabel="share that is right", aspect="auto")
        above.set_title(", ".join(f"ECE {curve.ece:.3f} {curve.name}".strip() for curve in curves), fontsize=9.5)
        last = curves[-1]
        widths = np.diff(last.edges)
        below.bar(last.edges[:-1], last.counts, widths * 0.94, align="edge", color=LINE.hex)
        for left, width, count in zip(last.edges[:-1], widths, last.counts, strict=True):
            if count:
                below.text(left + width / 2, count, str(count), ha="center", va="bottom", fontsize=7, color=MUTED.hex)
        below.set(xlim=(0, 1), xlabel="probability the label claims", ylabel="windows", yticks=[])
        below.margins(y=0.25)
        above.grid(axis="both")
        for axes in (above, below):
            axes.tick_params(length=0)
        if len(curves) > 1:
            above.legend(loc="upper left", fontsize=8.5)
    return figure


def _reliability(axes: Axes, curve: Reliability, *, counts: bool) -> None:
    """Draw one curve; the one that counts shows by bars how far it is from what it claims."""
    full = curve.counts > 0
    x, y = curve.confidence[full], curve.accuracy[full]
    if not counts:
        axes.plot(x, y, color=MUTED.hex, marker="o", markersize=3.5, markerfacecolor="none", label=curve.name)
        return
    axes.vlines(x, np.minimum(x, y), np.maximum(x, y), color=WRONG.hex, linewidth=3, alpha=0.55)
    axes.plot(x, y, color=RIGHT.hex, linewidth=2, marker="o", markersize=5, label=curve.name)


def draw_division(names: Sequence[str], panels: Sequence[Panel]) -> Figure:
    """Draw side by side how each class is divided, in per cent.

    Parameters
    ----------
    names : sequence of str
        K classes.
    panels : sequence of Panel
        What is divided, and into what.
    """
    with style():
        figure = new_figure(11.1, 0.26 * len(names) + 1.1)
        for axes, panel in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels, strict=True):
            whole = np.sum([amounts for *_, amounts in panel.parts], axis=0)
            left = np.zeros(len(names))
            for name, colour, amounts in panel.parts:
                shares = 100 * amounts / np.where(whole > 0, whole, 1)
                axes.barh(range(len(names)), shares, 0.72, left=left, color=colour, label=name, linewidth=0)
                left += shares
            axes.set(xlim=(0, 100), ylim=(len(names) - 0.4, -0.6), xticks=(0, 25, 50, 75, 100))
            axes.set_xticks(axes.get_xticks(), [f"{tick:g} %" for tick in axes.get_xticks()])
            axes.set_yticks(range(len(names)), names, color=INK.hex)
            axes.set_title(panel.title, pad=24)
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=8, handlelength=0.9, borderaxespad=0.2,
                columnspacing=1.2, handletextpad=0.5, borderpad=0,
            )  # fmt: skip
            bare(axes)
    return figure
