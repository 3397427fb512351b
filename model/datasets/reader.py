"""What a reader of a dataset is: one file of this package for each."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from kinestream.model.datasets.files import FileTree
from kinestream.model.recordings.devices import DeviceReadings
from kinestream.model.recordings.recording import Channel, Recording


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset as its authors publish it.

    Parameters
    ----------
    name : str
        Name of the reader, as in ``hapt``.
    title : str
        The dataset's full name.
    licence : str
        What its authors allow, in a few words.
    citation : str
        What they ask to be cited.
    url : str
        Where its publisher offers it for download.
    archive : str
        Name under which the download is kept.
    tasks : tuple of str
        What can be recognised; the first is the default.
    people : int
        How many people wore the sensors.
    rate_hz : float
        Samples per second.
    published : mapping of str to int
        Counts that its authors state, or that were measured on the published files.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    archive: str
    tasks: tuple[str, ...]
    people: int
    rate_hz: float
    published: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Outline:
    """What is known of a recording before it is read.

    Parameters
    ----------
    id, person, split
        As those of a `Recording`; the person is empty where only a file that cannot be read would say who it is.
    """

    id: str
    person: str
    split: str | None = None


class Reader(ABC):
    """Reads the recordings of one dataset for one task.

    Parameters
    ----------
    files : FileTree
        The dataset's files, named from the folder in which `marker` was found.
    task : str
        One of `info.tasks`.
    """

    info: DatasetInfo
    marker: ClassVar[re.Pattern[str]]
    """Matches the end of a file name that only this dataset has; what stands before it is the dataset's folder."""
    version: ClassVar[int] = 1
    """Increase it whenever the same files give other recordings than before: what is cached is then parsed again."""

    needs: ClassVar[tuple[str, ...]] = ()
    """Packages of the extra ``datasets`` that it reads with."""

    described: str = ""
    """What else than its version and the task decides what becomes of the files."""

    channels: tuple[Channel, ...]
    classes: tuple[str, ...]
    null_class: int | None = None
    ids: tuple[str, ...]

    def __init__(self, files: FileTree, task: str) -> None:
        self.files = files
        self.task = task

    @abstractmethod
    def files_of(self, recording_id: str) -> tuple[str, ...]:
        """Return the names of the files a recording is made of."""

    @abstractmethod
    def outline(self, recording_id: str) -> Outline:
        """Return what is known of a recording without reading it."""

    @abstractmethod
    def read(self, recording_id: str) -> Recording:
        """Parse a recording."""

    @property
    def has_devices(self) -> bool:
        """Whether `devices` returns any: whether more than one grid was published."""
        return type(self).devices is not Reader.devices

    def devices(self, recording_id: str) -> tuple[DeviceReadings, ...]:
        """Return what each device of a recording delivered, parsed anew; none where only a grid was published.

        Together they have the recording's channels, in order. These are raw: the samples of `read` may be resampled in
        another way, which results published with them depend on.
        """
        return ()
