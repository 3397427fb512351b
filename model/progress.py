"""How far a long task has come, told to whoever asked: what is drawn of it, if anything, is not ours to know."""

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
        What there is to do; None where nobody knows.
    """

    what: str
    done: int
    total: int | None


ProgressCallback = Callable[[Progress], None]
"""Called when a task begins, and again after each part of it; the last time, all of it is done."""


def ignore_progress(progress: Progress) -> None:
    """Do nothing: what is called where nobody asked."""
