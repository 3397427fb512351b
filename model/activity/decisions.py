"""From the class of each window to activities: which has started, which goes on, which has ended.

What has been said of an activity's start or end is never taken back. All moments are those of windows' last samples, in
a unit of the caller's; an activity lasts from a stride before its first window's moment, for which that window speaks
too, up to its last window's.
"""

from typing import Literal, NamedTuple

from kinestream.model.config.activity import ActivitySection

UNCERTAIN = -1
"""The activity where no class is probable enough, by its index."""

State = Literal["started", "ongoing", "ended"]


class Change(NamedTuple):
    """What becomes of an activity.

    Attributes
    ----------
    state : {"started", "ongoing", "ended"}
        One starts when the one before has ended; it goes on with each further window decided for it.
    which : int
        Its class by index, or `UNCERTAIN`.
    begin, end : int
        From when until when it is known to have lasted.
    p : float
        How probable it is on average over the windows decided for it; of `UNCERTAIN`, how probable the best class is.
    """

    state: State
    which: int
    begin: int
    end: int
    p: float


class _Run:
    """Windows decided alike: since when, until when, how many, and the sum of their probabilities."""

    __slots__ = ("begin", "count", "end", "p", "which")

    def __init__(self, which: int, begin: int) -> None:
        self.which, self.begin, self.end = which, begin, begin
        self.count, self.p = 0, 0.0

    def add(self, at: int, p: float) -> None:
        self.end = at
        self.count += 1
        self.p += p

    def change(self, state: State) -> Change:
        return Change(state, self.which, self.begin, self.end, self.p / self.count)


class Decisions:
    """Tells activities from the class of each window.

    Parameters
    ----------
    settings : ActivitySection
        Its `least`, `threshold` and `patience`.
    stride : int
        From one window's moment to the next one's.
    """

    def __init__(self, settings: ActivitySection, stride: int) -> None:
        self._least, self._threshold, self._patience = settings.least, settings.threshold, settings.patience
        self._stride = stride
        self._current: _Run | None = None
        self._candidate: _Run | None = None
        self._away: _Run | None = None  # windows since the current activity was last decided

    @property
    def current(self) -> int | None:
        """The activity that was told last and has not ended, None where none is; as in `Change.which`."""
        return None if self._current is None else self._current.which

    @property
    def has_begun(self) -> bool:
        """Whether a window has come since the last end."""
        return self._current is not None or self._away is not None

    def add(self, at: int, best: int, p: float) -> list[Change]:
        """Take the most probable class of the next window, and how probable it is."""
        which = best if p >= self._threshold else UNCERTAIN
        current = self._current
        if current is not None and which == current.which:
            self._candidate = self._away = None
            current.add(at, p)
            return [current.change("ongoing")]
        begin = at - self._stride
        if self._away is None:
            self._away = _Run(UNCERTAIN, begin)
        self._away.add(at, p)
        if which == UNCERTAIN:
            self._candidate = None
        else:
            if self._candidate is None or self._candidate.which != which:
                self._candidate = _Run(which, begin)
            self._candidate.add(at, p)
            if self._candidate.count >= self._least[which]:
                started, self._candidate = self._candidate, None
                return self._start(started)
        if self._away.count >= self._patience and self.current != UNCERTAIN:
            if self._candidate is not None:
                self._away.end = self._candidate.begin
            return self._start(self._away)
        return []

    def end(self) -> list[Change]:
        """End the current activity, to which belongs what was too short to be one."""
        current, away = self._current, self._away
        self._current = self._candidate = self._away = None
        if current is None:
            return []
        if away is not None:
            current.end = away.end
        return [current.change("ended")]

    def _start(self, run: _Run) -> list[Change]:
        """Have an activity follow the current one, to which belongs what was too short to be one."""
        changes = []
        if self._current is not None:
            self._current.end = run.begin
            changes.append(self._current.change("ended"))
        self._current, self._away = run, None
        changes.append(run.change("started"))
        return changes
