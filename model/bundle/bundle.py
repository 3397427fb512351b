"""All that training hands to streaming: weights and a readable description, in a folder of two files.

``bundle.yaml`` says what goes in (channels, rate, window), what comes out (classes) and where it came from;
``weights.safetensors`` holds the numbers. Nothing in it can run code.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from kinestream.model.bundle.description import FORMAT, ChannelEntry, Description
from kinestream.model.bundle.weights import misfit, most_bytes, no_numbers, weight_shapes
from kinestream.model.config.section import doubled
from kinestream.model.config.training import problems_of
from kinestream.model.errors import BundleError, ChannelMismatch, FileError
from kinestream.model.files import read_plain, reason, write_whole
from kinestream.model.plaindata import MOST_BYTES, dump_yaml, parse_yaml
from kinestream.model.printable import printable
from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.units import convertible, factor
from kinestream.model.windows.frozen import FrozenRule
from kinestream.model.windows.grid import WindowGrid
from kinestream.model.windows.prepare import Preparation, preparation

_log = logging.getLogger(__name__)

RATE_TOLERANCE = 0.01
"""How far the rate of a stream or a source may lie from the bundle's, as a share of it: no clock is exact."""

DESCRIPTION = "bundle.yaml"
WEIGHTS = "weights.safetensors"
FOLDER = "bundle"
"""What the folder of a run calls the bundle in it."""

MOST_WEIGHTS = 256 << 20
"""Bytes of a file of weights; our largest network has one megabyte."""

_LONGEST = 1000  # characters of what is said to be wrong
_MOST_VALUES = 100_000  # in a description: one of 4,096 channels has half of it; to make more would hold up labels


class DeviceColumns(NamedTuple):
    """Which of a bundle's channels a device delivers.

    Attributes
    ----------
    columns : ndarray of intp, shape (n,)
        Those channels.
    order : ndarray of intp, shape (n,)
        The device's columns they are in.
    factors : ndarray of float32, shape (n,), or None
        By what each is then multiplied; None where no unit differs.
    """

    columns: npt.NDArray[np.intp]
    order: npt.NDArray[np.intp]
    factors: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class Bundle:
    """A trained recognizer.

    Parameters
    ----------
    description : Description
        Everything but the weights.
    weights : dict of str to ndarray of float32
        The network's parameters and running statistics by their PyTorch names.
    """

    description: Description
    weights: dict[str, npt.NDArray[np.float32]]

    @cached_property
    def grid(self) -> WindowGrid:
        """The sliding window."""
        return WindowGrid(**self.description.window.model_dump())

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """The C channels a stream must have."""
        return tuple(Channel(entry.name, entry.unit) for entry in self.description.channels)

    @cached_property
    def inputs(self) -> tuple[ChannelEntry, ...]:
        """What the network reads, D entries: the channels, or what is derived from them."""
        return self.description.derived or self.description.channels

    @cached_property
    def means(self) -> npt.NDArray[np.float32]:
        """Mean of each of the network's inputs, shape (D,)."""
        return np.array([entry.mean for entry in self.inputs], dtype=np.float32)

    @cached_property
    def factors(self) -> npt.NDArray[np.float32]:
        """What each input is multiplied by once its mean is gone, shape (D,)."""
        deviations = np.array([entry.deviation for entry in self.inputs], dtype=np.float32)
        return np.float32(self.description.scaled_deviation) / deviations

    @cached_property
    def prepare(self) -> Preparation:
        """What makes a network's inputs, unscaled, of raw windows: gaps filled, then what is derived.

        Windows are float32 of shape (W, T, C), in the channels' units, NaN or infinite where a sensor was silent; the
        result has shape (W, T, D).
        """
        entries, about = self.description.channels, self.description
        means = np.array([entry.mean for entry in entries], dtype=np.float32)
        return preparation(about.preprocess, [entry.name for entry in entries], means, about.rate_hz)

    @cached_property
    def frozen(self) -> FrozenRule:
        """When one of a wearer's devices is frozen."""
        noted = [entry.longest_repeat for entry in self.description.channels]
        longest = tuple(each for each in noted if each is not None)
        return FrozenRule(longest if len(longest) == len(noted) else None, self.description.blank_frozen)

    @cached_property
    def id(self) -> str:
        """Name and fingerprint: what a label says it was made by."""
        about = self.description.model_copy(update={"weights_sha256": None})
        digest = hashlib.sha256(_dump(about).encode() + save(self.weights))
        return f"{self.description.name}-{digest.hexdigest()[:8]}"

    def accepts_rate(self, rate_hz: float) -> bool:
        """Tell whether samples that come `rate_hz` times a second are those the model was trained on."""
        expected = self.description.rate_hz
        return abs(rate_hz - expected) <= RATE_TOLERANCE * expected

    def columns(
        self, channels: Sequence[Channel]
    ) -> tuple[npt.NDArray[np.intp] | None, npt.NDArray[np.float32] | None]:
        """Return which columns of a stream feed the network, and what makes its units of theirs.

        Parameters
        ----------
        channels : sequence of Channel
            The stream's channels in the order of its columns; there may be more than the bundle needs. A unit may be
            another one of the same quantity; where either side states none, values are taken as they are.

        Returns
        -------
        order : ndarray of intp, shape (C,), or None
            Which columns, in the network's order; None where they already stand in it.
        factors : ndarray of float32, shape (C,), or None
            By what each of the bundle's channels is then multiplied; None where no unit differs.

        Raises
        ------
        ChannelMismatch
            Where channels are missing, named twice, or in a unit of another quantity; the message names them.
        """
        order = self._order(channels)
        units = {channel.name: channel.unit for channel in channels}
        factors = [
            factor(units[wanted.name], wanted.unit) if wanted.unit and units[wanted.name] else 1.0
            for wanted in self.channels
        ]
        return order, None if all(each == 1.0 for each in factors) else np.array(factors, np.float32)

    def device_columns(self, channels: Sequence[Channel]) -> DeviceColumns:
        """Return which of the bundle's channels a device delivers that need not deliver all of them.

        Parameters
        ----------
        channels : sequence of Channel
            The device's channels in the order of its columns.

        Raises
        ------
        ChannelMismatch
            Where none of them is the bundle's, one is named twice, or is in a unit of another quantity.
        """
        named = {channel.name: (column, channel.unit) for column, channel in enumerate(channels)}
        delivered = [(i, wanted, *named[wanted.name]) for i, wanted in enumerate(self.channels) if wanted.name in named]
        bundle, names = self.description.name, [channel.name for channel in channels]
        if not delivered:
            raise ChannelMismatch(
                f"bundle {bundle} needs none of {_some(names)}: it needs {_some([each.name for each in self.channels])}"
            )
        if twice := doubled(names):
            raise ChannelMismatch(f"channels do not match bundle {bundle}: twice: {_some(twice)}")
        factors = [_factor(wanted, unit) for _, wanted, _, unit in delivered]
        return DeviceColumns(
            np.array([i for i, *_ in delivered], np.intp),
            np.array([column for *_, column, _ in delivered], np.intp),
            None if all(each == 1.0 for each in factors) else np.array(factors, np.float32),
        )

    def _order(self, channels: Sequence[Channel]) -> npt.NDArray[np.intp] | None:
        if tuple(channels) == self.channels:
            return None
        names = [channel.name for channel in channels]
        units = {channel.name: channel.unit for channel in channels}
        missing = [wanted.name for wanted in self.channels if wanted.name not in units]
        twice = doubled(names)
        other = [
            f"{wanted.name} in {units[wanted.name]} instead of {wanted.unit}"
            for wanted in self.channels
            if wanted.unit and units.get(wanted.name) and not convertible(units[wanted.name], wanted.unit)
        ]
        if missing or twice or other:
            problems = [("missing", missing), ("twice", twice), ("other units", other)]
            listed = "; ".join(f"{what}: {_some(which)}" for what, which in problems if which)
            bundle = self.description.name
            advice = "; give each the unit it is in: those of one quantity are converted" if other else ""
            raise ChannelMismatch(
                f"channels do not match bundle {bundle}: {listed}; the stream has {_some(names)}{advice}"
            )
        columns = {name: column for column, name in enumerate(names)}
        order = np.array([columns[wanted.name] for wanted in self.channels], dtype=np.intp)
        return None if len(order) == len(names) and np.array_equal(order, np.arange(len(order))) else order

    def write(self, folder: Path) -> None:
        """Write the bundle into `folder`, which is made where needed.

        Raises
        ------
        BundleError
            Where a weight is infinite or no number: whoever reads it would refuse it.
        FileError
            Where it cannot be written.
        """
        if wrong := no_numbers(self.weights):
            raise BundleError(f"{folder}: no bundle is written, {wrong}: train again with a lower train.learning_rate")
        weights = save(self.weights)
        about = self.description.model_copy(update={"weights_sha256": hashlib.sha256(weights).hexdigest()})
        write_whole(folder / DESCRIPTION, _dump(about).encode())
        write_whole(folder / WEIGHTS, weights)


def read_bundle(folder: str | Path) -> Bundle:
    """Read a bundle, or the one in the folder of a run; a warning is logged that says which.

    Raises
    ------
    BundleError
        Where it is missing, damaged, of another version or much larger than its network, where its two files are not of
        one network, or where a weight is infinite or no number.
    FileError
        Where it cannot be read.
    """
    given, folder = Path(folder), find_bundle(folder)
    if folder != given:
        _log.warning("%s: taking the bundle in it, %s", given, folder)
    place = Path(os.path.realpath(folder))  # of a link that is moved on meanwhile, the files of one bundle
    description = _read_description(place / DESCRIPTION)
    sizes = len(description.derived or description.channels), len(description.classes), description.window.length
    most = most_bytes(weight_shapes(description.network, *sizes), MOST_WEIGHTS)
    try:
        size = (place / WEIGHTS).stat().st_size
    except OSError:
        raise BundleError(f"{folder} has no {WEIGHTS}: copy the whole folder that training wrote") from None
    if size > most:
        raise BundleError(f"{folder / WEIGHTS} is larger than its network: copy the whole folder that training wrote")
    stored = read_plain(place / WEIGHTS, most)
    if description.weights_sha256 not in (None, hashlib.sha256(stored).hexdigest()):
        raise BundleError(f"{folder / WEIGHTS} is damaged (it is not the file that was written): copy it again")
    try:
        weights = load(stored)
    except (SafetensorError, KeyError, ValueError) as error:  # KeyError: numbers of a kind that NumPy lacks
        raise BundleError(f"{folder / WEIGHTS} is damaged ({_line(error)}): copy it again or train it again") from None
    if wrong := misfit(weights, weight_shapes(description.network, *sizes)):
        raise BundleError(f"{folder}: its weights do not fit its description ({_line(wrong)}): copy the whole folder")
    if wrong := no_numbers(weights):
        raise BundleError(f"{folder / WEIGHTS} is unusable, {wrong}: train it again with a lower train.learning_rate")
    return Bundle(description, weights)


def find_bundle(folder: str | Path) -> Path:
    """Return a bundle's folder: the one that is given, or ``bundle`` in it, as in the folder of a run.

    Raises
    ------
    BundleError
        Where neither is one.
    FileError
        Where that cannot be seen.
    """
    given = Path(folder)
    for place in (given, given / FOLDER):
        try:
            if (place / DESCRIPTION).is_file():
                return place
        except OSError as error:
            raise FileError(f"{given}: cannot be read ({reason(error)}): see to its permissions") from error
    raise BundleError(f"{given} is no bundle (it has no {DESCRIPTION}): give a folder that 'kinestream train' wrote")


def remove_bundle(folder: Path) -> None:
    """Remove a bundle where there is one: only what `Bundle.write` wrote, and the folder if it is then empty."""
    for name in (DESCRIPTION, WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _read_description(path: Path) -> Description:
    try:
        content = parse_yaml(read_plain(path, MOST_BYTES).decode(), most_values=_MOST_VALUES)
    except ValueError as error:
        raise BundleError(f"{path} is not YAML ({_line(error)}): copy the bundle again") from None
    version = content.get("format") if isinstance(content, dict) else None
    if version != FORMAT:
        raise BundleError(
            f"{path} is a bundle of version {version!r:.40}, this kinestream reads version {FORMAT}: "
            "train it again, or install the kinestream that wrote it"
        )
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        raise BundleError(f"{path} is damaged: {_line('; '.join(problems_of(error)))}: copy the bundle again") from None


def _line(text: object) -> str:
    """Return what is wrong as part of one line, of bounded length: names in a file may be anything."""
    line = printable(" ".join(str(text).split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _dump(description: Description) -> str:
    return dump_yaml(description.model_dump(mode="json"))


def _factor(wanted: Channel, unit: str) -> float:
    """Return by what a device's channel in a unit is multiplied, where both have one."""
    if not unit or not wanted.unit:
        return 1.0
    try:
        return factor(unit, wanted.unit)
    except ChannelMismatch as error:
        raise ChannelMismatch(f"channel {wanted.name}: {error}") from None


def _some(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
