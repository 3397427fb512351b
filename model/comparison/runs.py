"""Runs the trainings of a protocol and writes one result file for each; a rerun trains only what is missing."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kinestream.model.bundle.bundle import Bundle
from kinestream.model.comparison.protocol import Run
from kinestream.model.config.training import TrainConfig
from kinestream.model.counted import counted
from kinestream.model.datasets import open_dataset
from kinestream.model.datasets.split import read_split
from kinestream.model.errors import ConfigError, FileError
from kinestream.model.evaluation.evaluate import evaluate_recordings
from kinestream.model.files import check_writable, read_whole, write_whole
from kinestream.model.machine import machine
from kinestream.model.plaindata import parse_json
from kinestream.model.recordings.split import people_of
from kinestream.model.training.listener import SILENT, TrainingListener
from kinestream.model.training.runfolder import HISTORY, RESULT, RunFolder
from kinestream.model.training.start import Start

LAYOUT = 1
"""Version of a result's layout; one of another version counts as missing."""


def result_path(results: Path, run: Run) -> Path:
    """Return where a run's result is kept."""
    return results / run.protocol / f"{run.key}.json"


def read_run(results: Path, run: Run) -> dict[str, Any] | None:
    """Return what a run came to, or None where it has not been run with this configuration.

    Raises
    ------
    FileError
        Where there is a file that cannot be read: a training of hours is not repeated unasked.
    """
    path = result_path(results, run)
    if not path.exists():
        return None
    try:
        content = parse_json(read_whole(path))
    except ValueError as error:
        raise FileError(f"{path}: damaged ({error}): remove it, and it is trained again") from None
    named = isinstance(content, dict) and (content.get("layout"), content.get("digest")) == (LAYOUT, run.digest)
    return content if named else None


def run_all(
    runs: Sequence[Run],
    results: Path,
    work: Path,
    *,
    source: str | None,
    jobs: int,
    show: Callable[[str], None],
    listener: TrainingListener = SILENT,
    initializer: Callable[[], None] | None = None,
    ray: str | None = None,
) -> int:
    """Train every run that has no result yet; return how many were.

    Parameters
    ----------
    runs : sequence of Run
        From `kinestream.model.comparison.protocol.load_protocol`.
    results : Path
        Below it each result is written as soon as there is one.
    work : Path
        Below it each run has its folder, from which an interrupted run resumes.
    source : str or None
        The dataset's zip or folder; without it, where the dataset is found by its name.
    jobs : int
        Trainings to run in parallel, each on one core.
    show : callable
        Called with a line for each run.
    listener : TrainingListener
        Receives the progress of each training, unless several run in parallel.
    initializer : callable, optional
        Called first in each worker process, where several trainings run in parallel.
    ray : str, optional
        Address of a Ray cluster whose processors take a training each, in place of `jobs`; see
        `kinestream.model.cluster.connect`. What a run has done so far stays under `work` of its node.
    """
    missing = [run for run in runs if read_run(results, run) is None]
    for protocol in {run.protocol for run in missing}:  # better now than after hours of training
        check_writable(results / protocol / "result.json")
    show(f"{counted(len(runs), 'run')}, {len(runs) - len(missing)} of them done before")
    if ray is not None:
        from kinestream.model.comparison.spread import train_on_cluster

        train_on_cluster(ray, missing, results, work, source, show)
        return len(missing)
    if jobs == 1:
        for number, run in enumerate(missing, start=1):
            show(f"{number} of {len(missing)}: {name_of(run)}")
            show(line_of(run, run_one(run, results, work, source, listener)))
        return len(missing)
    for run in {run.start.key: run for run in missing if run.start}.values():
        make_start(run, work, source, listener)  # before two runs make the same one side by side
    # A fresh interpreter for each: PyTorch's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=initializer) as pool:
        coming = {pool.submit(run_one, run, results, work, source): run for run in missing}
        try:
            for number, done in enumerate(as_completed(coming), start=1):
                show(f"{number} of {len(missing)}: {line_of(coming[done], done.result())}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(missing)


def run_one(
    run: Run, results: Path, work: Path, source: str | None, listener: TrainingListener = SILENT
) -> dict[str, Any]:
    """Train or resume one run, and write its result."""
    content = train_run(run, work, source, listener)
    write_run(results, run, content)
    return content


def write_run(results: Path, run: Run, content: dict[str, Any]) -> None:
    """Write what a run came to."""
    write_whole(result_path(results, run), (json.dumps(content, ensure_ascii=False) + "\n").encode())


def train_run(run: Run, work: Path, source: str | None, listener: TrainingListener = SILENT) -> dict[str, Any]:
    """Train or resume one run; return its result."""
    from kinestream.model.training.train import train

    config = _found_at(source, run.config)
    if run.start:
        bundle = make_start(run, work, source, listener)
        config = config.model_copy(update={"train": config.train.model_copy(update={"start_from": str(bundle)})})
    folder = work / run.protocol / run.key
    before = RunFolder(folder).read_history()
    begin, cpu = time.perf_counter(), time.process_time()
    opened, start = Start.open(config)
    if start:
        _check_unseen(run, start, config)
    if start and run.start and run.start.unchanged:
        came_to, history = _unchanged(start.bundle, config), []
    else:
        came_to = train(config, folder, device="cpu", listener=listener, page=False).as_dict()
        history = json.loads((folder / HISTORY).read_text(encoding="utf-8"))
    return {
        "layout": LAYOUT,
        "digest": run.digest,
        "protocol": run.protocol,
        "contender": run.contender,
        "round": run.round,
        "seed": run.seed,
        **{key: value for key, value in came_to.items() if key in _KEPT},
        # An interrupted run was resumed: the time of its earlier epochs counts, too.
        "seconds": round(time.perf_counter() - begin + sum(epoch["seconds"] for epoch in before), 1),
        "cpu_seconds": round(time.process_time() - cpu + sum(epoch["cpu_seconds"] for epoch in before), 1),
        "history": history,
        "config": opened.model_dump(mode="json", exclude={"dataset": {"source"}}),
        "machine": machine(_PACKAGES),
    }


def _found_at(source: str | None, config: TrainConfig) -> TrainConfig:
    if source is None:
        return config
    return config.model_copy(update={"dataset": config.dataset.model_copy(update={"source": source})})


def make_start(run: Run, work: Path, source: str | None, listener: TrainingListener) -> Path:
    """Return the bundle that a run starts from, trained first where it is not there yet."""
    from kinestream.model.training.train import train

    assert run.start
    folder = work / run.protocol / run.start.key
    there = (folder / RESULT).is_file()
    config = _found_at(source, run.start.config)
    return train(config, folder, device="cpu", listener=SILENT if there else listener, page=False).bundle


def _check_unseen(run: Run, start: Start, config: TrainConfig) -> None:
    """Make sure that the bundle has learnt nothing of those who are tested on.

    Raises
    ------
    ConfigError
        Where it has.
    """
    training = start.bundle.description.training
    if training.get("dataset") != config.dataset.name:
        return
    split = read_split(open_dataset(config.dataset), config.split, config.train.seed)
    seen = {*training["people"]["train"], *training["people"]["validation"]}
    known = [person for person in people_of(split.test) if person in seen]
    if known:
        told = (
            f"{start.bundle.id} has learnt from {', '.join(known)}, tested on in {run.round}: leave them out of start"
        )
        raise ConfigError(run.protocol, [f"start.split: {told}"])


def _unchanged(bundle: Bundle, config: TrainConfig) -> dict[str, Any]:
    """Return what a bundle comes to as it is, in the words of a training's result."""
    source = open_dataset(config.dataset)
    split = read_split(source, config.split, config.train.seed)
    chosen, cut = "the recordings held out as test", config.window.cut
    found = evaluate_recordings(bundle, split.test, task=source.task, chosen=chosen, cut=cut, device="cpu")
    return {
        "epochs": 0,
        "kept_epoch": 0,
        "parameters": sum(weight.size for weight in bundle.weights.values()),
        "temperature": bundle.description.temperature,
        "validation": None,
        "test": found.as_dict(),
    }


_PACKAGES = ("kinestream", "torch", "onnxruntime", "numpy", "scipy", "scikit-learn")
_KEPT = ("epochs", "kept_epoch", "parameters", "temperature", "validation", "test")


def name_of(run: Run) -> str:
    """Return what a run is called."""
    part = "" if run.round == "all" else f" {run.round}"
    return f"{run.protocol} {run.contender}{part} seed {run.seed}"


def line_of(run: Run, content: dict[str, Any]) -> str:
    """Return what a run came to in a line."""
    shown = content["test"]
    figures = f"accuracy {shown['accuracy']:.4f}, macro F1 {shown['f1_macro']:.4f}"
    return (
        f"{name_of(run)}: {figures}, epoch {content['kept_epoch']} of {content['epochs']}, {content['seconds']:.0f} s"
    )
