"""The outcome of a run: its bundle is calibrated, scored as users will run it, and written, with a page of results."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from kinestream.model.bundle.bundle import Bundle, read_bundle
from kinestream.model.config.familiar import SensorRange
from kinestream.model.config.training import Cut, TrainConfig
from kinestream.model.datasets import open_dataset
from kinestream.model.datasets.split import read_split
from kinestream.model.engine.engine import Device
from kinestream.model.errors import KinestreamError, MissingExtra
from kinestream.model.evaluation.evaluate import evaluate_recordings
from kinestream.model.evaluation.evaluation import Evaluation
from kinestream.model.recordings.split import Split
from kinestream.model.scores.calibration import fit_temperature, temper
from kinestream.model.scores.metrics import Scores
from kinestream.model.training.activities import fit_activities
from kinestream.model.training.familiar import note_familiar
from kinestream.model.training.listener import SILENT, TrainingListener
from kinestream.model.training.runfolder import BUNDLE, REPORT, RESULT, Course, RunFolder
from kinestream.model.windows.labelled import NOT_SCORED

_CHOSEN = {"validation": "the recordings validated on", "test": "the recordings held out as test"}


@dataclass(frozen=True)
class TrainResult:
    """What a run came to.

    Parameters
    ----------
    folder : Path
        Holds ``bundle/``, ``history.json``, ``result.json`` and ``report.html``.
    epochs, kept_epoch : int
        Epochs trained, and the one whose weights the bundle holds, counted from 1.
    parameters : int
        Numbers in the bundle's weights.
    temperature : float
        What the bundle divides logits by; fitted on the people validated on, 1 where there are none.
    figures : dict of str to dict
        Of the bundle, by its engine, on ``validation`` and ``test`` people where there are any:
        `kinestream.model.evaluation.evaluation.Evaluation.as_dict`.
    finished_before : bool
        Whether the run was found finished, and nothing was trained now.
    """

    folder: Path
    epochs: int
    kept_epoch: int
    parameters: int
    temperature: float
    figures: Mapping[str, dict[str, Any]]
    finished_before: bool = False

    @property
    def bundle(self) -> Path:
        """The folder of the bundle."""
        return self.folder / BUNDLE

    @property
    def report(self) -> Path | None:
        """The page that shows the run, where it could be drawn."""
        path = self.folder / REPORT
        return path if path.is_file() else None

    @property
    def validation(self) -> Scores | None:
        """Scores on the people validated on; None where there are none."""
        return self._scores("validation")

    @property
    def test(self) -> Scores | None:
        """Scores on the test people; None where there are none."""
        return self._scores("test")

    def _scores(self, part: str) -> Scores | None:
        found = self.figures.get(part)
        return Scores.from_dict(found) if found and found["windows"] else None

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as JSON takes it; at the top the averages of the test people, or else the validation's."""
        shown = self.test or self.validation
        return (asdict(shown.averages) if shown else {}) | {
            "bundle": str(self.bundle),
            "epochs": self.epochs,
            "kept_epoch": self.kept_epoch,
            "parameters": self.parameters,
            "temperature": self.temperature,
            **{part: self.figures.get(part) for part in _CHOSEN},
        }

    @classmethod
    def from_dict(cls, folder: Path, content: dict[str, Any]) -> Self:
        """Return a finished run's result."""
        kept = ("epochs", "kept_epoch", "parameters", "temperature")
        figures = {part: content[part] for part in _CHOSEN if content[part]}
        return cls(folder, **{key: content[key] for key in kept}, figures=figures, finished_before=True)


def finish_run(
    run: RunFolder,
    bundle: Bundle,
    split: Split,
    course: Course,
    *,
    known: Sequence[SensorRange] = (),
    cut: Cut,
    device: Device,
    listener: TrainingListener = SILENT,
    page: bool = True,
) -> TrainResult:
    """Calibrate a bundle, score it, and write down both.

    Parameters
    ----------
    run : RunFolder
        Where.
    bundle : Bundle
        With the weights that are kept.
    split : Split
        Whose recordings were held out.
    course : Course
        How the run went.
    known : sequence of SensorRange
        What the bundle was familiar with that training started from.
    cut : {"continuous", "segmented"}
        How windows are cut.
    device : {"cpu", "cuda"}
        What runs the bundle.
    listener : TrainingListener
        Its methods are called as evaluation progresses.
    page : bool
        Whether to show it as ``report.html``.
    """
    validated = _evaluations(bundle, split, ["validation"], cut, device, listener)
    bundle = note_familiar(_calibrated(bundle, validated.get("validation")), split, known)
    bundle = _with_activities(bundle, validated.get("validation"))
    bundle.write(run.path / BUNDLE)
    found = _evaluations(bundle, split, list(_CHOSEN), cut, device, listener)
    result = TrainResult(
        folder=run.path,
        epochs=course.done,
        kept_epoch=course.best,
        parameters=sum(weight.size for weight in bundle.weights.values()),
        temperature=bundle.description.temperature,
        # As JSON gives them back, so that a result is the same now and when it is read again.
        figures={part: json.loads(json.dumps(evaluation.as_dict())) for part, evaluation in found.items()},
    )
    run.write_json(RESULT, result.as_dict())
    if page:
        _report(run, bundle, found, listener)
    return result


def result_of_finished(
    run: RunFolder,
    content: dict[str, Any],
    config: TrainConfig,
    device: Device,
    listener: TrainingListener = SILENT,
    page: bool = True,
) -> TrainResult:
    """Return a finished run's result, its page made again where it is missing and its recordings are still there."""
    result = TrainResult.from_dict(run.path, content)
    if page and result.report is None:
        bundle = read_bundle(run.path / BUNDLE)
        try:
            source = open_dataset(config.dataset)
            split = read_split(source, config.split, config.train.seed)
            found = _evaluations(bundle, split, list(_CHOSEN), config.window.cut, device, listener)
        except KinestreamError as error:
            listener.note(f"no {REPORT}: {error}")
        else:
            _report(run, bundle, found, listener)
    return result


def _evaluations(
    bundle: Bundle, split: Split, parts: list[str], cut: Cut, device: Device, listener: TrainingListener
) -> dict[str, Evaluation]:
    """Evaluate on those held out, where there are any."""
    task = bundle.description.training["task"]
    return {
        part: evaluate_recordings(
            bundle, recordings, task=task, chosen=_CHOSEN[part], cut=cut, device=device, progress=listener.evaluating
        )
        for part in parts
        if (recordings := getattr(split, part))
    }


def _calibrated(bundle: Bundle, evaluation: Evaluation | None) -> Bundle:
    """Return the bundle with the temperature that suits the people validated on."""
    if evaluation is None:
        return bundle
    truth = np.concatenate([each.truth for each in evaluation.recordings])
    probabilities = np.concatenate([each.probabilities for each in evaluation.recordings])
    scored = truth != NOT_SCORED
    if not scored.any():
        return bundle
    logits = np.log(np.maximum(probabilities[scored], np.finfo(np.float32).tiny))
    temperature = round(fit_temperature(logits, truth[scored]), 4)
    return Bundle(bundle.description.model_copy(update={"temperature": temperature}), bundle.weights)


def _with_activities(bundle: Bundle, evaluation: Evaluation | None) -> Bundle:
    """Return the bundle with what makes activities of its labels, by an evaluation from before its temperature."""
    if evaluation is None:
        return bundle
    tempered = [
        replace(each, probabilities=temper(each.probabilities, bundle.description.temperature).astype(np.float32))
        for each in evaluation.recordings
    ]
    chosen = fit_activities(bundle, tempered)
    return Bundle(bundle.description.model_copy(update={"activities": chosen}), bundle.weights)


def _report(run: RunFolder, bundle: Bundle, found: dict[str, Evaluation], listener: TrainingListener) -> None:
    try:
        from kinestream.model.report.page import write_run_page
    except MissingExtra as error:  # hours of training should not fail because a figure cannot be drawn
        listener.note(str(error))
        return
    write_run_page(run.path / REPORT, bundle, found, run.read_history())
