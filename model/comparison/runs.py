"""Runs the trainings of a protocol and writes one result file for each; a rerun trains only what is missing."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from kinestream.model.comparison.protocol import Run
from kinestream.model.counted import counted
from kinestream.model.errors import FileError
from kinestream.model.files import check_writable, read_whole, write_whole
from kinestream.model.machine import machine
from kinestream.model.plaindata import parse_json
from kinestream.model.training.listener import SILENT, TrainingListener
from kinestream.model.training.runfolder import HISTORY, RunFolder
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
) -> int:
    """Train every run that has no result yet; return how many were.

    Parameters
    ----------
    runs : sequence of Run
        From `model.comparison.protocol.load_protocol`.
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
    """
    missing = [run for run in runs if read_run(results, run) is None]
    for protocol in {run.protocol for run in missing}:  # better now than after hours of training
        check_writable(results / protocol / "result.json")
    show(f"{counted(len(runs), 'run')}, {len(runs) - len(missing)} of them done before")
    if jobs == 1:
        for number, run in enumerate(missing, start=1):
            show(f"{number} of {len(missing)}: {_name(run)}")
            show(_line(run, run_one(run, results, work, source, listener)))
        return len(missing)
    # A fresh interpreter for each: PyTorch's threads do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=initializer) as pool:
        coming = {pool.submit(run_one, run, results, work, source): run for run in missing}
        try:
            for number, done in enumerate(as_completed(coming), start=1):
                show(f"{number} of {len(missing)}: {_line(coming[done], done.result())}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return len(missing)


def run_one(
    run: Run, results: Path, work: Path, source: str | None, listener: TrainingListener = SILENT
) -> dict[str, Any]:
    """Train or resume one run, and write its result."""
    from kinestream.model.training.train import train

    config = run.config
    if source is not None:
        config = config.model_copy(update={"dataset": config.dataset.model_copy(update={"source": source})})
    folder = work / run.protocol / run.key
    before = RunFolder(folder).read_history()
    begin, cpu = time.perf_counter(), time.process_time()
    result = train(config, folder, device="cpu", listener=listener, page=False)
    content = {
        "layout": LAYOUT,
        "digest": run.digest,
        "protocol": run.protocol,
        "contender": run.contender,
        "round": run.round,
        "seed": run.seed,
        **{key: value for key, value in result.as_dict().items() if key in _KEPT},
        # An interrupted run was resumed: the time of its earlier epochs counts, too.
        "seconds": round(time.perf_counter() - begin + sum(epoch["seconds"] for epoch in before), 1),
        "cpu_seconds": round(time.process_time() - cpu + sum(epoch["cpu_seconds"] for epoch in before), 1),
        "history": json.loads((folder / HISTORY).read_text(encoding="utf-8")),
        "config": Start.open(run.config)[0].model_dump(mode="json", exclude={"dataset": {"source"}}),
        "machine": machine(_PACKAGES),
    }
    write_whole(result_path(results, run), (json.dumps(content, ensure_ascii=False) + "\n").encode())
    return content


_PACKAGES = ("kinestream", "torch", "onnxruntime", "numpy", "scipy", "scikit-learn")
_KEPT = ("epochs", "kept_epoch", "parameters", "temperature", "validation", "test")


def _name(run: Run) -> str:
    part = "" if run.round == "all" else f" {run.round}"
    return f"{run.protocol} {run.contender}{part} seed {run.seed}"


def _line(run: Run, content: dict[str, Any]) -> str:
    shown = content["test"]
    figures = f"accuracy {shown['accuracy']:.4f}, macro F1 {shown['f1_macro']:.4f}"
    return f"{_name(run)}: {figures}, epoch {content['kept_epoch']} of {content['epochs']}, {content['seconds']:.0f} s"
