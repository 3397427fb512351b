"""Scores for people to read."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kinestream.model.activity.line import ActivityScores
from kinestream.model.counted import counted
from kinestream.model.evaluation.evaluation import Evaluation
from kinestream.model.scores.calibration import Calibration
from kinestream.model.scores.events import ClassEvents, Division
from kinestream.model.scores.metrics import Scores
from kinestream.model.scores.timeline import SampleScores, TimelineScores
from kinestream.screens.console import styled


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Say what was evaluated, then print its scores."""
    kinds = {"continuous": "as in a live stream", "segmented": "within labelled segments, unlike a live stream"}
    about = f" on {evaluation.dataset} ({evaluation.task}): {evaluation.chosen}"
    console.print(styled((evaluation.bundle, "bold"), about))
    console.print(f"windows cut {kinds[evaluation.cut]}; {evaluation.engine}")
    counts = f"{counted(evaluation.windows, 'window')} recognised, {evaluation.skipped} skipped as too empty"
    console.print(f"{counts}, {evaluation.not_scored} not scored")
    if evaluation.at_seams:
        console.print(f"{counted(evaluation.at_seams, 'window')} skipped where a device's times and numbers part")
    for what, windows in (("silent", evaluation.silent), ("frozen", evaluation.frozen)):
        if any(windows.values()):
            named = ", ".join(f"{name} in {counted(count, 'window')}" for name, count in windows.items() if count)
            console.print(styled((f"{what}:", "yellow"), f" {named}"))
    if evaluation.foreign:
        foreign = ", ".join(f"{name} ({count})" for name, count in evaluation.foreign.items())
        console.print(styled(("not scored because the bundle does not know them:", "yellow"), f" {foreign}"))
    if evaluation.scores is None:
        console.print(styled(("no window has a class that the bundle knows: nothing to score", "yellow")))
    else:
        print_scores(evaluation.scores, console)
    if evaluation.timeline is not None:
        _print_timeline(evaluation.timeline, console)
    if evaluation.timeline is not None and evaluation.activities is not None:
        _print_activities(evaluation.timeline, evaluation.activities, console)
    if evaluation.calibration is not None:
        _print_calibration(evaluation.calibration, console)


def print_scores(scores: Scores, console: Console, title: str | None = None) -> None:
    """Print averages beside their floor, each class, and who was taken for whom."""
    if title is not None:
        _print_title(title, console)
    console.print(_averages(scores))
    if not scores.beats_floor:
        console.print(styled((f"no better than always {scores.floor_class}: it has learned too little", "yellow")))
    console.print(_classes(scores))
    _print_title("windows by true class (rows) and label (columns), numbered as above", console)
    console.print(_confusion(scores))


def _print_timeline(timeline: TimelineScores, console: Console) -> None:
    """Print what labels are worth by the sample, by the event, and how soon they come."""
    samples = timeline.samples
    console.print()
    _print_title(f"by the sample: {counted(samples.samples, 'sample')}, {samples.seconds:.0f} s", console)
    console.print(_samples(samples))
    console.print()
    _print_title("events of each class: of the truth, then returned (Ward et al. 2011)", console)
    console.print(_events([*timeline.events.classes, timeline.events.total]))
    legend = "C correct, D deleted, F fragmented, M merged; I' inserted, F' M' do so"
    console.print(Text(legend, style="dim"), soft_wrap=True)
    console.print()
    console.print(_time(timeline.events.total.division))
    console.print()
    _print_title("from the beginning of an event to the first label that names it", console)
    console.print(_delays(timeline))


def _print_activities(timeline: TimelineScores, activities: ActivityScores, console: Console) -> None:
    """Print what activities are worth beside the labels they are made of."""
    console.print()
    _print_title("events of the labels, and of the activities made of them", console)
    table = _plain("", "returned", "correct", "inserted", "F1", "median s", "90 % within s", "missed live")
    for name, events, delay in (
        ("labels", timeline.events.total.events, timeline.delay.overall),
        ("activities", activities.events.total.events, activities.delay.overall),
    ):
        f1 = "-" if events.f1 is None else f"{events.f1:.2f}"
        seconds = ("-" if value is None else f"{value:.2f}" for value in (delay.median_s, delay.p90_s))
        counts = (str(count) for count in (events.returned, events.correct, events.inserted))
        table.add_row(name, *counts, f1, *seconds, _share(delay.missed, delay.events))
    console.print(table)
    share = activities.uncertain_s / activities.seconds if activities.seconds else 0.0
    console.print(
        Text(f"{share:.1%} of the time no activity is certain enough to be told", style="dim"), soft_wrap=True
    )


def _print_calibration(calibration: Calibration, console: Console) -> None:
    claim = f"labels claim {_figure(calibration.confidence)}, {_figure(calibration.accuracy)} are right"
    console.print()
    _print_title(f"probabilities: {claim}", console)
    error, nll = f"calibration error {_figure(calibration.ece)}", f"negative log likelihood {_figure(calibration.nll)}"
    console.print(f"{error}, {nll}, Brier score {_figure(calibration.brier)}", soft_wrap=True)


def _print_title(title: str, console: Console) -> None:
    """Print a title as a line of its own: a table would wrap it to its width."""
    console.print(Text(title, style="italic"), soft_wrap=True)


def _averages(scores: Scores) -> Table:
    table = Table(caption=counted(scores.windows, "window"), caption_justify="left")
    table.add_column()
    table.add_column("result", justify="right", style="bold")
    table.add_column(f"always {scores.floor_class}", justify="right", style="dim")
    result, floor = scores.averages, scores.floor
    table.add_row("accuracy", _figure(result.accuracy), _figure(floor.accuracy))
    table.add_row("weighted F1", _figure(result.f1_weighted), _figure(floor.f1_weighted))
    table.add_row("macro F1", _figure(result.f1_macro), _figure(floor.f1_macro))
    if scores.null_class is not None:
        name = f"without {scores.null_class}"
        table.add_row(f"weighted F1 {name}", _figure(result.f1_weighted_no_null), _figure(floor.f1_weighted_no_null))
        table.add_row(f"macro F1 {name}", _figure(result.f1_macro_no_null), _figure(floor.f1_macro_no_null))
    return table


def _samples(scores: SampleScores) -> Table:
    table = _plain("", "result", f"always {scores.floor_class}")
    result, floor = scores.averages, scores.floor
    table.add_row("accuracy", _figure(result.accuracy), _figure(floor.accuracy))
    table.add_row("weighted F1", _figure(result.f1_weighted), _figure(floor.f1_weighted))
    table.add_row("macro F1", _figure(result.f1_macro), _figure(floor.f1_macro))
    return table


def _events(entries: Sequence[ClassEvents]) -> Table:
    table = _plain("class", "truth", "C", "D", "F", "M", "FM", "returned", "I'", "F'", "M'", "FM'", "F1")
    for entry in entries:
        e = entry.events
        truth = e.truth, e.correct, e.deleted, e.fragmented, e.merged, e.fragmented_merged
        returned = e.returned, e.inserted, e.fragmenting, e.merging, e.fragmenting_merging
        f1 = "-" if e.f1 is None else f"{e.f1:.2f}"
        table.add_row(entry.name, *map(_count, truth), *map(_count, returned), f1)
    return table


def _time(division: Division) -> Table:
    """Return where the time of the truth's events went, and below it that of the returned ones."""
    d = division
    returned = d.true_positive + d.negatives - d.true_negative
    missed = d.positives - d.true_positive, d.deletion, d.fragmentation, d.underfill_start, d.underfill_end
    false = returned - d.true_positive, d.insertion, d.merge, d.overfill_start, d.overfill_end
    table = _plain("share of time", "missed", "deleted", "fragmented", "begun late", "ended early")
    table.add_row("of the truth's events", *(_share(part, d.positives) for part in missed))
    table.add_row(
        "", *(Text(name, style="dim") for name in ("false", "inserted", "merged", "begun early", "ended late"))
    )
    table.add_row("of the returned events", *(_share(part, returned) for part in false))
    return table


def _delays(timeline: TimelineScores) -> Table:
    table = _plain("class", "events", "median s", "90 % within s", "missed")
    for entry in (*timeline.delay.classes, timeline.delay.overall):
        seconds = ("-" if value is None else f"{value:.2f}" for value in (entry.median_s, entry.p90_s))
        table.add_row(entry.name, str(entry.events), *seconds, _share(entry.missed, entry.events))
    return table


def _plain(first: str, *others: str) -> Table:
    """Return a table without lines, so that many columns fit a screen; a name is broken or cut before a figure is."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(first, overflow="ellipsis", max_width=24)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _classes(scores: Scores) -> Table:
    table = Table()
    table.add_column("", justify="right", style="dim")
    table.add_column("class")
    for name in ("precision", "recall", "F1", "windows"):
        table.add_column(name, justify="right")
    for i, entry in enumerate(scores.classes):
        figures = map(_figure, (entry.precision, entry.recall, entry.f1))
        table.add_row(str(i), entry.name, *figures, str(entry.support))
    return table


def _confusion(scores: Scores) -> Table:
    """Return rows of truth by columns of labels; columns bear the numbers of the classes, so that 18 fit a screen."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", justify="right", style="dim", no_wrap=True)
    for i in range(len(scores.classes)):
        table.add_column(str(i), justify="right", header_style="dim", no_wrap=True)
    for i, row in enumerate(scores.confusion):
        table.add_row(str(i), *(_cell(count, i == j) for j, count in enumerate(row)))
    return table


def _count(count: int) -> Text:
    return Text(str(count) if count else "·", style="" if count else "dim")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def _cell(count: int, right: bool) -> Text:
    if not count:
        return Text("·", style="dim")
    return Text(str(count), style="bold green" if right else "red")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
