"""What a protocol's contenders came to, as a table on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from kinestream.model.comparison.results import Figure, Standing, floor_of

_FIGURES = (("accuracy", "accuracy"), ("f1_macro", "macro F1"), ("f1_weighted", "weighted F1"))


def print_standings(protocol: str, entries: Sequence[Standing], console: Console) -> None:
    """Print means and sample deviations over seeds, a row a contender, above what guessing comes to.

    Parameters
    ----------
    protocol : str
        Its name.
    entries : sequence of Standing
        From `kinestream.model.comparison.results.standings`.
    console : Console
        Where to.
    """
    if not entries:
        console.print(f"{protocol}: no contender has all results of a seed yet", soft_wrap=True)
        return
    table = Table(title=protocol, title_justify="left")
    table.add_column("contender")
    for _, title in _FIGURES:
        table.add_column(title, justify="right")
    table.add_column("seeds", justify="right")
    table.add_column("to do", justify="right")
    for entry in entries:
        figures = (_cell(entry.figure(key)) for key, _ in _FIGURES)
        table.add_row(entry.name, *figures, str(len(entry.seeds)), str(entry.missing or ""))
    floor = floor_of(entries[0])
    guesses = ("" if floor[key] is None else f"{floor[key]:.3f}" for key, _ in _FIGURES)
    table.add_row(f"always {entries[0].scores()[0]['floor_class']}", *guesses, style="dim")
    console.print(table)


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.mean:.3f}" + ("" if figure.deviation is None else f" ± {figure.deviation:.3f}")
