"""Results of a protocol's runs, aggregated: means and deviations over seeds, and our lead over the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from kinestream.model.comparison.protocol import Protocol
from kinestream.model.comparison.runs import read_run

METRICS = ("accuracy", "f1_macro", "f1_weighted", "f1_macro_no_null")


@dataclass(frozen=True)
class Figure:
    """A figure over seeds.

    Parameters
    ----------
    values : tuple of float
        One for each seed, averaged over the rounds.
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def deviation(self) -> float | None:
        """Sample deviation over the seeds; None for a single one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Standing:
    """The results of one contender in a protocol.

    Parameters
    ----------
    name : str
        The contender.
    seeds : tuple of int
        Those of which every round is done.
    missing : int
        Runs that have no result yet.
    runs : tuple of dict
        Results of those seeds, as `kinestream.model.comparison.runs` wrote them.
    """

    name: str
    seeds: tuple[int, ...]
    missing: int
    runs: tuple[dict[str, Any], ...]

    def scores(self) -> list[dict[str, Any]]:
        """Return what each run was scored."""
        return [run["test"] for run in self.runs]

    def figure(self, *path: str) -> Figure | None:
        """Return a figure over the seeds; None where the runs do not have it.

        Parameters
        ----------
        path : str
            Keys within the scores, as in ``calibration``, ``ece``.
        """
        values = []
        for seed in self.seeds:
            found = [_at(run["test"], path) for run in self.runs if run["seed"] == seed]
            if not found or any(value is None for value in found):
                return None
            values.append(float(np.mean(found)))
        return Figure(tuple(values)) if values else None

    def total(self, key: str) -> float:
        """Return the mean of a run's own figure, as of its ``cpu_seconds``."""
        return float(np.mean([run[key] for run in self.runs]))

    def confusion(self) -> npt.NDArray[np.int64]:
        """Return the confusion of all runs together, shape (K, K): truth by label."""
        together: npt.NDArray[np.int64] = np.sum([scores["confusion"] for scores in self.scores()], axis=0)
        return together


def standings(protocol: Protocol, results: Path) -> list[Standing]:
    """Return what each contender came to, ours first; those without a whole seed are left out."""
    found = []
    for name in protocol.contenders:
        runs = [run for run in protocol.runs if run.contender == name]
        contents = [read_run(results, run) for run in runs]
        unfinished = {run.seed for run, content in zip(runs, contents, strict=True) if content is None}
        whole = [seed for seed in dict.fromkeys(run.seed for run in runs) if seed not in unfinished]
        kept = [content for content in contents if content and content["seed"] in whole]
        missing = contents.count(None)
        if kept:
            found.append(Standing(name, tuple(whole), missing, tuple(kept)))
    return found


def ahead(ours: Standing, other: Standing, metric: str) -> Figure | None:
    """Return by how much ours is ahead, seed by seed, over the seeds that both have."""
    both = [seed for seed in ours.seeds if seed in other.seeds]
    figures = [standing.figure(metric) for standing in (ours, other)]
    if not both or None in figures:
        return None
    values = [
        dict(zip(standing.seeds, figure.values, strict=True))
        for standing, figure in zip((ours, other), figures, strict=True)
        if figure
    ]
    return Figure(tuple(values[0][seed] - values[1][seed] for seed in both))


def floor_of(standing: Standing) -> dict[str, float | None]:
    """Return what always naming one class comes to, averaged over rounds; it needs no training and has no seeds."""
    floors = [scores["floor"] for scores in standing.scores()]
    return {metric: _mean([floor[metric] for floor in floors]) for metric in METRICS}


def _mean(values: Sequence[float | None]) -> float | None:
    return None if None in values else float(np.mean([value for value in values if value is not None]))


def _at(content: Any, path: Sequence[str]) -> Any:
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content
