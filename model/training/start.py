"""The bundle that a training starts from: what must agree with it, what is taken from it, and what is said of it.

Channels and classes are matched by name. The body of the network keeps its weights, and so do the columns of its input
that read matched channels and the rows of its head that answer matched classes; `kinestream.model.training.transfer`
puts them in place. Those weights expect inputs scaled as they were, so a matched channel keeps the bundle's mean and
deviation.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.bundle.description import ChannelEntry
from kinestream.model.config.network import NetworkConfig
from kinestream.model.config.section import Section
from kinestream.model.config.training import TrainConfig
from kinestream.model.errors import BundleError, ConfigError
from kinestream.model.recordings.recording import Channel
from kinestream.model.recordings.split import Split, people_of
from kinestream.model.recordings.units import are_same

Array = npt.NDArray[np.float32]

_MAY_DIFFER = {
    # These change how a network learns, not what it computes.
    "network": {"dropout_input", "dropout_block", "dropout_head", "dropout", "init"},
    # Inputs are matched by the names of what is derived, so other channels may be split than in the bundle.
    "preprocess": {"gravity_channels"},
}


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Parameters
    ----------
    bundle : Bundle
        Whose weights are kept.
    frozen : bool
        Whether the body stays as it is.
    taken : tuple of str
        Sections of the configuration that said nothing, and are the bundle's.
    dataset : str
        What is trained on, for messages.
    """

    bundle: Bundle
    frozen: bool
    taken: tuple[str, ...]
    dataset: str

    @classmethod
    def open(cls, config: TrainConfig) -> tuple[TrainConfig, Self | None]:
        """Read the bundle that a configuration starts from, if it starts from one.

        Returns
        -------
        TrainConfig
            With the bundle's network, preprocessing and scale where it says nothing of them, and the bundle's id in
            place of its folder: what decides a run is which bundle it is, not where it lies.
        Start or None
            None where training starts from scratch.

        Raises
        ------
        ConfigError
            Where there is no such bundle, or the configuration does not agree with it; lists every problem.
        """
        section = config.train
        if section.start_from is None:
            return config, None
        try:
            bundle = read_bundle(Path(section.start_from).expanduser())
        except BundleError as error:
            raise _refused(config.dataset.name, [f"train.start_from: {error}"]) from None
        about, given = bundle.description, config.model_fields_set
        theirs = {each: getattr(about, each) for each in ("network", "preprocess", "scaled_deviation")}
        problems = [
            f"{key}: {here} here, {there} in {bundle.id}{hint}"
            for key, here, there, hint in _differences(config, about.window.length, theirs)
        ]
        if problems:
            raise _refused(config.dataset.name, problems)
        taken = {key: value for key, value in theirs.items() if key not in given}
        start = cls(bundle, section.freeze == "body", tuple(taken), config.dataset.name)
        named = section.model_copy(update={"start_from": bundle.id})
        return config.model_copy(update={**taken, "train": named}), start

    def check(self, rate_hz: float, channels: Sequence[Channel], inputs: Sequence[Channel]) -> None:
        """Make sure that the bundle's weights fit these recordings: rate, units and inputs.

        Parameters
        ----------
        rate_hz : float
            Samples per second.
        channels, inputs : sequence of Channel
            The channels, and what the network reads of them.

        Raises
        ------
        ConfigError
            Where the rate or a unit is another, no input is one of the bundle's, or the network cannot take others.
        """
        problems = []
        if not self.bundle.accepts_rate(rate_hz):
            there = self.bundle.description.rate_hz
            problems.append(f"dataset: {rate_hz:g} samples a second here, {there:g} in {self.bundle.id}")
        ours = {each.name: each.unit for each in (*channels, *inputs)}
        theirs = {each.name: each.unit for each in (*self.bundle.description.channels, *self.bundle.inputs)}
        problems += [
            f"dataset.channels: {name} is in {unit} here, in {theirs[name]} in {self.bundle.id}"
            for name, unit in ours.items()
            if unit and theirs.get(name) and not are_same(unit, theirs[name])
        ]
        names, known = [each.name for each in inputs], [each.name for each in self.bundle.inputs]
        if not set(names) & set(known):
            has = f"it has {_some(known)}, there are {_some(names)}"
            problems.append(f"dataset.channels: none is one of {self.bundle.id}: {has}")
        elif names != known and self._adds_input(len(names)):
            problem = f"{self.bundle.id} adds its input to its first block: only {_some(known)}, in this order, fit"
            problems.append(f"dataset.channels: {problem}")
        if problems:
            raise _refused(self.dataset, problems)

    def _adds_input(self, inputs: int) -> bool:
        """Tell whether the first block adds its input to what it makes of it, with so many inputs or the bundle's.

        Then an input has its place among the features, too, and none can be moved, added or left out.
        """
        network = self.bundle.description.network
        if not isinstance(network, NetworkConfig) or network.stem_kernel or network.residual == "sum":
            return False
        return network.hidden in (network.entered(inputs), network.entered(len(self.bundle.inputs)))

    def scaling(
        self, entries: Iterable[ChannelEntry], channels: Sequence[Channel], means: Array, deviations: Array
    ) -> tuple[Array, Array]:
        """Return means and deviations, shape (C,): the bundle's of what it knows, the given ones of what is new.

        Parameters
        ----------
        entries : iterable of ChannelEntry
            What the bundle knows: its channels, or its inputs.
        channels : sequence of Channel
            C channels.
        means, deviations : ndarray of float32, shape (C,)
            Of the own recordings.
        """
        known = {entry.name: entry for entry in entries}
        means, deviations = means.copy(), deviations.copy()
        for column, channel in enumerate(channels):
            if entry := known.get(channel.name):
                means[column], deviations[column] = entry.mean, entry.deviation
        return means, deviations

    def repeats(self, channels: Sequence[Channel], repeats: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return for how many samples in a row each channel kept its value, in the bundle's training or in this one.

        None where the bundle knows the channel, but not this of it.
        """
        known = {entry.name: entry.longest_repeat for entry in self.bundle.description.channels}
        found: list[int | None] = []
        for channel, own in zip(channels, repeats, strict=True):
            before = known.get(channel.name, own)
            found.append(None if before is None or own is None else max(before, own))
        return tuple(found)

    def line(self, inputs: Sequence[Channel], classes: Sequence[str], split: Split) -> str:
        """Return in one line what is kept, what is new, what is left out, and what is frozen."""
        about = self.bundle.description
        read, known = [each.name for each in inputs], [each.name for each in self.bundle.inputs]
        kept, new, gone = [], [], []
        for what, ours, theirs in (
            ("inputs" if about.derived else "channels", read, known),
            ("classes", classes, about.classes),
        ):
            kept.append(f"{sum(name in theirs for name in ours)} of {len(ours)} {what}")
            new += [name for name in ours if name not in theirs]
            gone += [name for name in theirs if name not in ours]
        parts = [f"starts from {self.bundle.id}: {', '.join(kept)} kept"]
        parts += [f"new: {_some(new)}"] if new else []
        parts += [f"left out of it: {_some(gone)}"] if gone else []
        parts += [f"as in it: {', '.join(self.taken)}"] if self.taken else []
        parts += ["frozen: the body"] if self.frozen else []
        parts += [f"it has learnt from people held out here: {_some(seen)}"] if (seen := self._seen(split)) else []
        return "; ".join(parts)

    def _seen(self, split: Split) -> list[str]:
        """Return whom the bundle was trained or validated on of those who should be new to the network."""
        training = self.bundle.description.training
        if training.get("dataset") != self.dataset:
            return []
        people = training.get("people", {})
        seen = {*people.get("train", ()), *people.get("validation", ())}
        return [person for person in people_of((*split.test, *split.validation)) if person in seen]


def _differences(
    config: TrainConfig, length: int, theirs: dict[str, Section | float]
) -> Iterator[tuple[str, object, object, str]]:
    """Yield key, our value, the bundle's and a hint where the two disagree."""
    if config.window.length != length:
        yield "window.length", config.window.length, length, ""
    for key, there in theirs.items():
        here = getattr(config, key)
        if key not in config.model_fields_set or here == there:
            continue
        if not isinstance(there, Section):
            yield key, here, there, ""
            continue
        ours, others = here.model_dump(), there.model_dump()
        if ours.get("kind") != others.get("kind"):
            ours, others = {"kind": ours["kind"]}, {"kind": others["kind"]}
        for name in ours:
            if ours[name] != others[name] and name not in _MAY_DIFFER[key]:
                yield f"{key}.{name}", ours[name], others[name], f" (without a section {key}, the bundle's is taken)"


def _refused(dataset: str, problems: Sequence[str]) -> ConfigError:
    return ConfigError(f"the configuration for {dataset}", problems)


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
