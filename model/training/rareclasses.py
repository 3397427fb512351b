"""Classes without training windows, or learnt from one person only, whose scores say little about other people."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from kinestream.model.recordings.recording import Recording
from kinestream.model.recordings.split import people_of
from kinestream.model.training.data import TrainingSet


def rare_classes(data: TrainingSet) -> Iterator[str]:
    """Yield a warning, one line, for each such class."""
    counts = np.bincount(data.train.truth, minlength=len(data.classes))
    people = people_of(data.split.train)
    trained, tested = _people_by_class(data.split.train), _people_by_class(data.split.test)
    if len(people) == 1:
        yield f"everything is learnt from one person only, {people[0]}"
    for name, count in zip(data.classes, counts, strict=True):
        doing = sorted(trained[name])
        if not count:
            among = f", only the test people do it ({_some(tested[name])})" if tested[name] else ""
            yield f"{name}: there is no window to learn it from{among}: it will never be named"
        elif len(doing) == 1 < len(people):
            yield f"{name}: learnt from one person only, {doing[0]}"


def _people_by_class(recordings: Iterable[Recording]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for recording in recordings:
        for code in np.unique(recording.labels[recording.labels >= 0]):
            found[recording.classes[code]].add(recording.person)
    return found


def _some(people: Iterable[str], most: int = 5) -> str:
    names = sorted(people)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
