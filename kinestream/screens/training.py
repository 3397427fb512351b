"""The progress of a training: a bar on a terminal, elsewhere a line per epoch; after Ctrl-C, how to resume."""

from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from kinestream.model.printable import printable
from kinestream.model.progress import Progress
from kinestream.model.training.listener import TrainingListener
from kinestream.model.training.runfolder import Course
from kinestream.screens.console import SafeConsole
from kinestream.screens.progress import EvaluationBar

_BAR = 20  # characters: the text beside it fits on 80 columns


class TrainingScreen(TrainingListener):
    """Shows one run after another, while the block lasts that it opens.

    Parameters
    ----------
    resume : bool
        Whether the same command resumes a stopped run.
    console : Console, optional
        Where it is shown; stderr by default.
    """

    def __init__(self, *, resume: bool = True, console: Console | None = None) -> None:
        self._console = console or SafeConsole(stderr=True)
        self._resume = resume
        self._evaluation = EvaluationBar(self._console)
        self._epochs: _Epochs | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._evaluation.stop()
        if self._epochs is not None:
            self._epochs.stop()
            if isinstance(error, KeyboardInterrupt):
                self.note(self._epochs.how_to_resume(self._resume))

    def note(self, line: str) -> None:
        """Print a line."""
        self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def begin(self, course: Course, epochs: int, batches: int) -> None:
        """Say from which epoch a run is resumed, and begin to draw."""
        self._epochs = _Epochs(self._console, course, epochs, batches)
        if course.done:
            self.note(f"resumes after {self._epochs.reached}")
        self._epochs.start()

    def batch(self) -> None:
        """Draw another batch."""
        if self._epochs is not None:
            self._epochs.batch()

    def epoch(self, course: Course) -> None:
        """Draw another epoch."""
        if self._epochs is not None:
            self._epochs.epoch(course)
        if not self._console.is_terminal:
            self.note(_line(course))

    def evaluating(self, progress: Progress) -> None:
        """Draw how many recordings are evaluated."""
        if self._epochs is not None:
            self._epochs.stop()  # two bars cannot be shown at once
        self._evaluation.show(progress)

    def end(self) -> None:
        """Draw no more of this run."""
        if self._epochs is not None:
            self._epochs.stop()
            self._epochs = None


class _Epochs:
    """The bar of a run's epochs, which is there only on a terminal, and how far they have come."""

    def __init__(self, console: Console, course: Course, epochs: int, batches: int) -> None:
        self._course, self._most, self._batches = course, epochs, batches
        self._bar = Bar(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(_BAR),
            TextColumn("{task.fields[newest]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,  # elsewhere it would leave nothing but empty lines
        )
        self._task = self._bar.add_task("", total=epochs * batches, **self._state())
        self.start = self._bar.start
        self.stop = self._bar.stop

    @property
    def reached(self) -> str:
        """The last epoch that is kept, in words."""
        return f"epoch {self._course.done} of {self._most}"

    def batch(self) -> None:
        """Draw another batch."""
        self._bar.advance(self._task)

    def epoch(self, course: Course) -> None:
        """Draw another epoch."""
        self._course = course
        self._bar.update(self._task, **self._state())

    def how_to_resume(self, resume: bool) -> str:
        """Return how to resume the run that was stopped."""
        if not self._course.done:
            return "stopped in the first epoch: nothing is kept yet, the same command starts again"
        command = "the same command" if resume else "the same command without --restart"
        return f"stopped: {command} resumes after {self.reached}"

    def _state(self) -> dict[str, Any]:
        done = self._course.done
        epoch = f"{min(done + 1, self._most)}/{self._most}"
        return {"completed": done * self._batches, "epoch": epoch, "newest": _short(self._course)}


def _short(course: Course) -> str:
    """Return the last epoch in so few words that they fit beside a bar on 80 columns."""
    if not course.history:
        return ""
    last = course.history[-1]
    measured = "" if last.f1_macro is None else f", val F1 {last.f1_macro:.3f}"
    return f"loss {last.loss:.3f}{measured}, best {course.best}"


def _line(course: Course) -> str:
    last = course.history[-1]
    measured = "" if last.f1_macro is None else f", validation macro F1 {last.f1_macro:.3f}"
    return f"epoch {last.epoch}: loss {last.loss:.3f}{measured}, best epoch {course.best}"
