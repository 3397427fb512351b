"""What the page shows: figures with their words, from an evaluation and from the epochs of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from markupsafe import Markup

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.counted import counted
from kinestream.model.evaluation.evaluation import Evaluation, RecordingLabels
from kinestream.model.palette import class_colours
from kinestream.model.report import words
from kinestream.model.report.colours import BY_HEX
from kinestream.model.report.drawing import as_svg
from kinestream.model.report.figures import Curve, draw_confusion, draw_curves, draw_division, draw_reliability
from kinestream.model.report.reliability import reliability
from kinestream.model.report.strips import Signal, Strips, draw_timeline, row_seconds
from kinestream.model.report.tables import (
    activity_sheet,
    calibration_words,
    delay_sheet,
    division_panels,
    division_words,
    event_sheet,
    sample_sheet,
)
from kinestream.model.scores.metrics import Scores
from kinestream.model.windows.grid import WindowGrid

_OPEN_LINES = 5  # recordings whose time lines are shown without a click
_LEGIBLE = 0.75  # of its size, down to which a drawing with small letters may shrink
_LINE_LEAST = 760  # pixels
_SMALL = 6  # classes up to which the matrix fits next to the table
_DRAWN = 60  # recordings at most, so that a page stays a few megabytes

History = Sequence[Mapping[str, Any]]
"""One entry an epoch, as ``history.json`` has them."""


@dataclass(frozen=True)
class Shown:
    """A figure with its words; narrower than `least` pixels it is scrolled instead of shrunk."""

    svg: Markup
    title: str
    caption: str
    least: int = 0


@dataclass(frozen=True)
class Subject:
    """What a page must know of the bundle whose labels it shows.

    Parameters
    ----------
    classes : sequence of str
        In the order of the network's output.
    null_class : str or None
        The one that means "none of the others".
    grid : WindowGrid
        Its windows.
    rate_hz : float
        Samples a second.
    temperature : float
        By which its logits are divided.
    """

    classes: Sequence[str]
    null_class: str | None
    grid: WindowGrid
    rate_hz: float
    temperature: float = 1.0

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Return what a bundle says of itself."""
        about = bundle.description
        return cls(about.classes, about.null_class, bundle.grid, about.rate_hz, about.temperature)


@dataclass(frozen=True)
class Tile:
    """A headline figure next to that of guessing."""

    name: str
    value: float
    floor: float


def evaluation_section(
    name: str,
    title: str,
    evaluation: Evaluation,
    subject: Subject,
    *,
    about: str | None = None,
    signals: Mapping[str, Signal] | None = None,
) -> dict[str, Any]:
    """Return what the template shows of one evaluation.

    Parameters
    ----------
    name : str
        Unique in the page.
    title : str
        What the page calls it.
    evaluation : Evaluation
        What is shown.
    subject : Subject
        What was evaluated.
    about : str, optional
        What is said of the evaluation, in place of what an offline one is told by.
    signals : mapping of str to Signal, optional
        What is drawn above the time line of each recording, by its id.
    """
    scores = evaluation.scores
    classes = subject.classes
    colours = [colour.light for colour in class_colours(classes, subject.null_class).values()]
    swatches = [BY_HEX[colour].css for colour in colours]
    lines, left_out = _timelines(name, evaluation, subject, colours, signals or {})
    return {
        "name": name,
        "title": title,
        "about": about or words.about(evaluation),
        "headline": scores and words.headline(scores),
        "tiles": scores and _tiles(scores),
        "floor": scores and scores.floor_class,
        "classes": [] if scores is None else list(zip(scores.classes, swatches, strict=True)),
        "legend": list(zip(classes, swatches, strict=True)),
        "has_signal": bool(signals),
        "confusion": scores and _confusion(name, scores),
        "reliability": scores and _reliability(name, evaluation, subject.temperature),
        **_on_the_time_line(name, evaluation),
        "small": len(classes) <= _SMALL,
        "lines": lines[:_OPEN_LINES],
        "more_lines": lines[_OPEN_LINES:],
        "left_out": left_out,
    }


def _tiles(scores: Scores) -> list[Tile]:
    result, floor = scores.averages, scores.floor
    tiles = [
        Tile("Accuracy", result.accuracy, floor.accuracy),
        Tile("Weighted F1", result.f1_weighted, floor.f1_weighted),
        Tile("Macro F1", result.f1_macro, floor.f1_macro),
    ]
    if result.f1_macro_no_null is not None:
        tiles.append(
            Tile(f"Macro F1 without {scores.null_class}", result.f1_macro_no_null, floor.f1_macro_no_null or 0.0)
        )
    return tiles


def _confusion(name: str, scores: Scores) -> Shown:
    figure = draw_confusion(np.array(scores.confusion), [entry.name for entry in scores.classes])
    caption = words.confusion(scores)
    least = round(_LEGIBLE * 96 * figure.get_figwidth())
    alt = f"Confusion matrix of {len(scores.classes)} classes, {counted(scores.windows, 'window')}. {caption}"
    return Shown(
        Markup(as_svg(figure, f"{name}-confusion", alt)), "Who is taken for whom", f"{words.CONFUSION} {caption}", least
    )


def _reliability(name: str, evaluation: Evaluation, temperature: float) -> Shown | None:
    curves = reliability(evaluation, temperature)
    if evaluation.calibration is None or not curves:
        return None
    caption = f"{words.reliability(curves)} {calibration_words(evaluation.calibration)}"
    alt = f"Reliability diagram, expected calibration error {curves[-1].ece:.3f}. {caption}"
    return Shown(
        Markup(as_svg(draw_reliability(curves), f"{name}-reliability", alt)),
        "Whether p can be trusted",
        f"{caption} {words.RELIABILITY}",
    )


def _on_the_time_line(name: str, evaluation: Evaluation) -> dict[str, Any]:
    """Return tables and a drawing of what labels are worth by the sample, by the event, and how soon."""
    scores, activities = evaluation.timeline, evaluation.activities
    if scores is None:
        return dict.fromkeys(("samples", "events", "delay", "division", "activities"))
    total = scores.events.total.division
    caption = f"{division_words(total)} {words.DIVISION}"
    figure = draw_division([entry.name for entry in scores.events.classes], division_panels(scores.events))
    alt = f"How the time of each class and the time it was named are divided. {division_words(total)}"
    least = round(_LEGIBLE * 96 * figure.get_figwidth())
    return {
        "samples": sample_sheet(scores.samples),
        "events": event_sheet(scores.events),
        "delay": delay_sheet(scores.delay),
        "activities": activities and activity_sheet(scores, activities),
        "division": Shown(Markup(as_svg(figure, f"{name}-division", alt)), "Where the time goes", caption, least),
    }


def learning_drawings(history: History, kept: int | None) -> list[Shown]:
    """Return the loss, and what was measured on the people validated on, over the epochs."""
    if not history or kept is None:
        return []
    loss = [Curve("loss", np.array([epoch["loss"] for epoch in history]))]
    measured = [
        Curve(title, np.array([epoch[key] for epoch in history]))
        for key, title in (("f1_macro", "macro F1"), ("f1_weighted", "weighted F1"), ("accuracy", "accuracy"))
        if all(epoch.get(key) is not None for epoch in history)
    ]
    drawn = [_curve("curves-loss", "Loss in training", loss, kept, shares=False)]
    return drawn + (
        [_curve("curves-validation", "On the people validated on", measured, kept, shares=True)] if measured else []
    )


def _curve(name: str, title: str, curves: Sequence[Curve], kept: int, *, shares: bool) -> Shown:
    caption = "; ".join(words.curve(curve, kept) for curve in curves) + "."
    figure = draw_curves(curves, kept, "" if shares else "cross-entropy", share=shares)
    return Shown(Markup(as_svg(figure, name, f"{title}: {caption}")), title, caption[0].upper() + caption[1:])


def _timelines(
    name: str, evaluation: Evaluation, subject: Subject, colours: Sequence[str], signals: Mapping[str, Signal]
) -> tuple[list[Shown], int]:
    """Return time lines, one of each person first, and how many recordings were left out."""
    found = [labels for labels in evaluation.recordings if len(labels.windows)]
    firsts = {labels.person: labels for labels in reversed(found)}  # the first of each person
    ordered = sorted(found, key=lambda labels: firsts[labels.person] is not labels)[:_DRAWN]
    lines = [_timeline(labels, subject, signals.get(labels.recording)) for labels in ordered]
    shown = []
    for i, (line, labels) in enumerate(zip(lines, ordered, strict=True)):
        caption = words.timeline(line)
        if line.signal is not None:
            caption = f"{caption} {words.signal(line.signal)}"
        figure = draw_timeline(line, colours, row_seconds(lines))
        alt = f"Time line of truth and labels of {line.name}: {caption}"
        title = f"{line.name}, person {labels.person}"
        shown.append(Shown(Markup(as_svg(figure, f"{name}-line{i}", alt)), title, caption, least=_LINE_LEAST))
    return shown, len(found) - len(ordered)


def _timeline(labels: RecordingLabels, subject: Subject, signal: Signal | None) -> Strips:
    # A dataset published as windows has no stride of ours: its windows follow one another.
    stride = min((int(step) for step in np.diff(labels.last)), default=subject.grid.stride)
    return Strips(
        name=labels.recording,
        rate_hz=subject.rate_hz,
        stride=min(stride, subject.grid.length),
        truth=labels.sample_truth,
        last=labels.last,
        labels=labels.labels,
        p=labels.probabilities.max(axis=1),
        signal=signal,
    )
