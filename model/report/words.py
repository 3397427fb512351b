"""What a figure shows in a sentence: for its caption, and for those who cannot see it."""

from collections.abc import Sequence

import numpy as np

from kinestream.model.counted import counted
from kinestream.model.evaluation.evaluation import Evaluation
from kinestream.model.report.figures import Curve, Reliability
from kinestream.model.report.strips import Signal, Strips
from kinestream.model.scores.metrics import Scores

CUTS = {
    "continuous": "windows cut as in a live stream",
    "segmented": "windows cut within labelled segments, unlike in a live stream",
}


CONFUSION = (
    "Rows are the truth, columns the labels, numbers count windows; the fuller the colour, the larger the share of its "
    "row. Beside a row stands its recall, below a column its precision."
)


DIVISION = (
    "Left, the time of each class in the truth: right, at the edges of an event that is found, between its pieces, or "
    "in one that is never found. Right, the time each was named: right, beyond the edges of an event, between events "
    "that are run together, or where there is none."
)
RELIABILITY = "On the dashed line p is what it says; below it, labels claim more than they keep."


def headline(scores: Scores) -> str:
    """Return the result in a sentence, next to that of guessing."""
    result, floor = scores.averages, scores.floor
    text = (
        f"{result.accuracy:.1%} of {counted(scores.windows, 'window')} are classified correctly, with a macro F1 of "
        f"{result.f1_macro:.3f}; answering {scores.floor_class} every time would come to {floor.accuracy:.1%} and "
        f"{floor.f1_macro:.3f}."
    )
    return text if scores.beats_floor else f"{text} That is no better than always {scores.floor_class}."


def about(evaluation: Evaluation) -> str:
    """Return on what was evaluated and what became of the windows."""
    counts = [f"{counted(evaluation.windows, 'window')} recognised"]
    counts += [f"{evaluation.skipped:,} skipped as too empty"] if evaluation.skipped else []
    counts += [f"{evaluation.at_seams:,} skipped at seams of a device's clock"] if evaluation.at_seams else []
    for what, windows in (("silent", evaluation.silent), ("frozen", evaluation.frozen)):
        counts += [f"{name} {what} in {count:,}" for name, count in windows.items() if count]
    counts += [f"{evaluation.not_scored:,} without a class to score against"] if evaluation.not_scored else []
    foreign = ", ".join(f"{name} ({count})" for name, count in evaluation.foreign.items())
    counts += [f"among them of classes that the bundle does not know: {foreign}"] if foreign else []
    people = dict.fromkeys(labels.person for labels in evaluation.recordings)
    whose = f"{counted(len(people), 'person', 'people')} ({', '.join(people)})"
    where = f"{evaluation.dataset} ({evaluation.task}), {whose}: {evaluation.chosen}"
    return f"{where}; {CUTS[evaluation.cut]}; {', '.join(counts)}."


def confusion(scores: Scores, most: int = 3) -> str:
    """Return which classes are most often taken for which."""
    counts = np.array(scores.confusion)
    np.fill_diagonal(counts, 0)
    names = [entry.name for entry in scores.classes]
    worst = [np.unravel_index(i, counts.shape) for i in np.argsort(-counts, axis=None, kind="stable")[:most]]
    confusions = [
        f"{names[truth]} taken for {names[label]} ({counted(int(counts[truth, label]), 'window')}, "
        f"{counts[truth, label] / scores.classes[truth].support:.0%} of its own)"
        for truth, label in worst
        if counts[truth, label]
    ]
    return f"Most often: {'; '.join(confusions)}." if confusions else "No class is taken for another."


def curve(line: Curve, kept: int) -> str:
    """Return how a curve runs."""
    first, last, then = line.values[0], line.values[-1], line.values[kept - 1]
    epochs = counted(len(line.values), "epoch")
    return f"{line.name} from {first:.3f} to {last:.3f} in {epochs}, {then:.3f} in epoch {kept}"


def reliability(curves: Sequence[Reliability]) -> str:
    """Return whether labels claim too much."""
    last = curves[-1]
    full = last.counts > 0
    claimed = float(np.average(last.confidence[full], weights=last.counts[full]))
    right = float(np.average(last.accuracy[full], weights=last.counts[full]))
    verdict = (
        "too sure"
        if claimed > right + 0.01
        else "too modest"
        if claimed < right - 0.01
        else "as sure as they should be"
    )
    return f"On average labels claim {claimed:.3f} and {right:.3f} of them are right: they are {verdict}."


def timeline(line: Strips) -> str:
    """Return how a recording went."""
    scored = int((line.truth[line.last] >= 0).sum())
    wrong = line.wrong_stretches()
    if not scored:
        return f"{line.seconds:.0f} s, no window to score."
    sentence = f"{line.seconds:.0f} s, {scored - int(line.wrong.sum())} of {counted(scored, 'window')} right"
    lasting = sum(b - a for a, b, _ in wrong) / line.rate_hz
    return (
        f"{sentence}; wrong in {counted(len(wrong), 'stretch', 'stretches')}, {lasting:.1f} s."
        if wrong
        else f"{sentence}."
    )


def share(value: float | None) -> str:
    """Return a figure between 0 and 1 to three places."""
    return "-" if value is None else f"{value:.3f}"


def signal(drawn: Signal) -> str:
    """Return which channels are drawn in which colour."""
    told = [f"{name} {shade}" for name, shade in zip(drawn.names, ("grey", "blue", "strong"), strict=False)]
    unit = f", in {drawn.unit}" if drawn.unit else ""
    return f"Signal: {', '.join(told)}{unit}."
