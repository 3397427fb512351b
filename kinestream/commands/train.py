"""kinestream train."""

from pathlib import Path
from typing import Any

import click

from kinestream.commands.options import DEVICE, Named, Place, Result, Whole, need_torch, verb
from kinestream.commands.root import root


@verb(root, short_help="Train on recordings.")
@click.argument("config", type=Named())
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--out", type=Place(path_type=Path), help="Folder of the run.  [default: runs/NAME]")
@click.option("--restart", is_flag=True, help="Discard the run in the folder instead of resuming it.")
@DEVICE
@click.option("--threads", type=Whole(1), default=1, show_default=True, help="CPU threads.")
def train(
    config: str, overrides: tuple[str, ...], out: Path | None, restart: bool, device: str, threads: int
) -> Result:
    """Train on recordings: CONFIG is a YAML file, or the name of a shipped one."""
    from kinestream.model.config.file import load_config

    checked = load_config(config, overrides)
    need_torch()
    from kinestream.model.training.train import train
    from kinestream.screens.evaluation import print_scores
    from kinestream.screens.training import TrainingScreen

    folder = out or Path("runs") / checked.name
    with TrainingScreen(resume=not restart) as screen:
        result = train(checked, folder, device=device, threads=threads, resume=not restart, listener=screen)

    def show(console: Any) -> None:
        for whose, scores in (("validation people", result.validation), ("test people", result.test)):
            if scores is not None:
                print_scores(scores, console, title=whose)
        console.print(f"{result.bundle}, of epoch {result.kept_epoch} of {result.epochs}", soft_wrap=True)
        if result.report is not None:
            console.print(str(result.report), soft_wrap=True)

    return result.as_dict() | {"report": result.report and str(result.report)}, show
