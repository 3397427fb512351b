"""kinestream datasets."""

import sys
from pathlib import Path

import click

from kinestream.commands.options import SOURCE, TASK, Named, Place, Result, verb
from kinestream.commands.root import root
from kinestream.model.printable import printable
from kinestream.screens.stderr import say


@root.group(short_help="Look at recorded datasets, check them, get them.")
def datasets() -> None:
    """Look at recorded datasets, check them, get them."""


@verb(datasets, "list", short_help="List the datasets that can be read.")
def list_datasets() -> Result:
    """List the datasets that can be read."""
    from kinestream.model.datasets.describe import listing
    from kinestream.screens.datasets import print_listing

    found = listing()
    return {"datasets": found}, lambda console: print_listing(found, console)


@verb(datasets, short_help="Tell people, classes, rate and channels.")
@SOURCE
@TASK
def info(source: str, task: str | None) -> Result:
    """Tell people, classes, rate and channels of a source, also of one that no YAML file describes yet."""
    from kinestream.model.datasets import open_source
    from kinestream.model.datasets.describe import describe
    from kinestream.model.errors import Undescribed
    from kinestream.screens.datasets import description_table

    notes: tuple[str, ...] = ()
    try:
        opened = open_source(source, task=task)
    except Undescribed as error:
        from kinestream.model.datasets.drafts.first import open_undescribed

        advice = f"{source}: nothing describes it yet, so it is read as 'kinestream datasets describe' would draft it"
        opened, drafted = open_undescribed(Path(source).expanduser())
        if task not in (None, opened.task):
            raise error from None
        notes = (advice, *(f"please check: {each}" for each in drafted.to_check))
    described = describe(opened) | ({"to_check": drafted.to_check} if notes else {})
    for each in (*notes, *(f"warning: {each}" for each in described["warnings"])):
        say(each)
    return described, lambda console: console.print(description_table(described))


@verb(datasets, "describe", short_help="Draft a YAML file for your own recordings.")
@click.argument("folder", type=Place(path_type=Path))
@click.option("--out", type=Place(path_type=Path, dir_okay=False), help="Write it here instead of printing it.")
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
def describe_folder(folder: Path, out: Path | None, overwrite: bool) -> Result:
    """Draft the YAML file that describes your own recordings in FOLDER: a folder, a zip or a file."""
    from kinestream.model.datasets.drafts.first import first_draft, write_first_draft

    drafted = first_draft(folder) if out is None else write_first_draft(folder, out, overwrite=overwrite)
    for each in drafted.to_check:
        say(f"please check: {each}")
    content = {"yaml": drafted.text, "path": None if out is None else str(out), "to_check": drafted.to_check}
    shown = (
        drafted.text.rstrip() if out is None else f"{out}: look through it, then see 'kinestream datasets info {out}'"
    )
    return content, lambda console: click.echo(printable(shown, keep="\n"))


@verb(datasets, short_help="Compare a source with the published counts.")
@SOURCE
@TASK
def verify(source: str, task: str | None) -> Result:
    """Compare a source with the published counts."""
    from kinestream.model.datasets import open_source
    from kinestream.model.datasets.verify import differences, verify
    from kinestream.screens.datasets import verification_table

    opened = open_source(source, task=task)
    opened.check_whole()
    checks = verify(opened)
    differing = differences(checks)
    if differing:
        click.get_current_context().call_on_close(lambda: sys.exit(1))
    content = {"checks": len(checks), "differences": differing}
    return content, lambda console: console.print(verification_table(checks))


@verb(datasets, short_help="Download a dataset from its publisher.")
@click.argument("name", type=Named())
@click.option("--to", "folder", type=Place(path_type=Path, file_okay=False), help="Where to keep it.")
@click.option("--url", help="Another place to get it from.")
def fetch(name: str, folder: Path | None, url: str | None) -> Result:
    """Download a dataset from its publisher, or go on with a download."""
    from kinestream.model.datasets.fetch import fetch
    from kinestream.screens.progress import DownloadBar

    with DownloadBar() as bar:
        archive = fetch(name, folder, url=url, progress=bar.show)
    return {"archive": str(archive)}, lambda console: console.print(str(archive), soft_wrap=True)
