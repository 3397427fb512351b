"""The page of results: every figure comes from a file in the same folder, and the command to repeat it is shown."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinestream.model.comparison.pairs import FEWEST_ROUNDS, Pair, pairs_of
from kinestream.model.comparison.plots import plot_confusion, plot_contenders, plot_learning, plot_reliability
from kinestream.model.comparison.protocol import Protocol
from kinestream.model.comparison.results import Figure, Standing, ahead, floor_of, standings
from kinestream.model.errors import ConfigError
from kinestream.model.files import write_whole

PAGE = "README.md"

_INTRODUCTION = """\
# Results

Made by `kinestream results` from the files in the folders below, one for each training; nothing is written by hand.

Every contender of a protocol is trained on the same windows by the same trainer from the same seeds. Its epoch and its
temperature are chosen on the people (or the stretch of time) validated on; the test people are scored once. Figures are
means over seeds with the sample deviation. `kinestream compare PROTOCOL` repeats a table: what has a result already is
left alone, a run that was killed goes on where it stood, and `--jobs 2` trains two at a time. All of them:

```sh
kinestream compare {names} --jobs 2
kinestream results
```
"""

_COLUMNS = (
    ("accuracy", ("accuracy",)),
    ("macro F1", ("f1_macro",)),
    ("weighted F1", ("f1_weighted",)),
    ("macro F1 without null", ("f1_macro_no_null",)),
    ("sample macro F1", ("samples", "f1_macro")),
    ("event F1", ("events", "total", "f1")),
    ("delay s", ("delay", "overall", "median_s")),
    ("ECE", ("calibration", "ece")),
)


def write_results(protocols: Sequence[Protocol], results: Path) -> Path:
    """Write the page and its plots beside the results.

    Parameters
    ----------
    protocols : sequence of Protocol
        In the order of the page.
    results : Path
        Holds what `kinestream.model.comparison.runs` wrote.

    Raises
    ------
    ConfigError
        Where there is no result at all.
    """
    found = {protocol.name: standings(protocol, results) for protocol in protocols}
    if not any(found.values()):
        raise ConfigError(str(results), ["holds no results: run 'kinestream compare' first"])
    names = " ".join(name for name, entries in found.items() if entries)
    parts = [_INTRODUCTION.format(names=names), _summary(protocols, found), _starts(protocols, found), _machines(found)]
    for protocol in protocols:
        parts.append(_section(protocol, found[protocol.name], results))
    write_whole(results / PAGE, ("\n".join(parts).rstrip() + "\n").encode())
    return results / PAGE


def _summary(protocols: Sequence[Protocol], found: dict[str, list[Standing]]) -> str:
    """Return a table of macro F1: a row a protocol, a column a contender that several have."""
    shown = [p for p in protocols if found[p.name] and not p.decides and not p.pairs]
    named = [entry.name for p in shown for entry in found[p.name]]
    contenders = [name for name in dict.fromkeys(named) if named.count(name) >= min(2, len(shown))]
    rows = []
    for protocol in shown:
        entries = {entry.name: entry for entry in found[protocol.name]}
        figures = {name: entry.figure("f1_macro") for name, entry in entries.items()}
        best = max((f.mean for f in figures.values() if f), default=0.0)
        cells = [_cell(figures.get(name), best) for name in contenders]
        rows.append([f"[{protocol.name}](#{protocol.name})", *cells])
    return "## Macro F1 on people never seen\n\n" + _table(["protocol", *contenders], rows)


def _starts(protocols: Sequence[Protocol], found: dict[str, list[Standing]]) -> str:
    """Return a table of what a start from a bundle wins: a row a pair."""
    rows = []
    for protocol in protocols:
        started = {name for name, own in protocol.about.contenders.items() if own.get("start") == "trained_further"}
        for pair in pairs_of(protocol, found[protocol.name], ["accuracy"]):
            if pair.name not in started:
                continue
            ours, theirs = pair.means["accuracy"]
            row = [f"{pair.name}: {ours:.3f}", f"{pair.other}: {theirs:.3f}", *_ahead(pair, "accuracy")]
            rows.append([f"[{protocol.name}](#{protocol.name})", *row])
    if not rows:
        return ""
    head = ["protocol", "accuracy", "against", "ahead by", "behind for"]
    about = "Ahead by: with the 95 % interval over people or groups of them; where they are two, each.\n\n"
    return f"## What a start from a bundle wins with little data of one's own\n\n{about}" + _table(head, rows)


def _machines(found: dict[str, list[Standing]]) -> str:
    runs = [run for entries in found.values() for entry in entries for run in entry.runs]
    machines = dict.fromkeys(
        f"{run['machine']['cpu']}, {run['machine']['cores']} cores, Python {run['machine']['python']}, "
        + ", ".join(f"{name} {version}" for name, version in run["machine"]["versions"].items())
        for run in runs
    )
    hours = sum(run["cpu_seconds"] for run in runs) / 3600
    return f"{len(runs)} trainings, {hours:.1f} hours of one core in all. Made on: {'; '.join(machines)}.\n"


def _section(protocol: Protocol, entries: list[Standing], results: Path) -> str:
    about = protocol.about
    parts = [f'## <a id="{protocol.name}"></a>{about.title}\n', about.about.strip() + "\n"]
    if not entries:
        parts.append("**Not run here.** Whoever has the recordings runs:\n")
    parts.append(f"```sh\nkinestream compare {protocol.name}\n```\n")
    if entries:
        lead = _pairs(protocol, entries) if protocol.pairs else _lead(entries)
        parts += [_contenders(entries), _published(protocol, entries), lead, _missing(entries)]
        parts.append(_plots(protocol, entries, results))
    else:
        parts.append(_published(protocol, entries))
    return "\n".join(part for part in parts if part)


def _contenders(entries: list[Standing]) -> str:
    columns = [(title, path) for title, path in _COLUMNS if any(entry.figure(*path) for entry in entries)]
    best = {title: _best(entries, title, path) for title, path in columns}
    rows = []
    for entry in entries:
        figures = [_cell(entry.figure(*path), best[title]) for title, path in columns]
        cost = f"{entry.total('epochs'):.0f}, {entry.total('cpu_seconds') / 60:.1f} min"
        size = f"{entry.total('parameters') / 1000:.0f} k"
        rows.append([entry.name, *figures, str(len(entry.seeds)), size, cost])
    floor = floor_of(entries[0])
    rows.append(
        [
            f"always {entries[0].scores()[0]['floor_class']}",
            *(_plain(floor.get(path[0])) if len(path) == 1 else "" for _, path in columns),
            *[""] * 3,
        ]
    )
    return _table(["", *(title for title, _ in columns), "seeds", "weights", "epochs, time of one core"], rows)


def _best(entries: list[Standing], title: str, path: tuple[str, ...]) -> float | None:
    means = [figure.mean for entry in entries if (figure := entry.figure(*path))]
    return (min if title in ("ECE", "delay s") else max)(means, default=None)


def _published(protocol: Protocol, entries: list[Standing]) -> str:
    if not protocol.about.published:
        return ""
    rows = [
        [row.who, row.protocol, *map(_plain, (row.accuracy, row.f1_macro, row.f1_weighted))]
        for row in protocol.about.published
    ]
    return "Published:\n\n" + _table(["", "protocol", "accuracy", "macro F1", "weighted F1"], rows)


def _lead(entries: list[Standing]) -> str:
    ours, others = entries[0], entries[1:]
    rows = []
    for other in others:
        figures = [ahead(ours, other, metric) for metric in ("accuracy", "f1_macro")]
        rows.append([other.name, *(_signed(figure) for figure in figures)])
    if not rows:
        return ""
    title = f"{ours.name} ahead of each, seed by seed (a negative figure: behind):\n\n"
    return title + _table(["", "accuracy", "macro F1"], rows)


def _pairs(protocol: Protocol, entries: list[Standing]) -> str:
    """Return who is ahead of whom by how much, and in which rounds it is behind."""
    metrics = {"accuracy": "accuracy", "f1_macro": "macro F1"}
    rows = []
    for pair in pairs_of(protocol, entries, list(metrics)):
        cells = [cell for metric in metrics for cell in _ahead(pair, metric)]
        rows.append([pair.name, pair.other, *cells])
    if not rows:
        return ""
    count = len(protocol.about.rounds)
    how = f"the 95 % interval over the {count} rounds (Student's t)" if count >= FEWEST_ROUNDS else "each round"
    title = f"How far each is ahead of another, seeds averaged, with {how}, and the rounds in which it is behind:\n\n"
    head = ["", "against", *(f"{each} {what}" for each in metrics.values() for what in ("ahead", "behind for"))]
    return title + _table(head, rows)


def _ahead(pair: Pair, metric: str) -> tuple[str, str]:
    """Return by how much it is ahead, and for whom it is behind."""
    interval, behind = pair.interval(metric), pair.behind(metric)
    shown = f"[{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else _each(pair.leads[metric], ":")
    count = f"{len(behind)} of {len(pair.leads[metric])}"
    return f"{pair.lead(metric):+.3f} {shown}", f"{count}: {_each(behind)}" if behind else "none"


def _each(leads: dict[str, float], colon: str = "") -> str:
    text = ", ".join(f"{name}{colon} {lead:+.3f}" for name, lead in leads.items())
    return f"({text})" if colon else text


def _missing(entries: list[Standing]) -> str:
    lacking = [f"{entry.name} {entry.missing}" for entry in entries if entry.missing]
    return f"Runs without a result yet: {', '.join(lacking)}.\n" if lacking else ""


def _plots(protocol: Protocol, entries: list[Standing], results: Path) -> str:
    folder = results / protocol.name
    shown = {
        "contenders.png": (plot_contenders(entries, folder / "contenders.png"), "accuracy and macro F1, a dot a seed"),
    }
    if not protocol.decides:
        ours = entries[0]
        shown |= {
            "confusion.png": (
                plot_confusion(ours, folder / "confusion.png"),
                f"{ours.name}: windows by true class and label, all seeds together",
            ),
            "learning.png": (plot_learning(entries, folder / "learning.png"), "validation macro F1 over the epochs"),
            "reliability.png": (plot_reliability(ours, folder / "reliability.png"), f"{ours.name}: right as claimed"),
        }
    return "\n".join(f"![{alt}]({protocol.name}/{name})\n" for name, (drawn, alt) in shown.items() if drawn)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(head) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ruler, *rows))


def _cell(figure: Figure | None, best: float | None) -> str:
    if figure is None:
        return ""
    text = f"{figure.mean:.3f}" + ("" if figure.deviation is None else f" ± {figure.deviation:.3f}")
    return f"**{text}**" if best is not None and figure.mean == best else text


def _signed(figure: Figure | None) -> str:
    if figure is None:
        return ""
    return f"{figure.mean:+.3f}" + ("" if figure.deviation is None else f" ± {figure.deviation:.3f}")


def _plain(value: Any) -> str:
    return "" if value is None else f"{value:.3f}"
