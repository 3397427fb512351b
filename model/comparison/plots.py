"""Plots of the page of results."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinestream.model.comparison.results import Standing
from kinestream.model.palette import class_colours
from kinestream.model.report.drawing import new_figure, style, write_png
from kinestream.model.report.figures import Curve, Reliability, draw_confusion, draw_curves, draw_reliability

_METRICS = (("accuracy", "accuracy"), ("f1_macro", "macro F1"))


def plot_contenders(entries: Sequence[Standing], path: Path) -> bool:
    """Draw a dot a seed and a line at the mean, a row a contender; return whether there was anything to draw."""
    with style():
        figure = new_figure(8.6, 0.34 * len(entries) + 1.0)
        for axes, (key, title) in zip(figure.subplots(1, 2, sharey=True), _METRICS, strict=True):
            colours = class_colours([entry.name for entry in entries])
            for row, entry in enumerate(entries):
                colour = colours[entry.name].light
                values = entry.figure(key)
                if values:
                    axes.plot(values.values, [row] * len(values.values), "o", color=colour, alpha=0.75, markersize=6)
                    axes.plot([values.mean] * 2, [row - 0.3, row + 0.3], color=colour, linewidth=2.5)
            axes.set_yticks(range(len(entries)), [entry.name for entry in entries])
            axes.set_ylim(len(entries) - 0.5, -0.5)
            axes.set_title(title, loc="left")
            axes.grid(axis="x")
            axes.tick_params(length=0)
    write_png(figure, path)
    return True


def plot_confusion(entry: Standing, path: Path) -> bool:
    """Draw who was taken for whom in all of a contender's runs."""
    classes = [each["name"] for each in entry.scores()[0]["classes"]]
    write_png(draw_confusion(entry.confusion(), classes), path)
    return True


def plot_learning(entries: Sequence[Standing], path: Path) -> bool:
    """Draw how validation macro F1 grew, averaged over the runs that came as far."""
    curves = []
    for entry in entries:
        histories = [[epoch["f1_macro"] for epoch in run["history"]] for run in entry.runs]
        if any(not history or None in history for history in histories):
            continue
        longest = max(map(len, histories))
        padded = np.array([history + [np.nan] * (longest - len(history)) for history in histories], dtype=np.float64)
        curves.append(Curve(entry.name, np.nanmean(padded, axis=0)))
    if curves:
        write_png(draw_curves(curves, None, "validation macro F1", share=True), path)
    return bool(curves)


def plot_reliability(entry: Standing, path: Path) -> bool:
    """Draw how often labels are right over what they claim, all of a contender's runs together."""
    calibrations = [scores.get("calibration") for scores in entry.scores()]
    if not all(calibrations):
        return False
    bins = [each["bins"] for each in calibrations if each]
    counts = np.array([[b["count"] for b in one] for one in bins])
    sums = {
        key: np.array([[(b[key] or 0.0) * b["count"] for b in one] for one in bins]).sum(axis=0)
        for key in ("confidence", "accuracy")
    }
    total = counts.sum(axis=0)
    means = {key: np.divide(value, total, out=np.zeros_like(value), where=total > 0) for key, value in sums.items()}
    edges = np.array([bins[0][0]["lower"], *(b["upper"] for b in bins[0])])
    ece = float(np.abs(sums["confidence"] - sums["accuracy"]).sum() / total.sum())
    curve = Reliability("", edges, means["confidence"], means["accuracy"], total, ece)
    write_png(draw_reliability([curve]), path)
    return True
