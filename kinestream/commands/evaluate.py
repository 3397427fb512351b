"""kinestream evaluate."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import DEVICE, PEOPLE, RAY, RECORDINGS, SOURCE, TASK, Named, Place, Result, verb
from kinestream.commands.root import root


@verb(root, short_help="Score a bundle on recordings, without a socket.")
@click.argument("bundle", type=Named())
@SOURCE
@RECORDINGS
@PEOPLE
@click.option("--split", type=click.Choice(["train", "test"]), help="Only this part of the published split.")
@TASK
@click.option(
    "--cut",
    type=click.Choice(["continuous", "segmented"]),
    default="continuous",
    show_default=True,
    help="Cut windows as in a live stream, or within each labelled segment.",
)
@click.option("--join-recordings", is_flag=True, help="Join them into one, as Opportunity's published figures did.")
@click.option("--devices", is_flag=True, help="What each device delivered, laid on one grid as the streamer does.")
@DEVICE
@RAY
@click.option(
    "--report",
    type=Place(path_type=Path, dir_okay=False),
    metavar="FILE.html",
    help="Write a page that shows it all: figures, confusion, time lines.",
)
def evaluate(
    bundle: str,
    source: str,
    recordings: tuple[str, ...],
    people: tuple[str, ...],
    report: Path | None,
    **options: Any,
) -> Result:
    """Score a bundle on recordings, without a socket."""
    from kinestream.model.bundle.bundle import find_bundle, read_bundle
    from kinestream.model.evaluation.evaluate import evaluate
    from kinestream.model.files import check_writable
    from kinestream.screens.evaluation import print_evaluation
    from kinestream.screens.progress import EvaluationBar

    if report is not None:  # what is missing or in the way is told before the work
        from kinestream.model.report.page import Part, history_beside, write_page

        check_writable(report)
    read = read_bundle(bundle)
    with EvaluationBar() as bar:
        result = evaluate(
            read, source, recordings=recordings or None, people=people or None, **options, progress=bar.show
        )
    if report is not None:
        command = shlex.join(["kinestream", *sys.argv[1:]])
        history = history_beside(read, find_bundle(bundle))
        write_page(report, read, [Part("Evaluation", result)], history=history, command=command)

    def show(console: Any) -> None:
        print_evaluation(result, console)
        if report is not None:
            console.print(str(report), soft_wrap=True)

    return result.as_dict() | ({"report": str(report)} if report else {}), show
