"""What a recorded file becomes, whichever dataset it comes from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

UNLABELLED = -1
"""Label of a sample to which the dataset gives no class."""


@dataclass(frozen=True)
class Channel:
    """One named signal of a sensor.

    Parameters
    ----------
    name : str
        Unique within a recording; streams are matched to a bundle by it.
    unit : str
        As in ``m/s2``, ``g``, ``rad/s``; empty where the dataset does not say.
    """

    name: str
    unit: str = ""


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows a recording was made of.

    Parameters
    ----------
    read : int
        All that its files hold.
    out_of_order : int
        Rows whose time is before that of a row above them.
    shared_stamp : int
        Rows whose sensor has another reading of the very same time; of such readings the mean was taken.
    dropped : int
        Rows of which nothing was taken.
    spread : int
        Rows whose sensor has another reading of the very same time, and that were spread over the time before it.
    """

    read: int
    out_of_order: int = 0
    shared_stamp: int = 0
    dropped: int = 0
    spread: int = 0


@dataclass(frozen=True)
class Recording:
    """One labelled file of a dataset.

    Parameters
    ----------
    id : str
        Unique within its source; the stream's name when replayed.
    person : str
        Who wore the sensors. People, not windows, are split into training, validation and test.
    dataset : str
        Name of the reader, as in ``hapt``.
    rate_hz : float
        Samples per second.
    channels : tuple of Channel
        C channels, in the order of the columns of `samples`.
    samples : ndarray of float32, shape (N, C)
        NaN where a sensor was silent.
    timestamps : ndarray of int64, shape (N,)
        Nanoseconds; Unix time where the dataset has it, else since the first sample.
    labels : ndarray of int16, shape (N,)
        Index into `classes`, or `UNLABELLED`.
    classes : tuple of str
        Names of the K classes.
    null_class : int or None
        The class that means "none of the others", where there is one.
    split : str or None
        ``train`` or ``test`` where the publishers name a split, else None.
    window : int or None
        Length in samples of the windows this recording is cut into, where the dataset is published as windows and
        not as continuous signals (`samples` then holds them one after the other); else None.
    rows : RowCounts or None
        What became of the files' rows; None where every row became a sample, in the order they stand in.
    devices : tuple of tuple of int
        Which columns came of each device, where `samples` are what its devices delivered, laid on one grid: then one
        that is silent at the end of a window counts as absent from it. Empty where samples are as published.
    device_names : tuple of str
        What those devices are called.
    begins : int
        The first sample at or after the first reading of any of them: no window begins earlier.
    seams : tuple of int
        The first sample behind each place where the times and the numbers of a device part: no window holds it and one
        before it.
    """

    id: str
    person: str
    dataset: str
    rate_hz: float
    channels: tuple[Channel, ...]
    samples: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int16]
    classes: tuple[str, ...]
    null_class: int | None = None
    split: str | None = None
    window: int | None = None
    rows: RowCounts | None = None
    devices: tuple[tuple[int, ...], ...] = ()
    device_names: tuple[str, ...] = ()
    begins: int = 0
    seams: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        """Duration by the nominal rate, in seconds."""
        return len(self.samples) / self.rate_hz
