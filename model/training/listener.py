"""Callbacks by which a training run reports its progress."""

from kinestream.model.progress import Progress
from kinestream.model.training.runfolder import Course


class TrainingListener:
    """Receives the progress of a run and ignores it; subclasses override the methods they need.

    All methods are called in the training thread, which waits for them to return.
    """

    def note(self, line: str) -> None:
        """Receive a message for people: a warning about the recordings, or why something is left out."""

    def begin(self, course: Course, epochs: int, batches: int) -> None:
        """React to the start of the first epoch.

        Parameters
        ----------
        course : Course
            The epochs of the interrupted run that is resumed; empty for a new run.
        epochs : int
            The number of the last epoch.
        batches : int
            Batches in an epoch.
        """

    def batch(self) -> None:
        """React to the end of a batch."""

    def epoch(self, course: Course) -> None:
        """React to the end of an epoch, the last in the course's history; its checkpoint is written."""

    def evaluating(self, progress: Progress) -> None:
        """React to recordings evaluated: those of the validation people twice, then those of the test people."""

    def end(self) -> None:
        """React to the end of the run, its result written; not called after an error or Ctrl-C."""


SILENT = TrainingListener()
"""Does nothing: the default."""
