"""Window metrics: accuracy, F1 and the confusion matrix, with the floor of always predicting the same class."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.integer[Any]]
Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Averages:
    """Figures over all windows.

    Parameters
    ----------
    accuracy : float
        Share of windows classified correctly.
    f1_weighted, f1_macro : float
        F1 averaged over the classes that occur among truth or labels: by their windows, or all alike.
    f1_weighted_no_null, f1_macro_no_null : float or None
        The same averages without the null class's own F1; its windows still count as false ones of the classes they
        were taken for. None where no class is null, or nothing else occurs.
    """

    accuracy: float
    f1_weighted: float
    f1_macro: float
    f1_weighted_no_null: float | None
    f1_macro_no_null: float | None


@dataclass(frozen=True)
class ClassScore:
    """Figures of one class; `support` counts its windows."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """Scores of labels against the truth.

    Parameters
    ----------
    windows : int
        Windows scored.
    averages : Averages
        Of the labels.
    floor : Averages
        Of answering `floor_class` for every window.
    floor_class : str
        The null class, or where there is none the commonest.
    null_class : str or None
        The class that means "none of the others".
    classes : tuple of ClassScore
        K classes, in the bundle's order.
    confusion : tuple of tuple of int
        K rows of truth, K columns of labels, in windows.
    """

    windows: int
    averages: Averages
    floor: Averages
    floor_class: str
    null_class: str | None
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def beats_floor(self) -> bool:
        """Tell whether the labels are worth more than one answer for all.

        By accuracy; where there is a null class, which most samples may have, a better macro F1 counts as well. Where
        nothing but one class was done, none wrong is as good as can be.
        """
        better = self.averages.accuracy > self.floor.accuracy or self.averages.accuracy == 1.0
        return better or (self.null_class is not None and self.averages.f1_macro > self.floor.f1_macro)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it; the averages stand at the top."""
        content = asdict(self)
        averages: dict[str, Any] = content.pop("averages")
        return averages | content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Return what `as_dict` was made of."""
        return cls(
            windows=content["windows"],
            averages=Averages(**{name: content[name] for name in Averages.__dataclass_fields__}),
            floor=Averages(**content["floor"]),
            floor_class=content["floor_class"],
            null_class=content["null_class"],
            classes=tuple(ClassScore(**entry) for entry in content["classes"]),
            confusion=tuple(tuple(row) for row in content["confusion"]),
        )


def score(truth: Indices, predicted: Indices, classes: Sequence[str], null_class: str | None = None) -> Scores | None:
    """Score labels against the truth.

    Parameters
    ----------
    truth, predicted : ndarray of int, shape (W,)
        Index into `classes`.
    classes : sequence of str
        K names.
    null_class : str, optional
        Which of them means "none of the others".

    Returns
    -------
    Scores or None
        None where there is no window to score.
    """
    if not len(truth):
        return None
    null = None if null_class is None else classes.index(null_class)
    support = np.bincount(truth, minlength=len(classes))
    always = int(support.argmax()) if null is None else null
    confusion = _confusion(truth, predicted, len(classes))
    return Scores(
        windows=len(truth),
        averages=_averages(confusion, null),
        floor=_averages(_confusion(truth, np.full_like(truth, always), len(classes)), null),
        floor_class=classes[always],
        null_class=null_class,
        classes=tuple(
            ClassScore(name, float(p), float(r), float(f1), int(n))
            for name, p, r, f1, n in zip(classes, *_by_class(confusion), strict=True)
        ),
        confusion=tuple(map(tuple, confusion.tolist())),
    )


def _confusion(truth: Indices, predicted: Indices, classes: int) -> Counts:
    """Return how many windows of each class, a row, were taken for each, a column."""
    pairs = truth.astype(np.int64) * classes + predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def _by_class(confusion: Counts) -> tuple[Shares, Shares, Shares, Counts]:
    """Return precision, recall, F1 and support of each class, shape (K,) each; what divides by nothing is 0."""
    right, support, named = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    return _share(right, named), _share(right, support), _share(2 * right, support + named), support


def _share(part: Counts, whole: Counts) -> Shares:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _averages(confusion: Counts, null: int | None) -> Averages:
    _, _, f1, support = _by_class(confusion)
    occurring = np.flatnonzero(support + confusion.sum(axis=0))
    others = occurring[occurring != null]
    without = (None, None) if null is None or not len(others) else _mean_f1(f1[others], support[others])
    accuracy = float(confusion.trace() / confusion.sum())
    return Averages(accuracy, *_mean_f1(f1[occurring], support[occurring]), *without)


def _mean_f1(f1: Shares, support: Counts) -> tuple[float, float]:
    """Return F1 averaged by support, and with all alike."""
    weighted = float(np.average(f1, weights=support)) if support.any() else 0.0
    return weighted, float(f1.mean())
