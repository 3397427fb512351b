"""One contender held against another round by round, as person by person: by how much it is ahead, and where behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kinestream.model.comparison.protocol import Protocol
from kinestream.model.comparison.results import Standing

FEWEST_ROUNDS = 3
"""With fewer there is no interval to speak of."""


@dataclass(frozen=True)
class Pair:
    """By how much one contender is ahead of another.

    Parameters
    ----------
    name, other : str
        Who is held against whom.
    leads : dict of str to dict of str to float
        By metric, then by round: the mean over the seeds that both have. Negative where it is behind.
    means : dict of str to tuple of float
        By metric: what both come to, averaged over rounds.
    """

    name: str
    other: str
    leads: dict[str, dict[str, float]]
    means: dict[str, tuple[float, float]]

    def lead(self, metric: str) -> float:
        """Return the mean over rounds."""
        return float(np.mean(list(self.leads[metric].values())))

    def interval(self, metric: str) -> tuple[float, float] | None:
        """Return the 95 % interval of the lead over rounds, by Student's t; None where there are too few."""
        from scipy.stats import t  # only whoever draws the page needs it

        values = np.array(list(self.leads[metric].values()))
        if len(values) < FEWEST_ROUNDS:
            return None
        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        return self.lead(metric) - half, self.lead(metric) + half

    def behind(self, metric: str) -> dict[str, float]:
        """Return the rounds in which it loses, the worst first."""
        losing = {name: lead for name, lead in self.leads[metric].items() if lead < 0}
        return dict(sorted(losing.items(), key=lambda item: item[1]))


def pairs_of(protocol: Protocol, entries: Sequence[Standing], metrics: Sequence[str]) -> list[Pair]:
    """Return what a protocol's pairs came to; those without a whole seed in common are left out."""
    standing = {entry.name: entry for entry in entries}
    found = []
    for name, other in protocol.pairs:
        if name not in standing or other not in standing:
            continue
        seeds = set(standing[name].seeds) & set(standing[other].seeds)
        if seeds:
            figures = {m: [_by_round(standing[each], seeds, m) for each in (name, other)] for m in metrics}
            leads = {m: {key: ours[key] - theirs[key] for key in ours} for m, (ours, theirs) in figures.items()}
            means = {m: (_mean(ours), _mean(theirs)) for m, (ours, theirs) in figures.items()}
            found.append(Pair(name, other, leads, means))
    return found


def _by_round(entry: Standing, seeds: set[int], metric: str) -> dict[str, float]:
    runs: dict[str, list[dict[str, Any]]] = {}
    for run in entry.runs:
        if run["seed"] in seeds:
            runs.setdefault(run["round"], []).append(run)
    return {name: float(np.mean([run["test"][metric] for run in each])) for name, each in runs.items()}


def _mean(by_round: dict[str, float]) -> float:
    return float(np.mean(list(by_round.values())))
