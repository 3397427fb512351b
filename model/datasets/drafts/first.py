"""The first draft of a description of whatever lies somewhere: tables, or what apps and recorders wrote."""

from dataclasses import dataclass
from pathlib import Path

from kinestream.model.config.file import dataset_of, parse_text
from kinestream.model.datasets.drafts.check import opened, unreadable
from kinestream.model.datasets.drafts.doubts import unsaid
from kinestream.model.datasets.drafts.exports import export_draft, unsaid_of_exports
from kinestream.model.datasets.drafts.exportsurvey import survey_exports
from kinestream.model.datasets.drafts.write import draft
from kinestream.model.datasets.recorded.opening import is_recorded
from kinestream.model.datasets.source import Source
from kinestream.model.errors import SourceError
from kinestream.model.files import write_whole


@dataclass(frozen=True)
class Draft:
    """A first draft.

    Parameters
    ----------
    text : str
        In YAML.
    to_check : tuple of str
        What the files do not tell, each after its key.
    labelled : bool
        Whether it says where labels are.
    """

    text: str
    to_check: tuple[str, ...]
    labelled: bool


def first_draft(path: Path, out: Path | None = None) -> Draft:
    """Return a first draft of the description of recordings; it can be read back.

    Parameters
    ----------
    path : Path
        The folder, zip or file in which they lie.
    out : Path, optional
        Where the draft will lie, from where it names them; by default the current folder.

    Raises
    ------
    SourceError
        If there is nothing that could be described, or nothing of it can be read.
    """
    if is_recorded(path):
        raise SourceError(
            f"{path}: what 'kinestream record' wrote needs no description: name it as a source, in a configuration as "
            "'dataset: {name: recorded, source: ...}'"
        )
    out = out or Path("mine.yaml")
    without: dict[str, str] = {}
    while (found := survey_exports(path, without)) is not None:
        text = export_draft(found, path, out)
        wrong = unreadable(text, out, path, labelled=True)
        if not wrong:
            return Draft(text, tuple(unsaid_of_exports(found)), bool(found.labels))
        if len(wrong) > len(found.exports) / 2:
            raise SourceError(f"{path}: no draft of a description reads it: {next(iter(wrong.values()))}")
        without |= wrong
    text, tables = draft(path, out)
    return Draft(text, tuple(unsaid(tables)), len(tables.labels) > 0)


def write_first_draft(path: Path, out: Path, *, overwrite: bool = False) -> Draft:
    """Write such a draft to a file, and return it.

    Raises
    ------
    SourceError
        If there is nothing to describe, or the file is there already and may not be overwritten.
    FileError
        If it cannot be written.
    """
    if out.exists() and not overwrite:
        raise SourceError(f"{out}: is there already: name another, or say --overwrite")
    drafted = first_draft(path, out)
    write_whole(out, drafted.text.encode())
    return drafted


def open_undescribed(path: Path) -> tuple[Source, Draft]:
    """Open recordings as their first draft describes them, to be looked at; raises as `first_draft`."""
    drafted = first_draft(path)
    where = f"the draft for {path}"
    section = dataset_of(*parse_text(drafted.text, where), where, Path())
    return Source(opened(section, path, drafted.labelled), path), drafted
