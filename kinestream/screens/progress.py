"""Bars that show how far a task has come, on stderr and only where that is a terminal."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar

from kinestream.model.progress import Progress
from kinestream.screens.console import SafeConsole


class ProgressBar(ABC):
    """Shows one task after another, each until all of it is done; gone when the block is left that it opens.

    Parameters
    ----------
    console : Console, optional
        Where it is drawn; stderr by default. Nothing is where that is no terminal: it would leave only empty lines.
    """

    transient: ClassVar[bool] = False
    """Whether nothing stays of a bar when its task is done."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or SafeConsole(stderr=True)
        self._bar: Bar | None = None

    @abstractmethod
    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return what stands in the line of a task."""

    def show(self, progress: Progress) -> None:
        """Draw how far a task has come."""
        if self._bar is None:
            shown = self._console.is_terminal
            self._bar = Bar(*self.columns(), console=self._console, transient=self.transient, disable=not shown)
            self._bar.add_task(progress.what)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=progress.done, total=progress.total)
        if progress.done == progress.total:
            self.stop()

    def stop(self) -> None:
        """Draw no more of the task."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class EvaluationBar(ProgressBar):
    """Shows how many recordings are evaluated."""

    transient = True

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the task, a bar, the share that is done, and the time left."""
        what = TextColumn("{task.description}", style="progress.description", markup=False)
        return what, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(elapsed_when_finished=True)


class DownloadBar(ProgressBar):
    """Shows how much of a file has come."""

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the file, a bar, how much there is of it, how fast it comes, and the time left."""
        what = TextColumn("{task.description}", markup=False)
        return what, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
