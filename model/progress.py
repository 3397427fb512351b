"""Progress of a long task, passed to a callback: drawing it is up to the caller."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a task has come.

    Parameters
    ----------
    what : str
        The task, in a word or two.
    done : int
        What is done of it: recordings, bytes.
    total : int or None
        The whole of the work; None where it is not known.
    """

    what: str
    done: int
    total: int | None


ProgressCallback = Callable[[Progress], None]
"""Called when a task begins, and again after each part of it; the last time, all of it is done."""


def ignore_progress(progress: Progress) -> None:
    """Do nothing: the default callback."""
