"""Opens a source of recordings and says which dataset it holds, from its contents."""

import difflib
import logging
import os
import shlex
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import platformdirs

from kinestream.model.config.file import load_dataset
from kinestream.model.config.tabular import format_of
from kinestream.model.config.training import KNOWN_DATASETS, DatasetSection
from kinestream.model.counted import counted
from kinestream.model.datasets.cache import RecordingCache
from kinestream.model.datasets.exports.containers import is_xdf
from kinestream.model.datasets.files import FileTree, FolderTree, Subtree, ZipTree, is_there, open_tree
from kinestream.model.datasets.published.actrectut import ActRecTut
from kinestream.model.datasets.published.hapt import Hapt
from kinestream.model.datasets.published.opportunity import Opportunity
from kinestream.model.datasets.published.sp_sw_har import SpSwHar
from kinestream.model.datasets.published.uci_har import UciHar
from kinestream.model.datasets.reader import DatasetInfo, Outline, Reader
from kinestream.model.datasets.recorded.opening import is_recorded, recorded_reader
from kinestream.model.errors import SourceError, Undescribed
from kinestream.model.extras import need
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.recording import Channel, Recording

_log = logging.getLogger(__name__)

READERS: tuple[type[Reader], ...] = (SpSwHar, Hapt, ActRecTut, Opportunity, UciHar)

READ_AHEAD = 2
"""Recordings that are read before they are asked for, which bounds the memory an iteration takes."""


class Source:
    """The recordings of a dataset for one task, parsed when asked for and cached.

    Parameters
    ----------
    reader : Reader
        Reads the dataset's files.
    path : Path
        Where they are.
    """

    def __init__(self, reader: Reader, path: Path) -> None:
        self.reader = reader
        self.path = path
        self.info = reader.info
        self.task = reader.task
        self.rate_hz = reader.info.rate_hz
        self.channels: tuple[Channel, ...] = reader.channels
        self.classes: tuple[str, ...] = reader.classes
        self.null_class = reader.null_class
        self.ids: tuple[str, ...] = reader.ids
        self._cache = RecordingCache()
        self._first_mean = threading.Lock()  # taken by the thread that tells of one, and never given back

    def read(self, recording_id: str) -> Recording:
        """Return one recording; its arrays are read-only.

        Raises
        ------
        SourceError
            If there is no such recording or its files are damaged.
        """
        self._check_known(recording_id)
        recording = self._cache.read(self.reader, recording_id)
        own = self.info.name not in KNOWN_DATASETS  # of published ones it is known, and `info` tells
        rows = recording.rows
        if own and rows and rows.shared_stamp and self._first_mean.acquire(blocking=False):
            _log.warning(
                "kinestream: %s: %d of %d rows carry the time of another, and the mean of such rows is taken; "
                "'kinestream datasets info' counts them in all recordings",
                recording_id,
                rows.shared_stamp,
                rows.read,
            )
        return recording

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return what each device of a recording delivered, parsed anew; raises as `read` and `check_devices`."""
        self.check_devices()
        self._check_known(recording_id)
        return self.reader.devices(recording_id)

    def check_devices(self) -> None:
        """Raise SourceError where the dataset was published on one grid, and not as its devices delivered it."""
        if not self.reader.has_devices:
            raise SourceError(
                f"{self.path}: {self.info.name} has no devices of its own: its recordings come on one grid; "
                "leave --devices out"
            )

    def outlines(self, ids: Sequence[str] | None = None, people: Sequence[str] | None = None) -> tuple[Outline, ...]:
        """Return what is known of recordings without reading one: of those named, or all, and of these people, or all.

        Raises
        ------
        SourceError
            If there is no such recording, or one of the people wears the sensors in none of them.
        """
        for each in ids or ():
            self._check_known(each)
        found = [self.reader.outline(each) for each in (self.ids if ids is None else ids)]
        if people is None:
            return tuple(found)
        known = dict.fromkeys(each.person for each in found if each.person)
        unknown = sorted(set(people) - known.keys())
        if unknown:
            raise SourceError(f"{self.path}: nobody called {_listed(unknown)}: there are {_listed(known)}")
        return tuple(each for each in found if each.person in people)

    def check_whole(self) -> None:
        """Make sure that the source, where it is a zip, is what was packed; what was parsed before does not tell.

        Raises
        ------
        SourceError
            Where a file in it is damaged; the message names the first.
        """
        damaged = ZipTree(self.path).first_damage() if self.path.is_file() and _is_zip(self.path) else None
        if damaged:
            raise SourceError(f"{self.path}: {damaged} is damaged; download the archive again")

    def recordings(self, ids: Sequence[str] | None = None) -> Iterator[Recording]:
        """Yield the named recordings, or all of them, in the order of `ids`.

        While the caller is busy with one, the next two are read side by side: unpacking takes one core, parsing all.
        """
        wanted = iter(self.ids if ids is None else ids)
        with ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="recordings") as pool:
            coming = deque(pool.submit(self.read, each) for each in islice(wanted, READ_AHEAD))
            try:
                while coming:
                    recording = coming.popleft().result()
                    coming.extend(pool.submit(self.read, each) for each in islice(wanted, 1))
                    yield recording
            finally:  # a caller who stops early waits only for what has begun
                pool.shutdown(wait=False, cancel_futures=True)

    def _check_known(self, recording_id: str) -> None:
        if recording_id not in self.ids:
            raise SourceError(f"{self.path}: no recording {recording_id!r}; {_suggestion(recording_id, self.ids)}")


def open_source(path: str | Path, *, task: str | None = None) -> Source:
    """Open a dataset's zip as published, its extracted folder, a dataset by its name, or what a YAML file describes.

    Parameters
    ----------
    path : str or Path
        A zip, a folder, what `kinestream record` wrote, a YAML file whose ``dataset`` is opened, or a name such as
        ``hapt``, looked for where `fetch` puts downloads and in the folder that KINESTREAM_DATA names.
    task : str, optional
        What is to be recognised; the dataset's first task by default.

    Raises
    ------
    SourceError
        If it is missing, damaged, holds no known dataset or several, or has no such task.
    ConfigError
        If it is a YAML file that describes no dataset.
    MissingExtra
        If what reads it is not installed.
    """
    if Path(path).suffix.lower() in (".yaml", ".yml") and is_there(Path(path)) and Path(path).is_file():
        return open_dataset(load_dataset(Path(path)), task=task)
    return _open_published(path, task)


def open_dataset(section: DatasetSection, *, task: str | None = None) -> Source:
    """Open what a configuration names or describes; raises as `open_source`.

    Parameters
    ----------
    section : DatasetSection
        The configuration's part.
    task : str, optional
        What is to be recognised; by default the task of the section.
    """
    task = task or section.task
    if not section.own:
        return _open_published(section.source or section.name, task)
    need(f"reading {section.name}", "polars", "scipy", extra="datasets")
    from kinestream.model.datasets.own import own_reader

    path = Path(section.source or ".")
    reader = own_reader(section, path)
    if task not in (None, reader.task):
        raise SourceError(f"{section.name} has no task {task!r}; it has {reader.task}")
    return Source(reader, path)


def _open_published(path: str | Path, task: str | None) -> Source:
    found = _located(path)
    if is_recorded(found):
        return Source(recorded_reader(found, task), found)
    if found.is_file() and not _is_zip(found):
        raise _no_archive(found)
    reader, files = _recognised(open_tree(found))
    need(f"reading {reader.info.name}", *reader.needs, extra="datasets")
    if task is not None and task not in reader.info.tasks:
        raise SourceError(f"{reader.info.name} has no task {task!r}; it has {_listed(reader.info.tasks)}")
    opened = reader(files, task or reader.info.tasks[0])
    if not opened.ids:
        raise SourceError(f"{found}: holds no recordings of {reader.info.name} for task {opened.task}")
    return Source(opened, found)


def dataset_infos() -> tuple[DatasetInfo, ...]:
    """Return what is known of each dataset that can be read."""
    return tuple(reader.info for reader in READERS)


def info_named(name: str) -> DatasetInfo:
    """Return what is known of a dataset; `SourceError` with the nearest names if there is none."""
    known = {info.name: info for info in dataset_infos()}
    if name not in known:
        raise SourceError(f"{name}: no such dataset; {_suggestion(name, list(known))}")
    return known[name]


def download_folder() -> Path:
    """Return the folder in which downloads are kept unless the user names another."""
    return Path(platformdirs.user_data_dir("kinestream"))


def find_download(info: DatasetInfo) -> Path | None:
    """Return where a dataset lies that is opened by its name, or None if nowhere."""
    for folder in _folders():
        for name in (info.archive, Path(info.archive).stem, info.name):
            found = folder / name
            if found.is_file() or (found.is_dir() and info in _held(FolderTree(found))):
                return found
    return None


def _folders() -> list[Path]:
    named = os.environ.get("KINESTREAM_DATA")
    return [download_folder(), *([Path(named)] if named else [])]


def _located(path: str | Path) -> Path:
    """Return the path itself, or where the dataset of that name lies."""
    named = Path(path).expanduser()
    if is_there(named):
        return named
    names = [info.name for info in dataset_infos()]
    if str(path) not in names:
        hint = f", nor a dataset ({_suggestion(str(path), names)})" if len(named.parts) == 1 else ""
        raise SourceError(
            f"{path}: no such file or folder{hint}: give the path of a zip, a folder or a YAML file, or a dataset that "
            "'kinestream datasets list' names"
        )
    found = find_download(info_named(str(path)))
    if found is None:
        looked = " or ".join(map(str, _folders()))
        raise SourceError(
            f"{path}: not found in {looked}: fetch it with 'kinestream datasets fetch {path}' or give a path"
        )
    return found


def _recognised(tree: FileTree) -> tuple[type[Reader], FileTree]:
    """Return the reader whose files these are, and the files named from the dataset's own folder."""
    held = _held(tree)
    if len(held) > 1:
        names = _listed(info.name for info in held)
        raise SourceError(f"{tree.path}: holds several datasets, {names}; name the folder of one")
    for reader, prefix in held.values():
        return reader, Subtree(tree, prefix)
    zips = [name for name in tree.names if name.lower().endswith(".zip")]
    if len(zips) == 1:
        return _recognised(tree.unpack(zips[0]))
    hint = f"name one of its zips: {_listed(zips[:5])}; or {_advice(tree.path)}" if zips else None
    raise Undescribed(f"{tree.path}: holds no dataset that can be read; {hint or _described_in(tree) or _known()}")


def _is_zip(path: Path) -> bool:
    """Tell whether a file is meant to be a zip, though it may be damaged."""
    if path.suffix.lower() == ".zip":
        return True
    try:
        with path.open("rb") as file:
            return file.read(2) == b"PK"
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror})") from error


def _no_archive(path: Path) -> SourceError:
    """Return the error that a file is no source by itself, and says what makes one of it."""
    if format_of(path.name) is not None or is_xdf(path.name):
        return Undescribed(f"{path}: recordings that no YAML file describes: {_advice(path)}")
    return SourceError(f"{path}: neither a zip, a folder nor a YAML file that describes recordings; {_known()}")


def _described_in(tree: FileTree) -> str | None:
    """Return what to do with a tree of recordings that are no known dataset's, or None if it holds none."""
    tables = [name for name in tree.names if format_of(name) is not None or is_xdf(name)]
    if not tables:
        return None
    yamls = [name for name in tree.names if "/" not in name and name.lower().endswith((".yaml", ".yml"))]
    if yamls and tree.path.is_dir():
        return f"if {yamls[0]} describes its recordings, name that file: {tree.path / yamls[0]}"
    count = counted(len(tables), "file")
    return f"to read {count} such as {tables[0]}, {_advice(tree.path)}"


def _advice(path: Path) -> str:
    command = f"kinestream datasets describe {shlex.quote(str(path))} --out mine.yaml"
    return f"draft a description with '{command}', then name mine.yaml"


def _known() -> str:
    return f"known are {_listed(info.name for info in dataset_infos())}"


def _held(tree: FileTree) -> dict[DatasetInfo, tuple[type[Reader], str]]:
    """Return the datasets a tree holds, each with its reader and the folder its files lie in."""
    prefixes = {reader: _prefix(reader, tree.names) for reader in READERS}
    return {reader.info: (reader, prefix) for reader, prefix in prefixes.items() if prefix is not None}


def _prefix(reader: type[Reader], names: Iterable[str]) -> str | None:
    """Return what stands before the first file that only this reader's dataset has."""
    for name in names:
        match = reader.marker.search(name)
        if match and (match.start() == 0 or name[match.start() - 1] == "/"):
            return name[: match.start()]
    return None


def _suggestion(wanted: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"there are {_listed(known if len(known) <= 8 else [*known[:3], '...', known[-1]])}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
