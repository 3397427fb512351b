"""Trainings of protocols as tasks of a Ray cluster; each result is written here as soon as its run has ended."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kinestream.model.comparison.protocol import Run
from kinestream.model.comparison.runs import line_of, make_start, name_of, train_run, write_run
from kinestream.model.counted import counted
from kinestream.model.errors import ConfigError
from kinestream.model.raytasks import Ended, Going, Note, spread
from kinestream.model.training.listener import SILENT, TrainingListener
from kinestream.model.training.runfolder import RESULT, Course


def train_on_cluster(
    address: str,
    runs: Sequence[Run],
    results: Path,
    work: Path,
    source: str | None,
    show: Callable[[str], None],
) -> None:
    """Train runs on the cluster's processors, one each, or resume them; parameters as for `run_all`.

    Bundles that runs start from are trained here first, since two nodes must not train the same one side by side.

    Raises
    ------
    EndpointError
        Where the cluster cannot be used.
    ConfigError
        Where a node does not find such a bundle: then `work` is no folder that the nodes share.
    """
    work = work.resolve()
    if source is not None and os.path.exists(source):  # else the name of one that is found on each node
        source = os.path.realpath(source)
    for run in {run.start.key: run for run in runs if run.start}.values():
        make_start(run, work, source, SILENT)
    count = 0

    def ended(task: Ended) -> None:
        nonlocal count
        count += 1
        write_run(results, runs[task.number], task.result)
        show(f"{count} of {len(runs)}: {line_of(runs[task.number], task.result)}, on {task.node}")

    def going(state: Going) -> None:
        told = "; ".join(f"{name_of(runs[number])} on {note}" for number, note in sorted(state.notes.items()))
        show(f"{state.ended} of {counted(len(runs), 'run')} done, {state.waiting} waiting; {told or 'none begun'}")

    spread(address, _train, runs, work, source, ended=ended, going=going)


def _train(work: Path, source: str | None, run: Run, note: Note) -> dict[str, object]:
    if run.start and not (work / run.protocol / run.start.key / RESULT).is_file():
        raise ConfigError(
            run.protocol, [f"start: {work} of the node lacks {run.start.key}: give --work a folder that nodes share"]
        )
    return train_run(run, work, source, _Epochs(note))


class _Epochs(TrainingListener):
    """Says how far a training has come."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._epochs = 0

    def begin(self, course: Course, epochs: int, batches: int) -> None:
        """Say where it begins."""
        self._epochs = epochs
        self.epoch(course)

    def epoch(self, course: Course) -> None:
        """Say which epoch is done."""
        self._note(f"epoch {course.done} of {self._epochs}")
