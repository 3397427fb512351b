"""Scores for people to read."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from model.evaluate import Evaluation
from model.metrics import Scores


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Say what was evaluated, then print its scores."""
    kinds = {"continuous": "as in a live stream", "segmented": "within labelled segments, unlike a live stream"}
    console.print(f"[bold]{evaluation.bundle}[/] on {evaluation.dataset} ({evaluation.task}): {evaluation.chosen}")
    console.print(f"windows cut {kinds[evaluation.cut]}; {evaluation.engine}")
    counts = f"{evaluation.windows} windows recognised, {evaluation.skipped} skipped as too empty"
    console.print(f"{counts}, {evaluation.not_scored} not scored")
    if evaluation.foreign:
        foreign = ", ".join(f"{name} ({count})" for name, count in evaluation.foreign.items())
        console.print(f"[yellow]not scored because the bundle does not know them:[/] {foreign}")
    if evaluation.scores is None:
        console.print("[yellow]no window has a class that the bundle knows: nothing to score[/]")
    else:
        print_scores(evaluation.scores, console)


def print_scores(scores: Scores, console: Console, title: str | None = None) -> None:
    """Print averages beside their floor, each class, and who was taken for whom."""
    if title is not None:
        _print_title(title, console)
    console.print(_averages(scores))
    console.print(_classes(scores))
    _print_title("windows by true class (rows) and label (columns), numbered as above", console)
    console.print(_confusion(scores))


def _print_title(title: str, console: Console) -> None:
    """Print a title as a line of its own: a table would wrap it to its width."""
    console.print(Text(title, style="italic"), soft_wrap=True)


def _averages(scores: Scores) -> Table:
    table = Table(caption=f"{scores.windows} windows", caption_justify="left")
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


def _cell(count: int, right: bool) -> Text:
    if not count:
        return Text("·", style="dim")
    return Text(str(count), style="bold green" if right else "red")


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
