"""Reads a draft back before it is offered: what is offered can be read."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from kinestream.model.config.file import check_config, dataset_of, parse_text
from kinestream.model.config.training import DatasetSection
from kinestream.model.datasets.drafts.source import source_of
from kinestream.model.datasets.exports.reader import Exports
from kinestream.model.datasets.files import open_tree
from kinestream.model.datasets.own import own_reader
from kinestream.model.datasets.reader import Reader
from kinestream.model.datasets.tabular.labelling import Labels
from kinestream.model.datasets.tabular.pieces import Piece
from kinestream.model.datasets.tabular.reader import Tabular
from kinestream.model.datasets.tabular.table import Ref, Table, ref_of
from kinestream.model.errors import ConfigError, SourceError
from kinestream.model.recordings.recording import UNLABELLED


def unreadable(text: str, out: Path, folder: Path, *, labelled: bool) -> dict[str, str]:
    """Return the files that a draft names and its reader cannot read, and why; none where it reads all.

    Parameters
    ----------
    text : str
        The draft.
    out : Path
        Where it will lie.
    folder : Path
        The recordings.
    labelled : bool
        Whether it says where labels are; else all but the labels is read.

    Raises
    ------
    SourceError
        If the recordings cannot even be told apart.
    ConfigError
        If it is no configuration.
    """
    where = f"the draft for {folder}"
    content, problems = parse_text(text, where)
    section = dataset_of(content, problems, where, out.parent)
    content.setdefault("name", out.stem)
    unlabelled = section.export is not None and section.export.labels is None  # which is read, but not trained on
    if not unlabelled and (problems := check_config(content)[1]):
        raise ConfigError(where, problems)
    reader = opened(section, folder, labelled)
    wrong: dict[str, str] = {}
    for each in reader.ids:
        try:
            reader.read(each)
        except SourceError as error:
            wrong[reader.export_of(each) if isinstance(reader, Exports) else reader.files_of(each)[0]] = str(error)
    return wrong


def opened(section: DatasetSection, folder: Path, labelled: bool) -> Reader:
    """Return what reads recordings as a draft describes them.

    Parameters
    ----------
    section : DatasetSection
        What the draft says.
    folder : Path
        The recordings.
    labelled : bool
        Whether it says where labels are.
    """
    if labelled or section.tabular is None:
        return own_reader(section, folder if section.export else source_of(folder))
    return _Unlabelled(open_tree(source_of(folder)), section.name, section.tabular)


class _Unlabelled(Tabular):
    """Reads recordings whose labels nobody has said yet."""

    def _refs(self) -> list[Ref]:
        labels = ref_of(self._section.labels)
        return [ref for ref in super()._refs() if ref != labels]

    def _check_no_answer(self, table: Table) -> None:
        pass

    def _labels(
        self, piece: Piece, table: Table, order: npt.NDArray[np.int64], moments: npt.NDArray[np.int64]
    ) -> Labels:
        return np.full(len(table), UNLABELLED, dtype=np.int16)
