"""Chooses what reads somebody's own recordings, by what describes them."""

from pathlib import Path

from kinestream.model.config.training import DatasetSection
from kinestream.model.datasets.exports.containers import Containers
from kinestream.model.datasets.exports.reader import Exports
from kinestream.model.datasets.files import open_tree
from kinestream.model.datasets.reader import Reader
from kinestream.model.datasets.tabular.reader import Tabular


def own_reader(section: DatasetSection, path: Path) -> Reader:
    """Return what reads recordings.

    Parameters
    ----------
    section : DatasetSection
        One that is `own`.
    path : Path
        Where they lie.

    Raises
    ------
    SourceError
        If there are none that are called as the section says.
    """
    if section.export is not None:
        return Exports(Containers(path), section.name, section.export)
    assert section.tabular is not None
    return Tabular(open_tree(path), section.name, section.tabular)
