"""kinestream compare and results."""

from pathlib import Path
from typing import Any

import click

from kinestream.commands.log import show_warnings
from kinestream.commands.options import RAY, Named, Place, Result, Whole, need_torch, verb
from kinestream.commands.root import root
from kinestream.model.counted import counted
from kinestream.screens.stderr import say


@verb(root, short_help="Train every contender of a protocol.")
@click.argument("protocols", nargs=-1, required=True, type=Named(), metavar="PROTOCOL...")
@click.option("--contender", "contenders", multiple=True, metavar="NAME", help="Only this one; repeatable.")
@click.option("--seed", "seeds", multiple=True, type=Whole(0), help="Only this one; repeatable.")
@click.option(
    "--source", type=Named(), metavar="PATH", help="The dataset's zip or folder; by default where its name is found."
)
@click.option(
    "--results",
    type=Place(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Where each run's result is kept.",
)
@click.option(
    "--work",
    type=Place(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where runs are kept that are not finished.",
)
@click.option("--jobs", type=Whole(1), default=1, show_default=True, help="Trainings side by side.")
@RAY
def compare(
    protocols: tuple[str, ...],
    contenders: tuple[str, ...],
    seeds: tuple[int, ...],
    source: str | None,
    results: Path,
    work: Path,
    jobs: int,
    ray: str | None,
) -> Result:
    """Train every contender of a protocol from every seed; what has a result already is left alone.

    PROTOCOL is a file under configs/protocols/ or its name. With --ray, --jobs says nothing: the cluster's processors
    do. Results are written here; an unfinished run stays under --work of the node that had it, so share that folder
    among the nodes to resume on any of them.
    """
    from kinestream.model.comparison.protocol import choose, load_protocol

    loaded = [load_protocol(name) for name in protocols]
    runs = [run for each in loaded for run in choose(each.runs, contenders or None, seeds or None)]
    need_torch()
    from kinestream.model.comparison.runs import run_all
    from kinestream.screens.training import TrainingScreen

    with TrainingScreen() as screen:
        trained = run_all(
            runs, results, work, source=source, jobs=jobs, show=say, listener=screen, initializer=show_warnings, ray=ray
        )
    content = {"runs": len(runs), "trained": trained, "results": str(results)}

    def show(console: Any) -> None:
        from kinestream.model.comparison.results import standings
        from kinestream.screens.results import print_standings

        for protocol in loaded:
            print_standings(protocol.name, standings(protocol, results), console)
        console.print(f"{counted(len(runs), 'result')} under {results}", soft_wrap=True)

    return content, show


@verb(root, short_help="Show on one page what all protocols came to.")
@click.option(
    "--results",
    type=Place(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Where each run's result is kept; the page is written there.",
)
@click.option("--protocol", "names", multiple=True, metavar="PROTOCOL", help="Only this one; repeatable.")
def results(results: Path, names: tuple[str, ...]) -> Result:
    """Show what the runs of all protocols came to on one page, with tables and plots."""
    from kinestream.model.comparison.protocol import load_protocol, shipped_protocols
    from kinestream.model.extras import need

    need("the page of results", "matplotlib", "jinja2")
    from kinestream.model.comparison.page import write_results

    page = write_results([load_protocol(name) for name in names or shipped_protocols()], results)
    return {"page": str(page)}, lambda console: console.print(str(page), soft_wrap=True)
