"""How good labels are: F1 and its relatives, beside what naming always the same class would score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

Indices = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Averages:
    """Figures over all windows.

    Parameters
    ----------
    accuracy : float
        Share of windows named rightly.
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
    """What labels are worth.

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
    labels = np.arange(len(classes))
    null = None if null_class is None else classes.index(null_class)
    support = np.bincount(truth, minlength=len(classes))
    always = int(support.argmax()) if null is None else null
    columns = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0.0)
    return Scores(
        windows=len(truth),
        averages=_averages(truth, predicted, null),
        floor=_averages(truth, np.full_like(truth, always), null),
        floor_class=classes[always],
        null_class=null_class,
        classes=tuple(
            ClassScore(name, float(p), float(r), float(f1), int(n))
            for name, p, r, f1, n in zip(classes, *columns, strict=True)
        ),
        confusion=tuple(map(tuple, confusion_matrix(truth, predicted, labels=labels).tolist())),
    )


def _averages(truth: Indices, predicted: Indices, null: int | None) -> Averages:
    occurring = np.union1d(truth, predicted)
    others = occurring[occurring != null]
    without = (None, None) if null is None or not len(others) else _f1(truth, predicted, others)
    return Averages(float(accuracy_score(truth, predicted)), *_f1(truth, predicted, occurring), *without)


def _f1(truth: Indices, predicted: Indices, labels: Indices) -> tuple[float, float]:
    """Return F1 averaged over `labels` by support, and with all alike."""
    _, _, f1, support = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0.0)
    weighted = float(np.average(f1, weights=support)) if support.any() else 0.0
    return weighted, float(f1.mean())
