"""What a run tells while it goes on, and to whom."""

from kinestream.model.progress import Progress
from kinestream.model.training.runfolder import Course


class TrainingListener:
    """Is told how a run goes, and does nothing about it; a subclass overrides what it wants to know.

    All methods are called in the thread that trains, which waits for them.
    """

    def note(self, line: str) -> None:
        """Take a line for people: a warning of what the recordings lack, or why something is left out."""

    def begin(self, course: Course, epochs: int, batches: int) -> None:
        """Learn that epochs begin.

        Parameters
        ----------
        course : Course
            The epochs that a killed run has left behind; without any at first.
        epochs : int
            Where the last one is counted.
        batches : int
            Batches in an epoch.
        """

    def batch(self) -> None:
        """Learn that the network has learned from another batch."""

    def epoch(self, course: Course) -> None:
        """Learn that an epoch is through and kept; it is the last in the course's history."""

    def evaluating(self, progress: Progress) -> None:
        """Learn how many recordings are evaluated: of those validated on, then once more, and of those held out."""

    def end(self) -> None:
        """Learn that the run is through and its result written. Not called where an error or Ctrl-C ends it."""


SILENT = TrainingListener()
"""For a run that nobody watches."""
